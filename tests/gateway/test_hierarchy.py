"""Organisation, team, agent, key, end user, session: every level limits, none lends, and a refusal says which one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.gateway.town import Answer, Town, chat, document, messages
from tests.gateway.upstream import Exchange, answer, anthropic_answer, openai_answer, upstream

from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM, Principal, PrincipalKind
from pharos.gateway.models.spending.holders import end_user, holder

HUGE = {"requestsPerMinute": 10_000, "tokensPerMinute": 10**9, "concurrency": 10_000}
"""Limits that limit nothing."""


@asynccontextmanager
async def served(city: Town, script: Any = answer) -> AsyncIterator[Any]:
    async with upstream(script) as provider:
        await city.provider("acme", provider.url)
        await city.price()
        await city.model("fast", "acme")
        yield provider


async def organisation(city: Town, **spec: Any) -> None:
    await city.apply(document("Organisation", "acme", spec))


async def team(city: Town, name: str = "red", **spec: Any) -> None:
    await city.apply(document("Team", name, spec))


async def follow(city: Town, reply: Answer) -> None:
    """Run the only fix, as returned."""
    (fix,) = reply.fault["fixes"]
    assert fix["applicability"] == "certain"
    await city.invoker.invoke(fix["call"]["operation"], fix["call"]["arguments"], SYSTEM)


LEVELS: dict[str, dict[str, Any]] = {
    "organisation": {"organisation": {"limits": {"requestsPerMinute": 2}}},
    "team": {"team": {"limits": {"requestsPerMinute": 2}}},
    "agent": {"team": {"perAgent": {"requestsPerMinute": 2}}},
    "named agent": {"team": {"perAgent": {"requestsPerMinute": 1}, "agents": {"scout": {"requestsPerMinute": 2}}}},
    "key": {"key": {"limits": {"requestsPerMinute": 2}}},
    "user": {"organisation": {"perUser": {"requestsPerMinute": 2}}},
    "user of the team": {"team": {"perUser": {"requestsPerMinute": 2}}},
    "user of the key": {"key": {"perUser": {"requestsPerMinute": 2}}},
    "session": {"organisation": {"perSession": {"requestsPerMinute": 2}}},
    "session of the team": {"team": {"perSession": {"requestsPerMinute": 2}}},
    "session of the key": {"key": {"perSession": {"requestsPerMinute": 2}}},
}


@pytest.mark.parametrize("case", LEVELS)
async def test_each_level_refuses_in_its_own_name_and_its_fix_helps(city: Town, case: str) -> None:
    limited = LEVELS[case]
    level = "agent" if "agent" in case else case.split()[0]
    async with served(city) as provider:
        every = {"limits": HUGE, "perUser": HUGE, "perSession": HUGE}
        await organisation(city, **{**every, **limited.get("organisation", {})})
        await team(city, organisation="acme", **{**every, "perAgent": HUGE, **limited.get("team", {})})
        await city.key("bot", team="red", agent="scout", **{**every, **limited.get("key", {})})

        async def ask() -> Answer:
            return await city.ask("bot", chat(user="ada"), x_pharos_session="s-1")

        assert [(await ask()).status for _ in range(2)] == [200, 200]
        reply = await ask()
        assert reply.status == 429
        assert len(provider.requests) == 2
        fault = reply.fault
        assert fault["code"] == "RATE_LIMITED"
        assert fault["facts"]["level"] == level
        assert fault["facts"]["limit"] == fault["facts"]["used"] == 2
        assert fault["subject"].startswith(("Organisation/", "Team/", "Key/"))
        assert fault["facts"].get("user", "ada") == "ada"
        assert fault["facts"].get("session", "s-1") == "s-1"
        assert fault["facts"].get("agent", "scout") == "scout"
        assert fault["rule"].endswith(".requestsPerMinute")
        assert float(reply.headers["retry-after"]) > 0
        await follow(city, reply)
        assert (await ask()).status == 200


async def test_keys_of_a_team_share_and_teams_of_an_organisation_do(city: Town) -> None:
    async with served(city):
        await organisation(city, limits={"requestsPerMinute": 5})
        await team(city, "red", organisation="acme", limits={"requestsPerMinute": 3})
        await team(city, "blue", organisation="acme")
        for name, of in (("a", "red"), ("b", "red"), ("c", "blue")):
            await city.key(name, team=of)
        statuses = [(await city.chat(key)).status for key in "ababccc"]
        assert statuses == [200, 200, 200, 429, 200, 200, 429]
        # The refused one of the team had taken nothing of the organisation.
        refused = (await city.chat("c")).fault
        assert (refused["subject"], refused["facts"]["used"]) == ("Organisation/default/acme", 5)


async def test_concurrency_and_tokens_of_a_team(city: Town) -> None:
    gate = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await gate.wait()
        await exchange.json(openai_answer(input=10, output=10))

    async with served(city, script) as provider:
        await team(city, limits={"concurrency": 4, "tokensPerMinute": 100_000})
        for name in "ab":
            await city.key(name, team="red")
        calls = [asyncio.create_task(city.chat("ab"[n % 2])) for n in range(12)]
        refused = []
        async with asyncio.timeout(30):
            while len(refused) < 8:
                await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED, timeout=0.05)
                refused = [call.result() for call in calls if call.done()]
        assert {reply.fault["facts"]["level"] for reply in refused} == {"team"}
        assert {reply.fault["rule"] for reply in refused} == {"limits.concurrency"}
        gate.set()
        await asyncio.gather(*calls)
        assert len(provider.requests) == 4
        fault = (await city.chat("a", max_tokens=200_000)).fault
        assert (fault["rule"], fault["facts"]["used"]) == ("limits.tokensPerMinute", 80), "settled to the truth"


async def test_everything_that_has_no_room_is_told(city: Town) -> None:
    async with served(city):
        await team(city, limits={"requestsPerMinute": 1}, perUser={"requestsPerMinute": 1})
        await city.key("bot", team="red")
        await city.chat("bot", user="ada")
        fault = (await city.chat("bot", user="ada")).fault
        assert [each["level"] for each in fault["facts"]["refused"]] == ["team", "user"]
        assert [fix["applicability"] for fix in fault["fixes"]] == ["likely", "likely"], "one alone does not help"
        for fix in fault["fixes"]:
            await city.invoker.invoke(fix["call"]["operation"], fix["call"]["arguments"], SYSTEM)
        assert (await city.chat("bot", user="ada")).status == 200


async def test_end_users_come_from_each_dialects_own_field_or_the_header(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        await (exchange.json(anthropic_answer()) if exchange.request.path == "/v1/messages" else answer(exchange))

    async with served(city, script):
        await city.key("bot", perUser={"requestsPerMinute": 1})

        async def ask(body: dict[str, Any], path: str = "/v1/chat/completions", **headers: str) -> int:
            return (await city.ask("bot", body, path, **headers)).status

        assert await ask(chat(user="ada")) == 200
        assert await ask(chat(user="ada")) == 429
        assert await ask(chat(safety_identifier="ada")) == 429
        assert await ask(messages(metadata={"user_id": "ada"}), "/v1/messages") == 429
        assert await ask(chat(), x_pharos_user="ada") == 429
        assert await ask(chat(user="ada"), x_pharos_user="bob") == 200, "the header comes before the field"
        assert await ask(messages(metadata={"user_id": "bob"}), "/v1/messages") == 429
        assert await ask(chat()) == 200, "those who name nobody are one"
        assert await ask(chat()) == 429
        long = "x" * 5_000 + "/\u4f60"
        assert [await ask(chat(user=long)) for _ in range(2)] == [200, 429]


def test_names_of_holders_are_short_plain_and_apart() -> None:
    names = ["ada", "Ada", "a/b", "a b", "x" * 64, "x" * 65, "x" * 66, "\ud800", "\u4f60\u597d", "a\x00", "sha256:0"]
    made = [holder(name) for name in names]
    assert len(set(made)) == len(names)
    assert all(len(each) <= 64 and "/" not in each and each.isprintable() for each in made)
    assert holder("") == ""


def test_a_user_in_another_session_is_the_same_user() -> None:
    account = "user_0a1b_account_5f6e"
    first, second = (end_user("", f"{account}_session_1c9c3b6a-{n}-4d") for n in range(2))
    assert first == second == account
    first, second = (end_user("", f'{{"account":"5f6e","session_id":"{n}","device_id":"0a"}}') for n in range(2))
    assert first == second != ""
    assert end_user("", '{"session_id":') == holder('{"session_id":'), "what is no JSON is a name like any other"
    assert end_user("", '{"session":' + "[" * 500 + "]" * 500 + "}")


async def test_a_user_of_two_keys_is_one_to_the_team(city: Town) -> None:
    async with served(city):
        await team(city, perUser={"requestsPerMinute": 2}, perSession={"requestsPerMinute": 100})
        for name in "ab":
            await city.key(name, team="red", perUser={"requestsPerMinute": 1})
        assert [(await city.chat(key, user="ada")).status for key in "aabb"] == [200, 429, 200, 429]


async def test_a_team_that_is_missing_lets_nothing_through(city: Town) -> None:
    async with served(city) as provider:
        await city.key("bot", team="ghost")
        reply = await city.chat("bot")
        assert (reply.status, reply.fault["code"], reply.fault["subject"]) == (
            503,
            "LEVEL_MISSING",
            "Team/default/ghost",
        )
        (fix,) = reply.fault["fixes"]
        assert fix["applicability"] == "likely"
        await city.invoker.invoke(fix["call"]["operation"], fix["call"]["arguments"], SYSTEM)
        assert (await city.chat("bot")).status == 200
        await team(city, "ghost", organisation="nowhere")
        reply = await city.chat("bot")
        assert reply.fault["subject"] == "Organisation/default/nowhere"
        assert len(provider.requests) == 1
        await city.apply(document("Team", "ghost", {"budgets": ["none"]}))
        assert (await city.chat("bot")).fault["code"] == "BUDGET_MISSING"


async def test_what_a_level_declares_counts_from_the_next_call(city: Town) -> None:
    async with served(city):
        await city.key("bot")
        assert [(await city.chat("bot")).status for _ in range(3)] == [200] * 3
        await city.key("bot", team="red")
        await team(city, limits={"requestsPerMinute": 1})
        assert [(await city.chat("bot")).status for _ in range(2)] == [200, 429]
        await team(city, limits={"requestsPerMinute": 2})
        assert [(await city.chat("bot")).status for _ in range(2)] == [200, 429]


async def test_limits_are_only_raised(city: Town) -> None:
    await team(city, limits={"requestsPerMinute": 5}, agents={"scout": {"concurrency": 2}})
    for arguments in ({"requestsPerMinute": 5}, {"requestsPerMinute": 4}, {"concurrency": 10}):
        with pytest.raises(Exception, match="LIMIT_NOT_RAISED"):
            await city.invoke("limits.raise", kind="Team", name="red", **arguments)
    with pytest.raises(Exception, match="NOT_FOUND"):
        await city.invoke("limits.raise", kind="Team", name="ghost", concurrency=1)
    for wrong in (
        {"kind": "Team"},
        {"kind": "Key", "per": "agent", "concurrency": 3},
        {"kind": "Model", "concurrency": 3},
    ):
        with pytest.raises(Exception, match="INVALID"):
            await city.invoke("limits.raise", name="red", **wrong)
    raised = await city.invoke("limits.raise", kind="Team", name="red", per="agent", agent="scout", concurrency=3)
    assert (raised["previous"]["concurrency"], raised["limits"]["concurrency"]) == (2, 3)
    spec = (await city.invoke("catalog.get", kind="Team", name="red"))["spec"]
    assert spec["agents"]["scout"]["concurrency"] == 3
    await city.invoke("operations.undo", id=raised["operation"])
    spec = (await city.invoke("catalog.get", kind="Team", name="red"))["spec"]
    assert spec["agents"]["scout"]["concurrency"] == 2


async def test_who_may_raise_limits_may_not_change_keys(city: Town) -> None:
    await team(city, limits={"concurrency": 2})
    await city.key("bot", limits={"concurrency": 2})
    lead = Principal(PrincipalKind.USER, "lead", permissions=frozenset({"limits.raise"}))
    await city.invoke("limits.raise", lead, kind="Team", name="red", concurrency=3)
    with pytest.raises(Fault) as caught:
        await city.invoke("limits.raise", lead, kind="Key", name="bot", concurrency=3)
    assert (caught.value.code, caught.value.document.required_permission) == ("FORBIDDEN", "keys.grant")


async def test_money_of_every_level_is_held_in_one_decision(city: Town) -> None:
    held: list[list[int]] = []
    names = ["o", "t", "k"]

    async def script(exchange: Exchange) -> None:
        held.append([(await city.settled(name))[1] for name in names])
        await answer(exchange)

    async with served(city, script) as provider:
        for name in names:
            await city.budget(name, "1")
        await organisation(city, budgets=["o"])
        await team(city, organisation="acme", budgets=["t", "o"], limits={"requestsPerMinute": 2})
        await city.key("bot", team="red", budgets=["k", "t"])
        assert (await city.chat("bot", max_tokens=10)).status == 200
        assert len(set(held[0])) == 1 and held[0][0] > 0, "each once, however many levels name it"
        assert {await city.quiet(name) for name in names} == {20_000}
        await city.budget("o", "0.000021")
        for _ in range(5):
            reply = await city.chat("bot", max_tokens=10)
            assert (reply.status, reply.fault["subject"]) == (402, "Budget/default/o")
        assert [await city.settled(name) for name in names] == [(20_000, 0)] * 3
        await follow(city, reply)
        # Refused for money, they took nothing of the team's two requests.
        assert [(await city.chat("bot", max_tokens=10)).status for _ in range(2)] == [200, 429]
        assert len(provider.requests) == 2


@pytest.mark.parametrize("per", ["user", "session", "agent"])
async def test_a_budget_for_each(city: Town, per: str) -> None:
    async with served(city):
        await city.apply(document("Budget", "own", {"limit": "0.0008", "window": "total", "per": per}))
        await team(city, budgets=["own"])
        for name in ("ada", "bob"):
            await city.key(name, team="red", agent=name)

        async def ask(name: str) -> Answer:
            body = chat(max_tokens=10, user=name)
            return await city.ask(name, body, x_pharos_session=name)

        statuses: dict[str, list[int]] = {"ada": [], "bob": []}
        for name in ("ada",) * 60 + ("bob",) * 2:
            statuses[name].append((await ask(name)).status)
        assert statuses["bob"] == [200, 200], "what ada has spent is hers alone"
        spent = statuses["ada"].count(200)
        assert 0 < spent < 60
        reply = await ask("ada")
        assert reply.status == 402
        (facts,) = reply.fault["facts"]["budgets"]
        assert (facts["budget"], facts[per]) == ("Budget/default/own", "ada")
        assert f"of {per} ada" in reply.fault["detail"]
        listed = (await city.invoke("budgets.usage", name="own"))["items"]
        assert [(each["holder"], each["settled"]) for each in listed] == [
            ("ada", f"{spent * 20_000 / 1e9:.9f}"),
            ("bob", "0.000040000"),
        ]
        first = await city.invoke("budgets.usage", name="own", limit=1)
        second = await city.invoke("budgets.usage", name="own", limit=1, cursor=first["next"])
        assert ([each["holder"] for each in second["items"]], second["next"]) == (["bob"], None)
        (state,) = (await city.invoke("budgets.list"))["items"]
        assert state["per"] == per and "settled" not in state
        await follow(city, reply)
        assert (await ask("ada")).status == 200
        if per != "agent":
            recorded = {called.get("user") for called in await city.called()}
            assert recorded == {"ada", "bob"}


async def test_usage_of_a_shared_budget_is_no_list(city: Town) -> None:
    await city.budget("b", "1")
    with pytest.raises(Exception, match="INVALID"):
        await city.invoke("budgets.usage", name="b")
    with pytest.raises(Exception, match="NOT_FOUND"):
        await city.invoke("budgets.usage", name="ghost")


async def test_agent_and_organisation_are_recorded_as_labels(city: Town) -> None:
    async with served(city):
        await organisation(city)
        await team(city, organisation="acme")
        await city.key("bot", team="red", agent="scout", labels={"project": "x"})
        await city.key("free", labels={"team": "loose"})
        await city.chat("bot", user="ada")
        await city.chat("free")
        first, second = await city.called(2)
        assert (first["team"], first["labels"]) == ("red", {"project": "x", "agent": "scout", "organisation": "acme"})
        assert "user" not in first, "nobody asked for it"
        assert (second["team"], second["labels"]) == ("loose", {"team": "loose"})
