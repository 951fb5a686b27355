"""Guards through the official SDKs: a caller notices nothing, a provider learns nothing."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest
from tests.sdk.clients import Question, Results, Tool

MAIL = "bob@example.com"
SECRET = "AKIA" + "Q3EGUY2JHJNC4KQ7"

GUARD = """
apiVersion: pharos/v1
kind: Guard
metadata: {{namespace: {namespace}, name: privacy}}
spec:
  onError: closed
  rules:
    - {{detectors: [pii], action: mask}}
    - {{detectors: [credentials], action: block}}
"""


async def test_a_conversation_with_a_tool(found: Any, client: Any, model: str, stream: bool) -> None:
    town = await found(
        """
        rules:
        - when: {toolResult: true}
          answer: {text: "Told ${toolResult} about ${lastUser}"}
        - answer: {toolCalls: [{name: mail, arguments: {to: "[EMAIL_1]", me: "eve@example.com"}}]}
        """
    )
    await town.apply(GUARD)
    tool = Tool("mail", {"type": "object", "properties": {"to": {"type": "string"}, "me": {"type": "string"}}})
    speaker = client(town)
    turns: list[Any] = [Question(f"Write to {MAIL}")]
    asked = await speaker.ask(model, turns, stream=stream, tools=[tool])
    [call] = asked.calls
    assert call.arguments == {"to": MAIL, "me": "[EMAIL_2]"}
    turns += [asked, Results([(call.id, f"sent to {MAIL}")])]
    answer = await speaker.ask(model, turns, stream=stream, tools=[tool])
    assert f"sent to {MAIL}" in answer.text
    for received in town.provider(model).received.after():
        assert MAIL not in json.dumps(received.body)
    journey, *_ = await town.journeys()
    steps = json.dumps(await town.city.operation("journeys.get", {"id": journey["id"]}))
    assert "email masked" in steps
    assert MAIL not in steps


async def test_a_block_is_what_the_sdk_knows(found: Any, client: Any, model: str, stream: bool) -> None:
    town = await found("rules: [{answer: {text: hello}}]")
    await town.apply(GUARD)
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError)) as caught:
        await client(town).ask(model, [Question(SECRET)], stream=stream)
    assert "GUARD_BLOCKED" in caught.value.response.text
    assert SECRET not in caught.value.response.text
    assert not len(town.provider(model).received)
