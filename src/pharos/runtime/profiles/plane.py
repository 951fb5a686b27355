"""What profiles bring to the city."""

from __future__ import annotations

from pharos.control.index import Index
from pharos.core.operation import operations_of
from pharos.core.plane import Plane
from pharos.runtime.profiles.faults import ALL
from pharos.runtime.profiles.kinds import MayGrant, agent_kind, template_kind
from pharos.runtime.profiles.operations import ProfileOperations
from pharos.runtime.tools.faults import ALL as TOOL_FAULTS


def profiles_plane(index: Index, may_grant: MayGrant) -> Plane:
    """Agents and their prompts as resources. ``may_grant`` says who may let others act as a key."""
    return Plane(
        name="profiles",
        summary="Agents and their prompts, declared; and what a session makes of the declaration.",
        kinds=(agent_kind(may_grant), template_kind(index, may_grant)),
        operations=operations_of(ProfileOperations(index)),
        faults=(*ALL, *TOOL_FAULTS),
    )
