"""``POST /agui/NAMESPACE/AGENT``: a run's input comes in as AG-UI's ``RunAgentInput``, the run goes out as its events.

A thread belongs to who began it: its session's id follows from caller, agent and thread, so that another caller's
thread of the same name is another one. Sent again, a run is not begun again: its events are told from the start, or,
with ``Last-Event-ID``, from behind that one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from ag_ui.core import RunAgentInput, RunErrorEvent, UserMessage
from pydantic import ValidationError

from pharos.control.index import Index
from pharos.core.asgi import read_body
from pharos.core.event import START
from pharos.core.fault import FORBIDDEN, INTERNAL, INVALID, NOT_FOUND, Fault, Problem
from pharos.core.plane import Receive, Scope, Send, fields_of
from pharos.core.principal import Principal
from pharos.core.streaming import Piece, send_pieces
from pharos.core.wire import JsonObject
from pharos.gateway.federation.addresses import AGUI, BODY_LIMIT
from pharos.gateway.federation.agui.runs import RUN, RunFold
from pharos.gateway.federation.bindings.caller import Authenticate, caller, public_agent
from pharos.gateway.federation.tasks.follow import between, following, topics_of
from pharos.gateway.federation.tasks.task import Cursor
from pharos.gateway.federation.tasks.work import READ, Asked, Beginning, Work
from pharos.runtime.session.address import Address
from pharos.store.ports import Log

_log = logging.getLogger(__name__)

THREAD: Final = "agui.thread"
"""Label of a session: the thread it is."""

MOST_ID: Final = 256


@dataclass(frozen=True, slots=True)
class _Run:
    principal: Principal
    namespace: str
    agent: str
    address: Address
    input: RunAgentInput
    traceparent: str

    @property
    def asked(self) -> Asked:
        key = f"{RUN}{self.address.id}:{self.input.run_id}"
        return Asked(self.principal, key, f"{RUN}{self.input.run_id}", self.traceparent)


class AguiDoor:
    """The ASGI application of the route."""

    def __init__(self, index: Index, authenticate: Authenticate, log: Log, work: Work, draining: asyncio.Event) -> None:
        self._index = index
        self._authenticate = authenticate
        self._log = log
        self._work = work
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises its fault before the first event."""
        fields = fields_of(scope)
        principal = caller(fields, self._authenticate)
        namespace, _, name = scope["path"].removeprefix(AGUI).strip("/").partition("/")
        agent = public_agent(self._index, namespace, name)
        if agent is None:
            raise NOT_FOUND(f"There is no agent {namespace[:128]}/{name[:128]} here.")
        if not principal.may(READ):
            raise FORBIDDEN(f"Following a run requires the permission {READ}.", required_permission=READ)
        input = _input(await read_body(scope, receive, BODY_LIMIT))
        after = fields.get(b"last-event-id", b"").decode("latin-1").strip()
        behind = Cursor.parse(after) if after else None
        address = Address(principal.namespace, session_id(principal, namespace, name, input.thread_id))
        trace = fields.get(b"traceparent", b"").decode("latin-1")
        run = _Run(principal, namespace, name, address, input, trace)
        await send_pieces(self._pieces(run, behind), receive, send, failed=_failed, draining=self._draining)

    async def _pieces(self, run: _Run, behind: Cursor | None) -> AsyncGenerator[Piece]:
        fold = await self._thread(run)
        if not fold.begun:
            await self._begin(run, fold)
        fold = RunFold(run.address, run.input.thread_id, run.input.run_id)
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
        fold = RunFold(run.address, run.input.thread_id, run.input.run_id)
        head = await self._log.head()
        async for recorded in between(self._log, topics_of(run.address, tokens=False), START, head):
            fold.apply(recorded)
        if fold.owner and fold.owner != run.principal.id:
            raise NOT_FOUND("There is no such thread.")
        return fold

    async def _begin(self, run: _Run, fold: RunFold) -> None:
        """Hand the input over: answers to what was asked, or what the user says."""
        if run.input.resume:
            await self._resume(run, fold)
            return
        text = _said(run.input)
        data = _data(run.input)
        if not fold.owner:
            await self._work.start(
                run.asked,
                Beginning(
                    namespace=run.namespace,
                    agent=run.agent,
                    text=text,
                    data=data,
                    interactive=True,
                    labels={THREAD: run.input.thread_id},
                    id=run.address.id,
                ),
            )
            return
        if fold.ended:
            raise INVALID("The thread has ended; begin another one.", pointer="/threadId")
        question = next((id for id, asked in fold.interrupts.items() if asked.reason == "question"), "")
        await self._work.send(run.asked, run.address, text, data, question)

    async def _resume(self, run: _Run, fold: RunFold) -> None:
        for place, entry in enumerate(run.input.resume or ()):
            interrupt = fold.interrupts.get(entry.interrupt_id)
            pointer = f"/resume/{place}/interruptId"
            if interrupt is None:
                raise _wrong(pointer, "names nothing that waits for an answer")
            payload: Any = entry.payload
            if interrupt.reason == "approval":
                agreed = isinstance(payload, dict) and payload.get("approved") is True and entry.status == "resolved"
                reason = str(payload.get("reason", "")) if isinstance(payload, dict) else ""
                digest = fold.digests[entry.interrupt_id]
                await self._work.decide(run.asked, run.address, entry.interrupt_id, digest, agreed, reason)
            elif entry.status == "cancelled":
                await self._work.send(run.asked, run.address, "The question was not answered.", {}, interrupt.id)
            else:
                text = payload if isinstance(payload, str) else ""
                data = payload if isinstance(payload, dict) else {}
                await self._work.send(run.asked, run.address, text, data, interrupt.id)


def session_id(principal: Principal, namespace: str, agent: str, thread: str) -> str:
    """The id of a thread's session."""
    text = "\0".join((principal.id, namespace, agent, thread))
    return f"agui-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _input(body: bytes) -> RunAgentInput:
    try:
        input = RunAgentInput.model_validate_json(body)
    except ValidationError as error:
        problems = [
            Problem(pointer="".join(f"/{part}" for part in found["loc"]), message=found["msg"])
            for found in error.errors(include_url=False, include_input=False)[:20]
        ]
        raise INVALID("The body is not an AG-UI RunAgentInput.", problems=problems) from None
    for name, value in (("threadId", input.thread_id), ("runId", input.run_id)):
        if not 0 < len(value) <= MOST_ID or not value.isprintable():
            raise _wrong(f"/{name}", f"must have 1 to {MOST_ID} printable characters")
    return input


def _said(input: RunAgentInput) -> str:
    """What is new: the user's messages behind the last of anybody else's."""
    texts: list[str] = []
    for message in reversed(input.messages):
        if not isinstance(message, UserMessage):
            break
        content: Any = message.content
        parts: Sequence[Any] = [content] if isinstance(content, str) else content
        texts.append("\n\n".join(part if isinstance(part, str) else _text_of(part) for part in parts))
    if not texts:
        raise _wrong("/messages", "must end with a message of the user's")
    return "\n\n".join(reversed(texts))


def _text_of(part: Any) -> str:
    if part.type != "text":
        raise _wrong("/messages", f"has a part of type {part.type}; agents here take text")
    return str(part.text)


def _data(input: RunAgentInput) -> JsonObject:
    if not input.context:
        return {}
    return {"context": [{"description": entry.description, "value": entry.value} for entry in input.context]}


def _wrong(pointer: str, message: str) -> Fault:
    return INVALID(problems=[Problem(pointer=pointer, message=message)])


def _failed(error: Exception) -> Piece:
    """What ends a run that cannot be told further."""
    if isinstance(error, Fault):
        document = error.document
    else:
        _log.error("defect in a run", exc_info=error)
        document = INTERNAL().document
    event = RunErrorEvent(message=document.detail, code=document.code)
    return Piece(event.model_dump_json(by_alias=True).encode())
