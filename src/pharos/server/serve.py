"""``pharos up``: run a city until it is told to stop.

One process, one event loop (uvloop), one port, or two where administration has its own. The first SIGTERM or SIGINT
stops new work and lets what is under way end, up to the drain limit; the second cuts it off. Either way the city closes
in order and the process exits with 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from pharos.core.fault import ADDRESS_UNAVAILABLE, Applicability, Fix
from pharos.core.plane import ASGIApp
from pharos.server.city import City, open_city
from pharos.server.http.deadlines import watch
from pharos.server.http.encoding import Encoding, Extent
from pharos.server.http.gate import Bounds, Gate
from pharos.server.http.protocol import BoundedProtocol
from pharos.server.http.surfaces import Surface
from pharos.server.http.tls import Certificates, TlsFiles
from pharos.server.logs import logging_to
from pharos.server.terminal import PEOPLE, Opened, Voice, say, url_of
from pharos.store.faults import STORAGE_FAILED

logger = logging.getLogger(__name__)

KEEP_ALIVE = 75
"""Seconds an idle connection is kept: longer than the pools of common clients keep theirs, so that they close first."""

SETTLING = 5.0
"""Seconds that calls which were cut off have to settle what they owe before the store closes."""

LATER = ("cel", "joserfc.jwk")
"""What some resources need in the moment in which they are applied, and takes long to import: done in a thread once the
port is open, so that a start does not wait for it and no call ever does."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes any free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class _Door:
    """A surface of the city and the sockets it is reached by."""

    surface: Surface
    host: str
    sockets: list[socket.socket]

    @property
    def port(self) -> int:
        port: int = self.sockets[0].getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class _Style:
    """How every door answers."""

    access_log: bool
    compress: Extent | None
    gate: Gate | None
    """One for all doors: an address is the same behind each."""


def up(
    home: Path,
    host: str = "127.0.0.1",
    port: int = 7700,
    files: Sequence[Path] = (),
    *,
    admin: Address | None = None,
    tls: TlsFiles | None = None,
    bounds: Bounds | None = None,
    full_sync: bool = False,
    found_anew: bool = False,
    drain_seconds: float = 10.0,
    access_log: bool = False,
    compress: Extent | None = None,
    log_level: str = "info",
    voice: Voice = PEOPLE,
) -> None:
    """Serve the city of ``home`` until SIGTERM or SIGINT.

    ``files`` are manifests to apply at start; port 0 takes any free port; ``admin`` is where operations are served, and
    then nowhere else; with ``tls`` all connections are encrypted, and SIGHUP has its files read again. ``bounds`` are
    those of one address (``None``: there are none). ``compress`` says which answers are compressed for clients that
    take them so (``None``: none are). ``voice`` has the words that are printed on stdout when the city is open, ends
    and has ended. Raises the fault of a start that fails (a port or home in use, a manifest or certificate that is
    refused).
    """
    home = home.absolute()
    try:
        with contextlib.ExitStack() as opened:
            opened.enter_context(logging_to(level=log_level))
            certificates = Certificates(tls) if tls is not None else None
            sockets = opened.enter_context(_listening(host, port))
            doors = [_Door(Surface.WHOLE if admin is None else Surface.DATA, host, sockets)]
            if admin is not None:
                behind = opened.enter_context(_listening(admin.host, admin.port))
                doors.append(_Door(Surface.ADMIN, admin.host, behind))
            runner = opened.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
            style = _Style(access_log, compress, None if bounds is None else Gate(bounds))
            runner.run(_run(home, doors, certificates, files, full_sync, found_anew, drain_seconds, style, voice))
    except OSError as error:
        raise STORAGE_FAILED(f"{error.filename or home}: {error.strerror or error}.") from error


async def _run(
    home: Path,
    doors: Sequence[_Door],
    certificates: Certificates | None,
    files: Sequence[Path],
    full_sync: bool,
    found_anew: bool,
    drain_seconds: float,
    style: _Style,
    voice: Voice,
) -> None:
    orders = _Orders()
    with orders.obeyed(None if certificates is None else certificates.ask):
        # Operations are where the last door is; browsers of this machine are told apart there.
        local = is_loopback(doors[-1].host)
        async with open_city(
            home,
            files=files,
            full_sync=full_sync,
            found_anew=found_anew,
            loopback=local,
            url=_own_url(doors[0], certificates),
            tls=None if certificates is None else certificates.pem,
        ) as city:
            if orders.stop.is_set():
                return
            waiting = len(doors)

            def listens() -> None:
                nonlocal waiting
                waiting -= 1
                if waiting:
                    return
                gc.collect()
                gc.freeze()  # What exists now stays: collections need not look at it again.
                # What a call makes is freed by its last reference. The collector is for rare cycles, so it need not
                # look after every few calls, as it would by default.
                gc.set_threshold(20_000, 20, 20)
                say(voice.opened(opened))
                # The loop's own executor, which is waited for at the end.
                asyncio.get_running_loop().run_in_executor(None, _import_later)

            warnings = [finding.message for finding in await city.doctor.missing()]
            opened = _opened(city, doors, certificates is not None, warnings)
            servers = [_Server(_config(city, door, certificates, style), listens, door.sockets) for door in doors]
            await _serve_until(orders, city, servers, certificates, drain_seconds, voice)
    say(voice.stopped(home))


def _import_later() -> None:
    for name in LATER:
        import_module(name)


def _opened(city: City, doors: Sequence[_Door], tls: bool, warnings: Sequence[str]) -> Opened:
    main = doors[0]
    return Opened(
        city.home,
        main.host,
        main.port,
        loopback=all(is_loopback(door.host) for door in doors),
        warnings=warnings,
        tls=tls,
        admin=url_of(doors[1].host, doors[1].port, tls=tls) if len(doors) > 1 else None,
    )


def _own_url(door: _Door, certificates: Certificates | None) -> str:
    """Where a door is reached from this machine: nobody connects to the address that stands for all."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(door.host, door.host)  # noqa: S104
    return url_of(host, door.port, tls=certificates is not None)


async def _serve_until(
    orders: _Orders,
    city: City,
    servers: Sequence[_Server],
    certificates: Certificates | None,
    drain_seconds: float,
    voice: Voice,
) -> None:
    """Serve until told to stop; then drain, within the limit, and cut off what is left."""
    serving = {asyncio.create_task(server.serve(sockets=server.sockets)) for server in servers}
    beside = {asyncio.create_task(watch(server.server_state.connections)) for server in servers}
    if certificates is not None:
        beside.add(asyncio.create_task(certificates.follow()))
    stop = asyncio.create_task(orders.stop.wait())
    now = asyncio.create_task(orders.now.wait())
    tasks = (*serving, *beside, stop, now)
    try:
        await asyncio.wait({*serving, *beside, stop}, return_when=asyncio.FIRST_COMPLETED)
        city.draining.set()
        for server in servers:
            server.should_exit = True
        say(voice.stopping(sum(len(server.server_state.tasks) for server in servers), drain_seconds))
        ending = asyncio.gather(*serving, return_exceptions=True)
        ends: set[asyncio.Future[Any]] = {ending, now}
        await asyncio.wait(ends, timeout=drain_seconds, return_when=asyncio.FIRST_COMPLETED)
        calls = {call for server in servers for call in server.server_state.tasks}
        if not ending.done():
            logger.warning("the drain limit is over: %d calls are cut off", len(calls))
            for server in servers:
                server.force_exit = True
            for call in calls:
                call.cancel()
        await asyncio.wait({*serving, *calls}, timeout=SETTLING)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, Exception):
            raise outcome


class _Orders:
    """What the signals said: ``stop`` with the first, ``now`` with the second."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.now = asyncio.Event()

    def _receive(self) -> None:
        (self.now if self.stop.is_set() else self.stop).set()

    @contextlib.contextmanager
    def obeyed(self, on_hangup: Callable[[], None] | None = None) -> Iterator[None]:
        """Handle SIGTERM and SIGINT while the context is open, and SIGHUP if there is something to do then."""
        handlers = {signal.SIGTERM: self._receive, signal.SIGINT: self._receive}
        if on_hangup is not None:
            handlers[signal.SIGHUP] = on_hangup
        loop = asyncio.get_running_loop()
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves the signals to us and says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], sockets: list[socket.socket]) -> None:
        super().__init__(config)
        self.sockets = sockets
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise the signal again once it has ended, and the process would die of it instead of exiting.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def _config(city: City, door: _Door, certificates: Certificates | None, style: _Style) -> uvicorn.Config:
    app: ASGIApp = city.app if door.surface is Surface.WHOLE else city.app.part(door.surface.has)
    config = uvicorn.Config(
        app if style.compress is None else Encoding(app, style.compress),
        http=type("GatedProtocol", (BoundedProtocol,), {"gate": style.gate}),
        ws="none",
        lifespan="off",
        interface="asgi3",
        loop="none",
        log_config=None,
        access_log=style.access_log,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
    )
    if certificates is not None:
        config.load()
        config.ssl = certificates.context
    return config


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Sockets bound to every address of ``host``. Raises ``ADDRESS_UNAVAILABLE``."""
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as closing:
        try:
            for family, kind, protocol, _, address in socket.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                bound = closing.enter_context(contextlib.closing(socket.socket(family, kind, protocol)))
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                bound.bind((address[0], sockets[0].getsockname()[1] if sockets else port, *address[2:]))
                bound.listen(2048)
                sockets.append(bound)
        except OSError as error:
            raise ADDRESS_UNAVAILABLE(
                f"Cannot listen on {host}:{port}: {error.strerror or error}.",
                facts={"host": host, "port": port},
                fixes=[_OTHER_ADDRESS],
            ) from error
        yield sockets


_OTHER_ADDRESS = Fix(
    id="other-address",
    title="Stop the process that has it, or choose another address with --host and --port (0: any free port)",
    applicability=Applicability.MANUAL,
)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that is bound to ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
