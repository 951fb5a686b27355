"""Streams: items as they come, continued after a lost connection without a gap or a repetition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.client.scripted import Script, answer, events, problem, scripted

import pharos
from pharos.core.fault import Fault
from pharos.core.wire import JsonObject

Take = Callable[..., list[JsonObject]]


def _blocking(url: str, **options: Any) -> list[JsonObject]:
    with pharos.Client(url, "secret", **options) as client:
        return list(client.stream("catalog.watch", {"kind": "Model"}))


def _awaited(url: str, **options: Any) -> list[JsonObject]:
    async def go() -> list[JsonObject]:
        async with pharos.AsyncClient(url, "secret", **options) as client:
            return [item async for item in client.stream("catalog.watch", {"kind": "Model"})]

    return asyncio.run(go())


@pytest.fixture(params=[_blocking, _awaited], ids=["blocking", "awaited"])
def take(request: pytest.FixtureRequest) -> Take:
    """All items of a stream, with either client."""

    def go(city: Script, retries: int = 3) -> list[JsonObject]:
        found: list[JsonObject] = request.param(city.url, timeout=30.0, retries=retries)
        return found

    return go


def _item(number: int, *, id: bool = True) -> str:
    return (f"id: p{number}\n" if id else "") + f'data: {{"n": {number}}}'


def test_items_until_the_end(take: Take) -> None:
    with scripted(events("retry: 1000", _item(1), ": heartbeat", _item(2))) as city:
        assert take(city) == [{"n": 1}, {"n": 2}]
    [seen] = city.seen
    assert (seen.path, seen.json, seen.headers["accept"]) == (
        "/api/catalog.watch",
        {"kind": "Model"},
        "text/event-stream",
    )


def test_a_cut_stream_continues_after_the_last_item(take: Take) -> None:
    with scripted(events(_item(1), _item(2), end=False), events(_item(3))) as city:
        assert take(city) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [seen.headers.get("last-event-id") for seen in city.seen] == [None, "p2"]


def test_a_stream_without_ids_is_not_continued(take: Take) -> None:
    with scripted(events(_item(1, id=False), end=False)) as city, pytest.raises(Fault) as cut:
        take(city)
    assert cut.value.code == "CONNECTION_LOST"
    assert len(city.seen) == 1


def test_an_empty_cut_stream_is_asked_for_again(take: Take) -> None:
    with scripted(events(end=False), events(_item(1))) as city:
        assert take(city) == [{"n": 1}]


def test_each_item_renews_the_patience(take: Take) -> None:
    pieces = [events(_item(number), end=False) for number in range(1, 6)]
    with scripted(*pieces, events()) as city:
        assert len(take(city, retries=1)) == 5


def test_patience_has_an_end(take: Take) -> None:
    with scripted(events(end=False)) as city, pytest.raises(Fault):
        take(city, retries=2)
    assert len(city.seen) == 3


def test_a_refused_stream_is_a_fault(take: Take) -> None:
    with scripted(problem(403, "FORBIDDEN")) as city, pytest.raises(Fault) as refused:
        take(city)
    assert refused.value.code == "FORBIDDEN"
    assert len(city.seen) == 1


def test_a_stream_that_fails_says_why(take: Take) -> None:
    document = '"type": "", "title": "", "status": 500, "detail": "", "code": "INTERNAL", "category": "internal"'
    failed = f"event: fault\ndata: {{{document}}}"
    with scripted(events(_item(1), failed, end=False)) as city, pytest.raises(Fault) as fault:
        take(city)
    assert fault.value.code == "INTERNAL"
    assert len(city.seen) == 1


@pytest.mark.parametrize("frame", ["data: [1]", "data: {"])
def test_nonsense_in_a_stream_is_no_item(take: Take, frame: str) -> None:
    with scripted(events(frame)) as city, pytest.raises(Fault) as odd:
        take(city)
    assert odd.value.code == "UNEXPECTED_ANSWER"


def test_an_answer_that_is_no_stream(take: Take) -> None:
    with scripted(answer(200, {"items": []})) as city, pytest.raises(Fault) as odd:
        take(city)
    assert odd.value.code == "UNEXPECTED_ANSWER"


def test_a_stream_that_is_left_is_closed_in_order() -> None:
    """Leaving the loop is the usual way to end a watch. What closes it must not trip over itself at the loop's end."""
    complaints: list[dict[str, Any]] = []
    item = 'id: p1\ndata: {"type": "synced", "position": "p1"}'

    async def go(url: str) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with pharos.AsyncClient(url, "secret", timeout=30.0) as client:
            async for found in client.catalog.watch(kind="Model"):
                assert found.type == "synced"
                break

    with scripted(events(item, item, item)) as city:
        asyncio.run(go(city.url))
    assert complaints == []
