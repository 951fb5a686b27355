"""Detectors of what identifies a person or a company. Numbers with a checksum are finds only if it is right."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence

import phonenumbers
from stdnum import iban, luhn
from stdnum.cn import ric, uscc
from stdnum.exceptions import ValidationError

from pharos.trust.guard.detector import Check, Detector, Span, word

_NOT_DIGIT = re.compile(rb"[^0-9]")
_SPACES = re.compile(rb"[ -]")
_CARD_PREFIX = re.compile(rb"(?:4|5[1-5]|2[2-7]|3[0-9]|50|5[6-9]|6)")
_MOBILE_PREFIX = re.compile(rb"1(?:3[0-9]|4[5-9]|5[0-35-9]|6[2567]|7[0-8]|8[0-9]|9[0-35-9])")
_SSN_WORDS = re.compile(rb"(?i)ssn|social|security")

_WORD_BYTES = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_DIGITS = frozenset(b"0123456789")


def _stdnum(is_valid: Callable[[str], bool], clean: re.Pattern[bytes] | None = None) -> Check:
    def check(text: bytes, start: int, end: int) -> Span | None:
        found = text[start:end]
        if clean is not None:
            found = clean.sub(b"", found)
        return (start, end) if is_valid(found.decode()) else None

    return check


def continues(text: bytes, start: int, end: int, joints: bytes) -> bool:
    """Whether the candidate is a part of something longer: a digit beyond a ``joint`` (``.`` of a version, ``-`` of an
    order number) on either side."""
    if end + 1 < len(text) and text[end] in joints and text[end + 1] in _DIGITS:
        return True
    return start > 1 and text[start - 1] in joints and text[start - 2] in _DIGITS


def card(text: bytes, start: int, end: int) -> Span | None:
    """A payment card: 13 to 19 digits of a network that exists, Luhn's checksum right, not one digit over and over."""
    digits = _NOT_DIGIT.sub(b"", text[start:end])
    if not 13 <= len(digits) <= 19 or len(set(digits)) < 2 or _CARD_PREFIX.match(digits) is None:
        return None
    if continues(text, start, end, b".-"):
        return None
    return (start, end) if luhn.is_valid(digits.decode()) else None


def bank_account(text: bytes, start: int, end: int) -> Span | None:
    """An IBAN. What follows it in capitals (a BIC, a name) may be part of the candidate: the longest that is valid."""
    found = text[start:end]
    while len(found) >= 15:
        if _is_iban(found):
            return start, start + len(found)
        cut = found.rfind(b" ")
        if cut < 0:
            return None
        found = found[:cut]
    return None


def _is_iban(found: bytes) -> bool:
    try:
        iban.validate(found.decode())
    except ValidationError:
        return False
    return True


def address(text: bytes, start: int, end: int) -> Span | None:
    """An IP address. Four numbers that are part of a longer row of them (a version) are none, nor are the addresses
    that identify nobody (``0.0.0.0``, loopback)."""
    if continues(text, start, end, b"."):
        return None
    try:
        found = ipaddress.ip_address(text[start:end].decode())
    except ValueError:
        return None
    return None if found.is_unspecified or found.is_loopback else (start, end)


def address_v6(text: bytes, start: int, end: int) -> Span | None:
    """An IPv6 address. ``::`` needs company: times, ratios and ``std::name`` look like short ones."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if (before and (before[0] in _WORD_BYTES or before in b":.")) or (
        after and (after[0] in _WORD_BYTES or after == b":")
    ):
        return None
    found = text[start:end]
    if found.count(b":") < 3:
        return None
    return address(text, start, end)


def mobile(text: bytes, start: int, end: int) -> Span | None:
    """A Chinese mobile number: eleven digits of a range that is in use."""
    digits = _NOT_DIGIT.sub(b"", text[start:end])
    digits = digits.removeprefix(b"0086").removeprefix(b"86") if len(digits) > 11 else digits
    if len(digits) != 11 or _MOBILE_PREFIX.match(digits) is None or continues(text, start, end, b".-"):
        return None
    return start, end


def social_security(text: bytes, start: int, end: int) -> Span | None:
    """A social security number of the United States, which has no checksum: written with its hyphens, or announced."""
    digits = _NOT_DIGIT.sub(b"", text[start:end])
    if digits[:3] in (b"000", b"666") or digits[0] == 0x39 or digits[3:5] == b"00" or digits[5:] == b"0000":
        return None
    if continues(text, start, end, b"-.") or digits in (b"078051120", b"219099999", b"123456789"):
        return None
    if b"-" in text[start:end] or _SSN_WORDS.search(text, max(start - 32, 0), start):
        return start, end
    return None


def email(text: bytes, start: int, end: int) -> Span | None:
    """An e-mail address; not the user part of a URL, nor a name with a version (``pkg@1.2.x``)."""
    local, _, domain = text[start:end].partition(b"@")
    if local.startswith(b".") or local.endswith(b".") or b".." in local:
        return None
    if any(not label or label.startswith(b"-") or label.endswith(b"-") for label in domain.split(b".")):
        return None
    return start, end


def phone(regions: Sequence[str]) -> Check:
    """Telephone numbers: international ones (``+…``), and national ones as they are written in ``regions``."""

    def check(text: bytes, start: int, end: int) -> Span | None:
        if continues(text, start, end, b".-/"):
            return None
        found = text[start:end].decode()
        for region in (None,) if found.startswith("+") else regions:
            try:
                number = phonenumbers.parse(found, region)
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number(number):
                return start, end
        return None

    return check


_INTERNATIONAL = r"\+[1-9](?:[ ./()-]{0,3}[0-9]){6,14}"
_NATIONAL = r"(?:\(0?[0-9]{1,5}\)|[0-9])(?:[ ./()-]{0,3}[0-9]){6,14}"


def phones(regions: Sequence[str]) -> Detector:
    """The detector ``phone`` for numbers of ``regions`` (ISO 3166) without their country's code, and all with it."""
    return Detector(
        "phone",
        "pii",
        "a telephone number",
        f"(?:{_INTERNATIONAL}|{_NATIONAL})\\b" if regions else f"{_INTERNATIONAL}\\b",
        sieve=r"[0-9](?:[ ./()-]{0,3}[0-9]){6}" if regions else r"\+[1-9]",
        check=phone(regions),
    )


PERSONAL: tuple[Detector, ...] = (
    Detector(
        "card", "pii", "a payment card number",
        word(r"[2-6](?:[ -]?[0-9]){12,18}"), sieve=r"[2-6](?:[ -]?[0-9]){12}", check=card,
    ),
    Detector(
        "iban", "pii", "a bank account (IBAN)",
        word(r"[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30}"),
        sieve=r"\b[A-Za-z]{2}[0-9]{2} ?[A-Za-z0-9]{3,4} ?[A-Za-z0-9]{2,4}", check=bank_account,
    ),
    Detector(
        "email", "pii", "an e-mail address",
        r"[A-Za-z0-9!#$%&'*+/=?^_{|}~.-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,80}\.[A-Za-z]{2,24}\b",
        sieve=r"@[A-Za-z0-9-]+\.", check=email,
    ),
    Detector(
        "ipv4", "pii", "an IP address",
        word(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"), sieve=r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]", check=address,
    ),
    Detector(
        "ipv6", "pii", "an IPv6 address",
        r"(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?:%[a-z0-9]{1,8})?",
        sieve=r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:", check=address_v6,
    ),
    Detector(
        "us-ssn", "pii", "a US social security number",
        word(r"[0-9]{3}-[0-9]{2}-[0-9]{4}|[0-9]{9}"), sieve=r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b|\b[0-9]{9}\b",
        check=social_security,
    ),
    Detector(
        "cn-resident-id", "pii", "a Chinese resident identity number",
        word(r"[1-9][0-9]{16}[0-9Xx]"), sieve=r"[1-9][0-9]{16}[0-9Xx]",
        check=_stdnum(lambda number: ric.is_valid(number.upper())),
    ),
    Detector(
        "cn-mobile", "pii", "a Chinese mobile number",
        word(r"1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}"),
        sieve=r"1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}", check=mobile,
    ),
    Detector(
        "cn-company", "pii", "a Chinese unified social credit code",
        word(r"[1-9AN][1-59][0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}"), sieve=r"[1-9AN][1-59][0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}",
        check=_stdnum(uscc.is_valid),
    ),
)  # fmt: skip
"""All but ``phone``, which depends on the regions a guard names."""
