"""What is known of agents, and saying what came of their work: ``trust.*``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final, cast

from pydantic import Field

from pharos.control.index import Index
from pharos.core.call import Call
from pharos.core.event import Event
from pharos.core.fault import NOT_FOUND, Applicability, Fix
from pharos.core.operation import Decision, Invocation, Reversibility, Written, read, write
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.resource import Name
from pharos.core.wire import JsonObject, Page, Wire
from pharos.mesh.money import decimal_text, to_nanos
from pharos.mesh.runner import ProjectionRunner
from pharos.mesh.topics.access import lacking_namespace, namespace_for
from pharos.runtime.orchestration.evidence import NAME, REVIEWED, Reviewed
from pharos.runtime.orchestration.faults import NOT_REVIEWABLE, OWN_REVIEW
from pharos.runtime.orchestration.restraint import RESTRAINTS
from pharos.runtime.orchestration.scores import Counted, Score
from pharos.runtime.orchestration.standing import Standings
from pharos.runtime.orchestration.stopping import theirs
from pharos.runtime.profiles.kinds import AGENT
from pharos.runtime.session.address import Address
from pharos.runtime.session.faults import no_session
from pharos.runtime.worker.live import read as fold
from pharos.store.ports import Store

READ: Final = "trust.read"
REVIEW: Final = "trust.review"
LISTED: Final = 200

SessionId = Annotated[str, Field(min_length=1, max_length=128)]
Money = Annotated[Decimal, Field(ge=0, max_digits=16, decimal_places=9, allow_inf_nan=False)]


class ReviewSession(Wire):
    """Input of ``trust.review``."""

    session: SessionId
    namespace: Name | None = None
    good: bool
    """Whether what came of it is right, and was worth it."""
    note: str = Field(default="", max_length=500)
    """Why, for those who look later."""


class ReviewedSession(Written):
    """The review is on record. Reviewing the same session again changes it."""

    agent: str
    session: str


class ListTrust(Wire):
    """Input of ``trust.list``."""

    namespace: Name | None = None
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=256)


class Restrained(Wire):
    """What a lack of trust takes. With the level ``normal``: nothing."""

    budget: float
    """Share of the money it is given that it gets."""
    review: str
    """The calls a person is asked about at least: ``never``, ``unsafe`` or ``always``."""
    reads_only: bool
    refuses: bool


class Standing(Wire):
    """How an agent stands."""

    agent: str
    score: float
    """From 0 to 1; one half where nothing is known."""
    level: str
    good: float
    """Weight of what speaks for it."""
    bad: float
    restraint: Restrained


class ExplainTrust(Wire):
    """Input of ``trust.explain``."""

    agent: str = Field(min_length=1, max_length=260)
    namespace: Name | None = None
    stake: Money | None = None
    """For a task of this much money: evidence from much smaller tasks counts less."""


class EvidenceItem(Wire):
    """A piece of evidence, with the weight it has now."""

    kind: str
    good: bool
    weight: float
    why: str
    """Why the weight is less than age alone would make it."""
    rater: str
    session: str
    at: datetime
    stake: str
    note: str


class ExplainedTrust(Standing):
    """How an agent stands, and why."""

    evidence: list[EvidenceItem]


class Reviewing:
    """The operations on trust."""

    def __init__(
        self, index: Index, store: Store, runner: Callable[[], ProjectionRunner], standings: Standings
    ) -> None:
        self._index = index
        self._store = store
        self._runner = runner
        self._standings = standings

    @write(
        "trust.review",
        permission=REVIEW,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(NOT_FOUND, OWN_REVIEW, NOT_REVIEWABLE),
        lacking=lacking_namespace,
    )
    async def review(self, invocation: Invocation, input: ReviewSession) -> Decision[ReviewedSession]:
        """Say whether what came of a session was good. It is evidence about its agent.

        A person's word counts in full, with a limit for each person; an agent's as far as people rely on that agent.
        Nobody reviews their own work.
        """
        principal = invocation.principal
        address = Address(namespace_for(principal, input.namespace), input.session)
        state = (await fold(self._store.log, address)).state
        if not state.sequence:
            raise no_session(address)
        if state.end is None:
            raise NOT_REVIEWABLE(
                f"The session {address} is {state.status}.",
                subject=str(address),
                fixes=[
                    Fix(
                        id="see-what-it-waits-for",
                        title="See what the session waits for; it can be reviewed when it has ended",
                        applicability=Applicability.LIKELY,
                        call=Call(
                            operation="sessions.get",
                            arguments={"session": address.id, "namespace": address.namespace},
                        ),
                    )
                ],
            )
        if _is_or_acts_for(principal, state.agent):
            raise OWN_REVIEW(
                subject=str(address),
                rule="trust/own-review",
                fixes=[
                    Fix(
                        id="have-another-review",
                        title=f"Have a person with {REVIEW}, or an agent that had no part in it, review the session",
                        applicability=Applicability.MANUAL,
                    )
                ],
            )
        by_agent = principal.kind is PrincipalKind.AGENT
        said = Reviewed(
            agent=state.agent,
            session=str(address),
            good=input.good,
            note=input.note,
            rater=f"{principal.namespace}/{principal.name}" if by_agent else principal.id,
            byAgent=by_agent,
            stake=decimal_text(state.limits.cost or 0),
        )
        event = Event(f"trust/{state.agent}", REVIEWED, cast("JsonObject", said), principal=principal.id)
        output = ReviewedSession(operation=invocation.operation_id, agent=state.agent, session=str(address))
        return Decision(output, events=(event,))

    @read("trust.list", permission=READ)
    async def list_trust(self, invocation: Invocation, input: ListTrust) -> Page[Standing]:
        """List the agents with how they stand, by name."""
        namespace = namespace_for(invocation.principal, input.namespace)
        await self._runner().caught_up(NAME, 5.0)
        names = sorted(
            agent.metadata.name
            for agent in self._index.all(AGENT)
            if agent.metadata.namespace == namespace and (input.cursor is None or agent.metadata.name > input.cursor)
        )
        page = names[: input.limit]
        items = []
        for name in page:
            agent = f"{namespace}/{name}"
            items.append(Standing.model_validate(_standing(agent, await self._standings.of(agent))))
        return Page[Standing](items=items, next=page[-1] if len(names) > len(page) else None)

    @read("trust.explain", permission=READ, faults=(NOT_FOUND,))
    async def explain(self, invocation: Invocation, input: ExplainTrust) -> ExplainedTrust:
        """Explain how an agent stands: every piece of evidence, its weight, and what follows.

        Trust takes and never gives: an agent without evidence may do what its declaration says, and no evidence makes
        it more.
        """
        namespace = namespace_for(invocation.principal, input.namespace)
        found = theirs(self._index, invocation.principal, input.agent, namespace)
        agent = f"{found.metadata.namespace}/{found.metadata.name}"
        stake = 0 if input.stake is None else to_nanos(input.stake)
        score = await self._standings.of(agent, stake)
        evidence = [_item(one) for one in score.counted[:LISTED]]
        return ExplainedTrust.model_validate({**_standing(agent, score), "evidence": evidence})


def _is_or_acts_for(principal: Principal, agent: str) -> bool:
    """Whether somebody is the agent, or acts on its behalf."""
    if principal.kind is PrincipalKind.AGENT and f"{principal.namespace}/{principal.name}" == agent:
        return True
    short = agent.rpartition("/")[2]
    return any(actor.kind is PrincipalKind.AGENT and actor.name == short for actor in principal.chain)


def _standing(agent: str, score: Score) -> dict[str, object]:
    restraint = RESTRAINTS[score.level]
    return {
        "agent": agent,
        "score": round(score.value, 4),
        "level": score.level,
        "good": round(score.good, 4),
        "bad": round(score.bad, 4),
        "restraint": Restrained(
            budget=restraint.budget,
            review=restraint.review,
            reads_only=restraint.reads_only,
            refuses=restraint.refuses,
        ),
    }


def _item(one: Counted) -> EvidenceItem:
    evidence = one.evidence
    return EvidenceItem(
        kind=evidence.kind,
        good=evidence.good,
        weight=round(one.weight, 4),
        why=one.why,
        rater=evidence.rater,
        session=evidence.session,
        at=evidence.at,
        stake=decimal_text(evidence.stake),
        note=evidence.note,
    )
