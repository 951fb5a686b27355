"""Reading a provider's refusal: what every dialect has in common.

The text of a refusal is data that somebody else wrote. It is bounded, stripped of control characters and of markup, and
never interpreted beyond the fixed codes of the dialects.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime

import orjson

from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.canonical import FailureClass

MAX_MESSAGE = 2_000
"""Characters of a provider's message that are kept."""
MAX_RETRY_AFTER = 86_400.0
"""Seconds: a provider that names a longer wait is taken to mean a day."""

_TAG = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")


def by_status(status: int) -> FailureClass:
    """What an HTTP status means where the body says nothing better."""
    match status:
        case 401 | 403:
            return FailureClass.AUTHENTICATION
        case 402:
            return FailureClass.QUOTA
        case 404:
            return FailureClass.NOT_FOUND
        case 408 | 504:
            return FailureClass.TIMEOUT
        case 429:
            return FailureClass.RATE_LIMITED
        case 503 | 529:
            return FailureClass.OVERLOADED
        case _ if 400 <= status < 500:
            return FailureClass.INVALID
        case _ if status >= 500:
            return FailureClass.SERVER
        case _:
            return FailureClass.PROTOCOL


def retry_after(headers: Sequence[tuple[str, str]]) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``retry-after`` (RFC 9110, section 10.2.3).

    A date is read against the response's own ``date``, so that no clock of ours is involved.
    """
    named = {name.lower(): value.strip() for name, value in headers}
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(named.get(name, "")) * scale
        except ValueError:
            continue
        if math.isfinite(seconds):
            return min(max(seconds, 0.0), MAX_RETRY_AFTER)
    until, now = _date(named.get("retry-after", "")), _date(named.get("date", ""))
    if until is None or now is None:
        return None
    try:
        return min(max((until - now).total_seconds(), 0.0), MAX_RETRY_AFTER)
    except TypeError:  # one of them names no time zone
        return None


def readable(text: str) -> str:
    """A provider's text, bounded, on one line and without markup."""
    text = text[: MAX_MESSAGE * 2]
    head = text[:256].lstrip().lower()
    if head.startswith(("<!doctype", "<html", "<head", "<body")):
        title = _TITLE.search(text)
        text = title.group(1) if title else _TAG.sub(" ", text)
    text = _CONTROL.sub(" ", text).strip()
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 1]}…"


def parsed(body: bytes) -> JsonObject | None:
    """The body as a JSON object, ``None`` if it is none."""
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def written(holder: JsonObject) -> str:
    """An error object without a message, as text."""
    try:
        return readable(orjson.dumps(holder).decode()) if holder else ""
    except TypeError:  # nested deeper than can be written
        return ""


def plain(body: bytes) -> str:
    """The text of a body that is not what the dialect defines."""
    return readable(body[: MAX_MESSAGE * 4].decode("utf-8", "replace"))


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError, IndexError):
        return None
