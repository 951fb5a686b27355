"""What a call came to, and when a turn's calls are all answered."""

from __future__ import annotations

from typing import Final, cast
from zlib import crc32

from pharos.core.wire import JsonObject
from pharos.runtime.session.data.parts import BlobRef
from pharos.runtime.session.state import Call, Item, State

REMEMBERED: Final = 256
"""Answers of tools that the guard against running on the spot remembers."""


def settle(
    state: State,
    call: str,
    sequence: int,
    text: str,
    *,
    failed: bool = False,
    data: JsonObject | None = None,
    blob: JsonObject | None = None,
) -> None:
    """Note what a call came to. When it was the last one open, all are news for the next turn, in the order of the
    model's answer and before whatever else came meanwhile."""
    open_call = state.calls.get(call)
    if open_call is None or open_call.result is not None:
        return
    reference = cast("BlobRef | None", blob)
    item = Item("result", sequence, text, data, call, open_call.name, reference, failed)
    state.calls[call] = Call(call, open_call.name, open_call.handled, item)
    results = [call.result for call in state.calls.values() if call.result is not None]
    if len(results) == len(state.calls):
        state.inbox[:0] = results
        state.calls = {}
        _progress(state, results)


def _progress(state: State, results: list[Item]) -> None:
    """Whether the turn taught something that was not known: an answer that the tool has not given lately."""
    new = False
    for item in results:
        digest = f"{item.name} {len(item.text)} {crc32(item.text.encode(errors='replace')):x}"
        if digest not in state.seen:
            new = True
            state.seen[digest] = None
            if len(state.seen) > REMEMBERED:
                del state.seen[next(iter(state.seen))]
    state.stalled = 0 if new else state.stalled + 1
