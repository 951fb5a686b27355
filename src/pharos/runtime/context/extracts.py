"""A summary without a model: who said what, each in a line, the newest and the first request for sure.

It understands nothing, and therefore invents nothing. Digests and references stand on their lines in full.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pharos.core.wire import Json, JsonObject
from pharos.runtime.context.excerpts import Excerpt, excerpt

_LINE = 240
"""Characters of each message that are quoted."""

_BLOB = re.compile(r"sha256:[0-9a-f]{64}")

_LEFT_OUT = "[… more, left out …]"


def extract(messages: Sequence[JsonObject], most: int) -> str:
    """What was said, in at most ``most`` bytes of UTF-8."""
    lines = [line for message in messages if message.get("role") != "system" for line in _lines(message, most // 2)]
    if not lines:
        return "Nothing was said yet."[:most]
    room = most - len(lines[0].encode()) - len(_LEFT_OUT.encode()) - 2
    newest: list[str] = []
    for line in reversed(lines[1:]):
        room -= len(line.encode()) + 1
        if room < 0:
            newest.append(_LEFT_OUT)
            break
        newest.append(line)
    return "\n".join([lines[0], *reversed(newest)]).encode()[:most].decode(errors="ignore")


def _lines(message: JsonObject, most: int) -> Iterator[str]:
    role = str(message.get("role"))
    text = _text(message.get("content"))
    if text.startswith("<summary"):
        # All there is of what an earlier one covers; without the lists beside it, which are made anew.
        yield _joined(excerpt(text.partition("\n")[2].partition("\n</summary>")[0], most))
    elif text:
        yield f"{role}: {_short(text)}"
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield f"{role} called {function.get('name')} {_short(str(function.get('arguments')))}"


def _joined(ends: Excerpt) -> str:
    return f"{ends.head}\n{_LEFT_OUT}\n{ends.tail}" if ends.tail else ends.head


def _text(content: Json) -> str:
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _short(text: str) -> str:
    flat = " ".join(text.split())
    if len(flat) <= _LINE:
        return flat
    refs = [ref for ref in dict.fromkeys(_BLOB.findall(flat)) if ref not in flat[:_LINE]]
    return " ".join([f"{flat[:_LINE]}…", *refs])
