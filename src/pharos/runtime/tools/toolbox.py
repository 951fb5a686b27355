"""All tools of the city as one source: each name once, each tool under the version of its definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pharos.control.wording import nearest, quoted
from pharos.core.fault import NOT_FOUND
from pharos.core.principal import Principal
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import Errand, Known, Tool, ToolConnector, ToolResult
from pharos.runtime.tools.definitions import versioned
from pharos.runtime.tools.faults import TOOL_NAME_TAKEN

MOST_KNOWN: Final = 10_000
"""Definitions whose digests are remembered."""


class Toolbox:
    """Implements :class:`~pharos.mesh.connectors.ToolConnector` over others, each known by a name of its own."""

    def __init__(self, sources: Mapping[str, ToolConnector]) -> None:
        self._sources = dict(sources)
        self._versioned: dict[tuple[str, str], tuple[Tool, Tool]] = {}
        """By source and name: a definition as it was offered, and with its version. A digest is made once for each."""

    async def tools(self, principal: Principal) -> Sequence[Tool]:
        """The tools of all sources, by name. Raises ``TOOL_NAME_TAKEN``, ``TOOL_UNUSABLE``, and what a source raises:
        with some of its tools a session would seem to have lost the others."""
        return [tool for _, tool in sorted((await self._all(principal)).values(), key=lambda each: each[1].name)]

    async def call(self, errand: Errand, name: str, arguments: JsonObject) -> ToolResult:
        """Call the tool of that name. Raises ``NOT_FOUND``, ``TOOL_NAME_TAKEN`` and the tool's faults."""
        return await (await self._source(errand.principal, name)).call(errand, name, arguments)

    async def lookup(self, errand: Errand, name: str) -> tuple[Known, ToolResult | None]:
        """Ask the tool of that name. Raises as :meth:`call`."""
        return await (await self._source(errand.principal, name)).lookup(errand, name)

    async def _source(self, principal: Principal, name: str) -> ToolConnector:
        all_ = await self._all(principal)
        found = all_.get(name)
        if found is None:
            close = nearest(name, all_)
            hint = f" Did you mean {close!r}?" if close else ""
            raise NOT_FOUND(f"There is no tool {quoted(name)} that the caller may use.{hint}", subject=name[:64])
        return self._sources[found[0]]

    async def _all(self, principal: Principal) -> Mapping[str, tuple[str, Tool]]:
        found: dict[str, tuple[str, Tool]] = {}
        for source, connector in self._sources.items():
            for offered in await connector.tools(principal):
                tool = self._with_version(source, offered)
                if tool.name in found:
                    other = found[tool.name][0]
                    raise TOOL_NAME_TAKEN(
                        f"Both {other} and {source} offer a tool {tool.name!r}.",
                        subject=tool.name,
                        facts={"tool": tool.name, "sources": [other, source]},
                    )
                found[tool.name] = (source, tool)
        return found

    def _with_version(self, source: str, offered: Tool) -> Tool:
        known = self._versioned.get((source, offered.name))
        if known is not None and known[0] is offered:
            return known[1]
        tool = versioned(offered)
        if len(self._versioned) >= MOST_KNOWN:
            self._versioned.clear()
        self._versioned[source, offered.name] = (offered, tool)
        return tool
