"""Contents of records: read from their blobs, proven by their digests, and as text that can be searched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import orjson

from pharos.core.fault import NOT_FOUND, Fault
from pharos.core.wire import Json
from pharos.mesh.auditing import unpacked
from pharos.store.ports import Blobs

_SAYING = frozenset(
    {"text", "content", "delta", "thinking", "reasoning_content", "reasoning", "partial_json", "arguments", "refusal",
     "input", "output", "instructions", "system"}
)  # fmt: skip
"""Members that hold words in one of the dialects. In a stream their pieces one after the other are the words."""


async def digest_on_disk(blobs: Blobs, digest: str) -> str | None:
    """The digest of the bytes that are stored under a digest; ``None`` if there are none."""
    state = hashlib.sha256()
    try:
        async for piece in blobs.get(digest):
            state.update(piece)
    except Fault as fault:
        if fault.code != NOT_FOUND.code:
            raise
        return None
    return f"sha256:{state.hexdigest()}"


async def read_content(blobs: Blobs, call: str, digest: str) -> tuple[bytes, bytes] | None:
    """Prompt and answer of a call; ``None`` if they are not there. Raises ``ValueError`` if they are not what was
    recorded."""
    pieces = []
    try:
        async for piece in blobs.get(digest):
            pieces.append(piece)
    except Fault as fault:
        if fault.code != NOT_FOUND.code:
            raise
        return None
    blob = b"".join(pieces)
    if f"sha256:{hashlib.sha256(blob).hexdigest()}" != digest:
        raise ValueError("the content is not what was recorded")
    of, prompt, answer = unpacked(blob)
    if of != call:
        raise ValueError("the content is of another call")
    return prompt, answer


def parsed(data: bytes) -> Json:
    """Bytes as JSON where they are; as text otherwise."""
    try:
        value: Json = orjson.loads(data)
    except orjson.JSONDecodeError:
        return data.decode("utf-8", "replace")
    return value


def words_in(data: bytes) -> str:
    """What is said in a request or an answer, whole or streamed, in any of the dialects: for reading and searching."""
    try:
        return "".join(_words(orjson.loads(data), separate=True))
    except orjson.JSONDecodeError:
        pass
    said: list[str] = []
    for line in data.splitlines():
        if line.startswith(b"data:"):
            try:
                said += _words(orjson.loads(line[5:]), separate=False)
            except orjson.JSONDecodeError:
                continue  # an end mark, or a frame that was cut
    return "".join(said)


def _words(value: Json, *, separate: bool) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _words(item, separate=separate)
    elif isinstance(value, dict):
        for name, member in value.items():
            if isinstance(member, str):
                if name in _SAYING:
                    yield member
                    if separate:
                        yield "\n"
            elif isinstance(member, list | dict):
                yield from _words(member, separate=separate)
