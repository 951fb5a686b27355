"""Detectors of credentials, by the formats their vendors document.

A prefix is the vendor's own mark and enough by itself where what follows has the documented length and looks random;
``secret-assignment`` needs a telling name before it and randomness behind it. Examples and placeholders of
documentation (``AKIAIOSFODNN7EXAMPLE``, ``sk-xxxxxxxx``) have too little randomness or say what they are.
"""

from __future__ import annotations

import binascii
import math
import re
from base64 import urlsafe_b64decode
from collections import Counter

import orjson

from pharos.trust.guard.detector import Check, Detector, Span, word

_EXAMPLE = re.compile(rb"(?i)example|placeholder|your[_-]|changeme|dummy|xxxx|\*\*\*\*|0000000|1234567890abcdef")


def entropy(found: bytes) -> float:
    """Shannon's entropy of the bytes, in bits for each."""
    size = len(found)
    return -sum(count / size * math.log2(count / size) for count in Counter(found).values())


def random_enough(bits: float, prefix: int = 0) -> Check:
    """Whether what follows the first ``prefix`` bytes is as random as ``bits`` a byte, and no example."""

    def check(text: bytes, start: int, end: int) -> Span | None:
        found = text[start + prefix : end]
        if _EXAMPLE.search(found) is not None or entropy(found) < bits:
            return None
        return start, end

    return check


def token(text: bytes, start: int, end: int) -> Span | None:
    """A JSON Web Token: its header is a JSON object that names an algorithm (RFC 7515)."""
    header = text[start:end].partition(b".")[0]
    try:
        value = orjson.loads(urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
    except (ValueError, binascii.Error):
        return None
    return (start, end) if isinstance(value, dict) and ("alg" in value or "enc" in value) else None


_ASSIGNED = re.compile(rb"[\"'=:\s\\]+")


def assigned(text: bytes, start: int, end: int) -> Span | None:
    """A value behind a telling name, with letters and digits, random, and not itself a reference to elsewhere."""
    name = re.match(rb"[A-Za-z_-]+", text[start:end])
    begin = start + (name.end() if name is not None else 0)
    gap = _ASSIGNED.match(text, begin, end)
    begin = gap.end() if gap is not None else begin
    value = text[begin:end]
    if len(value) < 16 or value.isalpha() or value.isdigit() or _EXAMPLE.search(value) or entropy(value) < 3.5:
        return None
    return begin, end


def in_url(text: bytes, start: int, end: int) -> Span | None:
    """The password of a URL's user part."""
    found = text[start:end]
    begin = start + found.index(b":", found.index(b"://") + 3) + 1
    password = text[begin : end - 1]
    if password.startswith((b"$", b"{", b"<", b"%")) or _EXAMPLE.search(password) or set(password) <= set(b"*xX."):
        return None
    return begin, end - 1


def _vendor(name: str, what: str, core: str, sieve: str, bits: float = 3.0, prefix: int = 4, end: str = "") -> Detector:
    return Detector(name, "credentials", what, word(core, end), sieve=sieve, check=random_enough(bits, prefix))


CREDENTIALS: tuple[Detector, ...] = (
    # AWS, IAM identifiers: AKIA long-term, ASIA temporary.
    _vendor("aws-access-key", "an AWS access key id", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
            r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}", 2.5, end=r"\b"),
    Detector("aws-secret-key", "credentials", "an AWS secret access key",
             r"(?i:aws|secret)[A-Za-z_.\"'-]{0,24} {0,3}[=:][\s\"'\\]{0,6}([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)",
             sieve=r"(?i:aws|secret)[A-Za-z_.\"'-]{0,24} {0,3}[=:][\s\"'\\]{0,6}[A-Za-z0-9/+]{40}",
             check=random_enough(3.8)),
    # Google Cloud: API keys, OAuth tokens and client secrets.
    _vendor("gcp-api-key", "a Google API key", r"AIza[A-Za-z0-9_-]{35}", r"AIza[A-Za-z0-9_-]{35}"),
    _vendor("gcp-oauth", "a Google OAuth credential", r"(?:ya29\.[A-Za-z0-9_-]{20,500}|GOCSPX-[A-Za-z0-9_-]{28})",
            r"ya29\.[A-Za-z0-9_-]{20}|GOCSPX-[A-Za-z0-9_-]{28}", prefix=5),
    _vendor("azure-key", "an Azure storage or service bus key",
            r"(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{43,86}={1,2}",
            r"(?:Account|SharedAccess)Key=[A-Za-z0-9+/]{43}", 3.5, prefix=16),
    # GitHub: token formats since 2021; fine-grained ones; GitLab.
    _vendor("github-token", "a GitHub token", r"(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})",
            r"gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}"),
    _vendor("gitlab-token", "a GitLab token", r"gl(?:pat|ptt|dt|rt|cbt|ft|soat)-[A-Za-z0-9_.-]{20,300}",
            r"gl(?:pat|ptt|dt|rt|cbt|ft|soat)-[A-Za-z0-9_-]{20}", prefix=6),
    # Model providers.
    _vendor("anthropic-key", "an Anthropic key", r"sk-ant-[a-z]{3,8}[0-9]{2}-[A-Za-z0-9_-]{24,200}",
            r"sk-ant-[a-z]{3,8}[0-9]{2}-[A-Za-z0-9_-]{24}", prefix=13),
    _vendor("openai-key", "an OpenAI key",
            r"sk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{24,200}|[A-Za-z0-9]{32,64})",
            r"sk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{24}|[A-Za-z0-9]{32})", prefix=3),
    _vendor("huggingface-token", "a Hugging Face token", r"hf_[A-Za-z0-9]{34,40}", r"hf_[A-Za-z0-9]{34}"),
    _vendor("pharos-key", "a Pharos key", r"ph_[A-Za-z0-9]{8,40}_[A-Za-z0-9_-]{20,100}",
            r"ph_[A-Za-z0-9]{8,40}_[A-Za-z0-9_-]{20}", prefix=3),
    # Messaging and payments.
    _vendor("slack-token", "a Slack token", r"xox[abeoprs]-(?:[0-9A-Za-z]{1,20}-){1,4}[A-Za-z0-9]{16,160}",
            r"xox[abeoprs]-[0-9A-Za-z]{1,20}-", prefix=5),
    _vendor("slack-webhook", "a Slack webhook", r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9+/]{40,80}",
            r"hooks\.slack\.com/(?:services|workflows)/", prefix=25),
    _vendor("stripe-key", "a Stripe key", r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{24,250}|whsec_[A-Za-z0-9]{32,64}",
            r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{24}|whsec_[A-Za-z0-9]{32}", prefix=8),
    _vendor("sendgrid-key", "a SendGrid key", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", r"SG\.[A-Za-z0-9_-]{22}\."),
    # Package registries.
    _vendor("npm-token", "an npm token", r"npm_[A-Za-z0-9]{36}", r"npm_[A-Za-z0-9]{36}"),
    _vendor("pypi-token", "a PyPI token", r"pypi-[A-Za-z0-9_-]{50,500}", r"pypi-[A-Za-z0-9_-]{50}", prefix=5),
    # Without a vendor.
    Detector("jwt", "credentials", "a JSON Web Token",
             word(r"eyJ[A-Za-z0-9_-]{10,800}\.[A-Za-z0-9_-]{2,1000}\.[A-Za-z0-9_-]{0,700}", ""),
             sieve=r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{2}", check=token),
    Detector("private-key", "credentials", "a private key",
             r"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----"
             r"(?:[^-]|-{1,4}[^-])*-----END [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----"
             r"|-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s\\]*",
             sieve=r"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY", endless=True),
    Detector("url-password", "credentials", "a password in a URL",
             r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:@/\"'\\]{0,40}:[^\s@/\"'\\]{3,64}@",
             sieve=r"://[^\s:@/\"'\\]*:[^\s@/\"'\\]{3,}@", check=in_url),
    Detector("secret-assignment", "credentials", "a value that is assigned as a secret",
             r"(?i:api[_-]?key|secret[_-]?key|client[_-]?secret|access[_-]?token|auth[_-]?token|passwd|password)"
             r"[\"'\\]{0,3}\s{0,4}[=:]\s{0,4}[\"'\\]{0,3}[A-Za-z0-9_/+=.~-]{16,100}",
             sieve=r"(?i:key|secret|token|passwd|password)[\"'\\]{0,3}\s{0,4}[=:]\s{0,4}[\"'\\]{0,3}[A-Za-z0-9_/+=.~-]{16}",
             check=assigned),
)  # fmt: skip
