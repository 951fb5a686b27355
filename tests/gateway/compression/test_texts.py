"""Invariants of compressing a text: whatever it is, it can be had back byte for byte, and is never larger."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharos.gateway.models.compression.jsontext import minified, parsed, tabled
from pharos.gateway.models.compression.logs import foldable
from pharos.gateway.models.compression.reference import KEYS, Piece
from pharos.gateway.models.compression.repeats import Seen
from pharos.gateway.models.compression.spec import CompressionSpec, Method
from pharos.gateway.models.compression.texts import Smaller, compressed

ALL = frozenset(CompressionSpec().methods)
LEAST = 64


def free(_: Piece) -> bool:
    return True


def press(texts: list[str], methods: frozenset[Method] = ALL, least: int = LEAST) -> list[Smaller | str]:
    """Each text of a conversation, compressed."""
    seen = Seen()
    results: list[Smaller | str] = []
    for text in texts:
        result = compressed(text, seen, methods, least, free)
        if isinstance(result, Smaller):
            seen.add(result.text, text)
        else:
            seen.add(text)
        results.append(result)
    return results


def rows_read(value: Any) -> Any:
    """JSON in which lists of objects are rows, as it was meant."""
    if isinstance(value, dict):
        if KEYS in value:
            return [dict(zip(value[KEYS], map(rows_read, row), strict=True)) for row in value["rows"]]
        return {key: rows_read(member) for key, member in value.items()}
    return [rows_read(item) for item in value] if isinstance(value, list) else value


def exact(text: str) -> Any:
    """JSON with its numbers as they are."""
    return json.loads(text, parse_float=Decimal)


# Texts as they come: JSON with white space, tables, logs, blocks that come again, and anything at all.

words = st.text(st.characters(codec="utf-8"), max_size=40)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), words)
values = st.recursive(scalars, lambda v: st.lists(v, max_size=6) | st.dictionaries(words, v, max_size=6), max_leaves=40)
tables = st.lists(words, min_size=1, max_size=5, unique=True).flatmap(
    lambda keys: st.lists(st.fixed_dictionaries(dict.fromkeys(keys, scalars)), min_size=3, max_size=25)
)
documents = st.one_of(values, tables, st.dictionaries(words, tables, max_size=3)).flatmap(
    lambda value: st.builds(
        lambda indent, ascii: json.dumps(value, indent=indent, ensure_ascii=ascii),
        st.sampled_from([None, 1, 4, "\t"]),
        st.booleans(),
    )
)
log_lines = st.builds(
    lambda kind, a, b: [
        f"2026-11-21T10:{a % 60:02}:{b % 60:02}.{a:03}Z GET /items/{b} 200 {a}ms",
        f"{a:08x}-0000-4000-8000-{b:012x} worker {a % 7} took 0x{b:x}",
        f"ERROR could not reach {a}:{b}",
        "the same line each time, with a little more to it",
    ][kind],
    st.integers(0, 3),
    st.integers(0, 999),
    st.integers(0, 10_000),
)
logs = st.lists(st.tuples(log_lines, st.integers(1, 20)), max_size=12).map(
    lambda parts: "\n".join(line for line, count in parts for _ in range(count))
)
blocks = st.lists(
    st.sampled_from([f"    line {n} of a file that is read again and again" for n in range(30)]), max_size=60
)
texts = st.one_of(documents, logs, blocks.map("\n".join), st.text(st.characters(codec="utf-8"), max_size=300))
conversations = st.lists(texts, max_size=6).flatmap(
    lambda said: st.lists(st.sampled_from([*said, "x", *(f"{a}\n{b}" for a in said for b in said)]), max_size=8)
)


@settings(max_examples=100, deadline=None)
@given(conversations)
def test_what_is_compressed_can_be_had_back_byte_for_byte(said: list[str]) -> None:
    kept: dict[str, str] = {}
    for text, result in zip(said, press(said), strict=True):
        if isinstance(result, Smaller):
            kept.update({piece.ref: piece.text for piece in result.pieces})
            assert result.restored(kept.get) == text
            assert len(text.encode()) - len(result.text.encode()) >= LEAST


@settings(max_examples=80, deadline=None)
@given(conversations)
def test_what_is_compressed_is_not_compressed_again(said: list[str]) -> None:
    once = [
        result.text if isinstance(result, Smaller) else text for text, result in zip(said, press(said), strict=True)
    ]
    assert [result for result in press(once) if isinstance(result, Smaller)] == []


@settings(max_examples=80, deadline=None)
@given(conversations, texts)
def test_a_conversation_that_grows_keeps_its_beginning(said: list[str], more: str) -> None:
    assert press([*said, more])[: len(said)] == press(said)


@settings(max_examples=100, deadline=None)
@given(documents)
def test_json_keeps_its_meaning(text: str) -> None:
    value = parsed(text)
    if value is None:
        assert not isinstance(json.loads(text), dict | list)
        return
    small = minified(text)
    assert exact(small) == exact(text)
    assert len(small) <= len(text)
    assert minified(small) == small
    rows = tabled(text, value)
    if rows is not None:
        assert rows_read(exact(rows)) == exact(text)


@pytest.mark.parametrize(
    "text",
    [
        '{ "n": 1.0, "m": 1e5, "big": 123456789012345678901234567890, "s": "a  b\\n \\" }" }',
        '[ {"a": 1, "a": 2} ,\n {"a": 3, "a": 4}, {"a": 5, "a": 6} ]',
        '{"x": "\\ud83d\\ude00 \\u00e9 \\\\"}',
    ],
)
def test_json_keeps_its_spelling(text: str) -> None:
    value = parsed(text)
    assert value is not None
    pairs = {"object_pairs_hook": list, "parse_int": str, "parse_float": str}
    assert json.loads(minified(text), **pairs) == json.loads(text, **pairs)
    assert (rows := tabled(text, value)) is None or "1e5" in rows


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a": NaN}',
        "[1, 2",
        '"text"',
        "17",
        '[{"pharos:keys":["a"],"rows":[[1]]}]',
        '[{"\\u0070haros:keys":1},{"\\u0070haros:keys":2},{"\\u0070haros:keys":3}]',
        '[{"a":"\\ud800"},{"a":"\\ud800"},{"a":"\\ud800"}]',
    ],
    ids=["deep", "nan", "cut", "string", "number", "ours", "ours, escaped", "half a pair"],
)
def test_what_cannot_be_a_table_is_none(text: str) -> None:
    value = parsed(text)
    assert value is None or tabled(text, value) is None


def test_uniform_objects_say_their_keys_once() -> None:
    items = [{"id": n, "name": f"thing {n}", "tags": [{"k": 1}] * 2} for n in range(40)]
    text = json.dumps({"total": 40, "items": items}, indent=2)
    [result] = press([text])
    assert isinstance(result, Smaller)
    assert result.method == "tables"
    head, _, body = result.text.partition("\n")
    assert head.startswith("[pharos:ref ")
    assert body.count('"name"') == 1
    assert rows_read(json.loads(body)) == json.loads(text)


def request_log(count: int = 60) -> list[str]:
    return [
        f"2026-11-21T10:{n // 60:02}:{n % 60:02}Z GET /items/{n} 200 {20 + n * 7 % 9}.5ms req-{n * 7919:016x}"
        for n in range(count)
    ]


def test_lines_that_differ_only_in_numbers_are_folded_and_outliers_stay() -> None:
    lines = request_log()
    lines[20] = lines[20].replace(" 200 ", " 503 ")
    lines[33] = lines[33].replace("ms", "").replace(lines[33].split()[4], "30000.5ms")
    lines[41] = "2026-11-21T10:00:41Z ERROR upstream said no to /items/41"
    [result] = press(["\n".join(lines)])
    assert isinstance(result, Smaller)
    assert result.method == "logs"
    left = result.text.split("\n")
    for index in (0, 20, 33, 40, 41, 42, 59):
        assert lines[index] in left
    assert len(left) < 25
    assert "lines left out that are like those around]" in result.text


def test_few_lines_and_lines_of_trouble_are_not_folded() -> None:
    assert foldable([]) == []
    assert foldable(request_log(5)) == []
    assert foldable(["connection 1 refused"] * 50) == []
    assert foldable(["x" * 3000] * 50) == []


def test_a_file_that_is_read_again_is_told_by_reference() -> None:
    source = "\n".join(f"def function_{n}(argument): return argument + {n} * constant_{n * 31 % 97}" for n in range(60))
    changed = source.replace("function_30(", "renamed_30(")
    first, second, third = press([source, source, changed], frozenset({"repeats"}))
    assert first == "nothingToSave"
    assert isinstance(second, Smaller)
    assert second.text.count("\n") == 0
    assert isinstance(third, Smaller)
    assert "renamed_30(" in third.text
    assert len(third.pieces) == 2
    assert third.text.count("\n") == 2


def test_a_text_with_a_reference_is_left() -> None:
    lines = "\n".join(["[pharos:ref 0123456789abcdef 40 lines]", *request_log()])
    assert press([lines]) == ["reference"]


@pytest.mark.parametrize(
    "line",
    ["a", "0123456789abcdef", "0x", "10:10:1", "9", '"\\', "2026-11-21T", "{", "f" * 40, "error "],
)
@pytest.mark.parametrize("end", ["\n", ""])
def test_time_grows_with_length_and_no_faster(line: str, end: str) -> None:
    def spent(count: int) -> float:
        text = (line + end) * count
        best = 1e9
        for _ in range(2):
            begin = time.process_time()
            press([text, text + "x", f'["{text}"]', '"' + text])
            best = min(best, time.process_time() - begin)
        return best

    # Eight times the length: a square would take 64 times as long.
    assert spent(4_000) < 30 * max(spent(500), 0.002)
