"""The simulator on a port: inside a test or a demo (:func:`serve`), or as a process (:func:`run`)."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from pharos.core.fault import ADDRESS_UNAVAILABLE, Applicability, Fix
from pharos.core.plane import ASGIApp
from pharos.release.simulator.app import Simulator
from pharos.release.simulator.connection import EXTENSION
from pharos.release.simulator.loading import load_script
from pharos.release.simulator.records import Received
from pharos.release.simulator.script import Script

_OTHER_ADDRESS = Fix(
    id="other-address",
    title="Stop the process that has it, or choose another port with --port (0: any free port)",
    applicability=Applicability.MANUAL,
)

_STOP_SECONDS = 5.0


class _Protocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, which also hands the application the means to break a connection."""

    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        # Uvicorn would write an access log into whatever logging the embedding process has.
        self.access_log = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"close": self.transport.close}}


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises ``ADDRESS_UNAVAILABLE`` if the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sends small writes at once (TCP_NODELAY) only where it is: with the default
    # of socket.create_server each chunk of a stream would wait 40 ms for the acknowledgement of the one before.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        detail = f"Cannot listen on {host}:{port}: {error.strerror}."
        raise ADDRESS_UNAVAILABLE(detail, subject=f"{host}:{port}", fixes=[_OTHER_ADDRESS]) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """The base URL under which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Serve an application on a socket until the context is left; then every connection is broken off at once."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        log_level=None,
        # Longer than clients keep idle connections, so that none is closed just as a client reuses it.
        timeout_keep_alive=120,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    # Uvicorn's protocol without uvicorn's server: nothing that polls, and no signal handlers in an embedding process.
    server = await loop.create_server(lambda: _Protocol(config, state), sock=listener)
    try:
        yield
    finally:
        server.close()
        for connection in list(state.connections):
            if isinstance(connection, _Protocol):
                connection.transport.abort()
        if tasks := list(state.tasks):
            _, slow = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def serve(script: Script | Simulator | None = None, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Run a simulator inside the current event loop and yield its base URL, such as ``http://127.0.0.1:40123``.

    OpenAI clients add ``/v1`` to it, Anthropic clients take it as it is. Give a :class:`Simulator` to look at what it
    received. Leaving the context is what killing a provider looks like: open connections are reset.
    Raises ``ADDRESS_UNAVAILABLE`` if the address is in use.
    """
    app = script if isinstance(script, Simulator) else Simulator(script)
    listener = bind(host, port)
    async with serving(app, listener):
        yield url_of(listener)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(
    script_path: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 9000,
    *,
    say: Callable[[str], None] = _say,
    quiet: bool = False,
) -> int:
    """Serve a script until SIGINT or SIGTERM and return 0, the process's exit code.

    ``say`` gets the first line, which names the URL, and unless ``quiet`` one line per request (never a prompt, an
    answer or a secret). Raises the faults of :func:`~pharos.release.simulator.loading.load_script`, and
    ``ADDRESS_UNAVAILABLE`` if the address is in use; nothing has been served then.
    """
    script = load_script(script_path) if script_path is not None else None
    listener = bind(host, port)

    def tell(line: str) -> None:
        # Whoever reads the lines may stop reading; requests are answered all the same.
        with suppress(BrokenPipeError):
            say(line)

    with listener:
        simulator = Simulator(script, watch=None if quiet else lambda record: tell(_line(record)))
        asyncio.run(_until_told(simulator, listener, tell))
    return 0


async def _until_told(simulator: Simulator, listener: socket.socket, say: Callable[[str], None]) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    async with serving(simulator, listener):
        rules = len(simulator.script.rules)
        say(
            f"Pharos simulator on {url_of(listener)}: script {simulator.script.name}, "
            f"{rules} {'rule' if rules == 1 else 'rules'}. These are scripted answers, not a model's."
        )
        await told.wait()


def _line(record: Received) -> str:
    stream = " stream" if record.stream else ""
    return (
        f"{record.number} {record.method} {record.path} {record.model[:80]!r}{stream} -> {record.rule or 'refused'}, "
        f"{record.status or 'no status'}, {record.sent_bytes} bytes, {record.outcome}"
    )
