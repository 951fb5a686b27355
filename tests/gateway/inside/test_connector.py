"""Calls from inside: a real city, a real provider (the simulator), and no HTTP in front."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.clock import Clock

from pharos.core.fault import Fault, Retry
from pharos.core.principal import SYSTEM, Actor, Principal, PrincipalKind
from pharos.mesh.connectors import Errand, ModelReply, ModelRequest, ModelText, Share
from pharos.release.simulator import Simulator, parse_script, serve
from pharos.server.city import City, open_city

SCRIPT = """
rules:
  - when: {lastUser: weather}
    answer:
      thinking: Where?
      text: Let me look.
      toolCalls:
        - {name: look, arguments: {city: Paris}, id: call_a}
        - {name: look, arguments: {city: Rom, deep: [1, 2]}, id: call_b}
      usage: {input: 100, cacheRead: 20, output: 30}
  - when: {lastUser: limit}
    answer: {fault: {kind: status, status: 429, retryAfterSeconds: 7}}
  - when: {lastUser: cut}
    answer: {text: one two three four five, fault: {kind: cut, afterChunks: 3, clean: true}}
  - when: {lastUser: stall}
    answer: {text: one two three four five, fault: {kind: stall, afterChunks: 2, seconds: 60}}
otherwise: {text: one two three, usage: {input: 10, output: 5}}
"""

MANIFEST = """
kind: Provider
metadata: {{name: north}}
spec: {{dialect: openai-chat, baseUrl: "{url}/v1", retries: {{attempts: 1}}}}
---
kind: Provider
metadata: {{name: south}}
spec: {{dialect: anthropic, baseUrl: "{url}", retries: {{attempts: 1}}}}
---
kind: Model
metadata: {{name: northern}}
spec: {{targets: [{{provider: north, model: sim-small}}], maxOutputTokens: 100}}
---
kind: Model
metadata: {{name: southern}}
spec: {{targets: [{{provider: south, model: sim-small}}], maxOutputTokens: 100}}
---
kind: Model
metadata: {{name: secret}}
spec: {{targets: [{{provider: south, model: sim-small}}]}}
---
kind: Price
metadata: {{name: sim-small}}
spec: {{model: sim-small, inputPerMillion: "1", cacheReadPerMillion: "0.1", outputPerMillion: "10"}}
---
kind: Budget
metadata: {{name: purse}}
spec: {{limit: "5.00"}}
---
kind: Key
metadata: {{name: account}}
spec: {{models: [northern, southern], budgets: [purse], scopes: [models.call, keys.issue]}}
---
kind: Key
metadata: {{name: one-a-session}}
spec: {{models: [northern], perSession: {{requestsPerMinute: 1}}}}
---
kind: Key
metadata: {{name: mute}}
spec: {{models: [northern], scopes: [ledger.read]}}
"""

AGENT = Principal(PrincipalKind.AGENT, "helper", chain=(Actor(PrincipalKind.USER, "ada"),))
ERRAND = Errand("s1/e3", "default/s1", AGENT, account="default/account", tree="default/s1")


@pytest.fixture
async def simulator() -> AsyncIterator[tuple[Simulator, str]]:
    simulator = Simulator(parse_script(SCRIPT, "inside"))
    async with serve(simulator) as url:
        yield simulator, url


@pytest.fixture
async def city(tmp_path: Path, simulator: tuple[Simulator, str]) -> AsyncIterator[City]:
    async with open_city(tmp_path) as city:
        await city.invoker.invoke("catalog.apply", {"manifest": MANIFEST.format(url=simulator[1])}, SYSTEM)
        yield city


def request(text: str = "hello", model: str = "northern", **more: Any) -> ModelRequest:
    return ModelRequest(model, [{"role": "user", "content": text}], **more)


async def ask(city: City, ask: ModelRequest, errand: Errand = ERRAND) -> tuple[Sequence[str], ModelReply]:
    texts: list[str] = []
    async with aclosing(city.models.call(errand, ask)) as pieces:
        async for piece in pieces:
            if isinstance(piece, ModelReply):
                return texts, piece
            texts.append(piece.text)
    raise AssertionError("no reply")


async def facts(city: City, key: str = "account") -> list[dict[str, Any]]:
    return [dict(each.event.data) for each in await city.store.log.read(f"calls/default/{key}")]


async def refused(city: City, ask_: ModelRequest, errand: Errand = ERRAND) -> Fault:
    with pytest.raises(Fault) as found:
        await ask(city, ask_, errand)
    return found.value


@pytest.mark.parametrize("model", ["northern", "southern"])
async def test_streamed_and_whole_are_one_answer(city: City, model: str) -> None:
    texts, streamed = await ask(city, request("weather", model))
    none, whole = await ask(city, request("weather", model, stream=False))
    assert (none, len(texts) > 1, "".join(texts)) == ([], True, "Let me look.")
    for reply in (streamed, whole):
        message = reply.message
        calls: Any = message["tool_calls"]
        assert [(call["id"], call["type"], call["function"]["name"]) for call in calls] == [
            ("call_a", "function", "look"), ("call_b", "function", "look"),
        ]  # fmt: skip
        assert (message["role"], message["content"], message["reasoning_content"]) == (
            "assistant", "Let me look.", "Where?",
        )  # fmt: skip
        assert reply.finish == "tool_calls"
        assert (reply.usage["input"], reply.usage["cacheRead"]) == (100, 20)
        assert reply.model == "simulated/sim-small"
    strip = ("refusal", "annotations")
    assert {k: v for k, v in streamed.message.items() if k not in strip} == {
        k: v for k, v in whole.message.items() if k not in strip
    }


async def test_the_answer_is_recorded_and_paid_before_it_is_handed_over(city: City) -> None:
    _, reply = await ask(city, request(), replace(ERRAND, correlation="c1", traceparent="00-" + "1" * 32))
    (called,) = await facts(city)
    assert (called["call"], called["cost"], reply.cost) == (reply.call, "0.000060000", "0.000060000")
    assert called["conversation"]["id"] == "default/s1"
    (recorded,) = await city.store.log.read("calls/default/account")
    assert (recorded.event.correlation, recorded.event.traceparent) == ("c1", "00-" + "1" * 32)
    budgets = await city.invoker.invoke("budgets.list", {}, SYSTEM)
    assert [each["settled"] for each in budgets["items"]] == ["0.000060000"]


async def test_what_goes_out_is_what_was_asked(city: City, simulator: tuple[Simulator, str]) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    await ask(city, request(tools=[tool], max_output=7, options={"temperature": 0.5, "model": "other"}))
    body: Any = simulator[0].received.last.body
    assert (body["temperature"], body["tools"], body["model"], body["max_tokens"]) == (0.5, [tool], "sim-small", 7)


async def test_faults_come_out_as_faults_with_their_retry_class(city: City) -> None:
    limited = await refused(city, request("limit"))
    assert (limited.code, limited.document.retry.after_seconds) == ("UPSTREAM_RATE_LIMITED", 7)
    cut = await refused(city, request("cut", "southern"))
    assert (cut.code, cut.document.retry.retry) == ("UPSTREAM_PROTOCOL", Retry.SAME_REQUEST)
    unknown = await refused(city, request(model="secret"))
    assert unknown.code == "MODEL_NOT_FOUND"
    mute = await refused(city, request(), replace(ERRAND, account="default/mute"))
    assert (mute.code, mute.document.required_permission) == ("FORBIDDEN", "models.call")
    nobody = await refused(city, request(), replace(ERRAND, account="default/nobody"))
    assert nobody.code == "UNAUTHENTICATED"


async def test_limits_of_a_session_hold_for_the_session(city: City) -> None:
    errand = replace(ERRAND, account="default/one-a-session")
    await ask(city, request(), errand)
    assert (await refused(city, request(), errand)).code == "RATE_LIMITED"
    await ask(city, request(), replace(errand, session="default/s2"))


async def test_what_all_of_a_tree_may_spend_is_one_limit(city: City) -> None:
    # A call may cost at most 100 output tokens and its input: 0.001 and a little.
    tree, own = Share("default/root", "0.0013"), Share("default/child", "0.00115")
    _, first = await ask(city, request(), replace(ERRAND, session="default/child", budgets=(tree, own)))
    assert first.cost == "0.000060000"
    counts = await city.store.counters.read(
        [("budget/-/tree/session/default/root", "total"), ("budget/-/tree/session/default/child", "total")]
    )
    assert [(count.settled, count.reserved) for count in counts] == [(60_000, 0), (60_000, 0)]
    # The child's own is short; another child of the same tree still has room, and no budget of the key was touched.
    short = await refused(city, request(), replace(ERRAND, budgets=(tree, Share("default/child", "0.0010"))))
    assert short.code == "BUDGET_EXCEEDED"
    assert "session default/child" in short.detail
    assert [fix.id for fix in short.fixes] == []
    await ask(city, request(), replace(ERRAND, session="default/other", budgets=(tree,)))


async def test_runtime_51_parallel_children_never_pass_the_limit_of_their_tree(city: City) -> None:
    limit = Share("default/root", "0.0031")  # room for two at once, which then cost a fraction of it
    asked = [ask(city, request(), replace(ERRAND, session=f"default/c{n}", budgets=(limit,))) for n in range(12)]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    refusals = [end for end in ends if isinstance(end, Fault)]
    assert {fault.code for fault in refusals} == {"BUDGET_EXCEEDED"}
    assert 2 <= len(ends) - len(refusals) < 12
    (count,) = await city.store.counters.read([("budget/-/tree/session/default/root", "total")])
    assert (count.settled, count.reserved) == (60_000 * (len(ends) - len(refusals)), 0)


async def test_under_the_limit_of_a_tree_no_target_is_asked_whose_cost_nobody_knows(city: City) -> None:
    targets = [{"provider": "north", "model": "nameless"}, {"provider": "south", "model": "sim-small", "weight": 0}]
    model = {"kind": "Model", "metadata": {"name": "northern"}, "spec": {"targets": targets, "maxOutputTokens": 100}}
    key = {"kind": "Key", "metadata": {"name": "account"}, "spec": {"models": ["northern"], "scopes": ["models.call"]}}
    documents = [{"apiVersion": "pharos/v1", **each} for each in (model, key)]
    await city.invoker.invoke("catalog.apply", {"documents": documents}, SYSTEM)
    await ask(city, request(), replace(ERRAND, budgets=(Share("default/root", "1"),)))
    (called,) = await facts(city)
    assert [attempt["provider"] for attempt in called["attempts"]] == ["south"]


async def test_a_deadline_ends_the_call_and_what_is_known_is_recorded(
    city: City, simulator: tuple[Simulator, str], clock: Clock
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=50)
    call = asyncio.create_task(refused(city, request("stall"), replace(ERRAND, deadline=soon)))
    async with asyncio.timeout(30):
        while not simulator[0].received:
            await asyncio.sleep(0.005)
    clock.move(50)
    late = await call
    assert (late.code, late.document.state.value) == ("TIMEOUT", "unknown")
    (called,) = await facts(city)
    assert called["outcome"] in ("cancelled", "incomplete")
    passed = await refused(city, request(), replace(ERRAND, deadline=datetime.now(UTC) - timedelta(seconds=9)))
    assert passed.code == "TIMEOUT"
    assert len(await facts(city)) == 1


async def test_who_leaves_early_ends_the_call(city: City) -> None:
    async with aclosing(city.models.call(ERRAND, request("stall"))) as pieces:
        first = await anext(pieces)
        assert isinstance(first, ModelText)
    (called,) = await facts(city)
    assert called["outcome"] in ("cancelled", "incomplete")
    task = asyncio.create_task(ask(city, request("stall")))
    while len(await city.store.counters.open_reservations()) == 0:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await facts(city)) == 2
    assert await city.store.counters.open_reservations() == []


async def test_a_ticket_is_worth_nothing_afterwards_and_nothing_but_models(city: City) -> None:
    seen: list[str] = []
    foreign = city.authenticator.foreign

    def listening(secret: str) -> Any:
        seen.append(secret)
        identity = foreign(secret)
        assert identity.principal.id == "agent/default/helper"
        assert identity.principal.permissions == {"models.call"}
        assert identity.user == "ada"
        return identity

    city.authenticator.foreign = listening
    await ask(city, request())
    city.authenticator.foreign = foreign
    with pytest.raises(Fault) as stale:
        city.authenticator.authenticate(seen[0])
    assert stale.value.code == "UNAUTHENTICATED"
    assert seen[0].startswith("ticket.")
