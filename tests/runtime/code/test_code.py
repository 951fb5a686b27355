"""Agents in Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.profiles.city import GROUND, Town
from tests.runtime.profiles.city import agent as manifest

import pharos
from pharos.core.fault import Fault
from pharos.core.principal import Principal, PrincipalKind
from pharos.mesh.connectors import EffectClass, Errand
from pharos.runtime.code import CodeAgent, distinct, installed_code, load_code
from pharos.server.city import open_city

CODE = '''
import pharos

@pharos.agent(model="small", key="account", limits={"steps": 8}, tools=["catalog_*"])
def weather_teller() -> None:
    """You tell people about the weather.

    You never guess.
    """

@weather_teller.tool(effect="pure")
async def weather(city: str) -> str:
    """The weather of a city."""
    return f"fine in {city}"

@weather_teller.tool
def order(what: str, errand: pharos.Errand) -> str:
    """Order an umbrella."""
    if what != "umbrella":
        raise pharos.ToolError("There are only umbrellas.")
    return errand.key
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "json.py"
    path.write_text(CODE)
    return path


def as_agent(name: str, *permissions: str) -> Principal:
    """Whom a session of an agent acts as."""
    return Principal(PrincipalKind.AGENT, name, permissions=frozenset(permissions))


async def test_code_is_an_agent_like_any_other_with_tools_of_its_own(tmp_path: Path, file: Path) -> None:
    ground = tmp_path / "ground.yaml"
    ground.write_text(GROUND + manifest("other", "tools: ['*']"))
    async with open_city(tmp_path / "home", files=[ground, file]) as city:
        town = Town(city)
        profile = town.resolve("weather-teller")
        assert profile.instructions == "You tell people about the weather.\n\nYou never guess."
        assert profile.spec.tools == ["catalog_*", "order", "weather"]
        assert profile.spec.limits.steps == 8
        me = as_agent("weather-teller", "catalog.read")
        assert me.id == "agent/default/weather-teller"
        mine = {tool.name: tool for tool in await city.tools.tools(me)}
        assert {"weather", "order", "catalog_get"} <= set(mine)
        assert (mine["weather"].effect, mine["order"].effect) == (EffectClass.PURE, EffectClass.UNSAFE)
        errand = Errand("default/s/e1", "default/s", me)
        assert (await city.tools.call(errand, "weather", {"city": "Graz"})).content == "fine in Graz"
        assert (await city.tools.call(errand, "order", {"what": "umbrella"})).content == "default/s/e1"
        assert (await city.tools.call(errand, "order", {"what": "sun"})).failed
        # No other agent sees them, whatever it lists.
        other = as_agent("other", "*")
        assert "order" not in {tool.name for tool in await city.tools.tools(other)}
        with pytest.raises(Fault) as refused:
            await city.tools.call(Errand("k", "s", other), "order", {"what": "umbrella"})
        assert refused.value.code == "NOT_FOUND"
        shown = await town.call("catalog.get", kind="Agent", name="weather-teller")
        assert shown["metadata"]["annotations"] == {"pharos/code": "json:weather_teller"}
    # Opened again, it is the same one: nothing is applied anew.
    async with open_city(tmp_path / "home", files=[file]) as city:
        assert (await Town(city).call("catalog.get", kind="Agent", name="weather-teller"))["metadata"]["revision"] == 1


async def test_code_is_refused_like_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(Fault) as refused:

        @pharos.agent(model="small", key="account", limits={"step": 8})
        def wrong() -> None:
            """Wrong."""

    (problem,) = refused.value.document.problems
    assert (problem.pointer, problem.suggestion) == ("/limits/step", "steps")
    with pytest.raises(Fault) as refused:
        pharos.agent(name="Not A Name", model="small", key="account")(lambda: "x")
    assert refused.value.document.problems[0].pointer == "/name"

    @pharos.agent(model="small", key="account", options={"stream": True})
    def streaming() -> str:
        return "instructions that are computed"

    assert streaming.document()["spec"]["instructions"] == "instructions that are computed"  # type: ignore[index,call-overload]
    with pytest.raises(Fault) as refused:
        async with open_city(tmp_path, code=[streaming]):
            pass
    assert "options" in str(refused.value.document.problems)


@pytest.mark.parametrize(
    ("text", "why"),
    [("import nothing_of_this_name", "ModuleNotFoundError"), ("x = 1", "no agent"), ("x = (", "SyntaxError")],
)
async def test_code_that_cannot_be_used_opens_no_city(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "broken_code_of_tests.py"
    file.write_text(text)
    with pytest.raises(Fault) as refused:
        async with open_city(tmp_path / "home", files=[file]):
            pass
    assert refused.value.code == "AGENT_CODE_BROKEN"
    assert why in refused.value.detail
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\nimport nothing_of_this_name", "line 2: ModuleNotFoundError: "),
        (CODE.replace("limits=", "limit="), "line 4: There is no such field."),
        (CODE.replace('effect="pure"', 'effect="pur"'), "line 11: ValueError: an effect is pure, idempotent, "),
    ],
)
def test_the_line_of_what_is_wrong_is_told(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "broken_code_of_tests.py"
    file.write_text(text)
    with pytest.raises(Fault) as refused:
        load_code(str(file))
    assert refused.value.detail.startswith(f"{file}: {why}")
    if "limit=" in text:
        [problem] = refused.value.document.problems
        assert (problem.pointer, problem.suggestion) == ("/limit", "limits")


def test_two_agents_of_one_name_are_refused(file: Path) -> None:
    def made(text: str) -> CodeAgent:
        return pharos.agent(name="a", model="small", key="account")(lambda: text)

    one: Any = made("x")
    assert distinct([one, one]) == [one]
    with pytest.raises(Fault) as refused:
        distinct([one, made("y")])
    assert "two agents" in refused.value.detail
    assert [each.id.name for each in load_code(str(file))] == ["weather-teller"]


def test_an_installed_package_brings_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tellers_of_a_package.py").write_text(CODE)
    info = tmp_path / "tellers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tellers\nVersion: 1.0\n")
    entries = info / "entry_points.txt"
    entries.write_text("[pharos.code]\nweather = tellers_of_a_package:weather_teller\nall = tellers_of_a_package\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (agent,) = distinct(installed_code())
    assert agent.origin == "tellers_of_a_package:weather_teller"
    entries.write_text("[pharos.code]\nweather = tellers_of_a_package:nobody\n")
    with pytest.raises(Fault) as refused:
        installed_code()
    assert refused.value.code == "AGENT_CODE_BROKEN"


def test_importing_pharos_still_costs_nothing() -> None:
    code = "import sys, pharos; sys.exit(any(name.startswith('pydantic') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
