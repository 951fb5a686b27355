"""What was said before is read for who has room for a call, and for nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.town import Town
from tests.gateway.upstream import answer, upstream

from pharos.gateway.models.state.responses import Responses

PATH = "/v1/responses"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the conversations that are read."""
    found: list[str] = []
    real = Responses.conversation

    async def counted(self: Responses, tenant: str, id: str) -> list[bytes]:
        found.append(id)
        return await real(self, tenant, id)

    monkeypatch.setattr(Responses, "conversation", counted)
    return found


async def test_limits_come_before_the_conversation_is_read(city: Town, reads: list[str]) -> None:
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        await city.price("small-1")
        await city.model("fast", "acme")
        await city.key("bot", limits={"requestsPerMinute": 2, "concurrency": 1})
        first = await city.ask("bot", {"model": "fast", "input": "one"}, PATH)
        assert first.status == 200, first.body
        body: dict[str, Any] = {"model": "fast", "input": "two", "previous_response_id": first.json["id"]}
        counted = await city.ask("bot", body, f"{PATH}/input_tokens")
        assert (counted.status, len(reads)) == (200, 1)
        second = await city.ask("bot", body, PATH)
        assert (second.status, len(reads)) == (200, 2), "what was read took its room once, and gave its place back"
        for path in (PATH, f"{PATH}/input_tokens"):
            refused = await city.ask("bot", body, path)
            assert (refused.status, refused.fault["code"]) == (429, "RATE_LIMITED")
        assert len(reads) == 2, "who has no room has nothing read"
