"""What was left out is kept for its time, for its caller, and within its bounds."""

from __future__ import annotations

from pharos.gateway.models.compression.originals import Originals
from pharos.gateway.models.compression.reference import Piece, ref_of


def piece(text: str) -> Piece:
    return Piece(ref_of(text), text)


def test_a_text_is_its_caller_s_alone_and_ends() -> None:
    kept = Originals()
    one = piece("hello\r\n\x00世")
    assert kept.keep("a", [one], ttl=10, most=10_000, now=0)
    assert kept.get("a", one.ref, 9) == one.text
    assert kept.get("b", one.ref, 9) is None
    assert kept.get("a", one.ref, 10) is None
    assert kept.keep("a", [one], ttl=10, most=10_000, now=5)
    assert kept.get("a", one.ref, 14) == one.text
    kept.sweep(14)
    assert len(kept) == 1
    kept.sweep(15)
    assert (len(kept), kept.held) == (0, 0)


def test_the_least_recently_used_goes_first() -> None:
    kept = Originals()
    pieces = [piece(f"text {n}") for n in range(10)]
    for now, each in enumerate(pieces):
        assert kept.keep("a", [each], ttl=100, most=3_000, now=now)
    assert [each for each in pieces if kept.get("a", each.ref, 20)] == pieces[-5:]
    assert kept.held <= 3_000
    kept.keep("a", [pieces[5]], ttl=7, most=3_000, now=11)
    kept.keep("a", [piece("one more")], ttl=100, most=3_000, now=12)
    assert kept.get("a", pieces[5].ref, 13)
    assert not kept.get("a", pieces[6].ref, 13)


def test_the_bound_of_the_city_holds_over_all_callers_and_times() -> None:
    kept = Originals(most_bytes=5_000)
    for n in range(100):
        assert kept.keep(f"caller {n % 7}", [piece(f"text {n}")], ttl=10 + n % 3, most=4_000, now=n)
        assert kept.held <= 5_000
    assert kept.get("caller 1", ref_of("text 99"), 100)
    for n in range(7):
        kept.forget(f"caller {n}")
    assert (len(kept), kept.held) == (0, 0)


def test_all_or_nothing_is_kept_and_no_reference_means_two_texts() -> None:
    kept = Originals()
    assert not kept.keep("a", [piece(str(n)) for n in range(10)], ttl=1, most=2_000, now=0)
    assert len(kept) == 0
    kept.keep("a", [piece("one")], ttl=1, most=2_000, now=0)
    assert kept.free("a", piece("one"))
    assert not kept.free("a", Piece(ref_of("one"), "two"))
    assert kept.free("b", Piece(ref_of("one"), "two"))
