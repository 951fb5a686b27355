"""Uploads on the wire: in one piece, and resumable as *tus* 1.0.0 has it (https://tus.io/protocols/resumable-upload).

Of tus: the core protocol, and the extensions creation, creation-with-upload, expiration and termination. Why tus and
not the IETF's draft of resumable uploads: ``docs/decisions/0022-large-messages.md``. An upload belongs to a namespace;
to others it is not there. Where it is complete, every answer about it names its blob in ``Pharos-Blob``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import format_datetime

from pharos.core.fault import INVALID, Fault, Problem
from pharos.core.plane import ASGIApp, Receive, Route, Scope, Send
from pharos.core.principal import Principal
from pharos.core.wire import JsonObject
from pharos.mesh.blobs.depot import Depot
from pharos.mesh.blobs.faults import UPLOAD_TYPE, UPLOAD_VERSION
from pharos.mesh.blobs.wire import Header, SenderLeft, answer, body, field, number, permitted, refuse
from pharos.store.blobs import Upload

WRITE = "blobs.write"
UPLOADS = "/blobs/uploads"
VERSION = b"1.0.0"
PIECE = "application/offset+octet-stream"

Identify = Callable[[Scope], Principal]
"""Who makes a request. Raises ``UNAUTHENTICATED``."""

_TUS: Header = (b"tus-resumable", VERSION)


class Uploads:
    """The ASGI applications of uploads."""

    def __init__(self, depot: Depot, identify: Identify) -> None:
        self._depot = depot
        self._identify = identify

    def routes(self) -> tuple[Route, ...]:
        """Where they are."""
        below = f"{UPLOADS}/*"
        return (
            Route("POST", "/blobs", self.whole, "A blob in one piece"),
            Route("OPTIONS", UPLOADS, self.options, "What resumable uploads can do (tus 1.0.0)"),
            Route("POST", UPLOADS, self._tus(self.create), "Begin a resumable upload"),
            Route("HEAD", below, self._tus(self.state), "How far a resumable upload is"),
            Route("PATCH", below, self._tus(self.extend), "Go on with a resumable upload"),
            Route("DELETE", below, self._tus(self.end), "Give a resumable upload up"),
        )

    async def whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``POST /blobs``: the body is the blob."""
        principal = permitted(self._identify(scope), WRITE)
        try:
            ref = await self._depot.receive(principal.namespace, body(receive), number(scope, b"content-length"))
        except SenderLeft:
            return
        document: JsonObject = {"digest": ref.digest, "size": ref.size, "dataref": ref.uri}
        await answer(send, 201, [(b"location", ref.uri.encode())], document)

    async def options(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is spoken here. Answers anyone: it is the same for all."""
        await answer(
            send,
            204,
            [
                _TUS,
                (b"tus-version", VERSION),
                (b"tus-extension", b"creation,creation-with-upload,expiration,termination"),
                (b"allow", b"OPTIONS, POST"),
            ],
        )

    async def create(self, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
        """Begin an upload; a first piece may come with it."""
        length = number(scope, b"upload-length")
        if length is None:
            raise _needed("Upload-Length", "the bytes of the whole upload")
        upload = await self._depot.begin(principal.namespace, principal.id, length)
        place = (b"location", f"{UPLOADS}/{upload.id}".encode())
        if field(scope, b"content-type") == PIECE or not length:
            upload = await self._depot.extend(upload, 0, body(receive))
        await answer(send, 201, [place, *self._told(upload)])

    async def state(self, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
        """Where to go on."""
        upload = await self._named(scope, principal)
        await answer(send, 200, [(b"upload-length", b"%d" % upload.length), *self._told(upload)])

    async def extend(self, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
        """A further piece. What arrives before the client leaves is kept."""
        if field(scope, b"content-type") != PIECE:
            raise UPLOAD_TYPE()
        offset = number(scope, b"upload-offset")
        if offset is None:
            raise _needed("Upload-Offset", "where this piece begins")
        upload = await self._named(scope, principal)
        if not (upload.digest and offset == upload.length):  # of what is complete already nothing is left to take
            upload = await self._depot.extend(upload, offset, body(receive))
        await answer(send, 204, self._told(upload))

    async def end(self, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
        """Give an upload up, or forget that it became a blob: the blob stays."""
        await self._depot.end(await self._named(scope, principal))
        await answer(send, 204, [_TUS])

    async def _named(self, scope: Scope, principal: Principal) -> Upload:
        return await self._depot.upload(principal.namespace, scope["path"].removeprefix(f"{UPLOADS}/"))

    def _told(self, upload: Upload) -> list[Header]:
        expires = format_datetime(self._depot.expires(upload), usegmt=True).encode()
        told = [_TUS, (b"upload-offset", b"%d" % upload.offset), (b"upload-expires", expires)]
        if upload.digest:
            told.append((b"pharos-blob", upload.digest.encode()))
        return told

    def _tus(self, app: Callable[[Scope, Receive, Send, Principal], Awaitable[None]]) -> ASGIApp:
        """A request of the protocol: every answer names its version, a fault too."""

        async def spoken(scope: Scope, receive: Receive, send: Send) -> None:
            principal = permitted(self._identify(scope), WRITE)
            try:
                if field(scope, b"tus-resumable") != VERSION.decode():
                    raise UPLOAD_VERSION()
                await app(scope, receive, send, principal)
            except SenderLeft:
                return
            except Fault as fault:
                await refuse(scope, send, fault, [_TUS, (b"tus-version", VERSION), (b"cache-control", b"no-store")])

        return spoken


def _needed(header: str, what: str) -> Fault:
    return INVALID(problems=[Problem(pointer=f"/{header}", message=f"needed as a header: {what}")])
