"""The ways a provider fails, as a script states them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pharos.release.simulator.part import Part

Chunks: TypeAlias = Annotated[int, Field(ge=0, le=1_000_000)]
"""A number of content chunks. The frames that open a stream are none: after 0 they have been sent, and no content."""

HeaderValue: TypeAlias = Annotated[str, Field(pattern=r"^[\x20-\x7e]*$", max_length=4_000)]
HeaderName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]


class Status(Part):
    """A refusal with an HTTP status, in the protocol's own error shape."""

    kind: Literal["status"]
    status: Annotated[int, Field(ge=400, le=599)]
    retry_after_seconds: Annotated[float, Field(ge=0, le=86_400)] | None = None
    """Sent as ``Retry-After``."""
    message: str | None = None
    type: str | None = None
    """The protocol's word for the error; by default the one that real providers use with this status."""
    code: str | None = None
    """OpenAI's ``code``; in the Anthropic protocol the ``error_code`` of the error's details."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    body: str | None = None
    """Sent in place of the protocol's error, such as a proxy's HTML page."""
    content_type: HeaderValue = "application/json"


class Stall(Part):
    """Silence: nothing more is sent, the connection stays open."""

    kind: Literal["stall"]
    after_chunks: Chunks | None = None
    """How many content chunks are sent first; absent: not even the response headers."""
    seconds: Annotated[float, Field(gt=0, le=3_600)] = 600
    """After which the connection is closed, if the client has not left before."""


class Cut(Part):
    """The connection ends in the middle."""

    kind: Literal["cut"]
    after_chunks: Chunks | None = None
    """How many content chunks are sent first."""
    after_bytes: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    """How many bytes of the body are sent first. With neither of the two, not even the response headers are."""
    clean: bool = False
    """End the HTTP response as if it were whole; only the protocol's own end mark is missing."""

    @model_validator(mode="after")
    def _one_place(self) -> Cut:
        if self.after_chunks is not None and self.after_bytes is not None:
            raise PydanticCustomError("two_places", "Give afterChunks or afterBytes, not both")
        if self.clean and self.after_chunks is None and self.after_bytes is None:
            raise PydanticCustomError("no_place", "A clean cut needs afterChunks or afterBytes")
        return self


class Malformed(Part):
    """One chunk that is not what the protocol allows; the stream then goes on. Unstreamed, it is the whole body."""

    kind: Literal["malformed"]
    after_chunks: Chunks = 0
    data: str = '{"choices": [{"delta": {"content": "'
    """What stands where the JSON should."""


class WrongContentType(Part):
    """Status 200 with something that is no answer, as from a captive portal or a misconfigured proxy."""

    kind: Literal["contentType"]
    content_type: HeaderValue = "text/html; charset=utf-8"
    body: str = "<!doctype html><title>Welcome</title><p>Please sign in to continue.</p>"


class ErrorInside(Part):
    """Status 200, then the protocol's error inside the stream. Unstreamed, the body is the error."""

    kind: Literal["error"]
    after_chunks: Chunks = 0
    status: Annotated[int, Field(ge=400, le=599)] = 500
    """The status whose error type is used; the HTTP status stays 200."""
    message: str | None = None
    type: str | None = None
    code: str | None = None
    then: Literal["end", "cut", "goOn"] = "end"
    """What follows: the HTTP response ends without the protocol's end mark, is cut, or goes on as if nothing were."""


class CutUtf8(Part):
    """One chunk holds a character of which a byte is missing, so the text is not UTF-8; the stream then goes on."""

    kind: Literal["cutUtf8"]
    after_chunks: Chunks = 0


Fault: TypeAlias = Annotated[
    Status | Stall | Cut | Malformed | WrongContentType | ErrorInside | CutUtf8, Field(discriminator="kind")
]
