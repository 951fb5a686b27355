"""Whose limits and budgets a call meets beyond its key's: the end user and the session it names.

What a client sends is only a name: it says nothing of who sent it, and it may hold anything. It becomes part of the
names of counters, so it is made short and plain; a name that is not is known by its digest.
"""

from __future__ import annotations

import re
from contextlib import suppress
from hashlib import sha256

import orjson

USER_HEADER = b"x-pharos-user"

_PLAIN = re.compile(r"[A-Za-z0-9._@+-]{1,64}")

_SESSION_OF_USER = re.compile(r"(.+)_session_[0-9a-f-]{8,64}")
"""Coding agents name the user and the session in one word, as ``user_…_account_…_session_…``."""


def holder(name: str) -> str:
    """A client's name for an end user or a session, in at most 64 characters that need no quoting.

    The digest's mark ``:`` is in no plain name, so no two names become one. Nothing stays nothing.
    """
    if not name or _PLAIN.fullmatch(name):
        return name
    return f"sha256:{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:48]}"


def end_user(header: str, named: str) -> str:
    """The end user of a call: the header ``x-pharos-user``, which an application sets, before what the dialect's own
    field (``user``, ``safety_identifier``, ``metadata.user_id``) names.

    A user who begins another session is still the same user, so the part that coding agents put in for the session is
    left out.
    """
    if header:
        return holder(header)
    if "session" in named:
        named = _without_session(named)
    return holder(named)


def _without_session(named: str) -> str:
    if found := _SESSION_OF_USER.fullmatch(named):
        return found[1]
    if named.startswith("{"):
        with suppress(orjson.JSONDecodeError, orjson.JSONEncodeError):
            parts = orjson.loads(named)
            if isinstance(parts, dict):
                parts.pop("session_id", None)
                return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS).decode()
    return named
