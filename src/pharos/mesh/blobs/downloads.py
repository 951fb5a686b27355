"""``GET /blobs/sha256:…``: blobs of the caller's namespace, whole or in ranges (RFC 9110, section 14)."""

from __future__ import annotations

import base64
from contextlib import aclosing
from typing import Any, cast

from pharos.core.event import BLOBS, BlobRef
from pharos.core.fault import NOT_FOUND
from pharos.core.plane import ON_DISCONNECT, Receive, Scope, Send
from pharos.mesh.blobs.depot import Depot
from pharos.mesh.blobs.faults import RANGE_OUTSIDE
from pharos.mesh.blobs.ranges import Outside, Part, part_of
from pharos.mesh.blobs.uploads import Identify
from pharos.mesh.blobs.wire import Header, answer, field, permitted, refuse

READ = "blobs.read"


class Downloads:
    """The ASGI application of blobs that are read."""

    def __init__(self, depot: Depot, identify: Identify) -> None:
        self._depot = depot
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a ``GET`` or ``HEAD``."""
        namespace = permitted(self._identify(scope), READ).namespace
        digest: str = scope["path"].removeprefix(BLOBS)
        held = await self._depot.find(namespace, digest)
        if held is None:
            raise NOT_FOUND("There is no such blob here.")
        tag = f'"{digest}"'
        head: list[Header] = [(b"etag", tag.encode()), (b"accept-ranges", b"bytes")]
        if tag in (given := field(scope, b"if-none-match") or "") or given == "*":
            await answer(send, 304, head)
            return
        condition = field(scope, b"if-range")
        try:
            part = part_of(field(scope, b"range") if condition in (None, tag) else None, held.size)
        except Outside:
            fault = RANGE_OUTSIDE(f"The blob has {held.size} bytes.", facts={"sizeBytes": held.size})
            await refuse(scope, send, fault, [*head, (b"content-range", b"bytes */%d" % held.size)])
            return
        ref = BlobRef(held.digest, held.size, namespace)
        await self._send(scope, send, ref, part, head)

    async def _send(self, scope: Scope, send: Send, ref: BlobRef, part: Part | None, head: list[Header]) -> None:
        start, end = part or (0, ref.size)
        if part is not None:
            head.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, ref.size)))
        raw = base64.b64encode(bytes.fromhex(ref.digest.removeprefix("sha256:")))
        head += [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % (end - start)),
            (b"repr-digest", b"sha-256=:%b:" % raw),  # RFC 9530
            # Bytes of strangers under the city's own address: a browser stores them and runs nothing.
            (b"content-disposition", b"attachment"),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"private, no-cache"),
        ]
        left = False

        def leave() -> None:
            nonlocal left
            left = True

        watch = scope.get(ON_DISCONNECT)
        unwatch = watch(leave) if watch is not None else None
        try:
            async with aclosing(cast("Any", self._depot.read(ref, start, end))) as pieces:
                # The first piece before the head: what cannot be read is still a fault.
                piece = b"" if scope["method"] == "HEAD" else await anext(pieces, b"")
                await send({"type": "http.response.start", "status": 200 if part is None else 206, "headers": head})
                while piece and not left:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    piece = await anext(pieces, b"")
                await send({"type": "http.response.body", "body": b""})
        finally:
            if unwatch is not None:
                unwatch()
