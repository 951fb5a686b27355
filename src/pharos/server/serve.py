"""``pharos up``: run a city until it is told to stop.

One process, one event loop (uvloop), one port. The first SIGTERM or SIGINT stops new work and lets what is under way
end, up to the drain limit; the second cuts it off. Either way the city closes in order and the process exits with 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvicorn
import uvloop

from pharos.core.fault import Applicability, Fix
from pharos.server.city import City, open_city
from pharos.server.faults import ADDRESS_UNAVAILABLE
from pharos.server.logs import logging_to
from pharos.server.protocol import BoundedProtocol, watch
from pharos.server.terminal import Opened, greeting
from pharos.store.faults import STORAGE_FAILED

logger = logging.getLogger(__name__)

KEEP_ALIVE = 75
"""Seconds an idle connection is kept: longer than the pools of common clients keep theirs, so that they close first."""

SETTLING = 5.0
"""Seconds that calls which were cut off have to settle what they owe before the store closes."""


def up(
    home: Path,
    host: str = "127.0.0.1",
    port: int = 7700,
    files: Sequence[Path] = (),
    *,
    full_sync: bool = False,
    drain_seconds: float = 10.0,
    access_log: bool = False,
    log_level: str = "info",
    announce: Callable[[Opened], str] = greeting,
) -> None:
    """Serve the city of ``home`` until SIGTERM or SIGINT.

    ``files`` are manifests to apply at start; port 0 takes any free port; ``announce`` writes what is printed on stdout
    once the city is open. Raises the fault of a start that fails (a port or home in use, a manifest that is refused).
    """
    home = home.absolute()
    try:
        with (
            logging_to(level=log_level),
            _listening(host, port) as sockets,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_run(home, host, sockets, files, full_sync, drain_seconds, access_log, announce))
    except OSError as error:
        raise STORAGE_FAILED(f"{error.filename or home}: {error.strerror or error}.") from error


async def _run(
    home: Path,
    host: str,
    sockets: list[socket.socket],
    files: Sequence[Path],
    full_sync: bool,
    drain_seconds: float,
    access_log: bool,
    announce: Callable[[Opened], str],
) -> None:
    orders = _Orders()
    with orders.obeyed():
        async with open_city(home, files=files, full_sync=full_sync, loopback=is_loopback(host)) as city:
            if orders.stop.is_set():
                return

            def greet() -> None:
                gc.collect()
                gc.freeze()  # What exists now stays: collections need not look at it again.
                # What a call makes is freed by its last reference. The collector is for rare cycles, so it need not
                # look after every few calls, as it would by default.
                gc.set_threshold(20_000, 20, 20)
                sys.stdout.write(announce(opened))
                sys.stdout.flush()

            port = sockets[0].getsockname()[1]
            warnings = [finding.message for finding in await city.doctor.missing()]
            opened = Opened(city.home, host, port, loopback=is_loopback(host), warnings=warnings)
            server = _Server(_config(city, access_log), greet)
            await _serve_until(orders, city, server, sockets, drain_seconds)


async def _serve_until(
    orders: _Orders, city: City, server: _Server, sockets: list[socket.socket], drain_seconds: float
) -> None:
    """Serve until told to stop; then drain, within the limit, and cut off what is left."""
    serving = asyncio.create_task(server.serve(sockets=sockets))
    watching = asyncio.create_task(watch(server.server_state.connections))
    stop = asyncio.create_task(orders.stop.wait())
    now = asyncio.create_task(orders.now.wait())
    tasks = (serving, watching, stop, now)
    try:
        await asyncio.wait({serving, watching, stop}, return_when=asyncio.FIRST_COMPLETED)
        city.draining.set()
        server.should_exit = True
        await asyncio.wait({serving, now}, timeout=drain_seconds, return_when=asyncio.FIRST_COMPLETED)
        calls = set(server.server_state.tasks)
        if not serving.done():
            logger.warning("the drain limit is over: %d calls are cut off", len(calls))
            server.force_exit = True
            for call in calls:
                call.cancel()
        await asyncio.wait({serving, *calls}, timeout=SETTLING)
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
    def obeyed(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT while the context is open."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._receive)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves the signals to us and says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise the signal again once it has ended, and the process would die of it instead of exiting.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def _config(city: City, access_log: bool) -> uvicorn.Config:
    return uvicorn.Config(
        city.app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        loop="none",
        log_config=None,
        access_log=access_log,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
    )


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
