"""Going on with a response that was cut off.

OpenAI's own service has no form for it. Of compatible servers vLLM goes on with a last message of the assistant whose
``status`` is ``in_progress`` (its pull request 32100).

A response is more than its texts: its id and those of its items, the number of each event, the items that are done and
the one that is open. All of that is read back from the frames that the client was sent, whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import Frame
from pharos.gateway.models.dialects.openai_responses.answer import message, string, text_part
from pharos.gateway.models.dialects.prefill import with_message, with_values
from pharos.gateway.models.resilience.spec import PrefillForm

_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})

_SAID = frozenset({"message", "reasoning"})
"""Items that say something and do nothing."""


_PIECES = {"response.output_text.delta": "message", "response.reasoning_summary_text.delta": "reasoning"}
"""The deltas that can be gone on with, and the items they belong to."""

_BEGINNINGS = frozenset(
    {"response.output_item.added", "response.content_part.added", "response.reasoning_summary_part.added"}
)


@dataclass(slots=True)
class Sent:
    """A response as far as a client has it."""

    number: int = 0
    """Of the next event."""
    response: JsonObject = field(default_factory=dict)
    """As it began."""
    output: list[Json] = field(default_factory=list)
    """The items that are done."""
    item: JsonObject | None = None
    """The one that is open."""
    text: str = ""
    """What it has said."""


def sent_of(frames: Sequence[Frame]) -> Sent:
    """What these frames told. Raises ``ValueError`` for what nothing can join: items that are open at once, an open one
    of several parts, or one of which more was told than its text."""
    sent = Sent()
    events: list[JsonObject] = []
    for frame in frames:
        event = orjson.loads(frame.data) if frame.data else None
        if not isinstance(event, dict):
            continue
        number, kind = event.get("sequence_number"), string(event, "type")
        sent.number = number + 1 if type(number) is int else sent.number
        response, item = event.get("response"), event.get("item")
        if isinstance(response, dict):
            sent.response = response
        elif kind == "response.output_item.done":
            _in_line(sent, event)
            sent.output.append(item)
            events.clear()
        elif "output_index" in event:
            events.append(event)
    if not sent.response:
        raise ValueError("the response has not begun")
    if events:
        _open(sent, events)
    return sent


def _in_line(sent: Sent, event: JsonObject) -> None:
    if event.get("output_index") != len(sent.output):
        raise ValueError("items of the response are open at once")


def _open(sent: Sent, events: Sequence[JsonObject]) -> None:
    """Take in what was told of the item that is open."""
    first = events[0].get("item")
    if not isinstance(first, dict):
        raise ValueError("an item of the response was not begun")
    kind, texts = string(first, "type"), []
    for event in events:
        _in_line(sent, event)
        if event.get("content_index", 0) != 0 or event.get("summary_index", 0) != 0:
            raise ValueError("the open item has several parts")
        name = string(event, "type")
        if _PIECES.get(name) == kind:
            texts.append(string(event, "delta"))
        elif name not in _BEGINNINGS or (event is not events[0] and "item" in event):
            raise ValueError(f"nothing can join what {name} told")
    if not texts:
        raise ValueError("the open item has said nothing")
    sent.item, sent.text = first, "".join(texts)


class ResponsesContinuing:
    """See :class:`~pharos.gateway.models.dialects.continuing.Continuing`."""

    apart = False

    def closed(self, frame: JsonObject) -> bool:
        kind = string(frame, "type")
        if kind == "response.output_item.added":
            return string(frame.get("item"), "type") not in _SAID
        return kind in _ENDS or kind.startswith("response.refusal.")

    def mark(self, frame: JsonObject, attempt: int) -> bool:
        if frame.get("type") != "response.output_item.added":
            return False
        frame["pharos"] = {"restart": attempt}
        return True

    def form(self, model: str) -> PrefillForm:
        return "none"

    def prefilled(self, raw: bytes, text: str, form: PrefillForm, left: int | None) -> bytes:
        body: JsonObject = orjson.loads(raw)
        values: dict[str, Json] = {}
        if left is not None and body.get("max_output_tokens") is not None:
            values["max_output_tokens"] = left
        if text:
            given = body.get("input")
            if isinstance(given, str):
                raw = with_values(raw, body, {"input": [{"role": "user", "content": given}]})
            raw = with_message(raw, "input", message("msg_beginning", "in_progress", [text_part(text)]))
        return with_values(raw, body, values)
