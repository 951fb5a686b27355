"""Money: held before it is spent, settled to the truth, never beyond a limit; refusals that can be mended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.town import Town, chat, document, messages, town
from tests.gateway.upstream import Exchange, answer, openai_answer, upstream

from pharos.core.principal import SYSTEM, Principal, PrincipalKind
from pharos.gateway.models.spending.money import window_end, window_name
from pharos.gateway.models.spending.settlement import Settlements
from pharos.mesh.money import NANOS


async def prepare(city: Town, url: str, limit: str, **key: Any) -> None:
    await city.provider("acme", url)
    await city.price("small-1")
    await city.model("fast", "acme")
    await city.budget("b", limit)
    await city.key("bot", **{"budgets": ["b"], **key})


def ceiling(body: dict[str, Any]) -> int:
    """What a call is held at: a token for each byte at 1000 billionths, its output limit at 2000."""
    return len(json.dumps(body)) * 1000 + body["max_tokens"] * 2000


@pytest.mark.timeout(100)
async def test_a_hard_cap_is_never_exceeded(city: Town) -> None:
    """Two thousand calls at once against a budget with room for a few hundred; each costs up to its very bound."""
    body = chat(max_tokens=100)
    held = ceiling(body)
    limit = held * 300 + held // 2
    highest = 0

    async def script(exchange: Exchange) -> None:
        # The provider uses every token that was bounded: the dearest answer there can be.
        await exchange.json(openai_answer(input=len(json.dumps(body)), output=100))

    async def watch() -> None:
        nonlocal highest
        while True:
            highest = max(highest, sum(await city.settled("b")))
            await asyncio.sleep(0.01)

    async with upstream(script) as provider:
        await prepare(city, provider.url, f"{limit / NANOS:.9f}")
        watching = asyncio.create_task(watch())
        gate = asyncio.Semaphore(250)

        async def call() -> int:
            async with gate:
                return (await city.ask("bot", body)).status

        statuses = await asyncio.gather(*(call() for _ in range(2000)))
        watching.cancel()
        settled = await city.quiet("b")
        spent = sum(round(float(called["cost"]) * NANOS) for called in await city.called())
        assert settled == spent, "the ledger adds up to the counter"
        assert settled <= limit
        assert highest <= limit
        assert set(statuses) == {200, 402}
        assert statuses.count(200) == len(provider.requests) >= 300
        # What is left is less than one more call could cost.
        assert limit - settled < held


async def test_the_fix_of_a_refused_call_lets_it_through(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, "0.000001")
        reply = await city.chat("bot", max_tokens=100)
        assert reply.status == 402
        assert reply.headers["x-should-retry"] == "false"
        assert provider.requests == []
        fault = reply.fault
        assert fault["code"] == "BUDGET_EXCEEDED"
        assert fault["subject"] == "Budget/default/b"
        (fix,) = fault["fixes"]
        assert fix["applicability"] == "certain"
        # The key itself may not raise its own budget; it is told how to ask.
        assert fix["permitted"] == "needs_approval"
        assert fix["request"]["operation"] == "approvals.request"
        assert fix["call"]["operation"] == "budgets.raise"
        raised = await city.invoker.invoke(fix["call"]["operation"], fix["call"]["arguments"], SYSTEM)
        assert (await city.chat("bot", max_tokens=100)).status == 200
        await city.invoke("operations.undo", id=raised["operation"])
        assert (await city.chat("bot", max_tokens=100)).status == 402


async def test_the_way_through_an_approver(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, "0.000001", scopes=["models.call", "approvals.request"])
        (fix,) = (await city.chat("bot", max_tokens=100)).fault["fixes"]
        bot = Principal(PrincipalKind.KEY, "bot", permissions=frozenset({"models.call", "approvals.request"}))
        asked = await city.invoker.invoke(fix["request"]["operation"], fix["request"]["arguments"], bot)
        await city.invoke("approvals.approve", name=asked["approval"]["name"])
        assert (await city.chat("bot", max_tokens=100)).status == 200


async def test_a_call_needs_room_in_all_of_its_budgets(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, "1.00", budgets=["b", "small"])
        await city.budget("small", "0.000001")
        reply = await city.chat("bot", max_tokens=100)
        assert reply.status == 402
        assert [fix["call"]["arguments"]["name"] for fix in reply.fault["fixes"]] == ["small"]
        assert await city.settled("b") == (0, 0), "nothing is held on one where the other has no room"
        await city.budget("b", "0.000001")
        reply = await city.chat("bot", max_tokens=100)
        assert [fix["applicability"] for fix in reply.fault["fixes"]] == ["likely", "likely"], "one alone does not help"


async def test_a_budget_that_does_not_exist_spends_nothing(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, "1.00", budgets=["b", "ghost"])
        reply = await city.chat("bot")
        assert reply.status == 402, "no client repeats it by itself: somebody must mend it first"
        assert reply.fault["code"] == "BUDGET_MISSING"
        [fix] = reply.fault["fixes"]
        [document] = fix["call"]["arguments"]["documents"]
        assert (fix["applicability"], document["metadata"]["name"]) == ("template", "ghost")
        document["spec"]["limit"] = "1.00"
        await city.apply(document)
        assert (await city.chat("bot")).status == 200
        provider.requests.clear()
        await city.key("bot", models=["*"], budgets=["b", "ghost-2"])
        assert (await city.chat("bot")).status == 402
        assert "Budget/default/ghost" in reply.fault["detail"]
        assert provider.requests == []


async def test_an_unknown_price_is_refused_under_a_budget(city: Town) -> None:
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        await city.model("fast", "acme")
        await city.budget("b", "1.00")
        await city.key("bot", budgets=["b"])
        await city.key("free")
        reply = await city.chat("bot")
        assert reply.status == 422
        assert reply.fault["code"] == "MODEL_UNPRICED"
        (fix,) = reply.fault["fixes"]
        assert fix["applicability"] == "template"
        assert provider.requests == []
        # Without a budget, and where the model allows it, the call is made and recorded as unpriced.
        assert (await city.chat("free")).status == 200
        await city.model("fast", "acme", unpriced="allow")
        assert (await city.chat("bot")).status == 200
        for called in (await city.called(3))[1:]:
            assert called["attempts"][0]["price"]["source"] == "unpriced"
            assert called["attempts"][0]["cost"] is None
        # The fix, filled in, mends it for good.
        text = json.dumps(fix["call"]["arguments"])
        text = text.replace("<USD per million input tokens>", "1").replace("<USD per million output tokens>", "2")
        await city.invoker.invoke(fix["call"]["operation"], json.loads(text), SYSTEM)
        await city.model("fast", "acme")
        assert (await city.chat("bot")).status == 200


async def test_every_price_that_is_unknown_is_named_once_and_in_one_fix(city: Town) -> None:
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        other = {"provider": "acme", "model": "Org/Small-2:latest"}
        await city.model("backup", other)
        await city.model("fast", "acme", other, fallbacks=["backup"])
        await city.budget("b", "1.00")
        await city.key("bot", budgets=["b"])
        fault = (await city.chat("bot")).fault
        assert fault["detail"].endswith(
            "no price is known that bounds a call of acme/small-1, acme/Org/Small-2:latest."
        )
        [fix] = fault["fixes"]
        documents = fix["call"]["arguments"]["documents"]
        assert [document["metadata"]["name"] for document in documents] == ["acme-small-1", "acme-org-small-2-latest"]
        text = json.dumps(documents).replace("<USD per million input tokens>", "1")
        filled = json.loads(text.replace("<USD per million output tokens>", "2"))
        await city.invoker.invoke("catalog.apply", {"documents": filled}, SYSTEM)
        assert (await city.chat("bot")).status == 200


async def test_what_cannot_be_bounded_is_refused_under_a_budget(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, "1.00")
        # An empty object asks for a search too: it is how OpenAI's own examples ask for one.
        for options in ({}, {"search_context_size": "low"}):
            reply = await city.chat("bot", web_search_options=options)
            assert reply.status == 422
            assert reply.fault["code"] == "MODEL_UNPRICED"
        assert (await city.chat("bot", web_search_options=None)).status == 200
        assert len(provider.requests) == 1


PATHS = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/fast:generateContent",
}
SERVED = [
    ("openai-chat", {"tools": [{"type": "web_search", "web_search": {"enable": True}}]}),
    ("openai-chat", {"tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}]}),
    ("openai-chat", {"plugins": [{"id": "web"}]}),
    ("openai-chat", {"search_parameters": {"mode": "auto"}}),
    ("openai-chat", {"models": ["dear/one"]}),
    ("openai-chat", {"enable_search": True}),
    ("openai-chat", {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}),
    ("openai-chat", {"modalities": ["image", "text"]}),
    ("openai-responses", {"tools": [{"type": "web_search"}]}),
    ("openai-responses", {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}),
    ("openai-responses", {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}),
    ("openai-responses", {"tools": [{"type": "image_generation"}]}),
    ("openai-responses", {"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x.example"}]}),
    ("openai-responses", {"prompt": {"id": "pmpt_1"}}),
    ("anthropic", {"tools": [{"type": "web_search_20260209", "name": "web_search"}]}),
    ("anthropic", {"tools": [{"type": "code_execution_20260120", "name": "code_execution"}]}),
    ("anthropic", {"tools": [{"type": "advisor_20260301", "name": "advisor"}]}),
    ("anthropic", {"context_management": {"edits": [{"type": "compact_20260112"}]}}),
    ("anthropic", {"compaction": {"type": "summarize"}}),
    ("anthropic", {"fallbacks": "default"}),
    ("openai-responses", {"context_management": [{"type": "compaction", "compact_threshold": 1000}]}),
    ("anthropic", {"mcp_servers": [{"type": "url", "url": "https://x.example", "name": "x"}]}),
    ("gemini", {"tools": [{"googleSearch": {}}]}),
    ("gemini", {"tools": [{"code_execution": {}}]}),
    ("gemini", {"generationConfig": {"responseModalities": ["AUDIO"]}}),
    ("gemini", {"generationConfig": {"response_modalities": ["TEXT", "IMAGE"]}}),
]
"""What providers bill beside tokens, or by tokens that nothing in the request bounds."""


@pytest.mark.parametrize("held", ["budget", "maxCost"])
@pytest.mark.parametrize("dialect", PATHS)
async def test_what_the_provider_does_itself_is_never_free(city: Town, dialect: str, held: str) -> None:
    """Refused where money is limited, for no limit could be kept; made and recorded where that is allowed."""
    async with upstream(answer) as provider:
        base = {"baseUrl": provider.url} if not dialect.startswith("openai") else {}
        await city.provider("acme", provider.url, dialect=dialect, **base)
        await city.price("small-1")
        most = {"maxCost": "0.50"} if held == "maxCost" else {}
        await city.model("fast", "acme", **most)
        await city.budget("b", "1.00")
        await city.key("bot", budgets=["b"] if held == "budget" else [])
        said = {
            "openai-chat": chat(),
            "openai-responses": {"model": "fast", "input": "x"},
            "anthropic": messages(),
            "gemini": {"contents": [{"parts": [{"text": "x"}]}]},
        }[dialect]
        for extra in [extra for of, extra in SERVED if of == dialect]:
            reply = await city.ask("bot", {**said, **extra}, PATHS[dialect])
            assert reply.status in (400, 422), (extra, reply.body)
            assert b"MODEL_UNPRICED" in reply.body, extra
        assert not provider.requests
        if dialect in ("openai-chat", "anthropic"):
            await city.model("fast", "acme", unpriced="allow", **most)
            assert (await city.ask("bot", {**said, **extra}, PATHS[dialect])).status == 200


@pytest.mark.parametrize(
    "tool", [{"type": "bash_20250124", "name": "bash"}, {"type": "text_editor_20250728", "name": "edit"}, {"name": "f"}]
)
async def test_tools_that_the_caller_runs_cost_their_tokens(city: Town, tool: dict[str, Any]) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, "1.00")
        await city.provider("acme", provider.url, dialect="anthropic", baseUrl=provider.url)
        reply = await city.ask("bot", messages(tools=[{**tool, "input_schema": {"type": "object"}}]), "/v1/messages")
        assert reply.status == 200, reply.body


async def test_an_output_limit_is_set_where_the_bound_needs_one(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, "1.00")
        await city.key("free")
        reply = await city.chat("bot")
        assert reply.headers["x-pharos-max-output"] == "4096"
        sent = provider.requests[-1].json
        assert 4096 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
        await city.chat("free")
        assert not {"max_tokens", "max_completion_tokens"} & provider.requests[-1].json.keys()
        await city.chat("bot", max_tokens=7)
        assert provider.requests[-1].json["max_tokens"] == 7


async def test_images_and_choices_are_held_for(city: Town) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}
    held: list[int] = []

    async def script(exchange: Exchange) -> None:
        held.append((await city.settled("b"))[1])
        await answer(exchange)

    async with upstream(script) as provider:
        await prepare(city, provider.url, "10.00")
        body = chat(max_tokens=100)
        await city.ask("bot", body)
        body["messages"][0]["content"] = [{"type": "text", "text": "x"}, image, {"\u0074ype": "image_url", **image}]
        await city.ask("bot", json.dumps(body).replace('"image_url"', '"image\\u005furl"').encode())
        await city.ask("bot", chat(n=3))
        assert held[0] == ceiling(chat(max_tokens=100))
        assert held[1] > 2 * 65_536 * 1000, "however the part's name is written"
        assert held[2] > 3 * 4096 * 2000


async def test_budgets_are_listed_with_what_is_left(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, "1.00")
        await city.apply(document("Budget", "monthly", {"limit": "5"}))
        await city.chat("bot", max_tokens=10)
        listed = (await city.invoke("budgets.list"))["items"]
        assert [item["name"] for item in listed] == ["b", "monthly"]
        assert listed[0]["settled"] == "0.000020000"
        assert listed[0]["remaining"] == "0.999980000"
        assert listed[0]["period"] == "total"
        assert listed[1]["endsAt"].endswith("-01T00:00:00Z")
        first = await city.invoke("budgets.list", limit=1)
        second = await city.invoke("budgets.list", limit=1, cursor=first["next"])
        assert [item["name"] for item in second["items"]] == ["monthly"]
        assert second["next"] is None


async def test_a_raise_only_raises(city: Town) -> None:
    await city.budget("b", "1.00")
    for limit in ("1.00", "0.5"):
        with pytest.raises(Exception, match="BUDGET_NOT_RAISED"):
            await city.invoke("budgets.raise", name="b", limit=limit)
    with pytest.raises(Exception, match="NOT_FOUND"):
        await city.invoke("budgets.raise", name="ghost", limit="1")
    assert (await city.invoke("budgets.raise", name="b", limit="2.50"))["previous"] == "1.00"


def test_windows() -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC)
    names = {w: window_name(w, now) for w in ("minute", "hour", "day", "week", "month", "total")}
    assert names == {
        "minute": "2026-12-31T23:59",
        "hour": "2026-12-31T23",
        "day": "2026-12-31",
        "week": "2026-W53",
        "month": "2026-12",
        "total": "total",
    }
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    for window in ("minute", "hour", "day", "month"):
        assert window_end(window, now) == new_year
    assert window_end("week", now) == datetime(2027, 1, 4, tzinfo=UTC)
    assert window_end("total", now) is None
    for window in ("minute", "hour", "day", "week", "month"):
        assert window_name(window, window_end(window, now)) != names[window]
        # What was asked for last is remembered: neither a time before it nor one after it is taken for it.
        assert window_name(window, now - timedelta(seconds=1)) == names[window]
        assert window_name(window, now) == names[window]
        assert window_name(window, now - timedelta(days=60)) != names[window]
        assert window_name(window, now) == names[window]


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.gateway.town import town, chat
from tests.gateway.upstream import upstream

async def main(home: Path) -> None:
    asked = asyncio.Semaphore(0)
    async def script(exchange):
        body = exchange.request.json
        if body["max_tokens"] == 11:
            from tests.gateway.upstream import answer
            await answer(exchange)
            return
        if body.get("stream"):
            from tests.gateway.upstream import openai_delta
            await exchange.start()
            await exchange.chunk(openai_delta("Hello"))
        asked.release()
        await exchange.until_left()
    async with town(home) as city, upstream(script) as provider:
        await city.provider("acme", provider.url)
        await city.price("small-1")
        await city.model("fast", "acme")
        await city.budget("b", "1.00")
        await city.budget("c", "1.00")
        await city.key("bot", budgets=["b", "c"], labels={"team": "a"})
        for _ in range(3):
            assert (await city.chat("bot", max_tokens=11)).status == 200
        calls = [asyncio.create_task(city.chat("bot", max_tokens=100, stream=n % 2 == 0)) for n in range(20)]
        for _ in calls:
            await asyncio.wait_for(asked.acquire(), 20)
        print((await city.settled("b"))[1], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_killed_city_settles_what_it_held(tmp_path: Path) -> None:
    """kill -9 with twenty calls under way: the next start settles each at the amount held, and says so."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(tmp_path), stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == -signal.SIGKILL
    held = int(output)
    assert held > 0
    async with town(tmp_path) as city:
        assert await city.settled("b") == await city.settled("c") == (3 * 20_000 + held, 0)
        called = await city.called()
        unknown = [each for each in called if each["outcome"] == "unknown"]
        assert len(called) == 23
        assert len(unknown) == 20
        for each in unknown:
            (attempt,) = each["attempts"]
            assert attempt["outcome"] == "unknown"
            assert attempt["cost"] == each["cost"]
            assert attempt["price"]["source"] == "reservation"
            assert (each["key"], each["team"], each["model"]) == ("bot", "a", "fast")
        assert sum(round(float(each["cost"]) * NANOS) for each in called) == 3 * 20_000 + held
    async with town(tmp_path) as city:
        assert len(await city.called()) == 23, "once"


async def test_a_commit_the_disk_refuses_is_made_later(city: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be recorded is not handed out; the settlement is kept and made as soon as it can be."""
    from pharos.store.faults import STORAGE_FAILED

    async with upstream(answer) as provider:
        await prepare(city, provider.url, "1.00")
        real = type(city.store).commit
        full = True

        async def commit(self: Any, *commands: Any, **more: Any) -> Any:
            if full and any(type(command).__name__ == "Settle" for command in commands):
                raise STORAGE_FAILED("The disk is full.")
            return await real(self, *commands, **more)

        monkeypatch.setattr(type(city.store), "commit", commit)
        reply = await city.chat("bot", max_tokens=10)
        assert reply.status == 503
        assert reply.fault["code"] == "STORAGE_FAILED"
        assert b"Hello" not in reply.body
        stream = await city.chat("bot", stream=True, max_tokens=10)
        assert stream.events[-1]["pharos"]["code"] == "STORAGE_FAILED"
        assert b"[DONE]" not in stream.body
        assert (await city.settled("b"))[1] > 0
        full = False
        owners = [getattr(service, "__self__", None) for service in city.plane.services]
        settlements = next(owner for owner in owners if isinstance(owner, Settlements))
        await settlements._settle_pending()
        assert await city.settled("b") == (40_000, 0)
        assert len(await city.called(2)) == 2
