"""The keys of issuers, kept at hand: fetched, read and read again beside the calls, never within one.

An issuer that cannot be reached does not lock its users out: the keys it had last are good for :data:`OLDEST`. That
something is wrong shows in the condition ``KeysReady`` of the ``Issuer`` from the first failure on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

import httpx2
import orjson

from pharos.control.index import Index
from pharos.control.observing import judged, note
from pharos.core.operation import Observe
from pharos.core.resource import AnyResource, Resource, ResourceId
from pharos.core.tasks import running
from pharos.trust.issuers.discovery import configuration_url, key_set_url
from pharos.trust.issuers.keys import PublicKey, UnusableKeys, parsed_keys
from pharos.trust.issuers.kinds import ISSUER, IssuerSpec, KeySource

_log = logging.getLogger(__name__)

KEYS_READY = "KeysReady"
PERIOD = 300.0
"""Seconds between two looks at a source."""
FILE_PERIOD = 5.0
SOON = 10.0
"""Least seconds between two looks that unknown keys or failures lead to: no stranger makes the city ask on and on."""
OLDEST = 24 * 3600.0
"""Seconds for which keys are used that cannot be fetched again."""
SECONDS = 10.0
"""That one fetch may take."""
LARGEST = 256 * 1024


Source = KeySource | str
"""Where keys are; a text is an issuer that says so itself."""


@dataclass(frozen=True, slots=True)
class _Set:
    source: Source
    text: bytes = b""
    keys: tuple[PublicKey, ...] = ()
    read_at: float = float("-inf")
    """When these keys came."""
    tried_at: float = float("-inf")
    problem: str = ""


class KeySets:
    """The keys of all issuers. ``changed`` is called when those of some issuer are others than before."""

    def __init__(self, index: Index, observe: Observe) -> None:
        self._index = index
        self._observe = observe
        self._sets: dict[ResourceId, _Set] = {}
        self._wanted: set[ResourceId] = set()
        self._wake = asyncio.Event()
        self.changed: Callable[[], None] = lambda: None
        index.subscribe(self._follow)

    def keys(self, id: ResourceId) -> tuple[PublicKey, ...]:
        """The keys of an issuer as they are known now."""
        known = self._sets.get(id)
        if known is None or time.monotonic() - known.read_at > OLDEST:
            return ()
        return known.keys

    def missed(self, id: ResourceId) -> None:
        """A token named a key that is not here: look for it, soon."""
        self._wanted.add(id)
        self._wake.set()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Keep the keys, until left. Those that are at hand are there when this has been entered."""
        for issuer in self._index.all(ISSUER):
            if _is_here(source_of(issuer.spec)):
                await self._look(issuer, time.monotonic())
        async with running(self._run, "pharos-issuer-keys"):
            yield

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            wanted, self._wanted = self._wanted, set()
            now = time.monotonic()
            issuers = {issuer.id: issuer for issuer in self._index.all(ISSUER)}
            due = [
                issuer
                for id, issuer in issuers.items()
                if self._due(issuer, now) <= now or (id in wanted and self._may_again(id, now))
            ]
            await asyncio.gather(*(self._look(issuer, now) for issuer in due))
            # What was wanted too soon is wanted still.
            late = {id for id in wanted & issuers.keys() if issuers[id] not in due}
            self._wanted |= late
            now = time.monotonic()
            waits = [self._due(issuer, now) - now for issuer in self._index.all(ISSUER)] + [SOON] * bool(late)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.05, min(waits, default=PERIOD))):
                    await self._wake.wait()

    def _due(self, issuer: Resource[IssuerSpec], now: float) -> float:
        known = self._sets.get(issuer.id)
        if known is None or known.source != (source := source_of(issuer.spec)):
            return now
        if not _is_here(source):
            return known.tried_at + (SOON if known.problem else PERIOD)
        return known.tried_at + (FILE_PERIOD if source.file is not None else float("inf"))

    def _may_again(self, id: ResourceId, now: float) -> bool:
        known = self._sets.get(id)
        return known is not None and now - known.tried_at >= SOON

    async def _look(self, issuer: Resource[IssuerSpec], now: float) -> None:
        source = source_of(issuer.spec)
        known = self._sets.get(issuer.id)
        if known is None or known.source != source:
            known = _Set(source)
        try:
            text = await _read(source)
            keys = known.keys if text == known.text else parsed_keys(text)
        except UnusableKeys as error:
            fresh = replace(known, tried_at=now, problem=str(error))
        else:
            fresh = _Set(source, text, keys, now, now)
        present = self._index.get(ISSUER, issuer.id.name, issuer.id.namespace)
        if present is None or source_of(present.spec) != source:
            return  # Changed meanwhile: these are not its keys any more.
        self._sets[issuer.id] = fresh
        if fresh.keys is not known.keys:
            self.changed()
        await note(self._observe, present, judged(KEYS_READY, fresh.problem, good="Read", bad="Unusable"))

    def _follow(self, id: ResourceId, resource: AnyResource | None) -> None:
        if id.kind != ISSUER.name:
            return
        known = self._sets.get(id)
        if known is not None and (resource is None or source_of(resource.spec) != known.source):
            del self._sets[id]  # At once: keys of another source open nothing.
        self._wake.set()


def source_of(spec: IssuerSpec) -> Source:
    """Where an issuer's keys are."""
    return spec.keys if spec.keys is not None else spec.issuer


def _is_here(source: Source) -> TypeGuard[KeySource]:
    """Whether keys can be read without asking anybody."""
    return not isinstance(source, str) and source.url is None


async def _read(source: Source) -> bytes:
    """The text where the source says. Raises :class:`UnusableKeys`."""
    if isinstance(source, str):
        return await _fetched(key_set_url(await _fetched(configuration_url(source)), source))
    if source.inline is not None:
        return orjson.dumps(source.inline)
    if source.file is not None:
        try:
            return await asyncio.to_thread(_head, Path(source.file))
        except OSError as error:
            raise UnusableKeys(f"the file {source.file} cannot be read ({error.strerror})") from None
    return await _fetched(source.url or "")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST)


async def _fetched(url: str) -> bytes:
    """Raises :class:`UnusableKeys`. Redirects are not followed: where the keys are was decided by who declared it."""
    opened: list[Any] = []

    async def trace(event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            opened.append(info["return_value"])

    try:
        async with (
            asyncio.timeout(SECONDS),
            httpx2.AsyncClient(timeout=SECONDS) as http,
            http.stream("GET", url, headers={"accept": "application/json"}, extensions={"trace": trace}) as answer,
        ):
            if answer.status_code != 200:
                raise UnusableKeys(f"{url} answers with status {answer.status_code}")
            body = b""
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > LARGEST:
                    raise UnusableKeys(f"{url} answers with more than {LARGEST} bytes")
            return body
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError) as error:
        raise UnusableKeys(f"{url} cannot be fetched ({type(error).__name__})") from None
    finally:
        for stream in opened:
            await stream.aclose()  # The client forgets its socket when it is cancelled in the middle of a handshake.
