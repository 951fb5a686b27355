"""Names of topics, groups and schedules, and where they stand in the log.

Users' topics have a part of the log of their own: ``topics/<namespace>/<name>``, and answers to requests
``replies/<namespace>/<id>``. A namespace has no slash and a name's parts never begin with a dot, so no name reaches out
of its namespace, whatever it is made of. What has no valid name (an id with spaces, in another script) gets one by
:func:`escape`, reversibly.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field, StringConstraints

TOPICS: Final = "topics/"
REPLIES: Final = "replies/"
CRON: Final = "cron/"
STREAMS: Final = "streams/"
"""The city's own topics of pieces of answers, one for each session that had some."""

SCHEDULES: Final = "schedules/"
"""The city's own topics of runs that were left out, one for each schedule that had some."""

LONGEST: Final = 200
"""Characters of a topic's name."""

_PART = r"[A-Za-z0-9_~:@=+-][A-Za-z0-9._~:@=+-]*"
_NAME = rf"{_PART}(?:/{_PART})*"
_IS_NAME = re.compile(_NAME)
_IS_PATTERN = re.compile(rf"\*|{_NAME}(?:/\*)?")
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:@+-")
_ESCAPED = re.compile(r"=([0-9A-F]{2})")


def escape(text: str) -> str:
    """A part of a name for any text: what may not stand in a name becomes ``=XX`` for each byte of its UTF-8 form.

    Different texts have different names. Raises ``ValueError`` for the empty text, which has none.
    """
    if not text:
        raise ValueError("the empty text has no name")
    escaped = "".join(
        character if character in _PLAIN else "".join(f"={byte:02X}" for byte in character.encode())
        for character in text
    )
    return f"=2E{escaped[1:]}" if escaped[0] == "." else escaped


def unescape(part: str) -> str:
    """The inverse of :func:`escape`. Raises ``ValueError`` for what it never made."""
    raw = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), part)
    text = raw.encode("latin-1").decode()
    if escape(text) != part:
        raise ValueError(f"{part[:LONGEST]!r} is not an escaped text")
    return text


def _checked_name(name: str) -> str:
    if _IS_NAME.fullmatch(name) is None:
        raise ValueError(_advice(name, "a topic's name has parts of letters, digits and ._~:@=+- between slashes"))
    return name


def _checked_pattern(pattern: str) -> str:
    if _IS_PATTERN.fullmatch(pattern) is None:
        raise ValueError(_advice(pattern, "give a topic's name, a name and /* for all below it, or * for all"))
    return pattern


def _advice(text: str, rule: str) -> str:
    parts = [escape(part) for part in text.split("/") if part]
    meant = "/".join(parts)
    return f"{rule}; {meant!r} would be one" if meant and len(meant) <= LONGEST else rule


TopicName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST),
    AfterValidator(_checked_name),
    Field(json_schema_extra={"pattern": f"^{_NAME}$"}),
]
"""Parts of ASCII letters, digits and ``._~:@=+-`` between slashes; none begins with a dot; at most 200 characters."""

TopicPattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST),
    AfterValidator(_checked_pattern),
    Field(json_schema_extra={"pattern": rf"^(\*|{_NAME}(/\*)?)$"}),
]
"""A topic's name (``orders``), all topics below one (``orders/*``), or all of the namespace (``*``)."""


class Place(NamedTuple):
    """A user's topic."""

    namespace: str
    name: str

    @property
    def topic(self) -> str:
        """Its name in the log."""
        first, slash, rest = self.name.partition("/")
        if slash and first == "replies":
            return f"{REPLIES}{self.namespace}/{rest}"
        return f"{TOPICS}{self.namespace}/{self.name}"


def place_of(topic: str) -> Place | None:
    """The user's topic behind a name of the log; ``None`` for a topic of the city."""
    root, _, rest = topic.partition("/")
    namespace, slash, name = rest.partition("/")
    if not slash or root not in ("topics", "replies"):
        return None
    return Place(namespace, f"replies/{name}" if root == "replies" else name)


def is_reply(name: str) -> bool:
    """Whether a name is one of those that only answers go to."""
    return name.startswith(REPLIES)


class Reach(NamedTuple):
    """What a pattern means in the log: names that begin with ``prefix``, or, if ``exact``, that one name."""

    prefix: str
    exact: bool

    def has(self, topic: str) -> bool:
        """Whether a topic of the log is meant."""
        return topic == self.prefix if self.exact else topic.startswith(self.prefix)


def reach_of(namespace: str, pattern: str) -> Reach:
    """The reach of a pattern in a namespace."""
    if pattern == "*":
        return Reach(f"{TOPICS}{namespace}/", exact=False)
    if pattern.endswith("/*"):
        return Reach(f"{TOPICS}{namespace}/{pattern[:-1]}", exact=False)
    return Reach(f"{TOPICS}{namespace}/{pattern}", exact=True)


def pattern_of(namespace: str, prefix: str, exact: bool) -> str:
    """The inverse of :func:`reach_of`."""
    rest = prefix.removeprefix(f"{TOPICS}{namespace}/")
    return rest if exact else f"{rest}*"


def group_of(namespace: str, name: str) -> str:
    """A user's group, by the name the store knows it by."""
    return f"{TOPICS}{namespace}/{name}"


def later_of(namespace: str, id: str) -> str:
    """A user's delayed message, by the id the store knows it by."""
    return f"{TOPICS}{namespace}/{id}"


def cron_of(namespace: str, name: str) -> str:
    """What a ``Schedule`` resource has in the store."""
    return f"{CRON}{namespace}/{name}"
