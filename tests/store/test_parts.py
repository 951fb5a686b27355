"""The small parts of the writer, alone: the journal, the hand-off, statements of many rows, positions."""

from __future__ import annotations

import threading

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pharos.core.fault import Fault
from pharos.store.sqlite.codec import MAX_INTEGER, from_position, to_position
from pharos.store.sqlite.handoff import Handoff
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.statements import insert

steps = st.lists(st.tuples(st.sampled_from(["put", "drop", "add"]), st.integers(0, 5), st.integers()), max_size=30)


@given(steps, steps)
def test_the_journal_undoes_to_any_mark(first: list[tuple[str, int, int]], second: list[tuple[str, int, int]]) -> None:
    journal = Journal()
    mapping: dict[int, int] = {}
    items: list[int] = []

    def run(changes: list[tuple[str, int, int]]) -> None:
        for what, key, value in changes:
            if what == "put":
                journal.put(mapping, key, value)
            elif what == "add":
                journal.add(items, value)
            elif key in mapping:
                journal.drop(mapping, key)

    run(first)
    then = dict(mapping), list(items)
    mark = journal.mark()
    run(second)
    journal.undo(mark)
    assert (mapping, items) == then
    run(second)
    journal.undo()
    assert (mapping, items) == ({}, [])


def test_the_handoff_loses_nothing_and_keeps_each_producers_order() -> None:
    handoff: Handoff[tuple[int, int] | None] = Handoff()
    producers, each = 4, 3000
    taken: list[tuple[int, int]] = []

    def consume() -> None:
        while True:
            items = handoff.take(64)
            assert 0 < len(items) <= 64
            for item in items:
                if item is None:
                    return
                taken.append(item)

    def produce(producer: int) -> None:
        for n in range(each):
            handoff.put((producer, n))
            handoff.wake()

    consumer = threading.Thread(target=consume)
    consumer.start()
    threads = [threading.Thread(target=produce, args=(p,)) for p in range(producers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handoff.put(None)
    handoff.wake()
    consumer.join(20)
    assert not consumer.is_alive()
    assert handoff.close() == []
    for producer in range(producers):
        assert [n for p, n in taken if p == producer] == list(range(each))


@given(st.integers(1, 1100))
def test_many_rows_in_few_statements(count: int) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT) STRICT")
    statements = list(insert("INSERT INTO t", [(n, str(n)) for n in range(count)]))
    for sql, bindings in statements:
        connection.execute(sql, bindings)
    assert connection.execute("SELECT a, b FROM t").fetchall() == [(n, str(n)) for n in range(count)]
    assert len(statements) <= 8 + count // 256


@given(st.integers(0, MAX_INTEGER), st.integers(0, MAX_INTEGER))
def test_positions_sort_as_their_numbers(a: int, b: int) -> None:
    assert (to_position(a) < to_position(b)) == (a < b)
    assert from_position(to_position(a)) == a


@given(st.text())
def test_any_text_is_a_position_or_invalid(text: str) -> None:
    try:
        number = from_position(text)
    except Fault as fault:
        assert fault.code == "INVALID"
    else:
        assert 0 <= number <= MAX_INTEGER


@pytest.mark.parametrize("text", ["7FFFFFFFFFFFFFFF", "00000000000000_1", " 000000000000001", "+000000000000001"])
def test_other_spellings_of_a_number_are_no_positions(text: str) -> None:
    with pytest.raises(Fault):
        from_position(text)
