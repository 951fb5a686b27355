"""What a request needs of a model, in every dialect, and what a target lacks of it."""

from __future__ import annotations

from typing import Any

import pytest

from pharos.gateway.models.routing.needs import Able, Needs, able, features_of, media_bytes
from pharos.gateway.models.routing.spec import Capabilities

PNG = "data:image/png;base64," + "A" * 300
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


def user(*parts: dict[str, Any]) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("body", "turns", "tools", "expected"),
    [
        ({}, ["a system text", {"role": "user", "content": "hello"}], False, set()),
        ({}, user({"type": "text", "text": "hi"}), True, {"tools"}),
        ({}, user({"type": ["image"]}, {"type": {"image": 1}}), False, set()),
        ({}, user({"type": "image_url", "image_url": {"url": PNG}}), False, {"vision"}),
        ({}, user({"type": "image_url", "image_url": {"url": "https://x/y.png"}}), False, {"vision", "imageUrls"}),
        ({}, user({"type": "input_image", "image_url": "https://x/y.png"}), False, {"vision", "imageUrls"}),
        ({}, user({"type": "image", "source": {"type": "base64", "data": "AA"}}), False, {"vision"}),
        ({}, user({"type": "image", "source": {"type": "url", "url": "https://x"}}), False, {"vision", "imageUrls"}),
        ({}, user({"type": "document", "source": {"type": "base64", "data": "AA"}}), False, {"documents"}),
        ({}, user({"type": "file", "file": {"file_data": "AA"}}), False, {"documents"}),
        ({}, user({"type": "input_audio", "input_audio": {"data": "AA"}}), False, {"audio"}),
        (
            {},
            user({"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64", "data": "A"}}]}),
            False,
            {"vision"},
        ),
        ({}, [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}]}], False, {"vision"}),
        ({}, [{"role": "user", "parts": [{"inline_data": {"mime_type": "application/pdf"}}]}], False, {"documents"}),
        ({}, [{"role": "user", "parts": [{"fileData": {"mimeType": "audio/mp3"}}]}], False, {"audio"}),
        ({"response_format": SCHEMA}, [], False, {"schema"}),
        ({"response_format": {"type": "json_object"}}, [], False, set()),
        ({"response_format": SCHEMA}, [], True, {"schema", "tools", "schemaWithTools"}),
        ({"text": {"format": {"type": "json_schema"}}}, [], False, {"schema"}),
        ({"output_config": {"format": {"type": "json_schema"}}}, [], False, {"schema"}),
        ({"generationConfig": {"responseSchema": {"type": "OBJECT"}}}, [], False, {"schema"}),
    ],
)
def test_features_are_read_from_every_dialect(
    body: dict[str, Any], turns: list[Any], tools: bool, expected: set[str]
) -> None:
    assert features_of(body, turns, tools=tools) == expected


def test_data_is_no_text() -> None:
    turns = user({"type": "image_url", "image_url": {"url": PNG}}, {"type": "text", "text": "x" * 50})
    assert media_bytes(turns) == len(PNG)
    assert media_bytes(user({"type": "image", "source": {"type": "base64", "data": "A" * 70}})) == 70
    assert media_bytes([{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "A" * 9}}]}]) == 9


def needs(*features: str, tokens: int = 10, asked: int | None = None, size: int = 30) -> Needs:
    return Needs(frozenset(features), tokens, 512, asked, size)


def test_a_target_says_it_over_its_provider_and_silence_keeps_nothing_away() -> None:
    assert able(None, None, None) is None
    assert able(Capabilities(vision=True), None, None) is None
    assert able(Capabilities(vision=False), Capabilities(vision=True), None) is None
    both = able(Capabilities(vision=False, tools=False), Capabilities(tools=True), None)
    assert both is not None and both.lacking == {"vision"}
    assert both.lacks(needs("tools")) == ""
    assert both.lacks(needs("vision", "tools")) == "cannot do vision"


def test_a_length_is_doubted_on_an_estimate_and_refused_only_where_it_is_certain() -> None:
    declared = able(None, Capabilities(context_tokens=1000, max_output_tokens=100), None)
    assert declared is not None
    assert declared.lacks(needs(tokens=1500, size=4500)) == "", "a third of the bytes is only an estimate"
    assert "for a context of 1000" in declared.doubt(needs(tokens=1500, size=4500))
    assert declared.lacks(needs(tokens=2100, size=6300)) == "has a context of 1000 tokens"
    assert "at most 100" in declared.doubt(needs(asked=101))
    assert declared.doubt(needs(asked=100)) == ""
    listed = able(None, None, 1000)
    assert listed == Able(frozenset(), 1000, False, None, False)
    assert listed.lacks(needs(tokens=2100, size=6300)) == "", "the price list may be behind"
    assert listed.doubt(needs(tokens=900, asked=200))
