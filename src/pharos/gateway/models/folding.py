"""A stream of chat completions, folded into the message that it is.

Members of a delta are joined as their kinds are: texts one after the other, ``tool_calls`` by their index, other lists
one after the other, objects member by member; anything else is said once, by whoever says it last. So members that only
some provider knows (``reasoning_content``, ``reasoning_details`` …) come out as they would in a whole answer.
"""

from __future__ import annotations

from typing import Final, cast

from pharos.core.fault import State
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.faults import UPSTREAM_PROTOCOL

MOST_CALLS: Final = 1_000
"""Tool calls of one answer: an index is not believed beyond it."""

_ONCE = frozenset({"role", "id", "type", "index", "signature", "format"})
"""Members that some servers repeat in each piece: they do not grow."""


class Folded:
    """An answer as it grows."""

    def __init__(self) -> None:
        self.message: JsonObject = {"role": "assistant", "content": None}
        self.finish = ""
        self._calls: list[JsonObject] = []

    def add(self, chunk: JsonObject) -> str:
        """Take in a chunk; the text that it adds. Raises ``UPSTREAM_PROTOCOL``."""
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or choice.get("index", 0) != 0:
            return ""
        if isinstance(finish := choice.get("finish_reason"), str):
            self.finish = finish
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return ""
        for name, value in delta.items():
            if name == "tool_calls" and isinstance(value, list):
                self._add_calls(value)
            elif value is not None:
                self.message[name] = _joined(name, self.message.get(name), value)
        text = delta.get("content")
        return text if isinstance(text, str) else ""

    def _add_calls(self, calls: list[Json]) -> None:
        for place, call in enumerate(calls):
            if not isinstance(call, dict):
                raise UPSTREAM_PROTOCOL("A tool call of the answer is no object.", state=State.UNKNOWN)
            at = call.get("index", place)
            if not isinstance(at, int) or not 0 <= at < MOST_CALLS:
                raise UPSTREAM_PROTOCOL("A tool call of the answer has no place.", state=State.UNKNOWN)
            while len(self._calls) <= at:
                self._calls.append({})
            known = self._calls[at]
            for name, value in call.items():
                if name != "index" and value is not None:
                    known[name] = _joined(name, known.get(name), value)
        self.message["tool_calls"] = cast("list[Json]", [call for call in self._calls if call])


def _joined(name: str, before: Json, more: Json) -> Json:
    if before is None or name in _ONCE:
        return more
    if isinstance(before, str) and isinstance(more, str):
        return before + more
    if isinstance(before, list) and isinstance(more, list):
        return [*before, *more]
    if isinstance(before, dict) and isinstance(more, dict):
        return {**before, **{key: _joined(key, before.get(key), value) for key, value in more.items()}}
    return more
