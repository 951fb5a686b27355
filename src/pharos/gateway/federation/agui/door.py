"""``POST /agui/NAMESPACE/AGENT``: a run's input comes in as AG-UI's ``RunAgentInput``, the run goes out as its events.

A thread belongs to who began it: its session's id follows from caller, agent and thread, so that another caller's
thread of the same name is another one. Sent again, a run is not begun again: its events are told from the start, or,
with ``Last-Event-ID``, from behind that one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import orjson
from ag_ui.core import ResumeEntry, RunAgentInput, RunErrorEvent

from pharos.control.index import Index
from pharos.core.asgi import read_body
from pharos.core.event import START
from pharos.core.fault import FORBIDDEN, INTERNAL, INVALID, NOT_FOUND, Applicability, Fault, Fix
from pharos.core.plane import Receive, Scope, Send, fields_of
from pharos.core.principal import Principal
from pharos.core.streaming import Piece, send_pieces
from pharos.gateway.federation.addresses import AGUI, BODY_LIMIT
from pharos.gateway.federation.agui.input import (
    NO_RESULT,
    data_of,
    digest_of,
    input_of,
    new_in,
    require_new,
    tools_of,
    wrong,
)
from pharos.gateway.federation.agui.runs import RUN, RunFold, cause_of
from pharos.gateway.federation.bindings.caller import Authenticate, caller, public_agent
from pharos.gateway.federation.faults import RUN_MISMATCH
from pharos.gateway.federation.tasks.follow import between, following, topics_of
from pharos.gateway.federation.tasks.task import Cursor
from pharos.gateway.federation.tasks.work import READ, Asked, Beginning, Result, Saying, Work
from pharos.runtime.session.address import Address
from pharos.store.ports import Log

_log = logging.getLogger(__name__)

THREAD: Final = "agui.thread"
"""Label of a session: the thread it is."""
SESSION_HEADER: Final = b"x-pharos-session"
"""Of the answer: ``namespace/id`` of the thread's session."""


@dataclass(frozen=True, slots=True)
class _Run:
    principal: Principal
    namespace: str
    agent: str
    address: Address
    input: RunAgentInput
    digest: str
    traceparent: str

    def asked(self, what: str = "") -> Asked:
        """Who asks, and under which key; ``what``: for this of several things."""
        # A digest: an id has any characters, and as many as a key may have.
        told = orjson.dumps([self.address.id, self.input.run_id, what])
        key = f"{RUN}{hashlib.sha256(told).hexdigest()}"
        return Asked(self.principal, key, cause_of(self.input.run_id, self.digest), self.traceparent)

    def fold(self) -> RunFold:
        """The run, before anything is known of it."""
        resumes = frozenset(entry.interrupt_id for entry in self.input.resume or ())
        input = self.input
        return RunFold(self.address, input.thread_id, input.run_id, shared=bool(input.state), resumes=resumes)


class AguiDoor:
    """The ASGI application of the route."""

    def __init__(self, index: Index, authenticate: Authenticate, log: Log, work: Work, draining: asyncio.Event) -> None:
        self._index = index
        self._authenticate = authenticate
        self._log = log
        self._work = work
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises what refuses the run."""
        fields = fields_of(scope)
        principal = caller(fields, self._authenticate)
        namespace, _, name = scope["path"].removeprefix(AGUI).strip("/").partition("/")
        agent = public_agent(self._index, namespace, name)
        if agent is None:
            raise NOT_FOUND(f"There is no agent {namespace[:128]}/{name[:128]} here.")
        if not principal.may(READ):
            raise FORBIDDEN(f"Following a run requires the permission {READ}.", required_permission=READ)
        input = input_of(await read_body(scope, receive, BODY_LIMIT))
        after = fields.get(b"last-event-id", b"").decode("latin-1").strip()
        behind = Cursor.parse(after) if after else None
        address = Address(principal.namespace, session_id(principal, namespace, name, input.thread_id))
        trace = fields.get(b"traceparent", b"").decode("latin-1")
        run = _Run(principal, namespace, name, address, input, digest_of(input), trace)
        # Before the answer begins: an event has no room for where in the input something is wrong.
        await self._take(run)
        headers = ((SESSION_HEADER, str(address).encode()),)
        pieces = self._pieces(run, behind)
        await send_pieces(pieces, receive, send, failed=_failed, draining=self._draining, headers=headers)

    async def _take(self, run: _Run) -> None:
        """See that the session has the run's input. Raises the faults of the operations on it."""
        fold = await self._thread(run)
        if not fold.begun:
            await self._begin(run, fold)
        elif fold.digest and fold.digest != run.digest:
            raise RUN_MISMATCH(
                pointer="/runId",
                fixes=[
                    Fix(
                        id="new-run",
                        title="Send it under a new runId",
                        applicability=Applicability.MANUAL,
                        effect="It follows on what the thread has had so far.",
                    )
                ],
            )
        if not fold.finished:
            # Also where it has begun: whoever took its answers may have died between two of them.
            await self._decide(run, fold)

    async def _pieces(self, run: _Run, behind: Cursor | None) -> AsyncGenerator[Piece]:
        fold = run.fold()
        async with aclosing(following(self._log, topics_of(run.address, tokens=True), START)) as records:
            async for recorded in records:
                for number, event in enumerate(fold.apply(recorded), 1):
                    cursor = Cursor(recorded.position, number)
                    if behind is None or cursor > behind:
                        yield Piece(event.model_dump_json(by_alias=True).encode(), str(cursor))
                if fold.finished:
                    return

    async def _thread(self, run: _Run) -> RunFold:
        """The thread as it is, with the run in it if it has begun."""
        fold = run.fold()
        head = await self._log.head()
        async for recorded in between(self._log, topics_of(run.address, tokens=False), START, head):
            fold.apply(recorded)
        if fold.owner and fold.owner != run.principal.id:
            raise NOT_FOUND("There is no such thread.")
        return fold

    async def _begin(self, run: _Run, fold: RunFold) -> None:
        """Hand the input over: what the user says, what came of calls, and answers to what was asked."""
        input = run.input
        new = new_in(input, {call: id for id, call in fold.left.items()}, frozenset(fold.made))
        if input.resume:
            await self._say(run, fold, None, (*new.results, *_answers(input.resume, fold)))
            return
        require_new(input, new)
        if not fold.owner:
            await self._work.start(
                run.asked(),
                Beginning(
                    namespace=run.namespace,
                    agent=run.agent,
                    text=new.text or "",
                    data=data_of(input),
                    interactive=True,
                    labels={THREAD: input.thread_id},
                    id=run.address.id,
                    tools=tools_of(input),
                ),
            )
            return
        if fold.ended:
            raise INVALID("The thread has ended; begin another one.", pointer="/threadId")
        text, results = new.text, new.results
        if text is not None:
            given = {result.answers for result in results}
            results += tuple(Result(id, NO_RESULT, failed=True) for id in fold.left if id not in given)
            question = next((id for id, asked in fold.interrupts.items() if asked.reason == "question"), "")
            if question:
                results = (*results, Result(question, text))
                text = None
        await self._say(run, fold, text, results)

    async def _say(self, run: _Run, fold: RunFold, text: str | None, results: tuple[Result, ...]) -> None:
        """Tell the session all of it at once. What the front end brings along is told beside a text, and else where it
        is not what was told last."""
        data = data_of(run.input)
        if text is None and data == fold.told:
            data = {}
        if text is not None or data or results:
            saying = Saying(text or "", data, results, tools_of(run.input))
            await self._work.send(run.asked(), run.address, saying)

    async def _decide(self, run: _Run, fold: RunFold) -> None:
        """Agree to calls, or refuse them, as far as that has not been done."""
        for place, entry in enumerate(run.input.resume or ()):
            interrupt = fold.interrupts.get(entry.interrupt_id)
            if interrupt is None or interrupt.reason != "approval":
                continue
            agreed, reason = _verdict(place, entry)
            digest = fold.digests[interrupt.id]
            await self._work.decide(run.asked(interrupt.id), run.address, interrupt.id, digest, agreed, reason)


def _answers(resume: Sequence[ResumeEntry], fold: RunFold) -> Iterator[Result]:
    """Those to questions. Raises ``INVALID`` for one to what nobody has asked, and for one that is none."""
    for place, entry in enumerate(resume):
        interrupt = fold.interrupts.get(entry.interrupt_id)
        if interrupt is None:
            raise wrong(f"/resume/{place}/interruptId", "names nothing that waits for an answer")
        payload: Any = entry.payload
        if interrupt.reason == "approval":
            _verdict(place, entry)
            continue
        if entry.status == "cancelled":
            yield Result(interrupt.id, "The question was not answered.")
        elif not isinstance(payload, str | dict):
            raise wrong(f"/resume/{place}/payload", "must be the answer: a text, or an object")
        else:
            text = payload if isinstance(payload, str) else ""
            yield Result(interrupt.id, text, payload if isinstance(payload, dict) else {})


def _verdict(place: int, entry: ResumeEntry) -> tuple[bool, str]:
    """Whether somebody agrees, and why. What does not say so is no refusal: that would be for good. Raises
    ``INVALID``."""
    payload: Any = entry.payload if isinstance(entry.payload, dict) else {}
    agreed, reason = payload.get("approved"), str(payload.get("reason", ""))
    if entry.status == "cancelled":
        return False, reason
    if not isinstance(agreed, bool):
        raise wrong(f"/resume/{place}/payload", "must be an object whose `approved` is true or false")
    return agreed, reason


def session_id(principal: Principal, namespace: str, agent: str, thread: str) -> str:
    """The id of a thread's session."""
    text = "\0".join((principal.id, namespace, agent, thread))
    return f"agui-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _failed(error: Exception) -> Piece:
    """What ends a run that cannot be told further."""
    if isinstance(error, Fault):
        document = error.document
    else:
        _log.error("defect in a run", exc_info=error)
        document = INTERNAL().document
    event = RunErrorEvent(message=document.detail, code=document.code)
    return Piece(event.model_dump_json(by_alias=True).encode())
