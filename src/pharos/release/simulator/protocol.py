"""What a wire protocol is to the simulator: how it asks, answers, streams and refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from pharos.core.wire import JsonObject
from pharos.release.simulator.conversation import Asked, DialectName
from pharos.release.simulator.reply import Reply, ToolIds


@dataclass(frozen=True, slots=True)
class Chunk:
    """One or more frames that carry a piece of content together."""

    data: bytes
    tokens: int


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """An error in no protocol. ``None`` lets the protocol choose the word it uses with ``status``."""

    status: int
    message: str | None = None
    type: str | None = None
    code: str | None = None
    place: str = ""


class WireProtocol(Protocol):
    """One wire protocol, in the provider's role. Everything is pure: no I/O, no clock."""

    @property
    def name(self) -> DialectName: ...

    @property
    def tool_ids(self) -> ToolIds:
        """How ids of tool calls begin."""

    def read(self, body: JsonObject, headers: Mapping[str, str], *, refuse_unknown: bool) -> Asked:
        """What a request asks. Raises ``Refused`` where the real API would."""

    def headers(self, number: int) -> list[tuple[str, str]]:
        """Response headers of the protocol for request ``number``."""

    def whole(self, reply: Reply, asked: Asked, created: int) -> JsonObject:
        """The unstreamed answer."""

    def opening(self, reply: Reply, asked: Asked, created: int) -> bytes:
        """The frames before the first content."""

    def chunks(self, reply: Reply, asked: Asked, created: int) -> Iterator[Chunk]:
        """The content, piece by piece."""

    def closing(self, reply: Reply, asked: Asked, created: int) -> bytes:
        """The frames after the last content: finish reason, usage, the protocol's end mark."""

    def error(self, words: ErrorWords, number: int) -> JsonObject:
        """The body of a refusal."""

    def error_frame(self, words: ErrorWords, number: int) -> bytes:
        """An error inside a stream."""

    def raw_frame(self, data: str) -> bytes:
        """A content frame that carries ``data`` as it is."""
