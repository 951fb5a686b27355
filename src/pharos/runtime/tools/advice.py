"""What is told to whoever declares an agent that names tools nobody has.

No reference of a manifest is meant here: tools come from code and plugins, and with rights, so a name that is not there
now may be there later. It is probably misspelt all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from pharos.core.fault import Fault
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.resource import Resource
from pharos.mesh.connectors import ToolConnector
from pharos.runtime.orchestration.delegation import DELEGATE
from pharos.runtime.profiles.kinds import AgentSpec
from pharos.runtime.tools.companions import companions_of
from pharos.runtime.tools.matching import unmatched
from pharos.runtime.tools.offering import OWN

_log = logging.getLogger(__name__)

PATIENCE: Final = 10.0
"""Seconds for which whoever declares an agent waits for sources of tools; the first to ask has schemas made."""

_ALL: Final = frozenset({"*"})


async def advice(tools: ToolConnector, agent: Resource[AgentSpec]) -> Sequence[tuple[str, str]]:
    """The tools that an agent names and nobody has, whatever its key may do."""
    id, spec = agent.id, agent.spec
    if not spec.tools:
        return ()
    try:
        async with asyncio.timeout(PATIENCE):
            found = await tools.tools(Principal(PrincipalKind.AGENT, id.name, id.namespace, _ALL))
    except (Fault, TimeoutError) as error:
        _log.warning("the tools of %s cannot be looked up: %s", id, error)
        return ()
    names = [DELEGATE, *companions_of(spec), *(tool.name for tool in (*OWN, *found))]
    return [
        (f"/tools/{one.place}", f"names a tool {one.name!r} that there is not.{_hint(one.nearest)}")
        for one in unmatched(spec.tools, names)
    ]


def _hint(close: str | None) -> str:
    return f" Did you mean {close}?" if close else ""
