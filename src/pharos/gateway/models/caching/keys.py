"""The key of a call: equal for two calls exactly if nothing that can affect their answers differs.

The body is hashed as it came. Parsing it to write it again in some canonical order would cost more than the hash and
could make two bodies one (numbers beyond 64 bits); bodies that differ in spelling only are simply two. Members that say
who asks and not what (``user``, ``metadata``) are cut out of the bytes first; what is
left still names every other member with its value, so two different requests never leave the same bytes.

Beside the body the key covers what else decides an answer: the tenant, the client's dialect and form (whole, streamed,
with usage), the output limit we set, the headers that pass to the provider or steer us, and the policy: the model, its
targets, their providers and the fallbacks, as they are declared now; and what its routing conditions read of a call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import orjson

from pharos.core.fault import INVALID
from pharos.core.wire import Json
from pharos.gateway.models.caching.varies import NOTHING, Varies
from pharos.gateway.models.dialects.splice import members
from pharos.gateway.models.spending.bounds import unpriceable

if TYPE_CHECKING:
    from hashlib import _Hash

    from pharos.gateway.models.call import Call

CONTROL = b"x-pharos-cache"
"""Request header: ``on``, ``off`` or ``refresh``. Answer header: ``hit``, ``miss``, ``coalesced`` or ``similar``."""

_OURS = b"x-pharos-"

_NEUTRAL = frozenset({CONTROL, b"x-pharos-session"})
"""Headers of ours that say nothing about the answer."""

_NO_MORE: Sequence[bytes] = ()
_NO_NAMES: Set[str] = frozenset()

_WORDS: Mapping[bytes, str] = MappingProxyType({b"": "", b"on": "on", b"off": "off", b"refresh": "refresh"})

DIGEST: Final = sha256
"""What keys are made with. Two different requests with one key are not to be found, also by someone who looks for them;
of the functions of which that holds it is the one that processors have instructions for."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a dialect's requests mean to a cache."""

    volatile: frozenset[str]
    """Top-level members that do not affect the answer."""
    harmless: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)
    """What these members may say; with anything else a call is left alone. They ask for several answers at once, whose
    whole point is to differ, or tie a call to a state kept elsewhere."""
    owned: bool = False
    """Its answers have an owner, who can go on with them by their id: see ``renewal.py``. What ``store`` asks for is
    done by the city, whoever answers; elsewhere it is the provider that is asked."""


_OPENAI = frozenset({"user", "safety_identifier", "metadata", "prompt_cache_key", "prompt_cache_retention"})

RULES: Mapping[str, Rules] = MappingProxyType(
    {
        "openai-chat": Rules(_OPENAI, {"n": (None, 1)}),
        "openai-responses": Rules(_OPENAI, {"prompt": (None,)}, owned=True),
        "anthropic": Rules(frozenset({"metadata"}), {"container": (None,)}),
        "gemini": Rules(frozenset({"labels"})),
    }
)
"""By the client's dialect. One that is not here is never cached."""


class Asked(NamedTuple):
    """A call as its cache sees it."""

    digest: bytes
    fresh: bool
    """An answer kept earlier must not be given."""
    keep: bool
    """The answer may be kept."""
    begun: _Hash | None
    """The hash before it took in the body, where the policy asks for it."""


class Policy(Protocol):
    """What the key needs to know of the model's cache."""

    @property
    def always(self) -> bool: ...
    @property
    def seed(self) -> _Hash: ...
    @property
    def similar(self) -> object:
        """Not ``None`` where :attr:`Asked.begun` is wanted."""

    @property
    def varies(self) -> Varies: ...
    def tenant(self, call: Call) -> str: ...


def asked(call: Call, policy: Policy) -> Asked | None:
    """The key of a call; ``None`` for one that is to be left alone. Raises ``INVALID`` for a wrong header."""
    dialect, body, ask = call.dialect, call.body, call.ask
    rules = RULES.get(dialect.name)
    if rules is None:
        return None
    names = call.fields
    forwarded = _as_bytes(dialect.forwarded)
    word, more = "", _NO_MORE
    if _OURS in b"\n".join(names) or not forwarded.isdisjoint(names):
        word, more = _steered(call, forwarded)
    if word == "off" or not (word or policy.always):
        return None
    store = body.get("store")
    if (store is True and not rules.owned) or _left_alone(call, rules):
        return None
    volatile: Set[str] = _NO_NAMES if rules.volatile.isdisjoint(body) else body.keys() & rules.volatile
    varies = policy.varies
    if varies is not NOTHING:
        more = [*more, *varies.of(call)]
        volatile = volatile - varies.volatile
    # All of these say where they end, so nothing can pass for something else.
    head = orjson.dumps(
        (policy.tenant(call), dialect.name, ask.model, ask.stream, ask.wants_usage, call.bounds.set_output, len(more))
    )
    digest = policy.seed.copy()
    digest.update(head + b"".join([b"%d:%b" % (len(each), each) for each in more]) if more else head)
    begun = None if policy.similar is None else digest.copy()
    if volatile:
        for piece in _lasting(call.raw, volatile):
            digest.update(piece)
    else:
        digest.update(call.raw)
    return Asked(digest.digest(), word == "refresh", store is not False or word == "on", begun)


def _steered(call: Call, forwarded: frozenset[bytes]) -> tuple[str, Sequence[bytes]]:
    """What ``x-pharos-cache`` says, and the names and values of the headers that can affect the answer."""
    control = b""
    steering: list[bytes] = []
    for name, value in call.headers:
        if name in forwarded or name.startswith(_OURS):
            if name == CONTROL:
                control = value.strip().lower()
            elif name not in _NEUTRAL:
                steering += (name, value)
    word = _WORDS.get(control)
    if word is None:
        raise INVALID("The header x-pharos-cache is on, off or refresh.", rule="cache/header")
    return word, steering


def _left_alone(call: Call, rules: Rules) -> bool:
    """Whether the answer depends on more than the request, or is more than an answer."""
    body, harmless = call.body, rules.harmless
    if not harmless.keys().isdisjoint(body) and any(body.get(name) not in said for name, said in harmless.items()):
        return True
    # What reaches out into the world (a web search) finds another one each time. It is what no price bounds, too.
    return bool(call.ask.unpriced) or call.ask.choices > 1 or bool(unpriceable(body))


def _lasting(raw: bytes, volatile: Set[str]) -> list[bytes]:
    """The body without the members ``volatile``, which it has."""
    spans = _spans(raw, volatile)
    if spans is None:
        text = raw.decode()
        cut = [(member.start, member.end) for member in members(text) if member.key in volatile]
        spans = [(len(text[:start].encode()), len(text[:end].encode())) for start, end in cut]
    pieces: list[bytes] = []
    at = 0
    for start, end in sorted(spans):
        pieces += (raw[at:start], b" ")
        at = end
    pieces.append(raw[at:])
    return pieces


# Numbers stay text, as in ``dialects/splice.py``.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, strict=False)
_COLON = re.compile(rb"[ \t\n\r]*:[ \t\n\r]*")
_NEAR = 512


def _spans(raw: bytes, names: Set[str]) -> list[tuple[int, int]] | None:
    """Where the values of top-level members stand, if it can be told at a glance."""
    if b"\\u00" in raw:  # an escape of this beginning could spell one of the names
        return None
    spans = []
    for name in names:
        start = _value_of(raw, b'"%b"' % name.encode())
        if start < 0:
            return None
        for size in (_NEAR, len(raw)):
            tail = raw[start : start + size].decode(errors="ignore")
            try:
                _, end = _DECODER.raw_decode(tail)
            except (ValueError, RecursionError):
                continue
            if end < len(tail):
                spans.append((start, start + len(tail[:end].encode())))
                break
        else:
            return None
    return spans


def _value_of(raw: bytes, key: bytes) -> int:
    """Where the value of the only member named ``key`` begins; -1 if there are several. Quotes inside a string are
    escaped, so that a quoted name before a colon is nothing but a key."""
    found = -1
    at = raw.find(key)
    while at >= 0:
        colon = _COLON.match(raw, at + len(key))
        if colon is not None:
            if found >= 0 or raw[at - 1] == 0x5C:
                return -1
            found = colon.end()
        at = raw.find(key, at + len(key))
    return found


@cache
def _as_bytes(names: frozenset[str]) -> frozenset[bytes]:
    return frozenset(name.encode("latin-1") for name in names)
