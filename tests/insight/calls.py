"""Events of model calls, well formed and not."""

from __future__ import annotations

import copy
import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from pharos.core.event import Event, Recorded
from pharos.mesh.facts import MODEL_CALLED

NOON = datetime(2027, 1, 15, 12, tzinfo=UTC)

_numbers = itertools.count(1)


def attempt(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "number": number,
        "provider": "acme",
        "dialect": "openai-chat",
        "asked": "small-1",
        "answered": "small-1-2027",
        "outcome": "ok",
        "status": 200,
        "fault": "",
        "usage": {"input": 100, "output": 20},
        "price": {"source": "genai-prices", "version": "1.0"},
        "cost": "0.000123456",
        "currency": "USD",
        "startedAt": "2027-01-15T12:00:00.250000Z",
        "latencyMs": 812.5,
        "firstTokenMs": 101.25,
    } | more


def call(marks: list[str] | None = None, conversation: str = "", **more: Any) -> dict[str, Any]:
    attempts = more.pop("attempts", [attempt()])
    priced = [Decimal(each["cost"]) for each in attempts if each.get("cost") is not None]
    return {
        "call": f"call-{next(_numbers):08d}",
        "key": "ci-bot",
        "namespace": "default",
        "team": "a",
        "labels": {"team": "a"},
        "dialect": "openai-chat",
        "model": "fast",
        "stream": False,
        "outcome": "ok",
        "fault": "",
        "attempts": attempts,
        "cost": f"{sum(priced, Decimal(0)):f}",
        "currency": "USD",
        "latencyMs": 820.0,
        "firstTokenMs": 102.0,
        "tools": [],
        "route": {"rule": "weights"},
        "conversation": {"id": conversation, "marks": marks or []},
    } | more


def event(data: dict[str, Any], after: timedelta = timedelta(), id: str = "") -> Event:
    more = {"id": id} if id else {}
    return Event(topic="calls", type=MODEL_CALLED, data=data, time=NOON + after, **more)  # type: ignore[arg-type]


def recorded(events: list[Event]) -> list[Recorded]:
    return [Recorded(each, f"{place:016x}", place) for place, each in enumerate(events, 1)]


# Strategies

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.just("\ud800"),
    st.just("\x00"),
    st.sampled_from(["1.5", "-1", "1e9", "0.0000000001", "99999999999999999999", "½", "٣"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
)


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """A well-formed call of one of a few keys in one of a few conversations."""
    costs = st.integers(0, 10**12).map(lambda nanos: f"{nanos // 10**9}.{nanos % 10**9:09d}")
    attempts = [
        attempt(
            number,
            provider=draw(st.sampled_from(["acme", "acme2"])),
            cost=draw(st.none() | costs),
            outcome=draw(st.sampled_from(["ok", "error", "incomplete"])),
            usage={"input": draw(st.integers(0, 10**6)), "output": draw(st.integers(0, 10**5))},
            currency=draw(st.sampled_from(["USD", "USD", "EUR"])),
            startedAt=(NOON + timedelta(seconds=draw(st.integers(0, 10**6)))).isoformat(),
        )
        for number in range(1, draw(st.integers(0, 3)) + 1)
    ]
    turns = draw(st.integers(0, 6))
    dialogue = draw(st.sampled_from("abc"))
    return call(
        marks=[f"{dialogue}{turn}" for turn in range(turns)],
        conversation=draw(st.sampled_from(["", "", "s1", "s2"])),
        key=draw(st.sampled_from(["k1", "k2"])),
        outcome=draw(st.sampled_from(["ok", "ok", "error", "refused"])),
        attempts=attempts,
    )


@st.composite
def mangled(draw: st.DrawFn) -> dict[str, Any]:
    """A call in which one or two values have become something else, or are gone."""
    data = copy.deepcopy(draw(calls()))
    for _ in range(draw(st.integers(1, 2))):
        place: Any = data
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            if isinstance(place, dict) and draw(st.booleans()):
                del place[key]
            else:
                place[key] = draw(junk)
            break
    return data


@st.composite
def histories(draw: st.DrawFn, parts: Any = None) -> list[Event]:
    """Events in the order of a log; now and then the clock has jumped, and some end marks of forgetting occur."""
    found = draw(st.lists(parts if parts is not None else calls() | calls() | mangled(), max_size=25))
    jump = st.sampled_from([0, 0, 0, 1, 60, 1000, 86400 * 3, 86400 * 8, -3600, -86400 * 8])
    seconds = 0
    events = []
    for number, data in enumerate(found):
        seconds += draw(jump)
        tail = draw(st.sampled_from(["00", "17", "9a"]))
        events.append(event(data, timedelta(seconds=seconds), id=f"e{number:06d}-{tail}"))
    return events
