"""An in-process runtime for the tests of the wire: real events in the real log, what happens said by the test.

It is no model of how sessions decide; that is proven elsewhere. It lets a test bring a session into any state at any
moment, which a real agent does only when it likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pharos.core.event import Event
from pharos.core.ids import uuid7
from pharos.gateway.federation.tasks.work import Asked, Beginning, Saying
from pharos.runtime.session import events as of
from pharos.runtime.session.address import Address
from pharos.runtime.session.faults import SESSION_ENDED
from pharos.store.ports import Append, Store

_ENDS = (of.SESSION_COMPLETED, of.SESSION_FAILED, of.SESSION_CANCELLED)

Script = Callable[["Session"], Awaitable[None]]
"""What a session does when it was begun or has heard something."""


@dataclass
class Session:
    """One session, as the script sees it."""

    store: Store
    address: Address
    asked: Asked
    heard: list[str] = field(default_factory=list)
    data: list[Mapping[str, Any]] = field(default_factory=list)
    turn: int = 0
    ended: bool = False
    over: bool = False
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def tell(self, type: str, data: Mapping[str, Any], *, asked: Asked | None = None) -> None:
        who = asked.principal.id if asked is not None else "workload/system/pharos"
        cause = asked.correlation if asked is not None else ""
        event = Event(self.address.topic, type, dict(data), principal=who, causation=cause)
        # In the end of a session its script may be anywhere: what it says then is not written, as with a real one.
        async with self.writing:
            if not self.over:
                self.over = type in _ENDS
                await self.store.commit(Append(event))

    async def think(self, text: str, *pieces: str, calls: tuple[dict[str, Any], ...] = ()) -> None:
        """A turn: its tokens in pieces, then the whole answer."""
        self.turn += 1
        id = f"m{self.turn}"
        await self.tell(of.TURN_STARTED, {"turn": self.turn})
        await self.tell(of.MODEL_REQUESTED, {"id": id, "turn": self.turn, "attempt": 1})
        offset = 0
        for piece in pieces:
            await self.stream(id, offset, piece)
            offset += len(piece)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if calls:
            message["tool_calls"] = [*calls]
        done = {"id": id, "message": message, "finish": "stop", "usage": {}, "cost": "0", "call": "", "model": "m"}
        await self.tell(of.MODEL_COMPLETED, done)

    async def stream(self, id: str, offset: int, text: str, attempt: int = 1) -> None:
        data = {"id": id, "turn": self.turn, "attempt": attempt, "offset": offset, "text": text}
        await self.store.commit(Append(Event(self.address.stream, of.STREAM_DELTA, data)))

    async def complete(self, text: str = "", data: Mapping[str, Any] | None = None, spent: str = "0.01") -> None:
        self.ended = True
        await self.tell(of.SESSION_COMPLETED, {"text": text, "data": dict(data or {}), "spent": spent})

    async def fail(self, code: str, detail: str) -> None:
        self.ended = True
        await self.tell(of.SESSION_FAILED, {"code": code, "detail": detail, "spent": "0"})

    async def ask(self, question: str, *choices: str, id: str = "q1") -> None:
        asked = {"id": id, "call": "c1", "question": question, "choices": [*choices], "who": ""}
        await self.tell(of.INPUT_REQUESTED, asked)
        await self.tell(of.SESSION_WAITING, {"on": [f"question:{id}"]})

    async def leave(self, *calls: tuple[str, str, dict[str, Any]], waits: bool = True) -> None:
        """Leave calls of tools (what waits for the result, its call, its arguments) to whoever speaks, and wait."""
        for id, call, arguments in calls:
            question = {"id": id, "call": call, "question": "What came of it?", "choices": [], "who": ""}
            left = {"name": call.rstrip("0123456789"), "arguments": arguments, "digest": ""}
            await self.tell(of.INPUT_REQUESTED, {**question, **left})
        if waits:
            await self.tell(of.SESSION_WAITING, {"on": [f"call:{id}" for id, _, _ in calls]})

    async def need_approval(self, id: str = "a1", *, waits: bool = True) -> None:
        request = {
            "id": id, "call": "c1", "name": "pay", "arguments": {"amount": 5}, "digest": "d1", "effect": "unsafe",
            "version": "", "expiresAt": "2099-01-01T00:00:00+00:00",
        }  # fmt: skip
        await self.tell(of.APPROVAL_REQUESTED, request)
        if waits:
            await self.tell(of.SESSION_WAITING, {"on": [f"approval:{id}"]})


async def echo(session: Session) -> None:
    """The plain agent: says what it was told."""
    await session.think(f"You said: {session.heard[-1]}")
    await session.complete(f"You said: {session.heard[-1]}")


class Scripted:
    """Implements ``Work``. ``script`` is looked up when something is heard, so a test may change it between."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.script: Script = echo
        self.sessions: dict[Address, Session] = {}
        self.begun: list[Beginning] = []
        self.said: list[Saying] = []
        self._keys: dict[tuple[str, str], Address | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, asked: Asked, beginning: Beginning) -> Address:
        if (known := self._keys.get((asked.principal.id, asked.key or ""))) is not None:
            return known
        address = Address(asked.principal.namespace, beginning.id or uuid7())
        session = self.sessions[address] = Session(self.store, address, asked)
        session.heard.append(beginning.text)
        session.data.append(beginning.data)
        self.begun.append(beginning)
        principal = asked.principal
        rights = {
            "kind": principal.kind.value, "name": principal.name, "namespace": principal.namespace,
            "permissions": sorted(principal.permissions), "chain": [],
        }  # fmt: skip
        created = {
            "v": 1, "agent": f"{beginning.namespace}/{beginning.agent}", "version": "", "profile": {}, "bounds": {},
            "rights": rights, "account": "", "text": beginning.text, "data": beginning.data,
            "interactive": beginning.interactive, "tree": str(address), "depth": 0, "path": [],
            "labels": dict(beginning.labels), "owner": principal.id,
        }  # fmt: skip
        await session.tell(of.SESSION_CREATED, created, asked=asked)
        if asked.key:
            self._keys[principal.id, asked.key] = address
        self._run(session)
        return address

    async def send(self, asked: Asked, address: Address, saying: Saying) -> None:
        session = self.sessions[address]
        if session.ended:
            raise SESSION_ENDED()
        self.said.append(saying)
        for result in saying.results:
            session.heard.append(result.text)
            session.data.append(result.data)
            received = {"text": result.text, "data": result.data, "by": asked.principal.id, "answers": result.answers}
            await session.tell(of.INPUT_RECEIVED, received, asked=asked)
        if saying.text or saying.data or not saying.results:
            session.heard.append(saying.text)
            session.data.append(saying.data)
            message = {"text": saying.text, "data": saying.data, "by": asked.principal.id}
            await session.tell(of.INPUT_RECEIVED, message, asked=asked)
        self._run(session)

    async def cancel(self, asked: Asked, address: Address, reason: str) -> None:
        session = self.sessions[address]
        if session.ended:
            return
        session.ended = True
        await session.tell(of.CANCEL_REQUESTED, {"by": asked.principal.id, "reason": reason}, asked=asked)
        cancelled = {"reason": reason, "by": asked.principal.id, "spent": "0", "unknown": []}
        await session.tell(of.SESSION_CANCELLED, cancelled)

    async def decide(
        self, asked: Asked, address: Address, approval: str, digest: str, agreed: bool, reason: str
    ) -> None:
        session = self.sessions[address]
        type = of.APPROVAL_GRANTED if agreed else of.APPROVAL_DENIED
        verdict = {"id": approval, "digest": digest, "by": asked.principal.id, "reason": reason}
        await session.tell(type, verdict, asked=asked)
        session.heard.append("agreed" if agreed else "denied")
        self._run(session)

    def _run(self, session: Session) -> None:
        task = asyncio.create_task(self.script(session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
