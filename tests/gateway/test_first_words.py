"""What somebody reads who uses the city for the first time: which of two things is wrong, and what would mend it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.test_budgets import prepare
from tests.gateway.town import Town, chat
from tests.gateway.upstream import answer, upstream

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("/v1/chat/completions", "messages", {"model": "fast"}),
    ("/v1/messages", "messages", {"model": "fast", "max_tokens": 5}),
    ("/v1/responses", "input", {"model": "fast"}),
    ("/v1beta/models/fast:generateContent", "contents", {}),
]


@pytest.mark.parametrize(("path", "member", "rest"), CASES, ids=lambda case: str(case)[:24])
async def test_what_is_empty_is_not_called_missing(city: Town, path: str, member: str, rest: dict[str, Any]) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, "1.00")
        empty = await city.ask("bot", {**rest, member: []}, path)
        missing = await city.ask("bot", rest, path)
    assert (empty.status, missing.status) == (400, 400)
    assert b"must not be empty" in empty.body and b"is required" not in empty.body
    assert b"is required" in missing.body


async def test_no_credential_and_one_that_is_not_accepted_are_told_apart(city: Town) -> None:
    body = chat()
    none = await city.ask("", body)
    assert (none.status, "No credential came with the call" in none.fault["detail"]) == (401, True)
    city.secrets["stranger"] = "ph_" + "a" * 12 + "_" + "b" * 43
    city.secrets["nonsense"] = "sk-something-else"
    details = set()
    for key in ("stranger", "nonsense"):
        refused = await city.ask(key, body)
        assert refused.status == 401
        details.add(refused.fault["detail"])
    assert details == {"The credential that came with the call is not accepted here."}, "and nothing more"


async def test_a_tool_whose_price_nobody_knows_says_what_would_help(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, "1.00")
        body = {**chat(max_tokens=5), "web_search_options": {"search_context_size": "low"}}
        refused = await city.ask("bot", body)
        assert refused.status == 422, refused.body
        assert [fix["id"] for fix in refused.fault["fixes"]] == ["leave-out", "allow-unpriced"]
        await city.model("fast", "acme", unpriced="allow")
        assert (await city.ask("bot", body)).status != 422
