"""Who keys belong to: teams of organisations, and the limits each level sets for all below it.

A call must have room at every level: organisation, team, agent, key, end user, session. A wider level never lends room
to a narrower one, it only takes away. Money is limited by the budgets a level names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, PositiveInt

from pharos.core.resource import Kind, Name, Ref, Spec
from pharos.core.wire import Wire

MOST_AGENTS = 1_000


class Limits(Wire):
    """How fast models may be used. A limit that is left out does not apply."""

    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    """Tokens of all classes, in and out."""
    concurrency: PositiveInt | None = None
    """Calls in flight at the same time."""


class Level(Spec):
    """What every level may say of the calls below it."""

    budgets: list[Annotated[str, Ref("Budget")]] = Field(default_factory=list)
    """Budgets every call is charged to; each of them must have room."""
    limits: Limits = Field(default_factory=Limits)
    """For all calls of this level together."""
    per_user: Limits = Field(default_factory=Limits)
    """For each end user. Calls that name none are one user's together."""
    per_session: Limits = Field(default_factory=Limits)
    """For each session. Calls that name none are one session together."""


class OrganisationSpec(Level):
    """What all teams of an organisation may use together."""


class TeamSpec(Level):
    """What all keys of a team may use together."""

    organisation: Annotated[str, Ref("Organisation")] | None = None
    """Whose limits and budgets apply as well."""
    per_agent: Limits = Field(default_factory=Limits)
    """For each agent of the team, over all of its keys (``agent`` of the ``Key``)."""
    agents: Annotated[dict[Name, Limits], Field(max_length=MOST_AGENTS)] = Field(default_factory=dict)
    """Limits of single agents by name, in place of ``perAgent``."""


def check_level(spec: Level) -> Sequence[tuple[str, str]]:
    """What the types of a level's spec cannot say."""
    seen: set[str] = set()
    problems = []
    for index, name in enumerate(spec.budgets):
        if name in seen:
            problems.append((f"/budgets/{index}", f"{name!r} is listed twice"))
        seen.add(name)
    return problems


ORGANISATION: Kind[OrganisationSpec] = Kind(
    name="Organisation",
    spec=OrganisationSpec,
    summary="The widest level: limits and budgets of all its teams together.",
    check=check_level,
)

TEAM: Kind[TeamSpec] = Kind(
    name="Team",
    spec=TeamSpec,
    summary="Limits and budgets of a team's keys together, and of each of its agents.",
    check=check_level,
)
