"""The example plugin, as an installer leaves it: its files on the path, and its entry point in a dist-info."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from tests.examples.city import EXAMPLES

from pharos.core.fault import Fault
from pharos.core.principal import Principal, PrincipalKind
from pharos.mesh.connectors import EffectClass, Errand
from pharos.server.city import City, open_city

FOLDER = EXAMPLES / "plugin"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    info = site / f"pharos_dictionary-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    written = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(written))
    monkeypatch.syspath_prepend(str(FOLDER / "src"))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "pharos_dictionary", raising=False)
    monkeypatch.setenv("PHAROS_DICTIONARY", str(tmp_path / "words.jsonl"))
    return tmp_path


def agent(*permissions: str) -> Principal:
    return Principal(PrincipalKind.AGENT, "scholar", permissions=frozenset(permissions))


def errand(principal: Principal, key: str = "default/s/e1") -> Errand:
    return Errand(key, "default/s", principal)


async def tools_of(city: City, principal: Principal) -> dict[str, EffectClass]:
    return {tool.name: tool.effect for tool in await city.tools.tools(principal) if "dictionary" in tool.name}


async def test_an_installed_plugin_brings_its_tools(installed: Path) -> None:
    async with open_city(installed / "home") as city:
        assert await tools_of(city, agent()) == {"dictionary_look_up": EffectClass.PURE}
        writer = agent("dictionary.write")
        assert (await tools_of(city, writer))["dictionary_define"] is EffectClass.RECONCILABLE
        word = {"word": "pharos", "meaning": "a lighthouse"}
        with pytest.raises(Fault) as refused:
            await city.tools.call(errand(agent()), "dictionary_define", word)
        assert refused.value.code == "NOT_FOUND"
        assert (await city.tools.call(errand(agent()), "dictionary_look_up", {"word": "pharos"})).failed
        assert await city.tools.lookup(errand(writer), "dictionary_define") == ("not done", None)
        made = await city.tools.call(errand(writer), "dictionary_define", word)
        assert await city.tools.lookup(errand(writer), "dictionary_define") == ("done", made)
        assert await city.tools.lookup(errand(writer, "default/s/e2"), "dictionary_define") == ("not done", None)
        found = await city.tools.call(errand(agent()), "dictionary_look_up", {"word": "pharos"})
        assert found.content == "a lighthouse"


async def test_without_it_there_are_no_such_tools(tmp_path: Path) -> None:
    async with open_city(tmp_path) as city:
        assert await tools_of(city, agent("*")) == {}
