"""A session that is killed: run as a program, with ``kill -9`` at chosen places of a scripted session.

The program imports everything once and forks a process for each life. A life opens the store, works on the session
and kills itself at the n-th *crossing* (see :class:`pharos.runtime.worker.run.Run`); the next one takes it up. The
outside is a server in a process of its own, which outlives them all and counts what is really done.

    python -m tests.runtime.session.mortal HOME PLAN

``PLAN`` is a JSON list of sessions; each is a list of crossings, one for each life that is killed: a number counts all
crossings, a pair ``[place, number]`` those of one place, and ``["freeze", number]`` does not kill but stops the process
(SIGSTOP) for longer than its lease. One line of JSON for each session: what it came to, and what
the server counted.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
import threading
import time
import urllib.parse
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.runtime.session.plain import PlainDispatch
from tests.runtime.session.town import ScriptedModel, Town, fire, open_town, said, start

from pharos.core.fault import Fault
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import EffectClass, Errand, Known, ModelReply, ModelRequest, ModelText, ToolResult
from pharos.mesh.scheduling.dispatcher import Dispatcher
from pharos.mesh.scheduling.pools import Pools
from pharos.runtime.session import commands as c
from pharos.runtime.session.address import PREFIX, Address
from pharos.runtime.worker.lanes import GROUP
from pharos.runtime.worker.worker import Worker
from pharos.store.delivery import Subscribe

TURNS = 16
LEASE = 0.3
ADDRESS = Address("default", "mortal")


# The outside.


class Outside:
    """Counts what is done. A key that is honoured is done once; ``calls`` counts all that came."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.done: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.results: dict[tuple[str, str], str] = {}

    def perform(self, session: str, tool: str, key: str, text: str) -> str:
        with self.lock:
            if tool == "keyed" and (session, key) in self.results:
                return self.results[session, key]
            self.done[session][f"{tool} {key}"] += 1
            result = f"{tool}:{hashlib.sha256(text.encode()).hexdigest()[:8]}"
            self.results[session, key] = result
            return result


def serve(port_to: int) -> None:
    """Serve until killed; writes its port to a pipe."""
    outside = Outside()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = urllib.parse.urlsplit(self.path)
            query = {name: values[0] for name, values in urllib.parse.parse_qs(asked.query).items()}
            answer: Any
            if asked.path == "/do":
                answer = outside.perform(query["session"], query["tool"], query["key"], query["text"])
            elif asked.path == "/known":
                answer = outside.results.get((query["session"], query["key"]))
            else:
                answer = outside.done[query["session"]]
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    os.write(port_to, str(server.server_address[1]).encode())
    os.close(port_to)
    server.serve_forever()


async def ask(port: int, path: str, **query: str) -> Any:
    """One request to the outside."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        target = f"{path}?{urllib.parse.urlencode(query)}"
        writer.write(f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        answer = await reader.read()
        return json.loads(answer.partition(b"\r\n\r\n")[2])
    finally:
        writer.close()


# The session.


def plays(turn: int, request: ModelRequest) -> JsonObject:
    """What the model says: sixteen turns with every class of tool, side by side and alone, an approval, a wait."""
    if turn >= TURNS - 1:
        heard = sorted(
            str(one["content"])
            for one in request.messages
            if one["role"] == "tool" and "It is" not in str(one["content"])
        )
        return said(f"{len(heard)} answers: {hashlib.sha256(json.dumps(heard).encode()).hexdigest()}")
    kinds = (
        ("keyed", "keyed"), ("traceable",), ("reckless",), ("pure",), ("careful",), ("reckless", "keyed", "pure"),
        ("wait",), ("traceable", "keyed"),
    )[turn % 8]  # fmt: skip
    calls: list[tuple[str, str, JsonObject]] = []
    for place, kind in enumerate(kinds):
        arguments: JsonObject = {"seconds": 0.002} if kind == "wait" else {"text": f"{turn}-{place}"}
        calls.append((f"c{turn}-{place}", kind, arguments))
    return said("thinking about it", *calls)


class SlowModel(ScriptedModel):
    """Speaks in three pieces; of its fourth answer long enough that the first two are on record before the third."""

    def __init__(self, crossing: Callable[[str], None]) -> None:
        super().__init__(plays, pieces=3)
        self._crossing = crossing

    async def call(self, errand: Errand, request: ModelRequest) -> AsyncIterator[ModelText | ModelReply]:
        slow = sum(message["role"] == "assistant" for message in request.messages) == 3
        told = 0
        async with aclosing(super().call(errand, request)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece
                told += 1
                if slow and told == 2:
                    await asyncio.sleep(0.06)
                    self._crossing("piece")


def tools_of(town: Town, port: int, session: str) -> None:
    """Tools that really do something outside."""

    async def call(errand: Errand, tool: str, arguments: JsonObject) -> ToolResult:
        text = str(arguments["text"])
        return ToolResult(await ask(port, "/do", session=session, tool=tool, key=errand.key, text=text))

    async def known(errand: Errand) -> tuple[Known, ToolResult | None]:
        result = await ask(port, "/known", session=session, key=errand.key)
        return ("done", ToolResult(result)) if result is not None else ("not done", None)

    def add(name: str, effect: EffectClass, *, as_: str = "", approval: bool = False) -> None:
        async def function(errand: Errand, arguments: JsonObject) -> ToolResult:
            return await call(errand, as_ or name, arguments)

        town.tools.add(name, function, effect, approval=approval)

    add("pure", EffectClass.PURE)
    add("keyed", EffectClass.IDEMPOTENT)
    add("careful", EffectClass.IDEMPOTENT, as_="keyed", approval=True)
    add("traceable", EffectClass.RECONCILABLE)
    add("reckless", EffectClass.UNSAFE)
    town.tools.lookups["traceable"] = known


async def person(town: Town, port: int, session: str, asked: list[str]) -> None:
    """Agrees to what is asked, and looks up outside what nobody knows."""
    async for recorded in town.store.log.tail(ADDRESS.topic):
        event = recorded.event
        now = datetime.now(UTC)
        command: c.Command
        if event.type == "approval.requested":
            command = c.Approve(now, str(event.data["id"]), str(event.data["digest"]), "user/default/p")
        elif event.type == "effect.unknown":
            id = str(event.data["id"])
            result = await ask(port, "/known", session=session, key=f"{ADDRESS}/{id}")
            asked.append(id)
            command = c.Resolve(now, id, "not done" if result is None else "done", "user/default/p", result or "")
        else:
            continue
        try:
            await town.tell(ADDRESS, command)
        except Fault as fault:
            # It was answered in a former life, or is not open any more.
            if fault.code not in ("ANSWER_GIVEN", "NOT_WAITING", "SESSION_ENDED"):
                raise


KillAt = int | list[Any]


async def live(home: Path, port: int, session: str, kill_at: KillAt) -> dict[str, Any]:
    """One life. ``kill_at``: the crossing at which it ends (0: at none)."""
    crossings = 0
    by_place: dict[str, int] = defaultdict(int)

    def crossing(place: str) -> None:
        nonlocal crossings
        crossings += 1
        by_place[place] += 1
        if kill_at in (crossings, [place, by_place[place]]):
            os.kill(os.getpid(), signal.SIGKILL)
        if kill_at == ["freeze", crossings]:
            os.kill(os.getpid(), signal.SIGSTOP)

    model = SlowModel(crossing)
    async with open_town(home, model) as town:
        tools_of(town, port, session)
        if await town.store.log.topic(ADDRESS.topic) is None:
            await town.begin(
                start(now=datetime.now(UTC), bounds={"steps": 100, "repeats": 100, "stalls": 100}), "mortal"
            )
        asked: list[str] = []
        await town.store.commit(Subscribe(GROUP, PREFIX, backlog=True))
        dispatch: Dispatcher | PlainDispatch = Dispatcher(town.store, GROUP, Pools(lambda name: None))
        if isinstance(kill_at, list) and kill_at[0] == "freeze":
            # Others of this process wait for the session meanwhile, and have it when the lease has ended.
            dispatch = PlainDispatch(town.store, GROUP, seconds=LEASE)
        worker = Worker(town.store, dispatch, town.reach(), at_once=2, drain=0.5, every=40, crossing=crossing)
        tasks = [asyncio.create_task(fire(town.store)), asyncio.create_task(person(town, port, session, asked))]
        try:
            async with dispatch.service(), worker.service():
                state = await town.until(ADDRESS, lambda state: state.end is not None or state.quarantine is not None)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert state.end is not None, state.quarantine
        return {
            "outcome": state.end.outcome,
            "text": state.end.text,
            "turns": state.turn,
            "steps": state.turn + sum(one.event.type == "effect.requested" for one in await town.events(ADDRESS)),
            "unknown": asked,
            "crossings": crossings,
            "done": await ask(port, "/count", session=session),
            "stream": await streamed(town),
        }


async def streamed(town: Town) -> bool:
    """Whether what was streamed of each answer, after its last reset, is the beginning of that answer."""
    texts: dict[str, str] = {}
    for recorded in await town.store.log.read(ADDRESS.stream, limit=10_000):
        data = recorded.event.data
        id = str(data["id"])
        if recorded.event.type == "stream.reset":
            texts[id] = ""
        elif int(str(data["offset"])) != len(texts.get(id, "")):
            return False
        else:
            texts[id] = texts.get(id, "") + str(data["text"])
    for recorded in await town.events(ADDRESS):
        if recorded.event.type == "model.completed":
            data = recorded.event.data
            message: Any = data["message"]
            if texts.get(str(data["id"]), "") != (message["content"] or ""):
                return False
    return True


def _thaw(child: int, over: threading.Event) -> None:
    """Let a stopped process go on, when its lease has ended."""
    stat = Path(f"/proc/{child}/stat")
    while not over.wait(0.02):
        try:
            stopped = stat.read_text().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return
        if stopped:
            over.wait(LEASE * 3)
            os.kill(child, signal.SIGCONT)


def lives(home: Path, port: int, session: str, kills: list[KillAt]) -> dict[str, Any]:
    """A session through all its lives."""
    killed = 0
    for kill_at in [*kills, 0]:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(reading)
                outcome = asyncio.run(live(home, port, session, kill_at))
                with os.fdopen(writing, "wb") as file:
                    file.write(json.dumps(outcome).encode())
                code = 0
            finally:
                os._exit(code)
        os.close(writing)
        thaw = threading.Event()
        threading.Thread(target=_thaw, args=(child, thaw), daemon=True).start()
        with os.fdopen(reading, "rb") as file:
            written = file.read()
        _, status = os.waitpid(child, 0)
        thaw.set()
        if os.WIFSIGNALED(status):
            killed += 1
            continue
        assert os.WEXITSTATUS(status) == 0, "a life ended by itself with an error"
        # It came to its end before its crossing.
        return {**json.loads(written), "killed": killed}
    raise AssertionError("the last life was killed")


def main(home: Path, plan: list[list[KillAt]]) -> None:
    reading, writing = os.pipe()
    outside = os.fork()
    if outside == 0:
        os.close(reading)
        serve(writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        port = int(file.read())
    try:
        for number, kills in enumerate(plan):
            began = time.monotonic()
            result = lives(home / str(number), port, f"session-{number}", kills)
            result["seconds"] = time.monotonic() - began
            print(json.dumps(result), flush=True)
    finally:
        os.kill(outside, signal.SIGKILL)
        os.waitpid(outside, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
