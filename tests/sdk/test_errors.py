"""What goes wrong reaches each SDK as the exception its user expects, with the whole fault inside."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from tests.sdk.clients import AnthropicClient, Question

ASK = [Question("hi")]


def kind(client: Any, name: str) -> type[Exception]:
    """An exception class of the client's package."""
    return getattr({"openai": openai, "anthropic": anthropic}[client.dialect], name)


def fault_of(error: Any) -> dict[str, Any]:
    """The city's fault inside an SDK's exception."""
    body = error.response.json()
    return body["pharos"]


async def failing(speaker: Any, model: str, stream: bool, error: type[Exception], **more: Any) -> Any:
    with pytest.raises(error) as caught:
        await speaker.ask(model, ASK, stream=stream, **more)
    return caught.value


async def test_a_wrong_key(found: Any, client: Any, stream: bool) -> None:
    town = await found()
    speaker = client(town, secret="ph-not-a-key-of-this-city")
    error = await failing(speaker, "northern", stream, kind(client, "AuthenticationError"))
    assert fault_of(error)["code"] == "UNAUTHENTICATED"
    assert "northern" not in error.response.text
    assert len(town.north.received) == 0


@pytest.mark.parametrize("name", ["no-such-model", "forbidden"])
async def test_a_model_that_is_not_there_for_this_key(found: Any, client: Any, stream: bool, name: str) -> None:
    town = await found()
    error = await failing(client(town), name, stream, kind(client, "NotFoundError"))
    assert fault_of(error)["code"] == "MODEL_NOT_FOUND"


async def test_our_rate_limit(found: Any, client: Any, model: str, stream: bool) -> None:
    town = await found("rules: [{answer: Hello}]")
    speaker = client(town, secret=await town.issue("slow"))
    assert (await speaker.ask(model, ASK, stream=stream)).text == "Hello"
    error = await failing(speaker, model, stream, kind(client, "RateLimitError"))
    assert fault_of(error)["code"] == "RATE_LIMITED"
    assert float(error.response.headers["retry-after"]) > 0
    assert len(town.provider(model).received) == 1


async def test_a_budget_refuses_and_its_fix_is_with_it(found: Any, client: Any, model: str, stream: bool) -> None:
    town = await found()
    speaker = client(town, secret=await town.issue("poor"), max_retries=2)
    error = await failing(speaker, model, stream, kind(client, "APIStatusError"))
    assert error.status_code == 402
    fault = fault_of(error)
    assert fault["code"] == "BUDGET_EXCEEDED"
    assert fault["fixes"]
    # A refusal that trying again cannot mend was not tried again.
    assert len(town.provider(model).received) == 0
    journeys = await town.journeys()
    assert sum(journey.get("calls", 1) for journey in journeys) == 1


@pytest.mark.parametrize(
    ("status", "openai_error", "anthropic_error", "code"),
    [
        (429, "RateLimitError", "RateLimitError", "UPSTREAM_RATE_LIMITED"),
        (500, "InternalServerError", "InternalServerError", "UPSTREAM_FAILED"),
        (503, "InternalServerError", "InternalServerError", "UPSTREAM_OVERLOADED"),
        (529, "InternalServerError", "InternalServerError", "UPSTREAM_OVERLOADED"),
        (400, "BadRequestError", "BadRequestError", "UPSTREAM_REFUSED"),
        (401, "InternalServerError", "InternalServerError", "PROVIDER_CREDENTIAL"),
    ],
)
async def test_a_provider_s_refusal(
    found: Any,
    client: Any,
    model: str,
    stream: bool,
    status: int,
    openai_error: str,
    anthropic_error: str,
    code: str,
) -> None:
    town = await found(f"rules: [{{answer: {{fault: {{kind: status, status: {status}, message: Because.}}}}}}]")
    expected = openai_error if client.dialect == "openai" else anthropic_error
    error = await failing(client(town), model, stream, kind(client, expected))
    fault = fault_of(error)
    assert fault["code"] == code
    if status in (429, 500, 503, 529, 400):
        assert "Because." in error.response.text
    [row] = await town.ledger()
    assert (row["status"], row["outcome"], row["fault"]) == (status, "error", code)
    assert row["cost"] is not None


async def test_anthropic_s_own_class_for_overload(found: Any, model: str, stream: bool) -> None:
    """Its users catch ``OverloadedError``, which the SDK raises for its status, also where it is not Anthropic that is
    overloaded."""
    fault = {"northern": 503, "southern": 529}[model]
    town = await found(f"rules: [{{answer: {{fault: {{kind: status, status: {fault}}}}}}}]")
    error = await failing(AnthropicClient(town.anthropic()), model, stream, anthropic.OverloadedError)
    assert (error.status_code, error.type) == (529, "overloaded_error")


async def test_retry_after_of_the_provider_is_passed_on(found: Any, client: Any, model: str) -> None:
    town = await found("rules: [{answer: {fault: {kind: status, status: 429, retryAfterSeconds: 7}}}]")
    error = await failing(client(town), model, False, kind(client, "RateLimitError"))
    assert 0 < float(error.response.headers["retry-after"]) <= 7


async def test_a_target_the_provider_does_not_have_is_the_city_s_fault(found: Any, client: Any) -> None:
    town = await found()
    error = await failing(client(town), "misnamed", False, kind(client, "InternalServerError"))
    assert fault_of(error)["code"] == "UPSTREAM_MODEL"


LIES = [
    "kind: contentType",
    "kind: malformed",
    "kind: cut",
    "kind: cut, afterChunks: 0",
    "kind: cut, afterBytes: 30",
    "kind: cut, afterBytes: 30, clean: true",
    "kind: error",
]


@pytest.mark.parametrize("lie", LIES)
async def test_a_provider_that_lies_before_its_first_word(
    found: Any, client: Any, model: str, stream: bool, lie: str
) -> None:
    """Nothing has reached the client yet: it gets an HTTP error of its dialect, not a broken answer."""
    town = await found(f"rules: [{{answer: {{text: one two three, fault: {{{lie}}}}}}}]")
    error = await failing(client(town), model, stream, kind(client, "InternalServerError"))
    assert fault_of(error)["code"].startswith("UPSTREAM_")
    [row] = await town.ledger()
    assert row["outcome"] in ("error", "incomplete")


@pytest.mark.parametrize(
    "lie",
    [
        "kind: cut, afterChunks: 2",
        "kind: cut, afterChunks: 2, clean: true",
        "kind: error, afterChunks: 2",
        "kind: error, afterChunks: 2, then: goOn",
        "kind: malformed, afterChunks: 2",
        "kind: cutUtf8, afterChunks: 2",
    ],
)
async def test_a_stream_that_breaks_in_the_middle(found: Any, client: Any, model: str, lie: str) -> None:
    """The client is told by its SDK; it never sees a clean end of half an answer."""
    town = await found(f"rules: [{{answer: {{text: one two three four, fault: {{{lie}}}}}}}]")
    error = await failing(client(town), model, True, kind(client, "APIError"))
    assert "UPSTREAM_" in str(error.body)
    [row] = await town.ledger()
    assert row["outcome"] == "incomplete"
    assert row["tokens"]["output"] > 0
    assert row["cost"] is not None


IMPATIENT = """
apiVersion: pharos/v1
kind: Provider
metadata: {{namespace: {namespace}, name: north}}
spec:
  dialect: openai-chat
  baseUrl: "{north}/v1"
  apiKey: {{env: SDK_TEST_NORTH}}
  retries: {{attempts: 1}}
  timeouts: {{firstByteMs: 200}}
---
apiVersion: pharos/v1
kind: Provider
metadata: {{namespace: {namespace}, name: south}}
spec:
  dialect: anthropic
  baseUrl: "{south}"
  apiKey: {{env: SDK_TEST_SOUTH}}
  retries: {{attempts: 1}}
  timeouts: {{firstByteMs: 200}}
"""


async def test_a_silent_provider(found: Any, client: Any, model: str, stream: bool) -> None:
    town = await found("rules: [{answer: {fault: {kind: stall}}}]")
    await town.apply(IMPATIENT)
    error = await failing(client(town), model, stream, kind(client, "InternalServerError"))
    assert error.status_code == 504
    assert fault_of(error)["code"] == "UPSTREAM_TIMEOUT"
    record = await town.provider(model).received.wait_for(lambda record: record.outcome != "running")
    assert record.outcome == "left"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"model": 5}', b'{"model": "northern"}', b'{"model": "northern", "messages": "hi"}'],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_malformed_requests_are_refused_in_the_dialect(found: Any, body: bytes, path: str) -> None:
    town = await found()
    headers = {"authorization": f"Bearer {town.secret}", "content-type": "application/json"}
    response = await town.http.post(f"{town.url}{path}", content=body, headers=headers)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert response.json()["pharos"]["code"] == "INVALID"
    assert len(town.north.received) == 0


async def test_the_model_lists(found: Any) -> None:
    town = await found()
    names = {"northern", "southern", "north-then-south", "south-then-north", "misnamed"}
    chat, messages = town.openai(), town.anthropic()
    assert {model.id async for model in chat.models.list()} == names
    assert {model.id async for model in messages.models.list()} == names
    assert (await chat.models.retrieve("northern")).id == "northern"
    assert (await messages.models.retrieve("southern")).id == "southern"
    with pytest.raises(openai.NotFoundError):
        await chat.models.retrieve("forbidden")
    with pytest.raises(anthropic.NotFoundError):
        await messages.models.retrieve("forbidden")
