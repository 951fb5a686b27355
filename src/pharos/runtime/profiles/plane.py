"""What profiles bring to the city."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pharos.control.index import Index
from pharos.core.operation import operations_of
from pharos.core.plane import Plane
from pharos.core.principal import Principal
from pharos.mesh.connectors import ToolConnector
from pharos.runtime.profiles.faults import ALL
from pharos.runtime.profiles.kinds import MayGrant, agent_kind, template_kind
from pharos.runtime.profiles.operations import ProfileOperations
from pharos.runtime.tools.advice import advice
from pharos.runtime.tools.faults import ALL as TOOL_FAULTS
from pharos.runtime.tools.offering import offers


def profiles_plane(
    index: Index, may_grant: MayGrant, tools: ToolConnector, account: Callable[[str], Principal | None]
) -> Plane:
    """Agents and their prompts as resources. ``may_grant`` says who may let others act as a key; ``tools`` are those
    there are, and ``account`` says who works on one."""
    return Plane(
        name="profiles",
        summary="Agents and their prompts, declared; and what a session makes of the declaration.",
        kinds=(agent_kind(may_grant, partial(advice, tools)), template_kind(index, may_grant)),
        operations=operations_of(ProfileOperations(index, offers(tools, account))),
        faults=(*ALL, *TOOL_FAULTS),
    )
