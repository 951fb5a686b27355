"""What routing may know of a call. Each part is worked out when it is asked for, and once.

The variables of conditions:

==================  ===================================================================================================
``key``             ``key.name``, ``key.namespace`` and ``key.labels`` (a map) of the caller's key
``headers``         the request's headers by lower-case name, the first of each; none that carries a credential
``model``           the name the client asked for
``dialect``         the client's dialect
``stream``          whether a stream is asked for
``features``        what it uses of ``tools vision imageUrls documents audio schema schemaWithTools`` (a list of words)
``tools``           names of the declared tools
``inputTokens``     estimate of the prompt's length (a third of its bytes, without images and files)
``maxOutputTokens`` the output limit the client set; 0 if none
``user``            the end user the client named, or empty
``session``         the session the client named, or empty
``metadata``        the texts of the request's ``metadata``
``prompt``          text of the last turn of the user, its first 65,536 characters
``text``            all text of the conversation, its last 65,536 characters
==================  ===================================================================================================
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.conversation import without_markers
from pharos.gateway.models.routing.needs import Needs, features_of, media_bytes
from pharos.mesh.facts import Usage
from pharos.mesh.tokens import estimate_tokens

if TYPE_CHECKING:
    from pharos.gateway.models.call import Call

MAX_TEXT = 65_536
MAX_VALUE = 1_024
MAX_TOOLS = 128
MAX_METADATA = 32

EXPECTED_OUTPUT = 512
"""Tokens of the answer to a call that sets no limit, for comparing costs."""

SECRET_HEADERS = frozenset(
    {b"authorization", b"proxy-authorization", b"x-api-key", b"x-goog-api-key", b"api-key", b"cookie"}
)

DIGEST = 16


class Question:
    """A call that is to be routed."""

    __slots__ = ("_key", "_needs", "call", "now")

    def __init__(self, call: Call, now: float, needs: Needs | None = None) -> None:
        """``now`` is of ``time.monotonic``; ``needs`` are given where no request stands behind the question."""
        self.call = call
        self.now = now
        self._needs = needs
        self._key: dict[tuple[str, int], bytes] = {}

    @property
    def needs(self) -> Needs:
        """What the call needs of a model."""
        if self._needs is None:
            self._needs = needs_of(self.call)
        return self._needs

    @property
    def usage(self) -> Usage:
        """What the call will probably use, for comparing costs."""
        needs = self.needs
        return {"input": needs.input_tokens, "output": needs.output_tokens}

    def variables(self, names: Collection[str]) -> dict[str, Json]:
        """The variables of these names."""
        return {name: self._variable(name) for name in names}

    def _variable(self, name: str) -> Json:
        call, ask = self.call, self.call.ask
        match name:
            case "key":
                key = call.identity.key.metadata
                return {"name": key.name, "namespace": key.namespace, "labels": {**call.key.labels}}
            case "headers":
                return _headers(call)
            case "model":
                return ask.model
            case "dialect":
                return call.dialect.name
            case "stream":
                return ask.stream
            case "features":
                return [*sorted(self.needs.features)]
            case "tools":
                return [*ask.tools[:MAX_TOOLS]]
            case "inputTokens":
                return self.needs.input_tokens
            case "maxOutputTokens":
                return min(self.needs.asked_output or 0, 2**53)
            case "user":
                return ask.user
            case "session":
                return call.session
            case "metadata":
                return _metadata(call.body)
            case "prompt":
                return _prompt(call)
            case "text":
                return _tail(call)
        raise KeyError(name)

    def affinity(self, kind: str, prefix_bytes: int) -> bytes:
        """What calls that should go to one target have in common: for ``session`` the session that the client names or
        else how the conversation begins, for ``prefix`` the first bytes of what a provider's prompt cache holds."""
        known = self._key.get((kind, prefix_bytes))
        if known is None:
            known = self._key[kind, prefix_bytes] = self._affinity(kind, prefix_bytes)
        return known

    def _affinity(self, kind: str, prefix_bytes: int) -> bytes:
        call = self.call
        digest = blake2b(digest_size=DIGEST)
        if kind == "session":
            key = call.identity.key.metadata
            # Two keys may give their sessions the same name.
            digest.update(f"{key.namespace}/{key.name}".encode())
            if call.session:
                digest.update(b"#" + call.session.encode("utf-8", "replace"))
            else:
                for turn in _opening(call):
                    digest.update(_bytes(turn))
            return digest.digest()
        left = prefix_bytes
        for piece in _prefix(call):
            digest.update(piece[:left])
            left -= len(piece)
            if left <= 0:
                break
        return digest.digest()


def needs_of(call: Call) -> Needs:
    """What a request needs."""
    ask = call.ask
    features = features_of(call.body, ask.turns, tools=bool(ask.tools))
    size = len(call.raw)
    if not features.isdisjoint(("vision", "documents", "audio")):
        size = max(size - media_bytes(ask.turns), 0)
    asked = ask.max_output
    output = EXPECTED_OUTPUT if asked is None else min(asked, EXPECTED_OUTPUT)
    return Needs(features, estimate_tokens(size), output, asked, size)


def _headers(call: Call) -> JsonObject:
    return {
        name.decode("latin-1"): value[:MAX_VALUE].decode("latin-1")
        for name, value in call.fields.items()
        if name not in SECRET_HEADERS
    }


def _metadata(body: JsonObject) -> JsonObject:
    metadata = body.get("metadata")
    if type(metadata) is not dict:
        return {}
    texts = ((name, value) for name, value in metadata.items() if isinstance(value, str))
    return {name: value[:MAX_VALUE] for name, value in [*texts][:MAX_METADATA] if isinstance(value, str)}


def _prompt(call: Call) -> str:
    for turn in reversed(call.ask.turns):
        if isinstance(turn, str) or (type(turn) is dict and turn.get("role") == "user"):
            return "\n".join(_texts(turn))[:MAX_TEXT]
    return ""


def _tail(call: Call) -> str:
    pieces: list[str] = []
    size = 0
    for turn in reversed(call.ask.turns):
        text = "\n".join(_texts(turn))
        pieces.append(text)
        size += len(text)
        if size >= MAX_TEXT:
            break
    return "\n".join(reversed(pieces))[-MAX_TEXT:]


def _texts(value: Json, depth: int = 6) -> Iterator[str]:
    """The texts of a turn of any dialect: strings, and what stands under ``text``, ``content``, ``parts``."""
    if isinstance(value, str):
        yield value
    elif not depth:
        return
    elif type(value) is list:
        for item in value:
            yield from _texts(item, depth - 1)
    elif type(value) is dict:
        for name in ("text", "content", "parts", "output"):
            inner = value.get(name)
            if inner is not None:
                yield from _texts(inner, depth - 1)


def _opening(call: Call) -> Iterator[Json]:
    """The turns that every call of one conversation begins with: up to the first of the user."""
    for turn in call.ask.turns:
        yield without_markers(turn)
        if type(turn) is dict and turn.get("role") == "user":
            return


def _prefix(call: Call) -> Iterator[bytes]:
    """What stands first in a provider's prompt cache: tools, system text, the first turn of the user."""
    tools = call.body.get("tools")
    if type(tools) is list:
        for tool in tools:
            yield _bytes(without_markers(tool))
    for turn in _opening(call):
        yield _bytes(turn)


def _bytes(turn: Json) -> bytes:
    return orjson.dumps(turn, option=orjson.OPT_SORT_KEYS)
