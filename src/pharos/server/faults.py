"""The faults of the front door: what goes wrong before an operation or a protocol route is reached, and at start-up."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry

MALFORMED_HTTP = FaultCode(
    "MALFORMED_HTTP", "Malformed HTTP", 400, Category.VALIDATION,
    "What arrived is not an HTTP/1.1 request. Nothing was done, and the connection is closed.",
)  # fmt: skip
METHOD_NOT_ALLOWED = FaultCode(
    "METHOD_NOT_ALLOWED", "Method not allowed", 405, Category.VALIDATION,
    "The path exists, but not with this HTTP method. The `Allow` header and `facts.allowed` list those it has.",
    Retry.AFTER_FIX,
)  # fmt: skip
REQUEST_TOO_SLOW = FaultCode(
    "REQUEST_TOO_SLOW", "Request too slow", 408, Category.TRANSIENT,
    "The request did not arrive before its deadline. Nothing was done, and the connection is closed.",
    Retry.SAME_REQUEST,
)  # fmt: skip
UNSUPPORTED_ENCODING = FaultCode(
    "UNSUPPORTED_ENCODING", "Unsupported content encoding", 415, Category.VALIDATION,
    "The body is compressed. Send it as it is, without `Content-Encoding`.", Retry.AFTER_FIX,
)  # fmt: skip
HEAD_TOO_LARGE = FaultCode(
    "HEAD_TOO_LARGE", "Request head too large", 431, Category.CAPACITY,
    "The request line and headers are larger, or more in number, than `facts` allows. The connection is closed.",
)  # fmt: skip
ADDRESS_LIMITED = FaultCode(
    "ADDRESS_LIMITED", "Too much from one address", 429, Category.QUOTA,
    "The caller's address has more connections, requests or refused credentials than one address may have. Nothing was "
    "looked at. Whoever runs the city sets the bounds with the options --address-… of `pharos up`.", Retry.AFTER_TIME,
)  # fmt: skip
SHUTTING_DOWN = FaultCode(
    "SHUTTING_DOWN", "Shutting down", 503, Category.TRANSIENT,
    "The city was told to stop before this call could end. Try again when it is back.", Retry.AFTER_TIME,
)  # fmt: skip
MANIFEST_UNREADABLE = FaultCode(
    "MANIFEST_UNREADABLE", "Manifest unreadable", 400, Category.VALIDATION,
    "A manifest file given to `pharos up` cannot be read, or is not YAML.", Retry.AFTER_FIX,
)  # fmt: skip
TLS_UNUSABLE = FaultCode(
    "TLS_UNUSABLE", "Certificate or key unusable", 400, Category.VALIDATION,
    "The files given with --tls-cert and --tls-key are not a PEM certificate chain and its unencrypted private key.",
    Retry.AFTER_FIX,
)  # fmt: skip

ALL: tuple[FaultCode, ...] = (
    MALFORMED_HTTP, METHOD_NOT_ALLOWED, REQUEST_TOO_SLOW, UNSUPPORTED_ENCODING, HEAD_TOO_LARGE, SHUTTING_DOWN,
    MANIFEST_UNREADABLE, TLS_UNUSABLE, ADDRESS_LIMITED,
)  # fmt: skip
