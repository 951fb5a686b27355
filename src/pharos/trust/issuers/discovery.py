"""Where an issuer says that its keys are (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

from urllib.parse import urlsplit

import orjson

from pharos.trust.issuers.keys import UnusableKeys

LONGEST_URL = 2048


def is_https(url: str) -> bool:
    """Whether it is an https URL without credentials: nothing else is fetched."""
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False
    return good and url.isascii() and url.isprintable() and len(url) <= LONGEST_URL


def can_be_discovered(issuer: str) -> bool:
    """Whether an issuer's name leads anywhere: an https URL without query and fragment (section 2)."""
    return is_https(issuer) and "?" not in issuer and "#" not in issuer


def configuration_url(issuer: str) -> str:
    """Where the configuration of an issuer is (section 4): a slash at its end is left out."""
    return f"{issuer.removesuffix('/')}/.well-known/openid-configuration"


def key_set_url(text: bytes, issuer: str) -> str:
    """The URL of the key set that a configuration names. Raises :class:`UnusableKeys`.

    Whose configuration it is must be what was asked for, to the letter (section 4.3): else whoever can put a file on
    that host speaks for any issuer.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise UnusableKeys("the issuer's configuration is not JSON") from None
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise UnusableKeys(f"the configuration at {configuration_url(issuer)} is not that of {issuer}")
    url = document.get("jwks_uri")
    if not isinstance(url, str) or not is_https(url):
        raise UnusableKeys("the issuer's configuration names no https URL of its keys (jwks_uri)")
    return url
