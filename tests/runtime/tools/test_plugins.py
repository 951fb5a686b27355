"""Plugins by entry point: found in what is installed, refused by name where they are broken."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.runtime.profiles.city import agent, open_town

from pharos.core.fault import Fault
from pharos.core.principal import Principal, PrincipalKind
from pharos.runtime.tools.plugins import plugins, tool_plugins

MODULE = """
class Tools:
    async def tools(self, principal): return []
    async def call(self, errand, name, arguments): raise NotImplementedError
    async def lookup(self, errand, name): return "unknown", None

class Half:
    async def tools(self, principal): return []

class Memory:
    async def recall(self, errand, query, limit): return []
    async def remember(self, errand, text, labels): return "m1"

class Sandbox:
    async def run(self, errand, language, code, workspace, seconds): raise NotImplementedError

def breaks():
    raise RuntimeError("no licence")
"""


def install(at: Path, package: str, entries: str) -> None:
    """What an installer leaves behind."""
    info = at / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "some_tools_plugin.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "some_tools_plugin", raising=False)
    return tmp_path


def test_what_is_installed_is_found(site: Path) -> None:
    install(site, "good", "[pharos.tools]\nmine = some_tools_plugin:Tools\n")
    assert type(tool_plugins()["mine"]).__name__ == "Tools"
    assert plugins("memory") == {}


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("some_tools_plugin:breaks", "RuntimeError: no licence"),
        ("some_tools_plugin:Half", "has no call, lookup"),
        ("some_tools_plugin:Nothing", "AttributeError"),
        ("no_such_module_at_all:x", "ModuleNotFoundError"),
    ],
)
def test_what_is_broken_is_named(site: Path, target: str, why: str) -> None:
    install(site, "bad", f"[pharos.tools]\nmine = {target}\n")
    with pytest.raises(Fault) as refused:
        tool_plugins()
    assert refused.value.code == "PLUGIN_BROKEN"
    assert why in refused.value.detail
    assert refused.value.document.facts["package"] == "bad"


def test_one_name_is_one_connector(site: Path) -> None:
    for package in ("one", "two"):
        install(site, package, "[pharos.tools]\nmine = some_tools_plugin:Tools\n")
    with pytest.raises(Fault) as refused:
        tool_plugins()
    assert "one name, two connectors" in refused.value.detail


async def test_what_plugins_bring_is_there_for_the_agents_that_name_it(site: Path) -> None:
    entries = ("pharos.tools", "Tools"), ("pharos.memories", "Memory"), ("pharos.sandboxes", "Sandbox")
    install(site, "all", "".join(f"[{group}]\nmine = some_tools_plugin:{name}\n" for group, name in entries))
    async with open_town(site / "home") as town:
        await town.apply(agent("plain") + agent("rich", "memory: {name: mine}", "sandbox: {name: mine}"))
        for name, own in (("plain", set()), ("rich", {"recall", "remember", "run_code"})):
            found = await town.city.tools.tools(Principal(PrincipalKind.AGENT, name))
            assert {tool.name for tool in found} & {"recall", "remember", "run_code"} == own
