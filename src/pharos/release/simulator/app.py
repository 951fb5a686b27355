"""The simulator: an ASGI application that answers as a provider of each wire protocol would, by a script."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import parse_qs

import orjson

from pharos.core.plane import Receive, Scope, Send
from pharos.core.wire import Json, JsonObject
from pharos.release.simulator import embeddings
from pharos.release.simulator.anthropic import AnthropicMessages
from pharos.release.simulator.connection import Connection, Gone
from pharos.release.simulator.conversation import Asked, credential
from pharos.release.simulator.faults import Status
from pharos.release.simulator.gemini import GeminiGenerate
from pharos.release.simulator.openai import OpenAIChat
from pharos.release.simulator.openai_responses import OpenAIResponses
from pharos.release.simulator.player import Performance
from pharos.release.simulator.protocol import ErrorWords, WireProtocol
from pharos.release.simulator.records import COUNT_LIMIT, Received, Records
from pharos.release.simulator.refusal import Refused
from pharos.release.simulator.reply import estimated_input, make_reply
from pharos.release.simulator.script import Answer, Script

HEADER = "x-pharos-simulator"
"""Response header that names the script and the rule: the mark by which no answer is mistaken for a model's."""

BODY_LIMIT = 64 * 1024 * 1024

_OPENAI: WireProtocol = OpenAIChat()
_RESPONSES: WireProtocol = OpenAIResponses()
_ANTHROPIC: WireProtocol = AnthropicMessages()
_GEMINI: WireProtocol = GeminiGenerate()

_GOOGLE = "/v1beta/models/"

_NOTHING: Mapping[str, Json] = MappingProxyType({})

Watch: TypeAlias = Callable[[Received], None]


class Simulator:
    """A scripted provider.

    ``received`` remembers the requests. ``watch`` is called with each of them when it is over. The script's state (how
    often each rule has matched) lives here: two simulators of one script do not know each other.
    """

    def __init__(
        self, script: Script | None = None, *, clock: Callable[[], float] = time.time, watch: Watch | None = None
    ) -> None:
        self.script = script or Script(name="echo")
        self.received = Records()
        self._clock = clock
        self._watch = watch
        self._count = 0
        self._matches = [0] * len(self.script.rules)
        self._unmatched = 0

    def reset(self) -> None:
        """Forget the received requests and begin every sequence of answers again. Numbers go on growing."""
        self.received.clear()
        self._matches = [0] * len(self.script.rules)
        self._unmatched = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3.0, ``http`` only)."""
        if scope["type"] != "http":
            raise RuntimeError(f"the simulator speaks HTTP only, not {scope['type']}")
        body = await _read_body(receive)
        if body is None:
            return
        async with Connection(scope, receive, send) as out:
            try:
                await self._route(scope, body, out)
            except Gone:
                return

    async def _route(self, scope: Scope, body: bytes, out: Connection) -> None:
        method, path = scope["method"], scope["path"].rstrip("/") or "/"
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        match method, path:
            case "POST", "/v1/chat/completions":
                await self._call(_OPENAI, method, path, headers, body, out)
            case "POST", "/v1/responses":
                await self._call(_RESPONSES, method, path, headers, body, out)
            case "POST", "/v1/messages":
                await self._call(_ANTHROPIC, method, path, headers, body, out)
            case "POST", "/v1/messages/count_tokens":
                await self._compute(_ANTHROPIC, path, headers, body, out, self._count_messages)
            case "POST", "/v1/embeddings":
                await self._compute(_OPENAI, path, headers, body, out, self._embed_openai)
            case "POST", _ if path.startswith(_GOOGLE):
                await self._google(scope, path, headers, body, out)
            case "GET", "/v1beta/models":
                await self._google_models(headers, None, out)
            case "GET", _ if path.startswith(_GOOGLE):
                await self._google_models(headers, path.removeprefix(_GOOGLE), out)
            case "GET", "/v1/models":
                await self._models(headers, None, out)
            case "GET", _ if path.startswith("/v1/models/"):
                await self._models(headers, path.removeprefix("/v1/models/"), out)
            case "GET", "/simulator/requests":
                await self._requests(scope, out)
            case "DELETE", "/simulator/requests":
                self.reset()
                await self._reply(out, 200, {"reset": True})
            case "GET", "/":
                await self._reply(out, 200, self._about())
            case _:
                protocol = _ANTHROPIC if path.startswith("/v1/messages") else _OPENAI
                protocol = _GEMINI if path.startswith("/v1beta/") else protocol
                words = ErrorWords(404, f"The simulator has no {method} {path}.", code="unknown_url")
                await self._reply(out, 404, protocol.error(words, 0))

    # Model calls.

    async def _call(
        self,
        protocol: WireProtocol,
        method: str,
        path: str,
        headers: Mapping[str, str],
        raw: bytes,
        out: Connection,
        said: Mapping[str, Json] = _NOTHING,
    ) -> None:
        """``said``: members that this protocol has in its URL."""
        self._count += 1
        number = self._count
        record = Received(number, self._clock(), method, path, headers, _object(raw), len(raw))
        self.received.add(record)
        failing = False
        try:
            try:
                asked = self._admit(protocol, record, raw, said)
            except Refused as refused:
                await self._refuse(protocol, refused, number, out)
                return
            rule, answer, count = self._choose(asked)
            record.rule = rule
            failing = answer.fault is not None and not isinstance(answer.fault, Status)
            self.received.changed()
            await self._perform(protocol, asked, rule, answer, number, count, out)
        finally:
            record.status, record.sent_bytes = out.status, out.sent
            record.outcome = (
                "left" if out.left else "failed" if failing else "refused" if out.status >= 400 else "answered"
            )
            self.received.changed()
            if self._watch is not None:
                self._watch(record)

    def _admit(self, protocol: WireProtocol, record: Received, raw: bytes, said: Mapping[str, Json]) -> Asked:
        if self.script.keys is not None and record.key not in self.script.keys:
            raise Refused(401, "Incorrect API key provided: the script does not know it.")
        if len(raw) > BODY_LIMIT:
            raise Refused(413, f"The request is larger than {BODY_LIMIT} bytes.")
        if record.body is None:
            raise Refused(400, "We could not parse the JSON body of your request: expected a JSON object.")
        body = {**record.body, **said} if said else record.body
        asked = protocol.read(body, record.headers, refuse_unknown=self.script.refuse_unknown)
        record.model, record.stream = asked.model, asked.stream
        if self.script.models is not None and asked.model not in self.script.models:
            raise Refused(404, f"The model {asked.model!r} does not exist.", place="model")
        return asked

    def _choose(self, asked: Asked) -> tuple[str, Answer, int]:
        """The rule's name, its next answer, and how often it has matched, this time included."""
        for index, rule in enumerate(self.script.rules):
            if not rule.when.hold(asked):
                continue
            seen, sequence = self._matches[index], rule.sequence
            if seen >= len(sequence) and rule.afterwards == "pass":
                continue
            self._matches[index] += 1
            at = seen % len(sequence) if rule.afterwards == "cycle" else min(seen, len(sequence) - 1)
            return self.script.label(index), sequence[at], seen + 1
        self._unmatched += 1
        return "otherwise", self.script.otherwise, self._unmatched

    async def _perform(
        self, protocol: WireProtocol, asked: Asked, rule: str, answer: Answer, number: int, count: int, out: Connection
    ) -> None:
        reply = make_reply(answer, asked, number, count, protocol.tool_ids)
        headers = ((HEADER, f"{self.script.name}/{rule}"), *protocol.headers(number))
        performance = Performance(protocol, reply, asked, answer.fault, headers, int(self._clock()))
        await performance.play(out)

    async def _refuse(self, protocol: WireProtocol, refused: Refused, number: int, out: Connection) -> None:
        words = ErrorWords(refused.status, refused.message, refused.type, refused.code, refused.place)
        more = [(HEADER, f"{self.script.name}/refused"), *protocol.headers(number)]
        await self._reply(out, refused.status, protocol.error(words, number), more)

    # What is no answer: nothing of the script plays here but its keys and models.

    async def _google(self, scope: Scope, path: str, headers: Mapping[str, str], raw: bytes, out: Connection) -> None:
        model, _, method = path.removeprefix(_GOOGLE).rpartition(":")
        match method:
            case "generateContent":
                await self._call(_GEMINI, "POST", path, headers, raw, out, {"model": model, "stream": False})
            case "streamGenerateContent" if b"alt=sse" in scope["query_string"].split(b"&"):
                await self._call(_GEMINI, "POST", path, headers, raw, out, {"model": model, "stream": True})
            case "streamGenerateContent":
                await self._refuse(_GEMINI, Refused(400, "The simulator streams with alt=sse only."), 0, out)
            case "countTokens":
                await self._compute(_GEMINI, path, headers, raw, out, partial(self._count_google, model))
            case "embedContent" | "batchEmbedContents":
                batch = method == "batchEmbedContents"
                await self._compute(_GEMINI, path, headers, raw, out, partial(self._embed_google, model, batch))
            case _:
                await self._refuse(_GEMINI, Refused(404, f"The simulator has no method {method}."), 0, out)

    async def _compute(
        self,
        protocol: WireProtocol,
        path: str,
        headers: Mapping[str, str],
        raw: bytes,
        out: Connection,
        compute: Callable[[JsonObject, Mapping[str, str]], tuple[str, JsonObject]],
    ) -> None:
        """Answer with what ``compute`` makes of the request: the model that is asked, and the body."""
        self._count += 1
        record = Received(self._count, self._clock(), "POST", path, headers, _object(raw), len(raw), rule="computed")
        self.received.add(record)
        try:
            if self.script.keys is not None and record.key not in self.script.keys:
                raise Refused(401, "Incorrect API key provided: the script does not know it.")
            if record.body is None:
                raise Refused(400, "expected a JSON object")
            record.model, body = compute(record.body, headers)
            if self.script.models is not None and record.model not in self.script.models:
                raise Refused(404, f"The model {record.model!r} does not exist.", place="model")
        except Refused as refused:
            await self._refuse(protocol, refused, record.number, out)
        else:
            await self._reply(out, 200, body)
        record.status, record.sent_bytes = out.status, out.sent
        record.outcome = "refused" if out.status >= 400 else "answered"
        self.received.changed()
        if self._watch is not None:
            self._watch(record)

    def _count_messages(self, body: JsonObject, headers: Mapping[str, str]) -> tuple[str, JsonObject]:
        asked = _ANTHROPIC.read({"max_tokens": 1, **body}, headers, refuse_unknown=False)
        return asked.model, {"input_tokens": estimated_input(asked)}

    def _embed_openai(self, body: JsonObject, headers: Mapping[str, str]) -> tuple[str, JsonObject]:
        answer = embeddings.openai(body, refuse_unknown=self.script.refuse_unknown)
        return str(body["model"]), answer

    def _embed_google(
        self, model: str, batch: bool, body: JsonObject, headers: Mapping[str, str]
    ) -> tuple[str, JsonObject]:
        return model, embeddings.gemini(body, model, batch=batch)

    def _count_google(self, model: str, body: JsonObject, headers: Mapping[str, str]) -> tuple[str, JsonObject]:
        whole = body.get("generateContentRequest")
        if isinstance(whole, dict) and whole.get("model") != f"models/{model}":
            raise Refused(400, f"generateContentRequest.model must be models/{model}, as in the URL")
        given = whole if isinstance(whole, dict) else body
        asked = _GEMINI.read({**given, "model": model}, headers, refuse_unknown=self.script.refuse_unknown)
        return model, {"totalTokens": estimated_input(asked)}

    async def _google_models(self, headers: Mapping[str, str], name: str | None, out: Connection) -> None:
        if self.script.keys is not None and credential(headers) not in self.script.keys:
            await self._refuse(_GEMINI, Refused(401, "API key not valid."), 0, out)
            return
        names = self.script.models or ["simulated"]
        if name is None:
            listed: list[Json] = [_google_model(known) for known in names]
            await self._reply(out, 200, {"models": listed})
        elif name in names or self.script.models is None:
            await self._reply(out, 200, _google_model(name))
        else:
            await self._refuse(_GEMINI, Refused(404, f"models/{name} is not found."), 0, out)

    # Lists.

    async def _models(self, headers: Mapping[str, str], name: str | None, out: Connection) -> None:
        protocol = _ANTHROPIC if "anthropic-version" in headers else _OPENAI
        if self.script.keys is not None and credential(headers) not in self.script.keys:
            await self._refuse(protocol, Refused(401, "Incorrect API key provided."), 0, out)
            return
        names = self.script.models or sorted(
            {model for rule in self.script.rules for model in rule.when.model or ()} or {"simulated"}
        )
        show = _anthropic_model if protocol is _ANTHROPIC else _openai_model
        if name is not None:
            if name in names or self.script.models is None:
                await self._reply(out, 200, show(name))
            else:
                await self._refuse(protocol, Refused(404, f"The model {name!r} does not exist."), 0, out)
            return
        data: list[Json] = [show(known) for known in names]
        page: JsonObject = {"object": "list", "data": data}
        if protocol is _ANTHROPIC:
            page = {"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]}
        await self._reply(out, 200, page)

    async def _requests(self, scope: Scope, out: Connection) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        try:
            after = int(query.get("after", ["0"])[0])
            limit = max(1, min(int(query.get("limit", [str(COUNT_LIMIT)])[0]), COUNT_LIMIT))
        except ValueError:
            await self._reply(out, 400, _OPENAI.error(ErrorWords(400, "after and limit are integers"), 0))
            return
        found = self.received.after(after, limit + 1)
        page = [record.to_json() for record in found[:limit]]
        following = str(found[limit - 1].number) if len(found) > limit else None
        await self._reply(out, 200, {"items": list[Json](page), "next": following})

    def _about(self) -> JsonObject:
        return {
            "simulator": "Pharos simulator: scripted answers over real wire protocols. There is no model here.",
            "script": self.script.name,
            "rules": [self.script.label(index) for index in range(len(self.script.rules))],
            "received": self._count,
        }

    async def _reply(
        self, out: Connection, status: int, body: JsonObject, more: list[tuple[str, str]] | None = None
    ) -> None:
        data = orjson.dumps(body)
        marks = more or [(HEADER, self.script.name)]
        await out.start(status, [("content-type", "application/json"), ("content-length", str(len(data))), *marks])
        await out.write(data)
        await out.end()


async def _read_body(receive: Receive) -> bytes | None:
    """The request's body, or ``None`` if the client left. Of a body over the limit one byte too many is kept."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        if size <= BODY_LIMIT:
            parts.append(part[: BODY_LIMIT + 1 - size])
        size += len(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _object(raw: bytes) -> JsonObject | None:
    try:
        value = orjson.loads(raw)
        # What is nested too deeply to be written again could be neither recorded nor counted.
        orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return value if isinstance(value, dict) else None


def _openai_model(name: str) -> JsonObject:
    return {"id": name, "object": "model", "created": 0, "owned_by": "pharos-simulator"}


def _anthropic_model(name: str) -> JsonObject:
    return {
        "id": name,
        "type": "model",
        "display_name": f"{name} (simulated)",
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }


def _google_model(name: str) -> JsonObject:
    methods: list[Json] = ["generateContent", "countTokens", "embedContent", "batchEmbedContents"]
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": f"{name} (simulated)",
        "supportedGenerationMethods": methods,
    }
