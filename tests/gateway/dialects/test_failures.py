"""Errors: a provider's, classified; ours, in the form that makes the official SDKs raise the right thing."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import openai
import orjson
import pytest
from anthropic.types import ErrorResponse
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.dialects.wire import CHAT, MESSAGES, chat_stream, frames

from pharos.core.fault import FORBIDDEN, INTERNAL, INVALID, NOT_FOUND, TIMEOUT, TOO_LARGE, UNAUTHENTICATED, FaultCode
from pharos.gateway.models import faults
from pharos.gateway.models.dialects.canonical import FailureClass
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.dialects.refusals import MAX_MESSAGE, by_status, retry_after

BOTH = pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda dialect: dialect.name)


def chat_error(status: int, **error: Any) -> Any:
    return CHAT.read_failure(status, (), orjson.dumps({"error": error}))


def messages_error(status: int, kind: str, message: str = "m", **more: Any) -> Any:
    error = {"type": kind, "message": message, **more}
    return MESSAGES.read_failure(status, (), orjson.dumps({"type": "error", "error": error, "request_id": "r"}))


@pytest.mark.parametrize(
    ("status", "error", "cls"),
    [
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}, FailureClass.QUOTA),
        (429, {"type": "tokens", "code": "rate_limit_exceeded"}, FailureClass.RATE_LIMITED),
        (429, {"type": "requests", "code": None}, FailureClass.RATE_LIMITED),
        (429, {"type": "exceeded_current_quota_error"}, FailureClass.QUOTA),
        (400, {"type": "invalid_request_error", "code": "context_length_exceeded"}, FailureClass.CONTEXT),
        (400, {"type": "invalid_request_error", "message": "This model's maximum context length is 4 tokens"},
         FailureClass.CONTEXT),
        (400, {"type": "invalid_request_error", "code": "invalid_value", "param": "n"}, FailureClass.INVALID),
        (400, {"code": "content_filter", "message": "The response was filtered"}, FailureClass.FILTERED),
        (400, {"object": "error", "type": "BadRequestError", "code": 400}, FailureClass.INVALID),
        (401, {"type": "invalid_request_error", "code": "invalid_api_key"}, FailureClass.AUTHENTICATION),
        (403, {"type": "permission_error"}, FailureClass.AUTHENTICATION),
        (402, {"message": "Insufficient Balance"}, FailureClass.QUOTA),
        (404, {"type": "invalid_request_error", "code": "model_not_found"}, FailureClass.NOT_FOUND),
        (413, {"message": "big"}, FailureClass.INVALID),
        (422, {"message": "odd"}, FailureClass.INVALID),
        (408, {"message": "slow"}, FailureClass.TIMEOUT),
        (500, {"type": "server_error"}, FailureClass.SERVER),
        (500, {"type": "invalid_request_error"}, FailureClass.SERVER),
        (502, {"message": "bad gateway"}, FailureClass.SERVER),
        (503, {"type": "service_unavailable"}, FailureClass.OVERLOADED),
        (504, {"message": "late"}, FailureClass.TIMEOUT),
        (529, {"message": "busy"}, FailureClass.OVERLOADED),
        (200, {"type": "server_error"}, FailureClass.SERVER),
        (302, {"message": "elsewhere"}, FailureClass.PROTOCOL),
    ],
)  # fmt: skip
def test_h54_chat_errors(status: int, error: dict[str, Any], cls: FailureClass) -> None:
    failure = chat_error(status, **error)
    assert failure.cls is cls
    assert failure.status == status


@pytest.mark.parametrize(
    ("status", "kind", "more", "cls"),
    [
        (529, "overloaded_error", {}, FailureClass.OVERLOADED),
        (429, "rate_limit_error", {}, FailureClass.RATE_LIMITED),
        (429, "rate_limit_error", {"details": {"error_code": "enforced_spend_limit_reached"}}, FailureClass.QUOTA),
        (429, "rate_limit_error", {"details": {"error_code": "ramp_limit_exceeded"}}, FailureClass.RATE_LIMITED),
        (400, "invalid_request_error", {}, FailureClass.INVALID),
        (400, "invalid_request_error", {"message": "prompt is too long: 9 tokens > 8 maximum"}, FailureClass.CONTEXT),
        (400, "invalid_request_error", {"message": "Your credit balance is too low"}, FailureClass.QUOTA),
        (413, "request_too_large", {}, FailureClass.INVALID),
        (401, "authentication_error", {}, FailureClass.AUTHENTICATION),
        (403, "permission_error", {}, FailureClass.AUTHENTICATION),
        (402, "billing_error", {}, FailureClass.QUOTA),
        (404, "not_found_error", {}, FailureClass.NOT_FOUND),
        (500, "api_error", {}, FailureClass.SERVER),
        (504, "timeout_error", {}, FailureClass.TIMEOUT),
        (503, "novel_error", {}, FailureClass.OVERLOADED),
        (418, "novel_error", {}, FailureClass.INVALID),
    ],
)
def test_h54_messages_errors(status: int, kind: str, more: dict[str, Any], cls: FailureClass) -> None:
    failure = messages_error(status, kind, **more)
    assert (failure.cls, failure.status, failure.type) == (cls, status, kind)


@BOTH
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", ""),
        (b"upstream connect error", "upstream connect error"),
        (b"<html><head><title>502 Bad Gateway</title></head><body><h1>x</h1></body></html>", "502 Bad Gateway"),
        (b"<!DOCTYPE html>\n<body><script>alert(1)</script><p>No\n service</p></body>", "No service"),
        (b"\xff\xfe\x00broken", "\ufffd\ufffd broken"),
        (b'{"detail":"nope"}', None),
        (b'{"error":"just text"}', "just text"),
        (b"[1,2]", "[1,2]"),
        (b'{"error":{"message":"a\\u0000b\\u001b[31mc\\r\\nd"}}', "a b [31mc d"),
    ],
)
def test_bodies_that_are_not_what_the_dialect_defines(dialect: Dialect, body: bytes, message: str | None) -> None:
    failure = dialect.read_failure(503, (), body)
    assert failure.cls is FailureClass.OVERLOADED
    assert failure.body == body
    assert message is None or failure.message == message


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        orjson.dumps({"error": {"message": "x" * 100_000, "type": "t" * 5000, "code": "c" * 5000}}),
        b"<html>" + b"<script>" * 100_000,
        b"y" * 10_000_000,
        b'{"error":' + b'{"a":' * 500 + b"1" + b"}" * 501,
    ],
    ids=["long", "markup", "huge", "deep"],
)
def test_hostile_text_is_bounded(dialect: Dialect, body: bytes) -> None:
    failure = dialect.read_failure(500, (), body)
    assert len(failure.message) <= MAX_MESSAGE
    assert len(failure.type) <= 100
    assert len(failure.code) <= 100


@BOTH
@given(status=st.integers(100, 599), body=st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["error", "message", "type", "code", "details", "error_code", "detail"]), inner),
    max_leaves=8).map(orjson.dumps))  # fmt: skip
def test_any_body_is_classified(dialect: Dialect, status: int, body: bytes) -> None:
    failure = dialect.read_failure(status, (("Retry-After", "x"),), body)
    assert isinstance(failure.cls, FailureClass)
    assert failure.retry_after is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("Retry-After", "7")], 7),
        ([("retry-after", " 0.5 ")], 0.5),
        ([("retry-after-ms", "250"), ("retry-after", "9")], 0.25),
        ([("Retry-After", "Sat, 21 Nov 2026 10:00:30 GMT"), ("Date", "Sat, 21 Nov 2026 10:00:00 GMT")], 30),
        ([("Retry-After", "Sat, 21 Nov 2026 09:00:00 GMT"), ("Date", "Sat, 21 Nov 2026 10:00:00 GMT")], 0),
        ([("Retry-After", "Sat, 21 Nov 2026 10:00:30 GMT")], None),
        ([("Retry-After", "Sat, 21 Nov 2026 10:00:30"), ("Date", "Sat, 21 Nov 2026 10:00:00 GMT")], None),
        ([("Retry-After", "-3")], 0),
        ([("Retry-After", "1e12")], 86_400),
        ([("Retry-After", "nan")], None),
        ([("Retry-After", "inf")], None),
        ([("Retry-After", "soon")], None),
        ([], None),
    ],
)
def test_h54_how_long_to_wait(headers: list[tuple[str, str]], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_breaks_the_wait(value: str, date: str) -> None:
    seconds = retry_after([("retry-after", value), ("date", date)])
    assert seconds is None or 0 <= seconds <= 86_400


def _chat_raises(status: int, body: Any) -> openai.APIStatusError:
    client = openai.OpenAI(api_key="k", base_url="http://127.0.0.1:1", max_retries=0)
    response = httpx2.Response(status, json=body, request=httpx2.Request("POST", "http://127.0.0.1:1"))
    with client:
        return client._make_status_error_from_response(response)


def _messages_raises(status: int, body: Any) -> anthropic.APIStatusError:
    client = anthropic.Anthropic(api_key="k", base_url="http://127.0.0.1:1", max_retries=0)
    response = httpx2.Response(status, json=body, request=httpx2.Request("POST", "http://127.0.0.1:1"))
    with client:
        return client._make_status_error_from_response(response)


@pytest.mark.parametrize(
    ("code", "chat", "word", "messages", "kind"),
    [
        (INVALID, openai.BadRequestError, "invalid_request", anthropic.BadRequestError, "invalid_request_error"),
        (UNAUTHENTICATED, openai.AuthenticationError, "invalid_api_key", anthropic.AuthenticationError,
         "authentication_error"),
        (faults.BUDGET_EXCEEDED, openai.APIStatusError, "insufficient_quota", anthropic.PaymentRequiredError,
         "billing_error"),
        (FORBIDDEN, openai.PermissionDeniedError, "permission_denied", anthropic.PermissionDeniedError,
         "permission_error"),
        (faults.MODEL_NOT_FOUND, openai.NotFoundError, "model_not_found", anthropic.NotFoundError, "not_found_error"),
        (NOT_FOUND, openai.NotFoundError, "not_found", anthropic.NotFoundError, "not_found_error"),
        (TOO_LARGE, openai.APIStatusError, "request_too_large", anthropic.ContentTooLargeError, "request_too_large"),
        (faults.MODEL_UNPRICED, openai.UnprocessableEntityError, "invalid_request",
         anthropic.UnprocessableEntityError, "invalid_request_error"),
        (faults.RATE_LIMITED, openai.RateLimitError, "rate_limit_exceeded", anthropic.RateLimitError,
         "rate_limit_error"),
        (faults.CONTEXT_EXCEEDED, openai.BadRequestError, "context_length_exceeded", anthropic.BadRequestError,
         "invalid_request_error"),
        (INTERNAL, openai.InternalServerError, "server_error", anthropic.InternalServerError, "api_error"),
        (faults.UPSTREAM_FAILED, openai.InternalServerError, "server_error", anthropic.InternalServerError,
         "api_error"),
        (faults.UPSTREAM_OVERLOADED, openai.InternalServerError, "server_overloaded",
         anthropic.ServiceUnavailableError, "overloaded_error"),
        (TIMEOUT, openai.InternalServerError, "timeout", anthropic.GatewayTimeoutError, "timeout_error"),
    ],
)  # fmt: skip
def test_faults_raise_the_right_exception_in_both_sdks(
    code: FaultCode, chat: Any, word: str, messages: Any, kind: str
) -> None:
    document = code("What happened.", pointer="/messages/0/content").document
    body: Any = CHAT.write_fault(document)
    error = _chat_raises(document.status, body)
    assert type(error) is chat
    assert (error.code, error.param) == (word, "messages[0].content")
    assert "What happened." in error.message
    assert body["pharos"]["code"] == code.code
    other: Any = MESSAGES.write_fault(document)
    raised = _messages_raises(document.status, other)
    assert type(raised) is messages
    assert raised.type == kind
    assert "What happened." in (raised.api_message or "")
    assert other["pharos"]["code"] == code.code
    if kind not in ("request_too_large",):
        ErrorResponse.model_validate(other)


def test_a_full_context_is_told_in_the_words_agents_look_for() -> None:
    body: Any = MESSAGES.write_fault(faults.CONTEXT_EXCEEDED("9 tokens are too many.").document)
    assert body["error"]["message"] == "prompt is too long: 9 tokens are too many."
    body = MESSAGES.write_fault(faults.CONTEXT_EXCEEDED("acme: prompt is too long: 9 > 8").document)
    assert body["error"]["message"] == "acme: prompt is too long: 9 > 8"


def test_h25_a_fault_after_the_stream_began_raises_in_both_sdks() -> None:
    document = faults.UPSTREAM_FAILED("The provider failed.").document
    sent = chat_stream({"content": "x"}, finish=None, done=False) + CHAT.write_stream_fault(document)
    assert b"[DONE]" not in sent
    response = httpx2.Response(200, content=sent, request=httpx2.Request("POST", "http://127.0.0.1:1"))
    with openai.OpenAI(api_key="k", base_url="http://127.0.0.1:1") as client:
        stream = openai.Stream(cast_to=openai.types.chat.ChatCompletionChunk, response=response, client=client)
        with pytest.raises(openai.APIError, match="The provider failed"):
            list(stream)
    (frame,) = frames(MESSAGES.write_stream_fault(document))
    assert frame.event == "error"
    ErrorResponse.model_validate_json(frame.data)
    response = httpx2.Response(200, content=frame.raw, request=httpx2.Request("POST", "http://127.0.0.1:1"))
    with anthropic.Anthropic(api_key="k", base_url="http://127.0.0.1:1") as other:
        events = anthropic.Stream(cast_to=Any, response=response, client=other)  # type: ignore[arg-type]
        with pytest.raises(anthropic.APIStatusError, match="The provider failed"):
            list(events)


def test_credentials_and_forwarded_headers() -> None:
    assert CHAT.credentials("s") == (("authorization", "Bearer s"),)
    assert dict(MESSAGES.credentials("s")) == {"x-api-key": "s", "anthropic-version": "2023-06-01"}
    for dialect in (CHAT, MESSAGES):
        assert dialect.forwarded.isdisjoint(
            {"authorization", "x-api-key", "cookie", "host", "connection", "content-length", "accept-encoding"}
        )
    assert {"anthropic-version", "anthropic-beta"} <= MESSAGES.forwarded


def test_every_status_has_a_class() -> None:
    assert {by_status(status) for status in range(100, 600)} <= set(FailureClass)
