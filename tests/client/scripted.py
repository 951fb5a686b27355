"""A server that answers as a test says, byte for byte, and also fails as servers do: cut, stalled, nonsense."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON data."""
        return json.loads(self.body)


Step = bytes | Callable[[socket.socket], None]
"""What happens to one request: these bytes are sent, or this is done. Then the connection is closed."""


@dataclass
class Script:
    """A server that performs one step per request, the last one again and again."""

    url: str
    steps: Sequence[Step]
    seen: list[Seen] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    """Set when the test ends: what stalls goes on then."""


def answer(status: int, body: Any, content_type: str = "application/json") -> bytes:
    """A whole answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = (
        f"HTTP/1.1 {status} X",
        f"content-type: {content_type}",
        f"content-length: {len(raw)}",
        "connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + raw


def problem(status: int, code: str, **members: Any) -> bytes:
    """A problem document."""
    document = {
        "type": f"/faults/{code}", "title": code.title(), "status": status, "detail": "Because.", "code": code,
        "category": "transient", **members,
    }  # fmt: skip
    return answer(status, document, "application/problem+json")


def events(*items: str, end: bool = True) -> bytes:
    """An event stream of these frames; without ``end`` the connection just closes."""
    body = (
        b": open\n\n"
        + b"".join(f"{item}\n\n".encode() for item in items)
        + (b"event: end\ndata: {}\n\n" if end else b"")
    )
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + body


def cut(connection: socket.socket) -> None:
    """Close without a word."""


@contextmanager
def scripted(*steps: Step) -> Iterator[Script]:
    """Serve ``steps`` on loopback for the block."""
    listener = socket.create_server(("127.0.0.1", 0))
    script = Script(f"http://127.0.0.1:{listener.getsockname()[1]}", steps)
    thread = threading.Thread(target=_serve, args=(listener, script), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        script.released.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _serve(listener: socket.socket, script: Script) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(30)
            seen = _read(connection)
            if seen is None:
                continue
            script.seen.append(seen)
            step = script.steps[min(len(script.seen), len(script.steps)) - 1]
            try:
                if isinstance(step, bytes):
                    connection.sendall(step)
                else:
                    step(connection)
            except OSError:
                continue


def _read(connection: socket.socket) -> Seen | None:
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            piece = connection.recv(65536)
        except OSError:
            return None
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    method, path, _ = first.split(" ")
    return Seen(method, path, headers, body)
