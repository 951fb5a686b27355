"""A provider as it runs: its connections, our credential with it, its health, and how much is under way."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pharos.core.resource import Ref, Resource, ResourceId
from pharos.gateway.models.answers.signatures import Signatures
from pharos.gateway.models.dialects.dialect import Dialect, Placing
from pharos.gateway.models.kinds import ProviderSpec, SecretSource
from pharos.gateway.models.routing.pulse import Pulse
from pharos.gateway.models.upstream.breaker import Breaker
from pharos.gateway.models.upstream.transport import Headers, Transport
from pharos.trust.sealed.envelope import SealBroken

MAX_SECRET = 8_192

REREAD_SECONDS = 5.0
"""How old the content of a secret's file may be."""


_SECRETS = Ref("Secret")

_SECRET = frozenset({"authorization", "x-api-key", "x-goog-api-key"})
"""Headers that are left out towards a provider that asks for no credential."""


class SecretUnusable(Exception):
    """The secret is absent or cannot be sent. The text names the place it should be in, never its value."""


Reveal = Callable[[ResourceId], str]
"""What a sealed secret is (``Vault.reveal``). Raises ``SealBroken``."""


def nothing_kept(id: ResourceId) -> str:
    """For a city without a vault."""
    raise SealBroken("this city keeps no secrets")


SEAL_BROKEN = "seal_broken"
"""Code of the failure of a call whose secret the city keeps and cannot open: whoever calls is told, so that it is seen
(what stands in variables and files of the machine is not theirs to know)."""


class SecretBroken(SecretUnusable):
    """A secret that the city keeps does not open, or was never set."""


class Secret:
    """A credential of ours, read where the spec says. An environment variable is read anew for every use."""

    def __init__(self, source: SecretSource, namespace: str, reveal: Reveal) -> None:
        self._env = source.env
        self._file = source.file
        self._kept = _SECRETS.resolve(source.secret, namespace) if source.secret is not None else None
        self._reveal = reveal
        self._found = ""
        """What stood in the environment variable when it was last looked at."""
        self._value = ""
        self._read_at = float("-inf")

    async def value(self) -> str:
        """The secret. Raises :class:`SecretUnusable`."""
        if self._kept is not None:
            try:
                return self._reveal(self._kept)
            except SealBroken as error:
                raise SecretBroken(f"{self._kept} cannot be used: {error}") from None
        if self._env is not None:
            found = os.environ.get(self._env)
            if found is None:
                raise SecretUnusable(f"environment variable {self._env} is not set")
            if found != self._found:
                self._value = _usable(found, f"environment variable {self._env}")
                self._found = found
            return self._value
        if time.monotonic() - self._read_at > REREAD_SECONDS:
            path = Path(self._file or "")
            try:
                text = await asyncio.to_thread(_read, path)
            except (OSError, ValueError) as error:
                raise SecretUnusable(f"file {path} cannot be read ({type(error).__name__})") from error
            self._value = _usable(text, f"file {path}")
            self._read_at = time.monotonic()
        return self._value


def _read(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(MAX_SECRET + 1)


def _usable(text: str, place: str) -> str:
    text = text.strip()
    if not text:
        raise SecretUnusable(f"{place} is empty")
    if len(text) > MAX_SECRET or not text.isascii() or not text.isprintable():
        raise SecretUnusable(f"{place} does not hold a credential: it must be one line of printable ASCII")
    return text


class Upstream:
    """A provider that can be called.

    ``active`` counts the requests under way; ``begin`` and ``end`` keep it, one of each for each attempt.
    ``opens_city``: whether a secret is good for this very city; such a one is never sent, wherever it was read.
    """

    def __init__(
        self,
        resource: Resource[ProviderSpec],
        dialect: Dialect,
        transport: Transport,
        opens_city: Callable[[str], bool] = lambda _: False,
        reveal: Reveal = nothing_kept,
    ) -> None:
        spec = resource.spec
        self.id = resource.id
        self.name = resource.metadata.name
        self.header = (b"x-pharos-provider", self.name.encode())
        """What it is called, as a header of answers."""
        self.spec = spec
        self.dialect = dialect
        self.transport = transport
        self.breaker = Breaker(spec.breaker)
        self.path = request_path(spec.base_url, dialect.path)
        self.first_byte_seconds = spec.timeouts.first_byte_ms / 1000
        self.idle_seconds = spec.timeouts.idle_ms / 1000
        self.total_seconds = spec.timeouts.total_ms / 1000
        self.attempts = spec.retries.attempts
        self.drains = spec.on_disconnect == "drain"
        self.active = 0
        self._concurrency = spec.concurrency
        self._pulses: dict[str, Pulse] = {}
        key = spec.api_key
        self._secret = Secret(key, resource.metadata.namespace, reveal) if key is not None else None
        self._credentials: tuple[str, Headers] | None = None
        self._opens_city = opens_city
        self.signatures = Signatures()
        """What its tool calls are signed with. Those of a city's providers share one."""
        self.turned: Callable[[], None] = _unheard
        """Called when the breaker has opened, opened again or closed."""

    def paths(self, model: str) -> tuple[str, str]:
        """Path and query of a call of ``model``: of a whole answer, and of a stream."""
        dialect, base = self.dialect, self.spec.base_url
        if isinstance(dialect, Placing):
            whole, stream = (request_path(base, dialect.place(model, stream=stream)) for stream in (False, True))
            return whole, stream
        return self.path, self.path

    @property
    def full(self) -> bool:
        """Whether it has as many requests under way as it may."""
        limit = self._concurrency
        return limit is not None and self.active >= limit

    async def credentials(self) -> Headers:
        """Headers of every request: what its body is, and what authenticates us. Raises :class:`SecretUnusable`."""
        value = "" if self._secret is None else await self._secret.value()
        known = self._credentials
        if known is None or known[0] != value:
            if value and self._opens_city(value):
                raise SecretUnusable("what stands there is a key to this city, which is not sent to anyone")
            own = [(name, text) for name, text in self.dialect.credentials(value) if value or name not in _SECRET]
            known = self._credentials = (value, (("content-type", "application/json"), *own))
        return known[1]

    async def problem(self) -> str:
        """Why our credential cannot be used; empty if it can, or if none is needed."""
        if self._secret is not None:
            try:
                await self._secret.value()
            except SecretUnusable as error:
                return str(error)
        return ""

    def pulse(self, model: str) -> Pulse:
        """What is observed of one of its models."""
        return self._pulses.setdefault(model, Pulse())

    def begin(self) -> None:
        """An attempt starts."""
        self.active += 1
        self.breaker.begin()

    def end(self, now: float, *, succeeded: bool | None) -> None:
        """An attempt is over; ``None``: its end says nothing about the provider."""
        self.active -= 1
        breaker = self.breaker
        if succeeded is None:
            breaker.abandoned()
        elif succeeded:
            if breaker.succeeded(now):
                self.turned()
        elif breaker.failed(now):
            self.turned()


def _unheard() -> None:
    """Nobody listens."""


def request_path(base_url: str, dialect_path: str) -> str:
    """Path of a call. A base URL may be given with or without the version that the dialect's path begins with."""
    base = urlsplit(base_url).path.rstrip("/")
    version, slash, rest = dialect_path.lstrip("/").partition("/")
    if slash and base.endswith(f"/{version}"):
        return f"{base}/{rest}"
    return f"{base}/{dialect_path.lstrip('/')}"
