"""The same result however a text is cut; what was masked comes back; time grows with the text and no faster."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from itertools import pairwise

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trust.guard.samples import BROKEN, TRUE
from tests.trust.guard.scanning import ANSWER, EVERY, cut, scanner, through, use

from pharos.trust.guard.detector import CONTEXT, Detector
from pharos.trust.guard.findings import MAX_CANDIDATES, ScanFailed
from pharos.trust.guard.grammar import BadPattern, beginnings, longest, parse, source
from pharos.trust.guard.scanner import words
from pharos.trust.guard.text_stream import MAX_HELD
from pharos.trust.guard.vault import Vault

OWN = (
    Detector("ticket", "custom", "a ticket", r"ACME-\d{1,6}(?:-[A-Z]{2,4})?"),
    Detector("greedy", "custom", "x", r"(?i)ab{0,3}(?:c|cd|cde){1,2}\b"),
    Detector("names", "custom", "a word", words(["blue bird", "blue", "bird song", "蓝鸟"])),
)
ALL = scanner(EVERY, own=OWN)
RESTORE = scanner([], restores=True)
BOTH = scanner(EVERY, own=OWN, restores=True)

_TOUCHING = st.sampled_from(
    [sample for samples in (*TRUE.values(), *BROKEN.values()) for sample in samples]
    + [
        "ACME-123",
        "ACME-1-AB",
        "abcde",
        "ABBBCDC",
        "blue bird song",
        "蓝鸟",
        "[EMAIL_1]",
        "[EMAIL_2]",
        "\\n",
        "\\u8eab",
    ]
)
_FILL = st.text(st.sampled_from("ab1 .-@[]{}_:/\\\n\"'E中é👩\u200d"), max_size=6)
_TEXT = st.lists(_TOUCHING | _FILL, max_size=6).map("".join)
_CUTS = st.lists(st.integers(0, 400), max_size=12)


@settings(deadline=None, max_examples=120)
@given(_TEXT, _CUTS)
def test_however_a_text_is_cut(text: str, cuts: list[int]) -> None:
    whole = through(ALL, text)
    pieces = through(ALL, cut(text, cuts))
    assert (pieces.text, pieces.findings.counts) == (whole.text, whole.findings.counts)


@pytest.mark.parametrize("name", sorted(TRUE))
def test_every_split_of_every_find(name: str) -> None:
    for sample in TRUE[name]:
        text = f"it is {sample}, not more"
        whole = through(ALL, text)
        assert name in whole.found
        for at in range(len(text)):
            pieces = through(ALL, [text[:at], text[at:]])
            assert (pieces.text, pieces.findings.counts) == (whole.text, whole.findings.counts)
        assert through(ALL, list(text)).text == whole.text


@settings(deadline=None, max_examples=80)
@given(_TEXT, _CUTS)
def test_what_was_masked_comes_back(text: str, cuts: list[int]) -> None:
    # Hidden characters are taken out for good: the others are put back.
    how = scanner_without_strip()
    masked = through(how, text, vault=Vault(lambda cover: cover in text.encode()))
    back = through(RESTORE, cut(masked.text, cuts), place=ANSWER, vault=masked.vault)
    assert back.text == text


def scanner_without_strip() -> object:
    global _PLAIN
    if _PLAIN is None:
        _PLAIN = scanner(["pii", "credentials", "injection"], own=OWN)
    return _PLAIN


_PLAIN: object = None


@pytest.mark.parametrize("cover", ["[EMAIL_1]", "[CARD_1]", "[CARD_12]"])
def test_every_split_of_a_placeholder(cover: str) -> None:
    vault = Vault()
    vault.cover("EMAIL", b"bob@example.com", restorable=True)
    for number in range(12):
        vault.cover("CARD", b"4111111111111%03d" % number, restorable=True)
    text = f"write to {cover}, or [EMAIL_9] or [{cover}] or [EMAIL"
    expected = text.replace(cover, vault.value(cover.encode()).decode())
    for at in range(len(text)):
        for end in range(at, len(text)):
            assert through(RESTORE, [text[:at], text[at:end], text[end:]], place=ANSWER, vault=vault).text == expected


@settings(deadline=None, max_examples=80)
@given(_TEXT, _CUTS, st.booleans())
def test_inside_json_however_it_is_cut(text: str, cuts: list[int], ascii_only: bool) -> None:
    raw = json.dumps({"a": text, "b": [1, text, None, {"c é": True}]}, ensure_ascii=ascii_only)
    whole = through(ALL, raw, json=True)
    pieces = through(ALL, cut(raw, cuts), json=True)
    assert (pieces.text, pieces.findings.counts) == (whole.text, whole.findings.counts)
    expected = through(ALL, text, vault=whole.vault).text
    assert json.loads(whole.text)["a"] == expected
    if expected == text:
        assert whole.text == raw  # every byte


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=30), _CUTS)
def test_what_comes_back_into_json_is_escaped(value: str, cuts: list[int]) -> None:
    vault = Vault()
    cover = vault.cover("NOTE", value.encode(errors="ignore"), restorable=True).decode()
    raw = json.dumps({"text": f'say "{cover}" \\ now', "list": [cover, 5]})
    back = through(RESTORE, cut(raw, cuts), place=ANSWER, vault=vault, json=True, bare=True).text
    value = value.encode(errors="ignore").decode()
    assert json.loads(back) == {"text": f'say "{value}" \\ now', "list": [value, 5]}


def test_numbers_in_json_become_strings() -> None:
    raw = '{"card": 4111111111111111, "n": 12345678, "f": 1.5e10}'
    for at in range(len(raw)):
        text = through(ALL, [raw[:at], raw[at:]], json=True, bare=True).text
        assert text == '{"card": "[CARD_1]", "n": 12345678, "f": 1.5e10}'
    assert through(ALL, raw, json=True).text == raw


def test_json_that_is_cut_off_or_none_at_all() -> None:
    assert through(ALL, '{"to": "bob@example.com', json=True).text == '{"to": "[EMAIL_1]'
    assert through(ALL, '{"to": "x\\', json=True).text == '{"to": "x\\'
    assert through(ALL, '{"to": "x\\u00', json=True).text == '{"to": "x\\u00'
    assert through(ALL, "bob@example.com", json=True, bare=True).text == '"[EMAIL_1]"'


def test_escapes_hide_nothing() -> None:
    assert json.loads(through(ALL, r'"bob\u0040example.com"', json=True).text) == "[EMAIL_1]"
    assert through(ALL, r'"caf\u00e9 \ud83d\ude00 \/ bob@example.com \ud83d"', json=True).text == (
        r'"caf\u00e9 \ud83d\ude00 \/ [EMAIL_1] \ud83d"'
    )


def test_of_prose_nothing_is_held_back() -> None:
    """A stream of ordinary words leaves as it comes: at most the last of them waits, while it could become a find."""
    from pharos.trust.guard.findings import Findings
    from pharos.trust.guard.text_stream import Rewriter, TextStream

    how = scanner(["pii", "credentials", "unicode"], restores=True)
    rewriter = Rewriter(TextStream(how, ANSWER, Findings(), Vault()))
    prose = "Everything that happened is an event, and every part of the city either decides or projects. " * 5
    for word in prose.split(" "):
        rewriter.feed(f"{word} ".encode())
        assert rewriter.held <= len(word) + 1


def test_same_value_same_placeholder_and_a_literal_one_is_never_given_away() -> None:
    how = scanner(["email"])
    text = "a@example.com b@example.com a@example.com"
    assert through(how, text).text == "[EMAIL_1] [EMAIL_2] [EMAIL_1]"
    literal = "[EMAIL_1] is mine; a@example.com"
    assert through(how, literal, vault=Vault(lambda c: c in literal.encode())).text == "[EMAIL_1] is mine; [EMAIL_2]"


def test_what_the_model_made_up_does_not_come_back() -> None:
    vault = Vault()
    masked = through(BOTH, "mine is eve@example.com. [EMAIL_1]", place=ANSWER, vault=vault)
    assert masked.text == "mine is [EMAIL_1]. [EMAIL_1]"


def test_flag_and_shadow_change_nothing() -> None:
    for how in (use("flag"), use("mask", shadow=True), use("block", shadow=True)):
        result = through(scanner(["email"], how), "a@example.com")
        assert result.text == "a@example.com"
        assert result.found == ["email"]
        assert not result.findings.blocked


def test_a_block_is_taken_down_and_never_passes() -> None:
    result = through(scanner(["email"], use("block")), "a@example.com")
    assert [finding.detector for finding in result.findings.blocked] == ["email"]
    assert "example" not in result.text


def test_more_candidates_than_can_be_judged() -> None:
    with pytest.raises(ScanFailed, match="candidates"):
        through(ALL, "a@b.cd " * (MAX_CANDIDATES + 1))


def test_a_broken_detector_fails_the_examination() -> None:
    def broken(text: bytes, start: int, end: int) -> None:
        raise ZeroDivisionError(text)

    how = scanner([], own=[Detector("broken", "custom", "x", "abc", check=broken)])
    with pytest.raises(ScanFailed, match=r"broken \(ZeroDivisionError\)") as caught:
        through(how, "secret abc")
    assert "secret" not in str(caught.value)


def test_a_private_key_without_an_end_is_not_held_for_ever() -> None:
    head = TRUE["private-key"][0][:40]
    with pytest.raises(ScanFailed, match=str(MAX_HELD)):
        through(ALL, [head, *["QUJD" * 16] * (MAX_HELD // 64 + 1)])
    masked = through(ALL, [head, "QUJD" * 16]).text
    assert masked == "[PRIVATE_KEY_1]"


@pytest.mark.parametrize(
    "text",
    [
        "a" * 64,
        "1 " * 32,
        "4111-" * 13,
        "a.b@" * 16,
        "eyJ" * 21,
        "x:" * 32,
        "((((" * 16,
        "AKIA" * 16,
        "忽略" * 21,
        "[A_1" * 16,
    ],
)
def test_time_is_linear(text: str) -> None:
    """Eight times the text takes about eight times as long, of whatever it is made; far from sixty-four times."""

    def best(size: int) -> float:
        long = text * size
        times = []
        for _ in range(3):
            start = time.process_time()
            with suppress(ScanFailed):
                through(ALL, long)
            times.append(time.process_time() - start)
        return min(times)

    small, large = best(40), best(320)
    assert large < small * 24 + 0.02


# The grammar itself.

_PATTERNS = [
    "abc",
    "a|bc|",
    "(?i)ab?c{2,3}",
    "[a-c]{1,2}x|y",
    r"\bfoo(?:ba[rz]){1,2}\b",
    "(?:a(?:b|c){0,2}){1,2}d",
    "a+?b*c",
]


@pytest.mark.parametrize("pattern", [*_PATTERNS, *(d.pattern for d in OWN)])
def test_source_says_the_same(pattern: str) -> None:
    again = source(parse(pattern))
    texts = [
        "",
        "abc",
        "xABcc",
        "bc y",
        "foobar foobazbar",
        "abcbd",
        "acd",
        "aab",
        "blue bird",
        "ABBBCDC ab",
        "ACME-1-AB",
    ]
    for text in texts:
        assert _span(pattern, text) == _span(again, text)


def _span(pattern: str, text: str) -> object:
    found = re2.search(pattern, text)
    return None if found is None else found.span()


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("abc", ["abc"]),
        ("(?i)ab?c{2,3}", ["abcc", "ACCC"]),
        (r"\bfoo(?:ba[rz]){1,2}\b", ["foobar", "foobarbaz"]),
        ("(?:a(?:b|c){0,2}){1,2}d", ["ad", "abcd", "abcacbd"]),
        (r"ACME-\d{1,6}(?:-[A-Z]{2,4})?", ["ACME-123-ABCD"]),
        (r"x(?:yz|yw){2}v", ["xyzywv"]),
    ],
)
def test_every_beginning_of_a_match_is_one(pattern: str, texts: list[str]) -> None:
    started = re2.compile(rf"(?:{beginnings(parse(pattern), counted=True)})\z")
    loose = re2.compile(rf"(?:{beginnings(parse(pattern), counted=False)})\z")
    for text in texts:
        for end in range(1, len(text) + 1):
            assert started.match(text[:end]), text[:end]
            assert loose.match(text[:end]), text[:end]
        for first, _ in pairwise(range(len(text))):
            assert not started.match("#" + text[:first] + "#")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?=a)b", "looks ahead"),
        ("(?<!a)b", "looks ahead"),
        ("a)", r"\)"),
        ("(a", r"\("),
        ("[a", r"\["),
        ("*a", "nothing"),
        (r"(a)\1", "escape"),
        ("a(?i)b", "flag"),
        ("(?m)a", "flag"),
        ("a{3,2}", "wrong way"),
        ("a**", "in a row"),
        ("\\", "backslash"),
    ],
)
def test_patterns_that_cannot_be_used(pattern: str, why: str) -> None:
    with pytest.raises(BadPattern, match=why):
        parse(pattern)


def test_bounds() -> None:
    assert longest(parse("a{2,5}(?:bc|d)")) == 7
    assert longest(parse("a+")) is None
    assert CONTEXT >= 64
