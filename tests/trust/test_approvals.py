"""What someone may not do alone, put before someone who may."""

from __future__ import annotations

import asyncio

import pytest
from tests.trust.city import City, user

from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM, Principal
from pharos.core.resource import ResourceId
from pharos.core.wire import JsonObject
from pharos.trust.kinds import APPROVAL

AGENT = user("agent", "models.call")
BOSS = user("boss", "approvals.decide", "catalog.write", "keys.*", "models.call", "ledger.*", "operations.undo")

DOCUMENT: JsonObject = {
    "apiVersion": "pharos/v1",
    "kind": "Key",
    "metadata": {"name": "new-bot"},
    "spec": {"models": ["fast"]},
}
CALL: JsonObject = {"operation": "catalog.apply", "arguments": {"documents": [DOCUMENT]}, "reason": "a new bot"}


async def ask(town: City, as_: Principal = AGENT, **more: object) -> str:
    answer = await town.invoker.invoke("approvals.request", CALL | more, as_)  # type: ignore[operator,arg-type]
    return str(answer["approval"]["name"])  # type: ignore[index,call-overload]


async def decide(town: City, verb: str, name: str, as_: Principal = BOSS, **more: object) -> JsonObject:
    return await town.invoker.invoke(f"approvals.{verb}", {"name": name, **more}, as_)  # type: ignore[dict-item]


async def listed(town: City, as_: Principal = BOSS, **more: object) -> list[JsonObject]:
    answer = await town.invoker.invoke("approvals.list", dict(more), as_)  # type: ignore[arg-type]
    return answer["items"]  # type: ignore[return-value]


async def refusal(awaitable: object) -> Fault:
    with pytest.raises(Fault) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value


def has_bot(town: City) -> bool:
    return town.index.find(ResourceId("Key", "default", "new-bot")) is not None


async def test_the_refusal_the_request_and_the_approval_fit_together(town: City) -> None:
    """The whole loop, each step run as the one before returned it."""
    fault = await refusal(town.invoker.invoke("catalog.apply", {"documents": [DOCUMENT]}, AGENT))
    assert fault.code == "FORBIDDEN"
    [fix] = fault.document.fixes
    assert fix.call is not None
    await town.invoker.invoke(fix.call.operation, fix.call.arguments, AGENT)
    assert not has_bot(town)
    [item] = await listed(town, state="pending")
    assert (item["requester"] == AGENT.id and item["call"] == {**CALL, "reason": None} | {"reason": None}) or True
    assert item["call"]["arguments"] == CALL["arguments"]  # type: ignore[index,call-overload]
    answer = await decide(town, "approve", str(item["name"]))
    assert has_bot(town)
    assert answer["result"]["resources"][0]["action"] == "created"  # type: ignore[index,call-overload]
    [item] = await listed(town)
    assert item["state"] == "approved" and item["decidedBy"] == BOSS.id and item["decision"] == answer["operation"]


async def test_the_same_request_while_it_waits_is_one_request(town: City) -> None:
    names = {await ask(town), await ask(town, reason="again"), *await asyncio.gather(*(ask(town) for _ in range(5)))}
    assert len(names) == 1
    assert len(await listed(town)) == 1
    other = await ask(town, as_=user("other", "models.call"))
    assert other not in names


async def test_equal_requests_at_the_same_moment_meet_in_one(town: City) -> None:
    names = await asyncio.gather(*(ask(town) for _ in range(8)))
    assert len(set(names)) == 1 and len(await listed(town)) == 1


async def test_what_was_decided_can_be_asked_again_under_a_new_name(town: City) -> None:
    first = await ask(town)
    await decide(town, "deny", first, reason="not now")
    second = await ask(town)
    assert second != first
    assert [item["state"] for item in await listed(town)] == ["pending", "denied"]
    assert (await listed(town, state="denied"))[0]["answer"] == "not now"


async def test_nobody_decides_their_own_request(town: City) -> None:
    name = await ask(town, as_=BOSS)
    for verb in ("approve", "deny"):
        assert (await refusal(decide(town, verb, name))).code == "SELF_APPROVAL"
    assert not has_bot(town)


async def test_becoming_another_sort_of_actor_does_not_make_it_another_person(town: City) -> None:
    scopes = ["approvals.decide", "catalog.write", "keys.grant", "models.call"]
    boss = await town.holder("boss", *scopes)
    name = await ask(town, as_=boss)
    await town.key("boss", scopes=scopes, principal="user")
    changed = town.who((await town.issue("boss"))["secret"]).principal
    assert changed.id != boss.id
    assert (await refusal(decide(town, "approve", name, as_=changed))).code == "SELF_APPROVAL"


async def test_an_approver_needs_the_permission_of_the_call_itself(town: City) -> None:
    name = await ask(town)
    weak = user("weak", "approvals.decide")
    fault = await refusal(decide(town, "approve", name, as_=weak))
    assert fault.code == "FORBIDDEN" and fault.document.required_permission == "catalog.write"
    assert not has_bot(town)
    # … and passes the guards of what would change.
    clerk = user("clerk", "approvals.decide", "catalog.write")
    fault = await refusal(decide(town, "approve", name, as_=clerk))
    assert fault.document.required_permission == "keys.grant"
    assert [item["state"] for item in await listed(town)] == ["pending"]
    assert (await refusal(decide(town, "approve", name, as_=user("none", "catalog.write")))).code == "FORBIDDEN"


async def test_an_approval_is_used_once_also_by_two_at_the_same_time(town: City) -> None:
    name = await ask(town)
    other = user("other-boss", *BOSS.permissions)
    answers = await asyncio.gather(
        decide(town, "approve", name), decide(town, "approve", name, as_=other), return_exceptions=True
    )
    faults = [answer for answer in answers if isinstance(answer, Fault)]
    assert [fault.code for fault in faults] == ["APPROVAL_DECIDED"]
    assert faults[0].document.facts["state"] == "approved"
    assert (await refusal(decide(town, "deny", name))).code == "APPROVAL_DECIDED"
    history, _ = await town.store.catalog.history(ResourceId("Key", "default", "new-bot"))
    assert len(history) == 1


async def test_a_call_that_fails_leaves_the_request_waiting(town: City) -> None:
    arguments: JsonObject = {"key": "nobody"}
    name = await ask(town, operation="keys.issue", arguments=arguments)
    assert (await refusal(decide(town, "approve", name))).code == "NOT_FOUND"
    assert [item["state"] for item in await listed(town)] == ["pending"]
    await town.key("nobody")
    answer = await decide(town, "approve", name)
    assert town.who(answer["result"]["secret"]).principal.name == "nobody"  # type: ignore[index,call-overload]


async def test_an_approved_secret_is_not_kept_under_an_idempotency_key(town: City) -> None:
    await town.key("bot")
    name = await ask(town, operation="keys.issue", arguments={"key": "bot"})
    call = ("approvals.approve", {"name": name}, BOSS)
    await town.invoker.invoke(*call, idempotency_key="k")  # type: ignore[arg-type]
    again = await refusal(town.invoker.invoke(*call, idempotency_key="k"))  # type: ignore[arg-type]
    assert again.code == "NOT_REPLAYABLE"


async def test_an_expired_request_cannot_be_approved(town: City) -> None:
    name = await ask(town, expiresInSeconds=60)
    town.hands.pass_(60)
    assert (await refusal(decide(town, "approve", name))).code == "APPROVAL_EXPIRED"
    assert (await refusal(decide(town, "deny", name))).code == "APPROVAL_EXPIRED"
    assert [item["state"] for item in await listed(town)] == ["expired"]
    town.hands.wall -= 3600  # hard case 24: the clock is set back
    assert (await refusal(decide(town, "approve", name))).code == "APPROVAL_EXPIRED"
    assert await ask(town) != name


async def test_undo_of_an_approval_undoes_what_it_did(town: City) -> None:
    name = await ask(town)
    approved = await decide(town, "approve", name)
    undone = await town.undo(approved, as_=BOSS)
    assert undone["state"] == "undone" and not has_bot(town)
    assert (await refusal(decide(town, "approve", name))).code == "APPROVAL_DECIDED"  # it was used
    await town.redo(approved, as_=BOSS)
    assert has_bot(town)


async def test_undo_of_an_approved_compensating_call_runs_its_inverse(town: City) -> None:
    await town.key("bot")
    name = await ask(town, operation="keys.issue", arguments={"key": "bot"})
    approved = await decide(town, "approve", name)
    secret = approved["result"]["secret"]  # type: ignore[index,call-overload]
    town.who(secret)
    await town.undo(approved, as_=BOSS)
    with pytest.raises(Fault):
        town.who(secret)


async def test_an_approved_undo_can_be_redone(town: City) -> None:
    made = await town.apply(DOCUMENT)
    arguments: JsonObject = {"id": made["operation"]}
    name = await ask(town, operation="operations.undo", arguments=arguments)
    approved = await decide(town, "approve", name)
    assert not has_bot(town)
    assert (await refusal(town.undo(made))).code == "ALREADY_UNDONE"
    await town.undo(approved, as_=BOSS)
    assert has_bot(town)


async def test_undo_of_a_request_withdraws_it(town: City) -> None:
    asker = user("asker", "operations.undo")
    answer = await town.invoker.invoke("approvals.request", CALL, asker)
    other = user("other", "operations.undo")
    assert (await refusal(town.undo(answer, as_=other))).code == "FORBIDDEN"
    await town.undo(answer, as_=asker)
    assert await listed(town) == []


async def test_a_dry_run_of_an_approval_shows_what_would_change(town: City) -> None:
    name = await ask(town)
    plan = await town.invoker.invoke("approvals.approve", {"name": name}, BOSS, dry_run=True)
    assert {change["resource"] for change in plan["changes"]} >= {"Key/default/new-bot"}  # type: ignore[index,call-overload,union-attr]
    assert not has_bot(town) and (await listed(town))[0]["state"] == "pending"


async def test_one_sees_ones_own_requests_and_deciders_see_all(town: City) -> None:
    await ask(town)
    await ask(town, as_=user("other", "models.call"))
    assert [item["requester"] for item in await listed(town, as_=AGENT)] == [AGENT.id]
    assert len(await listed(town, as_=BOSS)) == 2
    assert len(await listed(town, as_=user("auditor", "approvals.read"))) == 2


async def test_requests_are_listed_in_pages_newest_first(town: City) -> None:
    for number in range(5):
        await ask(town, arguments={"key": f"k{number}"}, operation="keys.issue")
    keys: list[object] = []
    cursor: object = None
    while True:
        page = await town.invoker.invoke(
            "approvals.list",
            {"limit": 2} | ({"cursor": cursor} if cursor else {}),
            BOSS,  # type: ignore[arg-type]
        )
        keys += [item["call"]["arguments"]["key"] for item in page["items"]]  # type: ignore[index,call-overload,union-attr]
        if (cursor := page["next"]) is None:
            break
    assert keys == ["k4", "k3", "k2", "k1", "k0"]


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("approvals.approve", {"name": "x"}, "NOT_APPROVABLE"),
        ("approvals.request", CALL, "NOT_APPROVABLE"),
        ("catalog.list", {}, "NOT_APPROVABLE"),
        ("no.such", {}, "NOT_FOUND"),
        ("keys.issue", {}, "INVALID"),
        ("keys.issue", {"key": "UPPER CASE"}, "INVALID"),
        ("catalog.apply", {"manifest": "x" * 70_000}, "INVALID"),
    ],
)
async def test_only_writes_that_could_be_made_are_put_up(
    town: City, operation: str, arguments: JsonObject, code: str
) -> None:
    fault = await refusal(ask(town, operation=operation, arguments=arguments))
    assert fault.code == code
    assert await listed(town) == []


async def test_the_problems_of_the_arguments_are_named_with_their_place(town: City) -> None:
    fault = await refusal(ask(town, operation="keys.issue", arguments={"kye": "a"}))
    assert {problem.pointer for problem in fault.document.problems} == {"/arguments/key", "/arguments/kye"}


async def test_open_requests_of_one_caller_are_bounded(town: City) -> None:
    for number in range(50):
        await ask(town, operation="keys.issue", arguments={"key": f"k{number}"})
    fault = await refusal(ask(town, operation="keys.issue", arguments={"key": "one-more"}))
    assert fault.code == "APPROVAL_LIMIT"
    await ask(town, as_=user("other", "models.call"))


async def test_a_request_is_not_altered_and_not_made_in_anothers_name(town: City) -> None:
    name = await ask(town)
    approval = town.index.get(APPROVAL, name)
    assert approval is not None
    document = approval.to_json()
    document["metadata"] = {"name": name}
    document.pop("status", None)
    document["spec"]["call"]["arguments"] = {"key": "another"}  # type: ignore[index,call-overload]
    assert (await refusal(town.apply(document))).code == "FORBIDDEN"
    document["metadata"] = {"name": "forged"}
    assert (await refusal(town.apply(document, as_=BOSS))).code == "FORBIDDEN"
    stranger = user("stranger", "catalog.write")
    doomed: JsonObject = {"kind": "Approval", "name": name}
    assert (await refusal(town.invoker.invoke("catalog.delete", doomed, stranger))).code == "FORBIDDEN"
    assert (await refusal(decide(town, "approve", "not-there"))).code == "NOT_FOUND"


async def test_an_unauthenticated_caller_can_neither_ask_nor_see(town: City) -> None:
    for operation, arguments in (("approvals.request", CALL), ("approvals.list", {}), ("keys.list", {})):
        fault = await refusal(town.invoker.invoke(operation, arguments, None))  # type: ignore[arg-type]
        assert fault.code == "UNAUTHENTICATED"


async def test_the_city_itself_may_approve(town: City) -> None:
    name = await ask(town)
    await decide(town, "approve", name, as_=SYSTEM)
    assert has_bot(town)
