"""Whatever happens to a request on its way to or from Gemini is in the published table."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from tests.gateway.dialects.bodies import bodies
from tests.gateway.dialects.gemini_wire import GEMINI
from tests.gateway.dialects.responses_wire import RESPONSES
from tests.gateway.dialects.test_gemini_answers import _BODIES, as_parsed
from tests.gateway.dialects.test_losses import check
from tests.gateway.dialects.wire import CHAT, MESSAGES

from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.dialects.registry import DIALECTS

SLOW = settings(
    max_examples=int(os.environ.get("PHAROS_FUZZ", "25")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
MODELS = ("gemini-3.5-flash", "gemini-2.5-pro", "gemini-2.0-flash")


@SLOW
@given(bodies("openai-chat", legal=True) | bodies("openai-chat"))
def test_of_a_chat_request(body: dict[str, Any]) -> None:
    for model in MODELS:
        check(CHAT, GEMINI, body, model)


@SLOW
@given(bodies("anthropic", legal=True) | bodies("anthropic"))
def test_of_a_messages_request(body: dict[str, Any]) -> None:
    for model in MODELS:
        check(MESSAGES, GEMINI, body, model)


@SLOW
@given(_BODIES)
def test_of_a_gemini_request(body: dict[str, Any]) -> None:
    for provider, model in (
        (CHAT, "gpt-5"),
        (RESPONSES, "gpt-5"),
        (MESSAGES, "claude-opus-4-6"),
        (MESSAGES, "claude-3"),
    ):
        check(GEMINI, provider, as_parsed(body), model)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_every_dialect_has_a_table_for_gemini_and_gemini_for_every_other(dialect: Dialect) -> None:
    targets = {loss.target for loss in dialect.losses}
    assert targets == set(DIALECTS) - {dialect.name}
    for loss in dialect.losses:
        assert loss.what[0].isupper() or loss.what[0] in "`0123456789"
        assert loss.what.endswith((".", "…"))
    assert len({(loss.field, loss.target, loss.effect) for loss in dialect.losses}) == len(dialect.losses)
