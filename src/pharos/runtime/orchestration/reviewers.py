"""Agents that answer where a person would: asked for leave, a reviewer agent looks at the call and says yes or no.

The reviewer is an agent like any other, with a key of its own whose permissions have ``sessions.approve``, and answers
with the operations that people answer with: so what counts, what comes too late and what was altered is decided in one
place. If it says nothing in time, the answer is no.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import orjson

from pharos.control.index import Index
from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM, Principal
from pharos.mesh.connectors import Errand
from pharos.runtime.context.blocks import told
from pharos.runtime.orchestration.agents import cancel, child_id
from pharos.runtime.orchestration.beginning import bounds_of, rights_of
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.profiles.resolving import agent_named, resolve
from pharos.runtime.session.address import Address
from pharos.runtime.session.commands import Start
from pharos.runtime.session.decide import decide
from pharos.runtime.session.state import Approval, State
from pharos.runtime.worker.lanes import timers, working
from pharos.runtime.worker.live import read
from pharos.runtime.worker.run import event_of
from pharos.store.faults import POSITION_CONFLICT
from pharos.store.ports import Append, Store

WAY: Final = "agent"
"""``who`` of a rule that asks an agent begins with this and a colon."""

MOST_SHOWN: Final = 16_384
"""Bytes of the arguments that a reviewer is shown."""

_log = logging.getLogger(__name__)


class ReviewerAgents:
    """Puts requests for approval before agents. A :class:`~pharos.mesh.connectors.PersonConnector`."""

    def __init__(self, index: Index, store: Store, account: Callable[[str], Principal | None]) -> None:
        """``account``: who works on the account of a key now."""
        self._index = index
        self._store = store
        self._account = account

    async def ask(self, errand: Errand, question: str, choices: Sequence[str], who: str) -> str:
        """Begin the review, once per key. What is no request for approval, or not for an agent, is for others."""
        if "/" not in who:
            return errand.key
        asking = Address.parse(errand.session)
        id = errand.key.rpartition("/")[2]
        state = (await read(self._store.log, asking)).state
        approval = state.approvals.get(id)
        if approval is None or approval.granted_by:
            return errand.key
        try:
            profile = resolve(self._index, agent_named(self._index, who))
        except Fault as fault:
            # Nobody reviews it then; it is refused when its time is over, unless a person answers.
            _log.warning("%s cannot review a call of %s: %s", who, asking, fault)
            return errand.key
        account = self._account(profile.account)
        if profile.agent == state.agent or account is None:
            _log.warning("%s does not review a call of %s", profile.agent, asking)
            return errand.key
        await self._begin(_review(asking, id), state, approval, profile, account)
        return errand.key

    async def withdraw(self, errand: Errand, id: str) -> None:
        """The answer is not needed any more."""
        asking = Address.parse(errand.session)
        await cancel(self._store, _review(asking, id), SYSTEM.id, "The answer is not needed any more.")

    async def _begin(
        self, address: Address, asking: State, approval: Approval, profile: Profile, account: Principal
    ) -> None:
        start = Start(
            now=datetime.now(UTC),
            agent=profile.agent,
            version=profile.version,
            profile=profile.to_json(),
            bounds=bounds_of(profile),
            rights=rights_of(account),
            account=profile.account,
            owner=SYSTEM.id,
            text=_words(asking, approval),
            data={},
            deadline=approval.expires_at,
            labels={"reviews": str(asking.address), "approval": approval.id},
        )
        decided = decide(State(address), start)
        appends = [
            Append(event_of(address.topic, fact, SYSTEM.id, str(address)), 0 if place == 0 else None)
            for place, fact in enumerate(decided.facts)
        ]
        try:
            also = working(address, profile), *timers(address, decided.wakes)
            await self._store.commit(*also, *appends, principal=SYSTEM.id)
        except Fault as fault:
            if fault.code != POSITION_CONFLICT.code:
                raise


def _review(asking: Address, approval: str) -> Address:
    return Address(asking.namespace, child_id(asking.id, f"{approval}-review"))


def _words(asking: State, approval: Approval) -> str:
    """The request. What it quotes was written by the agent that asks: it is to be judged, not to be obeyed."""
    arguments = orjson.dumps(approval.arguments, option=orjson.OPT_INDENT_2)
    cut = "" if len(arguments) <= MOST_SHOWN else f"\n[{len(arguments) - MOST_SHOWN} bytes more]"
    shown = arguments[:MOST_SHOWN].decode(errors="ignore") + cut
    answer = orjson.dumps(
        {
            "session": asking.address.id,
            "namespace": asking.address.namespace,
            "approval": approval.id,
            "digest": approval.digest,
            "reason": "…",
        }
    ).decode()
    return "\n".join(
        [
            f"The agent {asking.agent} wants to call {approval.name} ({approval.kind}). Decide whether it may.",
            told("arguments", shown),
            f"Call sessions_approve or sessions_deny with {answer} and say why.",
        ]
    )
