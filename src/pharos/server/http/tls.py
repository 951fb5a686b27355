"""TLS by two files: a certificate chain and its private key, read again when they change.

Who renews certificates replaces the files; nothing is restarted. What a new pair is good for is tried before it counts:
while the files are half replaced, or wrong, the pair that was good stays in use and the log says so.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from pharos.core.fault import Applicability, Fault, Fix
from pharos.server.faults import TLS_UNUSABLE

_log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Between two looks at the files."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificate chain and its private key are: PEM, the server's own certificate first."""

    certificate: Path
    key: Path


class Certificates:
    """What the city shows to who connects with TLS.

    ``context`` is handed to the server once; each connection is then given the pair that counts at its beginning, by
    the callback with which OpenSSL chooses by server name. A context is never changed under a handshake. Blocks; raises
    ``TLS_UNUSABLE``.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = self._state()
        self._present, self._pem = _loaded(files), _read(files)
        self.context = _loaded(files)
        self.context.sni_callback = self._choose
        self._asked = asyncio.Event()

    def pem(self) -> tuple[bytes, bytes]:
        """The private key and the chain that count now, for a server that is not ours (gRPC's)."""
        return self._pem

    def ask(self) -> None:
        """Have the files read now, whether or not they seem to have changed (SIGHUP)."""
        self._asked.set()

    async def follow(self, look_seconds: float = LOOK_SECONDS) -> None:
        """Read the files again whenever they change or :meth:`ask` is called, until cancelled."""
        while True:
            asked = True
            try:
                async with asyncio.timeout(look_seconds):
                    await self._asked.wait()
            except TimeoutError:
                asked = False
            self._asked.clear()
            await asyncio.to_thread(self._look, asked)

    def _look(self, asked: bool) -> None:
        seen = self._state()
        if not asked and seen == self._seen:
            return
        self._seen = seen
        try:
            self._present, self._pem = _loaded(self._files), _read(self._files)
        except Fault as fault:
            _log.error("%s The certificate read before stays in use.", fault.detail)
        else:
            _log.info("the TLS certificate was read again")

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._present

    def _state(self) -> tuple[object, ...]:
        """What tells that a file is another than before. A link that is turned to another file is one that changed."""
        found: list[object] = []
        for path in (self._files.certificate, self._files.key):
            try:
                stat = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(found)


def _loaded(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (OSError, _Encrypted) as error:
        raise _unusable(files, error) from None
    return context


def _read(files: TlsFiles) -> tuple[bytes, bytes]:
    try:
        return files.key.read_bytes(), files.certificate.read_bytes()
    except OSError as error:
        raise _unusable(files, error) from None


class _Encrypted(Exception):
    """The key asks for a password. Nobody is there to type one."""


def _no_password() -> str:
    raise _Encrypted


def _unusable(files: TlsFiles, error: Exception) -> Fault:
    match error:
        case _Encrypted():
            reason = f"{files.key} is encrypted"
        case ssl.SSLError() if error.reason == "KEY_VALUES_MISMATCH":
            reason = f"{files.key} is not the key of the certificate in {files.certificate}"
        case ssl.SSLError():
            reason = f"{files.certificate} or {files.key} is not PEM of a certificate chain and its key"
        case _:
            unreadable = next((path for path in (files.certificate, files.key) if not _readable(path)), files.key)
            reason = f"{unreadable} cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"
    return TLS_UNUSABLE(
        f"{reason}.",
        subject=str(files.certificate),
        fixes=[
            Fix(
                id="provide-pair",
                title="Provide a PEM certificate chain and its unencrypted private key",
                applicability=Applicability.MANUAL,
            )
        ],
    )


def _readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
