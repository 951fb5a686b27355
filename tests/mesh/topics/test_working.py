"""Working over the operations: leases, attempts, dead letters, suspension, limits, requests."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mesh.topics.town import ADMIN, Town, Wall, events, opened

from pharos.core.call import Call
from pharos.core.fault import Fault
from pharos.core.operation import Invocation
from pharos.core.principal import Principal, PrincipalKind


async def claim(town: Town, group: str = "g", **more: Any) -> Any:
    return await town.call("groups.claim", group=group, **more)


async def test_a_message_is_worked_on_by_one_at_a_time_and_acknowledged_once(town: Town) -> None:
    await town.call("groups.subscribe", group="g", topics="orders")
    items = await town.publish("orders", 1, 2, 3)
    claimed = await claim(town, limit=2)
    assert [message["data"] for message in claimed["messages"]] == [1, 2]
    assert "lease" not in await claim(town)
    kept = await town.call("groups.acknowledge", lease=claimed["lease"], position=items[0]["position"], keep=True)
    assert kept["lease"]["cursor"] == items[0]["position"]
    for _ in range(2):  # the second is the repetition of a call whose answer was lost
        done = await town.call("groups.acknowledge", lease=kept["lease"], position=items[1]["position"])
        assert "lease" not in done
    rest = await claim(town)
    assert [message["data"] for message in rest["messages"]] == [3]
    late = await town.refused("groups.acknowledge", lease=kept["lease"], position=items[2]["position"])
    assert late.code == "LEASE_LOST"


async def test_attempts_are_counted_by_the_city(town: Town) -> None:
    rules = {"match": "t", "deadLetters": {"maxAttempts": 2}}
    document = {"apiVersion": "pharos/v1", "kind": "Topic", "metadata": {"name": "t"}, "spec": rules}
    await town.call("catalog.apply", documents=[document])
    await town.call("groups.subscribe", group="g", topics="t")
    await town.call("topics.publish", name="t", messages=[{"data": 1}])
    for attempt, letter in ((1, None), (2, 1)):
        claimed = await town.call("groups.claim", group="g")
        lease = {**claimed["lease"], "attempts": 1}
        failed = await town.call("groups.fail", lease=lease, reason="no_stock", delaySeconds=0)
        assert (failed["attempts"], failed.get("deadLetter")) == (attempt, letter)


async def test_a_request_under_the_key_of_another_message_is_not_answered_with_its_answer(town: Town) -> None:
    await town.call("groups.subscribe", group="g", topics="sums")

    async def ask(data: int, key: str = "k") -> Any:
        return await town.call("topics.request", name="sums", message={"data": data, "key": key}, timeoutSeconds=20)

    first = asyncio.ensure_future(ask(1))
    claimed = await town.call("groups.claim", group="g", waitSeconds=20)
    await town.call("topics.reply", to=claimed["messages"][0]["replyTo"], message={"data": "one"})
    assert (await first)["reply"]["data"] == (await ask(1))["reply"]["data"] == "one"
    with pytest.raises(Fault) as other:
        await ask(2)
    assert (other.value.code, other.value.document.pointer) == ("CONFLICT", "/message/key")
    await town.call("topics.publish", name="sums", messages=[{"data": 3, "key": "plain"}])
    with pytest.raises(Fault, match="CONFLICT"):
        await ask(3, "plain")


async def test_a_position_of_another_topic_acknowledges_nothing(town: Town) -> None:
    """Messages of the lease's own topic may stand in front of it that nobody has been given."""
    await town.call("groups.subscribe", group="g", topics="*")
    first = await town.call("topics.publish", name="a", messages=[{"data": 1}])
    claimed = await town.call("groups.claim", group="g", topic="a", limit=1)
    await town.call("topics.publish", name="a", messages=[{"data": 2}])
    other = await town.call("topics.publish", name="b", messages=[{"data": 3}])
    lease, position = claimed["lease"], other["items"][0]["position"]
    refused = await town.refused("groups.acknowledge", lease=lease, position=position)
    assert (refused.code, refused.document.pointer) == ("INVALID", "/position")
    await town.call("groups.acknowledge", lease=lease, position=first["items"][0]["position"])
    again = await town.call("groups.claim", group="g", topic="a")
    assert [message["data"] for message in again["messages"]] == [2]


async def test_mesh_4_a_worker_that_lost_its_lease_commits_nothing(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall) as town:
        await town.call("groups.subscribe", group="g", topics="*")
        items = await town.publish("orders", 1)
        zombie = await claim(town, leaseSeconds=5)
        wall.ahead = 6
        heir = await claim(town)
        assert (heir["lease"]["epoch"], heir["lease"]["attempts"]) == (zombie["lease"]["epoch"] + 1, 2)
        for operation, more in (
            ("acknowledge", {"position": items[0]["position"]}), ("renew", {}), ("release", {}),
            ("fail", {"reason": "x"}),
        ):  # fmt: skip
            refused = await town.refused(f"groups.{operation}", lease=zombie["lease"], **more)
            assert refused.code == "LEASE_LOST"
        (group,) = (await town.call("groups.list"))["items"]
        assert group["refused"] == 4
        await town.call("groups.acknowledge", lease=heir["lease"], position=items[0]["position"])


async def test_a_claim_waits_for_work(town: Town) -> None:
    await town.call("groups.subscribe", group="g", topics="*")
    waiting = asyncio.ensure_future(claim(town, waitSeconds=20))
    await town.publish("orders", 1)
    assert [message["data"] for message in (await waiting)["messages"]] == [1]


async def test_attempts_survive_a_restart_and_end_in_a_dead_letter(tmp_path: Path) -> None:
    wall = Wall()
    for attempt in (1, 2, 3):
        async with opened(tmp_path / "home", wall) as town:
            if attempt == 1:
                await town.declare("Topic", "orders", deadLetters={"maxAttempts": 3, "backoffSeconds": 10})
                await town.call("groups.subscribe", group="g", topics="*")
                await town.publish("orders", 1)
            claimed = await claim(town)
            assert claimed["lease"]["attempts"] == attempt
            failed = await town.call("groups.fail", lease=claimed["lease"], reason="no_stock", detail="none left")
            assert ("deadLetter" in failed) == (attempt == 3)
            if attempt < 3:
                assert "lease" not in await claim(town)
                (delivery,) = (await town.call("groups.deliveries", group="g"))["items"]
                assert (delivery["state"], delivery["attempts"]) == ("delayed", attempt)
        wall.ahead += 30
    async with opened(tmp_path / "home", wall) as town:
        (letter,) = (await town.call("deadletters.list", group="g"))["items"]
        assert (letter["reason"], letter["detail"], letter["attempts"]) == ("no_stock", "none left", 3)
        detail = await town.call("deadletters.get", group="g", number=letter["number"])
        assert detail["message"]["data"] == 1 and letter.items() <= detail.items()
        assert (await town.refused("deadletters.get", group="g", number=7)).code == "NOT_FOUND"


async def test_mesh_3_what_could_not_be_handled_is_known_to_who_looks_later(tmp_path: Path) -> None:
    """Nobody need listen at the moment it happens: it is a row, not an advisory."""
    async with opened(tmp_path / "home") as town:
        await town.call("groups.subscribe", group="g", topics="*")
        await town.publish("orders", 1)
        claimed = await claim(town)
        await town.call("groups.fail", lease=claimed["lease"], reason="malformed", retry=False)
    async with opened(tmp_path / "home") as town:
        assert [letter["reason"] for letter in (await town.call("deadletters.list", group="g"))["items"]] == [
            "malformed"
        ]


async def test_after_a_dead_letter_the_topic_goes_on_and_redriving_publishes_it_anew(town: Town) -> None:
    await town.call("groups.subscribe", group="g", topics="*")
    first, _ = await town.publish("orders", "bad", "good")
    claimed = await claim(town)
    await town.call("groups.fail", lease=claimed["lease"], reason="bad", retry=False)
    claimed = await claim(town)
    assert [message["data"] for message in claimed["messages"]] == ["good"]
    await town.call("groups.acknowledge", lease=claimed["lease"], position=claimed["messages"][-1]["position"])
    assert (await town.call("deadletters.redrive", group="g"))["numbers"] == [1]
    again = (await claim(town))["messages"]
    assert [message["data"] for message in again] == ["bad"]
    assert again[0]["causation"] == first["id"] != again[0]["id"]
    assert (await town.call("deadletters.redrive", group="g"))["numbers"] == []


async def test_a_held_topic_waits_until_its_dead_letter_is_redriven_in_order(town: Town) -> None:
    await town.declare("Topic", "orders", deadLetters={"maxAttempts": 1, "then": "hold"})
    await town.call("groups.subscribe", group="g", topics="*")
    await town.publish("orders", "bad", "good")
    await town.publish("other", "free")
    for _ in range(2):
        claimed = await claim(town)
        if claimed["lease"]["topic"] == "orders":
            await town.call("groups.fail", lease=claimed["lease"], reason="bad")
    held = (await town.call("groups.deliveries", group="g", state="held"))["items"]
    assert [(item["topic"], item["behind"]) for item in held] == [("orders", 1)]
    assert "lease" not in await claim(town)
    await town.call("deadletters.redrive", group="g", numbers=[1])
    assert [message["data"] for message in (await claim(town))["messages"]] == ["bad", "good"]


async def test_a_held_topic_goes_on_when_its_dead_letter_is_given_up(town: Town) -> None:
    await town.declare("Topic", "orders", deadLetters={"maxAttempts": 1, "then": "hold"})
    await town.call("groups.subscribe", group="g", topics="*")
    await town.publish("orders", "bad", "good")
    await town.call("groups.fail", lease=(await claim(town))["lease"], reason="bad")
    assert (await town.call("deadletters.discard", group="g"))["numbers"] == [1]
    assert [message["data"] for message in (await claim(town))["messages"]] == ["good"]
    gone = await town.refused("deadletters.redrive", group="g", numbers=[1])
    assert gone.code == "NOT_FOUND"
    assert (await town.run(gone))["items"] == []


async def test_one_topic_is_suspended_and_all_others_go_on(town: Town) -> None:
    await town.call("groups.subscribe", group="g", topics="*")
    await town.publish("a", 1)
    await town.publish("b", 1)
    suspended = await town.call("groups.suspend", group="g", topic="a")
    claimed = await claim(town)
    assert claimed["lease"]["topic"] == "b"
    assert "lease" not in await claim(town)
    await town.call("operations.undo", id=suspended["operation"])
    assert (await claim(town))["lease"]["topic"] == "a"


async def test_groups_are_independent_and_never_change_what_they_hear_of(town: Town) -> None:
    await town.publish("orders", 1)
    await town.call("groups.subscribe", group="all", topics="*")
    await town.call("groups.subscribe", group="new", topics="orders", backlog=False)
    assert "lease" in await claim(town, "all")
    assert "lease" not in await claim(town, "new")
    await town.publish("orders", 2)
    await town.publish("orders2", 3)
    assert [message["data"] for message in (await claim(town, "new"))["messages"]] == [2]
    assert not (await town.call("groups.subscribe", group="new", topics="orders"))["created"]
    assert (await town.refused("groups.subscribe", group="new", topics="*")).code == "CONFLICT"
    unknown = await town.refused("groups.claim", group="nobody")
    assert unknown.code == "NOT_FOUND"
    assert {item["group"] for item in (await town.run(unknown, 1))["items"]} == {"all", "new"}


async def test_a_subscription_is_undone(town: Town) -> None:
    made = await town.call("groups.subscribe", group="g", topics="*")
    await town.call("operations.undo", id=made["operation"])
    assert (await town.call("groups.list"))["items"] == []


async def test_a_full_topic_says_so_and_when_to_come_again(town: Town) -> None:
    await town.declare("Topic", "orders", depth=3)
    await town.publish("orders", 0)  # nobody hears of it yet: nothing waits
    await town.call("groups.subscribe", group="g", topics="orders", backlog=False)
    items = await town.publish("orders", 1, 2)
    full = await town.refused("topics.publish", name="orders", messages=[{"data": 3}, {"data": 4}])
    assert (full.code, full.status) == ("TOPIC_FULL", 429)
    assert full.document.retry.retry == "after_time"
    assert full.document.retry.after_seconds
    facts = {"topic": "orders", "group": "g", "behind": 2, "depth": 3, "messages": 2}
    assert full.document.facts == facts
    assert [(reader["group"], reader["behind"]) for reader in (await town.run(full))["readers"]] == [("g", 2)]
    await town.publish("orders", 3)
    never = await town.refused("topics.publish", name="orders", messages=[{}] * 4)
    assert never.document.retry.retry == "after_fix"
    claimed = await claim(town)
    await town.call("groups.acknowledge", lease=claimed["lease"], position=items[1]["position"])
    await town.publish("orders", 4, 5)
    assert await town.texts("orders") == [0, 1, 2, 3, 4, 5]


@settings(max_examples=10)
@given(
    depth=st.integers(1, 6),
    batches=st.lists(st.integers(1, 4), min_size=1, max_size=12),
    acknowledged=st.lists(st.integers(0, 3), max_size=6),
)
def test_no_more_wait_than_a_topic_is_deep(depth: int, batches: list[int], acknowledged: list[int]) -> None:
    import tempfile

    async def run(home: Path) -> None:
        async with opened(home, services=False) as town:
            await town.declare("Topic", "t", depth=depth)
            await town.call("groups.subscribe", group="g", topics="t")
            steps = itertools.zip_longest(batches, acknowledged)

            async def publish(count: int) -> bool:
                try:
                    await town.publish("t", *range(count))
                except Fault as full:
                    assert full.code == "TOPIC_FULL"
                    return False
                return True

            for count, done in steps:
                await asyncio.gather(*(publish(count or 1) for _ in range(3)))
                delivery = await town.store.deliveries.get("topics/default/g", "topics/default/t")
                behind = 0 if delivery is None else delivery.behind
                assert behind <= depth
                # What was refused did not fit: the room that is left is smaller than the batch.
                if count is not None and count <= depth:
                    assert behind + count > depth or behind == 3 * count or await publish(depth - behind or 1)
                if done and "lease" in (claimed := await claim(town, limit=done)):
                    position = claimed["messages"][-1]["position"]
                    await town.call("groups.acknowledge", lease=claimed["lease"], position=position)

    with tempfile.TemporaryDirectory() as home:
        asyncio.run(run(Path(home)))


async def answer(town: Town, data: Any, group: str = "g") -> Any:
    """Claim a request and answer it."""
    claimed = await claim(town, group, waitSeconds=20)
    (request,) = claimed["messages"]
    replied = await town.call("topics.reply", to=request["replyTo"], message={"data": data})
    await town.call("groups.acknowledge", lease=claimed["lease"], position=request["position"])
    return replied


async def test_mesh_29_a_request_is_answered(town: Town) -> None:
    await town.call("groups.subscribe", group="g", topics="sums")
    asked = asyncio.ensure_future(town.call("topics.request", name="sums", message={"data": [1, 2]}))
    await answer(town, 3)
    answered = await asked
    assert answered["reply"]["data"] == 3
    assert answered["reply"]["causation"] == answered["request"]["id"]
    assert "late" not in answered["reply"]


async def test_mesh_29_who_asks_where_nobody_listens_is_told_at_once(town: Town) -> None:
    refused = await town.refused("topics.request", name="sums", message={}, timeoutSeconds=100)
    assert refused.code == "NO_RESPONDER"
    assert await town.store.log.topic("topics/default/sums") is None


async def test_mesh_29_a_late_answer_is_kept_and_can_be_seen(town: Town) -> None:
    await town.call("groups.subscribe", group="g", topics="sums")
    late = await town.refused("topics.request", name="sums", message={"data": 1}, timeoutSeconds=0.05)
    assert (late.code, late.document.state) == ("TIMEOUT", "partial")
    assert [item["type"] for item in (await town.run(late))["items"]] == ["request.sent"]
    assert (await answer(town, "sorry"))["late"]
    _, reply = (await town.run(late))["items"]
    assert (reply["data"], reply["late"]) == ("sorry", True)


async def test_mesh_29_an_answer_that_comes_twice_counts_once(town: Town) -> None:
    """The responder died after its work, or two did it: the first answer stands."""
    await town.call("groups.subscribe", group="g", topics="sums")
    asked = asyncio.ensure_future(town.call("topics.request", name="sums", message={}))
    claimed = await claim(town, waitSeconds=20)
    to = claimed["messages"][0]["replyTo"]
    first = await town.call("topics.reply", to=to, message={"data": "first"})
    second = await town.call("topics.reply", to=to, message={"data": "second"})
    assert second["receipt"] == {**first["receipt"], "duplicate": True}
    assert (await asked)["reply"]["data"] == "first"


async def test_mesh_29_a_request_that_is_made_again_waits_for_the_same_answer(town: Town) -> None:
    await town.call("groups.subscribe", group="g", topics="sums")
    message = {"key": "sum-7", "data": 7}
    both = [asyncio.ensure_future(town.call("topics.request", name="sums", message=message)) for _ in range(2)]
    await answer(town, 28)
    one, other = await asyncio.gather(*both)
    assert one["reply"] == other["reply"]
    assert len(await events(town.store, "topics/default/sums")) == 1


async def test_mesh_15_who_asked_leaves_and_the_answer_is_kept(town: Town) -> None:
    await town.call("groups.subscribe", group="g", topics="sums")
    asked = asyncio.ensure_future(town.call("topics.request", name="sums", message={}))
    claimed = await claim(town, waitSeconds=20)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    to = claimed["messages"][0]["replyTo"]
    await town.call("topics.reply", to=to, message={"data": "done"})
    assert (await town.call("topics.read", name=to))["items"][1]["data"] == "done"


async def test_nobody_answers_what_was_not_asked(town: Town) -> None:
    assert (await town.refused("topics.reply", to="replies/1", message={})).code == "NOT_FOUND"
    assert (await town.refused("topics.reply", to="orders", message={})).code == "INVALID"
    assert (await town.refused("topics.publish", name="replies/1", messages=[{}])).code == "INVALID"
    assert (await town.refused("schedules.create", topic="replies/1", message={}, delaySeconds=1)).code == "INVALID"


@pytest.mark.parametrize("then", ["go-on", "hold"])
async def test_mesh_18_deliveries_wait_on_the_lane_of_their_topic_and_retries_keep_it(town: Town, then: str) -> None:
    await town.declare(
        "Topic", "urgent", match="urgent/*", lane={"priority": "high", "labels": {"team": "a"}},
        deadLetters={"backoffSeconds": 0, "then": then},
    )  # fmt: skip
    await town.call("groups.subscribe", group="g", topics="*")
    await town.publish("urgent/1", 1)
    await town.publish("usual/1", 1)
    lane = "class=high&label%2Fteam=a&tenant=default"
    lanes = await town.store.deliveries.lanes("topics/default/g")
    assert set(lanes) == {"", lane}
    claimed = await claim(town, topic="urgent/1")
    await town.call("groups.fail", lease=claimed["lease"], reason="again", delaySeconds=0)
    assert set(await town.store.deliveries.lanes("topics/default/g")) == {"", lane}


async def test_mesh_17_a_full_high_lane_never_hides_a_low_one(town: Town) -> None:
    """Lanes are named by who claims: a scheduler (see tests of scheduling) decides, none is drained before another."""
    await town.declare("Topic", "high", match="high/*", lane={"priority": "high"})
    await town.call("groups.subscribe", group="g", topics="*")
    for number in range(20):
        await town.publish(f"high/{number}", 1)
    await town.publish("low", 1)
    seen = await town.store.deliveries.lanes("topics/default/g")
    assert {lane: waiting.ready for lane, waiting in seen.items()} == {"class=high&tenant=default": 20, "": 1}
    claimed = await claim(town, topic="low")
    assert claimed["lease"]["topic"] == "low"


async def test_what_leaves_no_record_is_offered_to_nobody_for_approval(town: Town) -> None:
    reader = Principal(PrincipalKind.KEY, "reader", permissions=frozenset({"topics.read"}))
    for operation, arguments in (("topics.publish", {"name": "t", "messages": [{}]}), ("groups.claim", {"group": "g"})):
        refused = await town.refused(operation, reader, **arguments)
        assert (refused.code, [fix.applicability for fix in refused.fixes]) == ("FORBIDDEN", ["manual"])
        call = Call(operation=operation, arguments=arguments)
        with pytest.raises(Fault, match="cannot be part of another write"):
            await town.invoker.decide(call, Invocation(ADMIN))
