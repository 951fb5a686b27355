"""What the bytes of a request do not bound is held for, or refused: a hard cap is kept whatever stands behind an id or
is built into a model."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.town import Town
from tests.gateway.upstream import Exchange, upstream

from pharos.mesh.money import NANOS

SPOKEN = {"role": "assistant", "audio": {"id": "audio_1"}}
PICTURE = {"type": "image_generation_call", "id": "ig_1"}


@pytest.mark.parametrize(
    ("path", "member", "one"),
    [("/v1/chat/completions", "messages", SPOKEN), ("/v1/responses", "input", PICTURE)],
    ids=["a spoken answer", "a picture"],
)
async def test_what_stands_in_a_conversation_by_its_id_is_held_for(
    city: Town, path: str, member: str, one: dict[str, Any]
) -> None:
    held: list[int] = []

    async def script(exchange: Exchange) -> None:
        held.append((await city.settled("b"))[1])
        await exchange.json({"error": {"message": "no"}}, 400)

    async with upstream(script) as provider:
        dialect = "openai-chat" if member == "messages" else "openai-responses"
        await city.provider("acme", provider.url, dialect=dialect)
        await city.price()
        await city.model("fast", "acme", attachmentTokens=5_000)
        await city.budget("b", "1.00")
        await city.key("bot", budgets=["b"])
        turns = [{"role": "user", "content": "Say hello."}]
        for content in (turns, [*turns, one]):
            await city.ask("bot", {"model": "fast", member: content}, path)
        plain, longer = held
        assert 5_000 * 1_000 <= longer - plain < 5_200 * 1_000, "the attachment, and its own bytes"
        await city.budget("b", f"{plain / NANOS:.9f}")
        refused = await city.ask("bot", {"model": "fast", member: [*turns, one]}, path)
        assert (refused.status, len(held)) == (402, 2)
