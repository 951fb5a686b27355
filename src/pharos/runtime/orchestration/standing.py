"""How agents stand, and what follows for the work they are given."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pharos.control.index import Index
from pharos.core.call import Call
from pharos.core.fault import TIMEOUT, Applicability, Fault, Fix
from pharos.mesh.connectors import Errand, Task
from pharos.mesh.money import nanos_of, to_nanos
from pharos.mesh.runner import ProjectionRunner
from pharos.runtime.orchestration.evidence import COLUMNS, NAME, evidence_of
from pharos.runtime.orchestration.faults import AGENT_BARRED
from pharos.runtime.orchestration.restraint import RESTRAINTS, Restraint, lessened, reviewed
from pharos.runtime.orchestration.scores import Evidence, Score, score
from pharos.runtime.orchestration.stopping import halted
from pharos.runtime.profiles.faults import AGENT_INCOMPLETE
from pharos.runtime.profiles.kinds import AGENT
from pharos.runtime.profiles.profile import Profile
from pharos.store.ports import Views

_log = logging.getLogger(__name__)

MOST: Final = 1_000
"""Pieces of evidence about one agent that are weighed, the newest."""
CATCH_UP: Final = 2.0
"""Seconds that a task waits for the view to know the newest evidence."""

_ABOUT = f"SELECT {COLUMNS} FROM trust_evidence WHERE agent = :agent ORDER BY at DESC LIMIT {MOST}"  # noqa: S608
_BY = (
    f"SELECT {COLUMNS} FROM trust_evidence WHERE rater = :rater AND by_agent = 1 "  # noqa: S608
    f"ORDER BY at DESC LIMIT {MOST}"
)


@dataclass(frozen=True, slots=True)
class Standings:
    """Reads the evidence."""

    views: Views
    runner: Callable[[], ProjectionRunner]

    async def of(self, agent: str, stake: int = 0, now: datetime | None = None) -> Score:
        """How ``agent`` (``namespace/name``) stands for a task of ``stake`` billionths."""
        try:
            await self.runner().caught_up(NAME, CATCH_UP)
        except Fault as fault:
            if fault.code != TIMEOUT.code:
                raise
            # A view that is behind is no reason to stop the city; what it knows is a moment old.
            _log.warning("the view %s is behind: an agent is judged by what it knows", NAME)
        about = await self._read(_ABOUT, agent=agent)
        others: list[Evidence] = []
        for rater in sorted({one.rater for one in about if one.by_agent}):
            others += await self._read(_ABOUT, agent=rater)
        others += await self._read(_BY, rater=agent)
        return score(agent, about, now or datetime.now(UTC), stake, others)

    async def _read(self, sql: str, **names: str) -> Sequence[Evidence]:
        return [evidence_of(row) for row in await self.views.query(sql, names)]


class Gate:
    """Looks at every task before an agent gets it. See :data:`~pharos.runtime.orchestration.agents.Admit`."""

    def __init__(self, index: Index, standings: Standings, reads: Callable[[], frozenset[str]]) -> None:
        """``reads`` are the permissions of operations that change nothing."""
        self._index = index
        self._standings = standings
        self._reads = reads

    async def admit(self, profile: Profile, errand: Errand, task: Task) -> tuple[Profile, Task]:
        """What is left of a task under what is known of the agent. Raises ``AGENT_STOPPED`` and ``AGENT_BARRED``."""
        stake = 0 if task.budget is None else nanos_of(task.budget)
        restraint = await self._restraint(profile, stake)
        return reviewed(profile, restraint), lessened(task, restraint, self._reads())

    async def begun(self, profile: Profile) -> Profile:
        """The profile for a session that somebody begins, with the review that is due. Raises ``AGENT_STOPPED`` and
        ``AGENT_BARRED``."""
        cost = profile.spec.limits.cost
        return reviewed(profile, await self._restraint(profile, 0 if cost is None else to_nanos(cost)))

    async def _restraint(self, profile: Profile, stake: int) -> Restraint:
        namespace, _, name = profile.agent.rpartition("/")
        agent = self._index.get(AGENT, name, namespace)
        if agent is None:
            # What was decided about it (that it is stopped) went with it.
            raise AGENT_INCOMPLETE(
                f"The agent {profile.agent} is not declared any more, so nobody can say whether it may work. Apply it "
                "again.",
                subject=profile.agent,
            )
        if (refused := halted(agent)) is not None:
            raise refused
        standing = await self._standings.of(profile.agent, stake)
        restraint = RESTRAINTS[standing.level]
        if restraint.refuses:
            raise AGENT_BARRED(
                f"{profile.agent} has a score of {standing.value:.2f}.",
                subject=profile.agent,
                rule="trust/barred",
                facts={"score": round(standing.value, 4), "good": standing.good, "bad": standing.bad},
                fixes=[
                    Fix(
                        id="explain",
                        title="See what speaks against it",
                        applicability=Applicability.LIKELY,
                        call=Call(operation="trust.explain", arguments={"agent": name, "namespace": namespace}),
                    )
                ],
            )
        return restraint
