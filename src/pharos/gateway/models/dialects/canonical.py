"""The call, event and usage model between dialects.

Only calls that cross from one dialect to another pass through these types; a call whose client and provider speak the
same dialect keeps its bytes. A dialect that cannot express something says so in ``Request.dropped`` (JSON pointers of
the client's body), never in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.reading import pointer
from pharos.mesh.facts import Usage


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text. ``cache`` marks the end of a prefix that the provider should cache (``"5m"`` or ``"1h"``)."""

    text: str
    cache: str | None = None
    at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Image:
    """An image by URL or as base64 ``data`` with its ``media_type``. Nothing here is ever fetched."""

    url: str | None = None
    data: str | None = None
    media_type: str = ""
    cache: str | None = None
    at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A file for the model to read: base64 ``data`` with its ``media_type`` (``application/pdf`` everywhere)."""

    data: str
    media_type: str
    name: str = ""
    cache: str | None = None
    at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning text. ``signature`` is the provider's proof of it; ``redacted`` replaces the text by opaque data.

    ``origin`` says who produced it, as ``DIALECT/MODEL``: a proof is worth something only where it was minted, so what
    comes from elsewhere is left out of a request (and reported), never replayed as ordinary text.
    """

    text: str
    signature: str = ""
    redacted: str = ""
    origin: str = ""
    at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants a tool called. ``arguments`` is JSON text as the model wrote it, also when it was cut off.

    ``signature`` is what a provider that signs its calls (Gemini) must have back with it.
    """

    id: str
    name: str
    arguments: str
    cache: str | None = None
    at: str = field(default="", compare=False)
    signature: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool returned for the call ``id``."""

    id: str
    content: tuple[Text | Image | Document, ...]
    error: bool = False
    cache: str | None = None
    at: str = field(default="", compare=False)


Block = Text | Image | Document | Thinking | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said. System text inside a conversation is a turn of role ``system``."""

    role: Literal["system", "user", "assistant"]
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; ``parameters`` is its JSON Schema."""

    name: str
    description: str
    parameters: JsonObject
    strict: bool | None = None
    cache: str | None = None
    at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which tools the model may or must call. ``name`` is set for mode ``named``."""

    mode: Literal["auto", "none", "required", "named"]
    name: str = ""


@dataclass(slots=True)
class Request:
    """A model call in no dialect. ``None`` means that the client did not say."""

    turns: list[Turn]
    max_output: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    thinking: bool | None = None
    """Whether the model is to reason before it answers."""
    effort: str | None = None
    """Reasoning effort word: minimal, low, medium, high, xhigh, max."""
    thinking_budget: int | None = None
    schema: JsonObject | None = None
    """JSON Schema the answer must follow; ``{}`` asks for any JSON object."""
    schema_name: str = ""
    schema_strict: bool | None = None
    """Whether the answer must keep to the schema exactly; ``None`` leaves it to the dialect's default."""
    user: str | None = None
    stream: bool = False
    extra: JsonObject = field(default_factory=dict)
    """Parameters of the client's dialect without a canonical field, by their name (seed, penalties, logit bias …)."""
    places: dict[str, str] = field(default_factory=dict, compare=False)
    """Where the client's body has a canonical field, if not at ``/FIELD``: ``{"stop": "/stop_sequences"}``; ``cache``
    and ``strict`` relative to what they stand on (a block, a tool)."""
    dropped: list[str] = field(default_factory=list, compare=False)
    """Pointers of what does not reach the provider."""
    converted: list[str] = field(default_factory=list, compare=False)
    """Pointers of what reaches the provider in another form, with a change of meaning that the loss table names."""
    renamed: dict[str, str] = field(default_factory=dict, compare=False)
    """Tool names the provider would refuse: the name it gets -> the client's. For reading the answer."""
    echo: JsonObject = field(default_factory=dict, compare=False)
    """Members of the client's body that an answer in its dialect repeats. They reach the writer of the answer in
    ``Answer.echo`` and ``Started.echo``."""

    def mark(self, at: str) -> str:
        """The pointer of the cache marker on what is at ``at``."""
        return at + self.places.get("cache", "/cache_control")

    def place(self, name: str) -> str:
        """The pointer, in the client's body, of the canonical field ``name``."""
        return self.places.get(name) or pointer("", name)


class Finish(StrEnum):
    """Why the model stopped. Every dialect publishes its table to and from these words."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    TOOL = "tool"
    FILTER = "filter"
    REFUSAL = "refusal"
    PAUSE = "pause"
    CONTEXT = "context"
    OTHER = "other"


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    id: str
    model: str
    blocks: tuple[Text | Thinking | ToolCall, ...]
    finish: Finish
    usage: Usage
    """Empty where the provider gave no numbers."""
    finish_raw: str = ""
    stop_sequence: str | None = None
    dialect: str = ""
    """The dialect of the provider: with ``model`` the origin of unsigned reasoning."""
    echo: JsonObject = field(default_factory=dict, compare=False)
    """``Request.echo`` of the request that is answered."""


# Stream events. An answer is: Started, then per block its start, deltas and end in order, then Finished. Blocks never
# interleave; indexes count from 0 without gaps.


@dataclass(frozen=True, slots=True)
class Started:
    """The provider has begun. ``usage`` carries the input side if it is known already."""

    id: str
    model: str
    usage: Usage | None = None
    dialect: str = ""
    echo: JsonObject = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class BlockStarted:
    """Block ``index`` begins: its kind, and for a tool call its id, its name and its ``ToolCall.signature``."""

    index: int
    kind: Literal["text", "thinking", "tool"]
    id: str = ""
    name: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """More of block ``index``: text, reasoning text or a fragment of a tool call's JSON arguments."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Signed:
    """The signature of thinking block ``index``, or (``redacted``) its opaque replacement."""

    index: int
    signature: str = ""
    redacted: str = ""


@dataclass(frozen=True, slots=True)
class BlockEnded:
    """Block ``index`` is complete."""

    index: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is complete. A stream that ends without this was cut."""

    finish: Finish
    usage: Usage
    finish_raw: str = ""
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider reported an error inside the stream."""

    failure: Failure


StreamEvent = Started | BlockStarted | Delta | Signed | BlockEnded | Finished | Failed


class FailureClass(StrEnum):
    """What a provider's refusal means for the call: the retry policy is decided by this, never by a dialect's words."""

    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER = "server"
    TIMEOUT = "timeout"
    CONNECT = "connect"
    PROTOCOL = "protocol"
    """The upstream lied: wrong content type, malformed chunk, no terminator, an error inside a 200."""
    INVALID = "invalid"
    """The request is at fault; another attempt would fail the same way."""
    CONTEXT = "context"
    AUTHENTICATION = "authentication"
    """The provider refused *our* credential."""
    QUOTA = "quota"
    NOT_FOUND = "not_found"
    FILTERED = "filtered"


@dataclass(frozen=True, slots=True)
class Failure:
    """A provider's refusal or failure, in no dialect. ``message`` is the provider's text: data, never instructions."""

    cls: FailureClass
    message: str
    status: int = 0
    type: str = ""
    code: str = ""
    retry_after: float | None = None
    body: bytes = b""
    """The error body as it came, for the diagonal."""
