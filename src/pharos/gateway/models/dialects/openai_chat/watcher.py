"""Watching a chat completions stream that goes by unchanged."""

from __future__ import annotations

import orjson

from pharos.gateway.models.answers.sse import Frame
from pharos.gateway.models.dialects.dialect import Seen
from pharos.gateway.models.dialects.openai_chat.refusal import failure_in_stream
from pharos.gateway.models.dialects.openai_chat.words import usage_of
from pharos.gateway.models.dialects.parts import length
from pharos.gateway.models.dialects.watching import Watched

_NOTHING = Seen()
_CONTENT = Seen(content=True)
_TEXT = Seen(content=True, text=b"content")
_HIDDEN = Seen(hide=True)
_DONE = Seen(done=True)


class ChatWatcher(Watched):
    """One stream."""

    __slots__ = ("_hide_usage",)

    def __init__(self, hide_usage: bool) -> None:
        super().__init__()
        self._hide_usage = hide_usage

    def see(self, frame: Frame) -> Seen:
        """Look at one frame. Raises ``ValueError`` where it is not a chunk."""
        data = frame.data
        if not data or self._complete:
            return _NOTHING
        if data[0] == 0x5B and data.startswith(b"[DONE]"):
            # Servers that end their stream properly after an error still have not answered.
            self._complete = not self._failed
            return _DONE
        chunk = orjson.loads(data)
        try:
            choices = chunk.get("choices")
            if chunk.get("usage") is not None:
                self._usage = usage_of(chunk) or self._usage
                if not choices and self._hide_usage:
                    return _HIDDEN
            if not choices:
                if chunk.get("error"):
                    self._failed = True
                    return Seen(failure=failure_in_stream(chunk, data))
                return _NOTHING
            if not self._model and isinstance(model := chunk.get("model"), str):
                self._model = model[:256]
            content = False
            for choice in choices:
                delta = choice.get("delta")
                if delta and (said := _length(delta)):
                    self._output += said
                    content = True
            if chunk.get("error"):
                self._failed = True
                return Seen(content=content, failure=failure_in_stream(chunk, data))
        except (AttributeError, TypeError) as error:
            raise ValueError("not a chat completion chunk") from error
        if not content:
            return _NOTHING
        return _TEXT if len(choices) == 1 and chunk.get("usage") is None else _CONTENT


def _length(delta: dict[str, object]) -> int:
    """Bytes of content in a delta: text, reasoning, refusal and tool calls."""
    if isinstance(text := delta.get("content"), str) and len(delta) <= 2:
        return length(text)
    size = 0
    for key, value in delta.items():
        if key in ("role", "name") or not value:
            continue
        if isinstance(value, str):
            size += length(value)
        elif key == "tool_calls" and isinstance(value, list):
            for call in value:
                function = call.get("function")
                # A call's beginning is content too, before its first argument.
                size += len(call.get("id") or "") + length((function.get("arguments") if function else "") or "")
        elif isinstance(value, list):
            size += len(value)
        else:
            size += 1
    return size
