"""What contract fuzzing has found (``make fuzz``), each as the call that showed it."""

from __future__ import annotations

from tests.gateway.town import Town, messages
from tests.gateway.upstream import answer, upstream

from pharos.gateway.models.dialects.openai_responses.answer import envelope


async def test_embeddings_of_a_dialect_that_has_none_are_no_failure_of_a_server(city: Town) -> None:
    """It was a 502, which clients repeat and operators are woken by; nothing had failed, and nothing was asked."""
    async with upstream(answer) as provider:
        await city.provider("south", provider.url, dialect="anthropic", baseUrl=provider.url)
        await city.model("clever", "south")
        await city.price()
        await city.key("k")
        for _ in range(6):
            refused = await city.ask("k", {"model": "clever", "input": "Hello"}, "/v1/embeddings")
            assert (refused.status, refused.fault["code"]) == (400, "CAPABILITY_MISSING")
            assert refused.json["error"]["type"] == "invalid_request_error"
            assert "the dialect anthropic has no embeddings" in refused.json["error"]["message"]
        assert not provider.requests
        # And the provider is not left alone for it.
        assert (await city.ask("k", messages("clever"), "/v1/messages")).status == 200


def test_a_response_repeats_only_the_reasoning_that_is_in_force() -> None:
    """Members that no other dialect has are dropped unread: ``{"context": false}`` came back as it was."""
    written = envelope("resp_1", "m", 1.0, {"reasoning": {"effort": "low", "context": False}})
    assert written["reasoning"] == {"effort": "low", "summary": None}


def test_a_response_repeats_no_verbosity_that_does_not_exist() -> None:
    """The empty one stood in the answer, where the description has three words."""
    for verbosity, told in (("", "medium"), ("low", "low"), (None, "medium")):
        written = envelope("resp_1", "m", 1.0, {"text": {"verbosity": verbosity}})
        assert written["text"] == {"format": {"type": "text"}, "verbosity": told}
