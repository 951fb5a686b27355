"""The published loss tables say everything that happens, and the finish tables are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from tests.gateway.dialects.bodies import bodies
from tests.gateway.dialects.lossy import LOSSY
from tests.gateway.dialects.wire import CHAT, MESSAGES, matches

from pharos.core.fault import Fault
from pharos.gateway.models.dialects.canonical import Finish
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.dialects.reading import TRANSLATION
from pharos.gateway.models.dialects.registry import DIALECTS

PAIRS = pytest.mark.parametrize(
    ("client", "provider"), [(CHAT, MESSAGES), (MESSAGES, CHAT)], ids=lambda dialect: dialect.name
)
MODELS = ("gpt-5", "gpt-6", "claude-opus-4-6", "claude-sonnet-4-5")
OF_EACH: Mapping[str, Sequence[str]] = {
    "openai-chat": ("gpt-5", "gpt-6", "gpt-4o"),
    "openai-responses": ("gpt-5", "gpt-6", "gpt-4o"),
    "anthropic": ("claude-opus-4-6", "claude-sonnet-4-5", "claude-3"),
    "gemini": ("gemini-3.5-flash", "gemini-2.5-pro", "gemini-2.0-flash"),
}
"""Models of several ages, which take different things."""


def listed(client: Dialect, provider: Dialect, effect: str, pointer: str) -> bool:
    return any(
        loss.target == provider.name and loss.effect == effect and matches(loss.field, pointer)
        for loss in client.losses
    )


def lost(client: Dialect, provider: Dialect, body: dict[str, Any], model: str) -> Iterator[tuple[str, str]]:
    """What happens to a request, and where."""
    try:
        request = client.read_request(body)
        provider.write_request(request, model, 1000)
    except Fault as fault:
        assert fault.document.rule == TRANSLATION, (fault.document.problems, body)
        for pointer in [problem.pointer for problem in fault.document.problems] or [fault.document.pointer or ""]:
            yield "refused", pointer
        return
    yield from (("dropped", pointer) for pointer in request.dropped)
    yield from (("converted", pointer) for pointer in request.converted)


@pytest.mark.parametrize("provider", DIALECTS)
@pytest.mark.parametrize("client", DIALECTS)
def test_every_line_happens(client: str, provider: str) -> None:
    """None is there for nothing: of each there is a request of which it says best what becomes of it."""
    dialect, target = DIALECTS[client], DIALECTS[provider]
    lines = [loss for loss in dialect.losses if loss.target == provider]
    happened: set[tuple[str, str]] = set()
    for body in LOSSY[client] if lines else ():
        for model in OF_EACH[provider]:
            for effect, pointer in lost(dialect, target, body, model):
                fields = [loss.field for loss in lines if loss.effect == effect and matches(loss.field, pointer)]
                assert fields, f"{effect} at {pointer}, not in the loss table"
                happened.add((effect, min(fields, key=lambda field: (field.count("**"), field.count("*")))))
    never = [(loss.effect, loss.field) for loss in lines if (loss.effect, loss.field) not in happened]
    assert not never, f"of {client} to {provider}: {never}"


def check(client: Dialect, provider: Dialect, body: dict[str, Any], model: str) -> None:
    try:
        request = client.read_request(body)
        provider.write_request(request, model, 1000)
    except Fault as fault:
        assert fault.code == "INVALID"
        if fault.document.rule == TRANSLATION:
            found = [problem.pointer for problem in fault.document.problems] or [fault.document.pointer or ""]
            unlisted = [one for one in found if not listed(client, provider, "refused", one)]
            assert not unlisted, f"refused, not in the loss table: {unlisted}"
        return
    for effect in ("dropped", "converted"):
        unlisted = [one for one in getattr(request, effect) if not listed(client, provider, effect, one)]
        assert not unlisted, f"{effect}, not in the loss table: {unlisted}"


@settings(
    max_examples=int(os.environ.get("PHAROS_FUZZ", "80")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(bodies("openai-chat", legal=True) | bodies("openai-chat"))
def test_whatever_happens_to_a_chat_request_is_listed(body: dict[str, Any]) -> None:
    for model in MODELS[2:]:
        check(CHAT, MESSAGES, body, model)


@settings(
    max_examples=int(os.environ.get("PHAROS_FUZZ", "80")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(bodies("anthropic", legal=True) | bodies("anthropic"))
def test_whatever_happens_to_a_messages_request_is_listed(body: dict[str, Any]) -> None:
    for model in MODELS[:2]:
        check(MESSAGES, CHAT, body, model)


@PAIRS
def test_the_table_is_well_formed(client: Dialect, provider: Dialect) -> None:
    losses = client.losses
    assert len({(loss.field, loss.target, loss.effect) for loss in losses}) == len(losses)
    for loss in losses:
        assert loss.field.startswith("/")
        assert loss.target in DIALECTS
        assert loss.target != client.name
        assert loss.what[0].isupper() or loss.what[0] in "`0123456789"
        assert loss.what.endswith(".")


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_h52_the_finish_tables_are_whole(dialect: Dialect) -> None:
    assert set(dialect.finish_words) == set(Finish)
    assert set(dialect.finish_words.values()) <= set(dialect.finishes)
    assert dict(DIALECTS)[dialect.name] is dialect
    for word, finish in dialect.finishes.items():
        # What has a word comes back as what it was; of several words for one thing, one stands for all.
        assert dialect.finishes[dialect.finish_words[finish]] is finish or finish is Finish.TOOL, word
