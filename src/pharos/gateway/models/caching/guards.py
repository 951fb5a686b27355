"""What vectors do not see: two questions that differ in a number, a negation or a name ask for different things,
however close their vectors are.

The guards are one-sided on purpose. A veto too many costs a call to the provider, one too few gives a wrong answer.
They know the words of several languages; for scripts without spaces or capitals, pairs of characters stand for words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Set
from typing import Literal, NamedTuple

Veto = Literal["", "numbers", "negation", "names", "words"]

_NUMBER = re.compile(r"[$€£¥₹]?\d+(?:[.,:/-]\d+)*%?")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)*")
_UNBROKEN = re.compile(r"""[^\s"'`“”«»„]+""")
_JOINT = re.compile(r"[\w)][_./@\\#:+=]")
_RUN = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")
_QUOTED = re.compile(r"[\"“„«「『《`]([^\"”“»」』》`]{1,200})[\"”“»」』》`]|(?<!\w)'([^']{1,200})'(?!\w)")
_NEAR = 256
"""Characters before a word that are looked at for the end of a sentence."""
_SENTENCE_END = frozenset(".!?\n:;。！？")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_HAN_NUMBER = re.compile(r"[零〇一二两三四五六七八九十百千万亿半几]+")
_HAN_NEGATION = re.compile(r"[不没無无非未勿别莫否]|ない|ません|なく")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NUMBER_WORDS = _set("""
    zero one two three four five six seven eight nine ten eleven twelve thirteen fifteen twenty thirty forty fifty
    sixty seventy eighty ninety hundred thousand million billion dozen half quarter double triple twice thrice first
    second third fourth fifth last next previous ein eins zwei drei vier fünf sechs sieben acht neun zehn un deux trois
    quatre cinq sept huit neuf dix uno dos tres cuatro cinco seis siete ocho nueve diez
""")
_NEGATIONS = _set("""
    no not never none nobody nothing nowhere neither nor without cannot except unless exclude excluding avoid stop
    nicht kein keine keinen nie niemals ohne außer ne pas jamais aucun aucune sans sauf non nunca jamás sin ningún
    ninguna nada nao não nem sem нет не ни никогда без
""")
_FUNCTION = _set("""
    a an the this that these those i me my mine we us our you your he she it its they them their who what which when
    where why how is are was were be been being am do does did doing done have has had having can could may might must
    shall should will would of in on at by for with to from into about as and or but if then so than too very just also
    please kindly tell explain describe show give say let know want need like get there here hi hello hey thanks thank
    dear ok okay some any s t re ve ll d m der die das den dem ein eine einen ist sind war ich du er sie es wir ihr und
    oder aber wenn wie was wer wo warum bitte mir mich dir zu von mit für auf im am le la les des du de et ou est sont
    je tu il elle nous vous ils que qui quoi comment pourquoi où mon ma mes el los las y o es son yo él ella nosotros
    qué quién cómo dónde por para con mi tu su se
""")


class Features(NamedTuple):
    """What the guards compare of a question."""

    numbers: tuple[str, ...]
    negations: int
    names: frozenset[str]
    words: frozenset[str]
    plain: str
    """The text without case, punctuation and white space."""


def features(text: str) -> Features:
    """The features of a question."""
    text = unicodedata.normalize("NFKC", text)
    numbers = [number.strip(",.:/-") for number in _NUMBER.findall(text)]
    numbers += _HAN_NUMBER.findall(text)
    negations = len(_HAN_NEGATION.findall(text))
    names = {code.lower() for code in _codes(text)}
    names |= {(first or second).strip().lower() for first, second in _QUOTED.findall(text)}
    words: set[str] = set()
    plain: list[str] = []
    for match in _WORD.finditer(text):
        token = match[0]
        word = token.lower().replace("’", "'")
        plain.append(word)
        if _UNSPACED.search(word):
            for run in _UNSPACED.findall(word):
                words |= {run[at : at + 2] for at in range(max(len(run) - 1, 1))}
            continue
        if word in _NEGATIONS or word.endswith("n't"):
            negations += 1
        elif word in _NUMBER_WORDS:
            numbers.append(word)
        elif word not in _FUNCTION and not word.isdigit():
            words.add(_stem(word))
        if token[0].isupper() and word not in _FUNCTION and (not _opens(text, match.start()) or token[1:].isupper()):
            names.add(_stem(word))
    return Features(tuple(sorted(numbers)), negations, frozenset(names), frozenset(words), " ".join(plain))


def _codes(text: str) -> Iterator[str]:
    """What is no word of a language: paths, addresses, identifiers; and words of letters and digits."""
    # Not one pattern: it would try every way to cut a long run of digits, which takes minutes for a page of them.
    for found in _UNBROKEN.finditer(text):
        whole = found[0]
        end = len(whole)
        while end and not (whole[end - 1].isalnum() or whole[end - 1] == "_"):
            end -= 1
        if _JOINT.search(whole, 0, end - 1 if end else 0):
            yield whole[:end]
        else:
            yield from (run for run in _RUN.findall(whole) if _DIGIT.search(run) and _LETTER.search(run))


def veto(one: Features, other: Features) -> Veto:
    """Which guard forbids to answer one question with the other's answer; empty if none does.

    The last guard is for names without capitals and for opposites: a text that repeats most of another's words and has
    some of its own instead (or on top) does so on purpose.
    """
    if one.numbers != other.numbers:
        return "numbers"
    if one.negations != other.negations:
        return "negation"
    if one.names != other.names:
        return "names"
    if one.plain == other.plain:
        return ""
    return "words" if _varied(one.words, other.words) else ""


def _varied(one: Set[str], other: Set[str]) -> bool:
    common = len(one & other)
    apart = max(len(one - other), len(other - one))
    return 0 < apart <= common


def _opens(text: str, at: int) -> bool:
    """Whether a sentence begins here, so that a capital says nothing."""
    before = text[max(at - _NEAR, 0) : at].rstrip(" \t\"'“”«»()[]*-#>")
    return before[-1] in _SENTENCE_END if before else at <= _NEAR


def _stem(word: str) -> str:
    word = word.removesuffix("'s")
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
