"""What a dialect is: how one wire protocol asks, answers, streams and refuses.

Each dialect is one package with one class that implements :class:`Dialect`. No method does I/O; where a wire form
demands a timestamp it comes from the clock the dialect was built with, and where a provider left out an id one is made.
A dialect serves in two roles. As the *client's* it reads requests and writes answers; as the *provider's* it writes
requests and reads answers. Where both sides speak the same dialect nothing is translated: the body is edited in place
and the stream is only watched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, Protocol, runtime_checkable

from pharos.core.fault import FaultDocument
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import Frame
from pharos.gateway.models.dialects.canonical import Answer, Failure, Finish, Request, StreamEvent
from pharos.mesh.facts import Usage

NO_NAMES: Mapping[str, str] = MappingProxyType({})


# A frozen class takes three times as long to make: those of which each call makes one are kept by the type checker.


@dataclass(slots=True, eq=False)
class Ask:
    """What governance must know of a request, read without translating it. Its fields are final."""

    model: Final[str]
    stream: Final[bool]
    max_output: Final[int | None]
    """The output limit the client set, in tokens, for all choices together."""
    turns: Final[Sequence[Json]]
    """The conversation as it came, system text first: input of the conversation marks."""
    tools: Final[tuple[str, ...]]
    wants_usage: Final[bool]
    """Whether the client asked for usage in its stream (always true where the dialect always sends it)."""
    user: Final[str]
    """The end user or session the client named, or empty."""
    attached: Final[int] = 0
    """Parts of the conversation whose tokens their bytes do not bound, where the dialect counts them itself."""
    choices: Final[int] = 1
    """Answers asked for at once, where the dialect counts them itself."""
    unpriced: Final[str] = ""
    """What in the request costs money that no token count shows, where the dialect knows; see ``unpriceable``."""


@dataclass(slots=True, eq=False)
class Edits:
    """The declared edits of a same-dialect request: nothing else in the body changes. Its fields are final.

    One edit needs no declaration because the provider could not accept the request without it: reasoning that *we*
    handed to the client on behalf of another dialect's provider (it carries our mark) is taken out again.
    """

    model: Final[str]
    ask_usage: Final[bool] = False
    """Make a streaming provider report usage although the client did not ask."""
    max_output: Final[int | None] = None
    """Set an output limit (only where the client set none)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one frame of a watched stream meant.

    ``content``: the first of these commits the answer. ``hide``: the client did not ask for this frame.
    """

    content: bool = False
    hide: bool = False
    done: bool = False
    failure: Failure | None = None
    more: bytes = b""
    """Bytes that were hidden until now, to be sent: only in the answer to ``sse.END``."""
    text: bytes = b""
    """Where nothing of a frame counts but how much text it says: the name of the JSON member that is the text."""


class Watcher(Protocol):
    """Watches a same-dialect stream go by. Cheap: it parses only frames that can matter."""

    def see(self, frame: Frame) -> Seen:
        """Look at one frame. Raises ``ValueError`` where the frame is not legal in the dialect."""

    @property
    def usage(self) -> Usage | None:
        """What the provider reported so far; ``None`` if nothing."""

    @property
    def model(self) -> str:
        """The model that answered, as the provider names it."""

    @property
    def complete(self) -> bool:
        """Whether the dialect's own end mark was seen. A stream that ends without it was cut."""

    @property
    def output_bytes(self) -> int:
        """Length of the content so far, to estimate usage of a stream that ended without numbers."""


class StreamReader(Protocol):
    """Turns a provider's frames into canonical events."""

    def read(self, frame: Frame) -> Sequence[StreamEvent]:
        """Events of one frame. Raises ``ValueError`` where the frame is not legal in the dialect."""

    @property
    def complete(self) -> bool:
        """Whether the dialect's own end mark was seen."""


class StreamWriter(Protocol):
    """Turns canonical events into the client's frames."""

    origin: str
    """Whose proofs of reasoning are written (``naming.origin_of``): told by ``Started``, and set anew where another
    provider goes on with the answer."""

    def write(self, event: StreamEvent) -> bytes:
        """The bytes to send for one event; may be empty."""


@runtime_checkable
class Failing(Protocol):
    """A watcher or writer of a dialect whose error frames depend on what the stream has said before them."""

    def fail(self, document: FaultDocument) -> bytes:
        """In place of ``Dialect.write_stream_fault``."""


@runtime_checkable
class Following(Protocol):
    """A writer of a dialect whose frames depend on more of what the client was sent than the events in it tell."""

    def follow(self, sent: Sequence[Frame]) -> None:
        """Go on behind these frames, whoever wrote them. Raises ``ValueError`` where nothing can join them."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A line of the loss table: what becomes of ``field`` when this dialect's request goes to ``target``.

    ``field`` is a JSON pointer with ``*`` for any one segment and ``**`` for any number of them. ``dropped``
    and ``converted`` are reported with every call they happen to (``Request.dropped``, ``Request.converted``);
    ``refused`` is a fault naming the pointer.
    """

    field: str
    target: str
    effect: Literal["dropped", "converted", "refused"]
    what: str


@runtime_checkable
class Placing(Protocol):
    """A dialect that has a path for each model, and one for streams."""

    def place(self, model: str, *, stream: bool) -> str:
        """Path and query of a call under the provider's base URL."""


class Dialect(Protocol):
    """One wire protocol."""

    @property
    def name(self) -> str:
        """``openai-chat``, ``anthropic`` …"""

    @property
    def losses(self) -> Sequence[Loss]:
        """What is lost, converted or refused when a client's request in this dialect goes to another one."""

    @property
    def finishes(self) -> Mapping[str, Finish]:
        """The dialect's finish words and what they mean. Any other word reads as ``other``, with the word kept."""

    @property
    def finish_words(self) -> Mapping[Finish, str]:
        """The dialect's word for each finish: total."""

    # As the client's dialect.

    def ask(self, body: JsonObject) -> Ask:
        """Read what governance must know. Raises ``INVALID`` with a pointer for every member of a wrong type."""

    def read_request(self, body: JsonObject) -> Request:
        """Translate a request. Raises ``INVALID`` where it cannot be understood."""

    def write_answer(self, answer: Answer, model: str) -> JsonObject:
        """A whole answer, with ``model`` as the name the client asked for."""

    def writer(self, model: str, wants_usage: bool, prompt_estimate: int = 0) -> StreamWriter:
        """A stream writer for one answer.

        ``prompt_estimate``: input tokens to announce where the dialect's first frame must name them and the provider
        has not yet; its last frame always carries the provider's numbers.
        """

    def write_fault(self, document: FaultDocument) -> JsonObject:
        """A refusal in the dialect's own form with the whole fault under ``pharos``."""

    def status_of(self, document: FaultDocument) -> int:
        """The HTTP status of that refusal: the fault's own, unless the dialect has a status of its own for it."""

    def write_stream_fault(self, document: FaultDocument) -> bytes:
        """A failure after the stream began: the dialect's own error frame, and never its end mark."""

    @property
    def keep_alive(self) -> bytes:
        """A frame that every client of the dialect ignores."""

    # As the provider's dialect.

    @property
    def path(self) -> str:
        """Path of a call under the provider's base URL."""

    def credentials(self, secret: str) -> tuple[tuple[str, str], ...]:
        """Headers that authenticate us and that the protocol demands. One that is also in ``forwarded`` yields to the
        client's."""

    @property
    def forwarded(self) -> frozenset[str]:
        """Lower-case names of the client's request headers that belong to the protocol (versions, beta flags) and pass
        to a provider of the same dialect. No other header of the client ever does."""

    def write_request(self, request: Request, model: str, max_output: int) -> JsonObject:
        """A request in this dialect. What it cannot express is added to ``request.dropped``.

        ``max_output`` is used where the dialect demands a limit and the request has none.
        """

    def read_answer(self, body: JsonObject, names: Mapping[str, str] = NO_NAMES) -> Answer:
        """Read a whole answer. ``names`` is ``Request.renamed``. Raises ``ValueError`` where it is not one."""

    def reader(self, names: Mapping[str, str] = NO_NAMES) -> StreamReader:
        """A stream reader for one answer. ``names`` is ``Request.renamed``."""

    def read_failure(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Failure:
        """Classify an error response, also one that is not JSON."""

    # Where both sides speak it.

    def edit(self, raw: bytes, body: JsonObject, edits: Edits) -> bytes:
        """``raw`` with the declared edits; every other byte stays (order, white space, numbers, unknown members)."""

    def watcher(self, hide_usage: bool) -> Watcher:
        """A watcher for one stream. ``hide_usage``: we asked for usage, the client did not."""

    def usage(self, body: JsonObject) -> Usage | None:
        """Usage of a whole answer, normalised; ``None`` if it has none."""

    def answered_model(self, body: JsonObject) -> str:
        """The model a whole answer names."""
