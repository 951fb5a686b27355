"""Keys and their secrets, on the real catalog."""

from __future__ import annotations

import asyncio

import pytest
from tests.trust.city import City, Hands, city, user

from pharos.core.fault import Fault, Permitted
from pharos.core.principal import SYSTEM
from pharos.trust.secrets import SECRET_PATTERN


async def refusal(awaitable: object) -> Fault:
    with pytest.raises(Fault) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value


def unauthenticated(town: City, secret: object) -> bool:
    try:
        town.who(secret)
    except Fault as fault:
        assert fault.code == "UNAUTHENTICATED"
        return True
    return False


async def test_a_secret_is_shown_once_and_opens_the_city(town: City) -> None:
    await town.key("ci-bot", models=["fast"], limits={"requestsPerMinute": 600}, scopes=["models.call"])
    answer = await town.issue("ci-bot")
    assert {"key", "secret", "credential", "operation"} <= set(answer)
    assert answer["key"] == "ci-bot"
    secret = str(answer["secret"])
    assert SECRET_PATTERN.fullmatch(secret)
    assert str(answer["credential"]) in secret
    identity = town.who(secret)
    assert identity.principal.id == "key/default/ci-bot"
    assert identity.principal.may("models.call") and not identity.principal.may("ledger.read")
    assert identity.key.spec.limits.requests_per_minute == 600
    assert identity.credential == answer["credential"]


async def test_the_secret_is_nowhere_in_the_store(town: City) -> None:
    await town.key("ci-bot")
    answer = await town.issue("ci-bot")
    await town.invoker.invoke("keys.list", {}, SYSTEM)
    secret = str(answer["secret"]).encode()
    tail = secret.rpartition(b"_")[2]
    await town.store.close()
    for path in town.home.rglob("*"):
        if path.is_file():
            assert tail not in path.read_bytes(), path


async def test_digests_leave_by_no_operation_and_no_event(town: City) -> None:
    await town.key("ci-bot")
    answer = await town.issue("ci-bot")
    key = town.index.find(town.who(answer["secret"]).key.id)
    assert key is not None
    [digest] = key.status.model_dump()["digests"].values()
    listed = await town.invoker.invoke("keys.list", {}, SYSTEM)
    assert digest not in str(listed) and str(answer["credential"]) in str(listed)
    events = await town.store.log.read_all(limit=1000)
    assert digest not in str([recorded.cloudevent() for recorded in events])


async def test_the_catalog_shows_credentials_and_hides_digests_also_after_a_restart(tmp_path: object) -> None:
    shown = []
    async with city(tmp_path) as town:  # type: ignore[arg-type]
        await town.key("ci-bot")
        issued = await town.issue("ci-bot")
        shown.append(await town.invoker.invoke("catalog.get", {"kind": "Key", "name": "ci-bot"}, SYSTEM))
    async with city(tmp_path) as town:  # type: ignore[arg-type]
        shown.append(await town.invoker.invoke("catalog.get", {"kind": "Key", "name": "ci-bot"}, SYSTEM))
    assert shown[0] == shown[1]
    assert str(issued["credential"]) in str(shown[0]) and "digests" not in str(shown[0])


async def test_a_repeated_issue_with_the_same_idempotency_key_is_refused_not_answered(town: City) -> None:
    await town.key("ci-bot")
    first = await town.invoker.invoke("keys.issue", {"key": "ci-bot"}, SYSTEM, idempotency_key="once")
    fault = await refusal(town.invoker.invoke("keys.issue", {"key": "ci-bot"}, SYSTEM, idempotency_key="once"))
    assert fault.code == "NOT_REPLAYABLE"
    assert str(first["secret"]) not in str(fault.document.to_json())


async def test_a_dry_run_issues_nothing(town: City) -> None:
    await town.key("ci-bot")
    plan = await town.invoker.invoke("keys.issue", {"key": "ci-bot"}, SYSTEM, dry_run=True)
    assert "ph_" not in str(plan)
    assert len(town.authenticator) == 0


async def test_revocation_holds_when_the_call_returns(town: City) -> None:
    await town.key("ci-bot")
    one, two = await town.issue("ci-bot"), await town.issue("ci-bot")
    answer = await town.invoker.invoke("keys.revoke", {"key": "ci-bot", "credential": one["credential"]}, SYSTEM)
    assert answer["revoked"] == [one["credential"]]
    assert unauthenticated(town, one["secret"]) and not unauthenticated(town, two["secret"])
    again = await town.invoker.invoke("keys.revoke", {"key": "ci-bot", "credential": one["credential"]}, SYSTEM)
    assert again["revoked"] == []
    await town.invoker.invoke("keys.revoke", {"key": "ci-bot"}, SYSTEM)
    assert unauthenticated(town, two["secret"])


async def test_revoking_an_unknown_credential_says_so(town: City) -> None:
    await town.key("ci-bot")
    call = town.invoker.invoke("keys.revoke", {"key": "ci-bot", "credential": "nothere"}, SYSTEM)
    assert (await refusal(call)).code == "NOT_FOUND"
    assert (await refusal(town.issue("nobody"))).code == "NOT_FOUND"


async def test_undo_of_an_issue_revokes_that_secret_only(town: City) -> None:
    await town.key("ci-bot")
    one, two = await town.issue("ci-bot"), await town.issue("ci-bot")
    await town.undo(two)
    assert unauthenticated(town, two["secret"]) and not unauthenticated(town, one["secret"])


async def test_a_key_can_be_undone_after_it_was_issued(town: City) -> None:
    """Issuing is no revision of the key, so it does not stand in the way of undoing one."""
    await town.key("ci-bot", models=["fast"])
    changed = await town.key("ci-bot", models=["fast", "slow"])
    secret = (await town.issue("ci-bot"))["secret"]
    await town.undo(changed)
    assert town.who(secret).key.spec.models == ["fast"]


# Hard case 13 of the infrastructure notes: rollback must not resurrect a revoked secret.


async def test_rollback_does_not_resurrect_a_revoked_secret(town: City) -> None:
    await town.key("ci-bot", models=["fast"])
    issued = await town.issue("ci-bot")
    changed = await town.key("ci-bot", models=["fast", "slow"])
    revoked = await town.invoker.invoke("keys.revoke", {"key": "ci-bot"}, SYSTEM)
    assert (await refusal(town.undo(revoked))).code == "IRREVERSIBLE"
    undone = await town.undo(changed)
    assert unauthenticated(town, issued["secret"])
    await town.redo(undone)
    assert unauthenticated(town, issued["secret"])
    undone = await town.undo(issued)
    assert unauthenticated(town, issued["secret"])
    fault = await refusal(town.redo(undone))  # what an undo revoked, a redo does not bring back
    assert fault.code == "IRREVERSIBLE"
    assert unauthenticated(town, issued["secret"])


async def test_undo_of_a_deletion_brings_back_the_key_without_its_secrets(town: City) -> None:
    await town.key("ci-bot", models=["fast"])
    live = await town.issue("ci-bot")
    revoked = await town.issue("ci-bot")
    await town.invoker.invoke("keys.revoke", {"key": "ci-bot", "credential": revoked["credential"]}, SYSTEM)
    deleted = await town.invoker.invoke("catalog.delete", {"kind": "Key", "name": "ci-bot"}, SYSTEM)
    assert unauthenticated(town, live["secret"])
    await town.undo(deleted)
    assert unauthenticated(town, live["secret"]) and unauthenticated(town, revoked["secret"])
    assert not unauthenticated(town, (await town.issue("ci-bot"))["secret"])


async def test_an_old_manifest_with_an_old_status_resurrects_nothing(town: City) -> None:
    await town.key("ci-bot")
    issued = await town.issue("ci-bot")
    key = town.who(issued["secret"]).key
    saved = key.to_json()
    await town.invoker.invoke("keys.revoke", {"key": "ci-bot"}, SYSTEM)
    saved["spec"]["models"] = ["other"]  # type: ignore[index,call-overload]
    saved["metadata"] = {"name": "ci-bot"}
    try:
        await town.apply(saved)
    except Fault as fault:
        assert fault.code == "INVALID"
    assert unauthenticated(town, issued["secret"])


async def test_revocations_and_secrets_survive_a_restart(tmp_path: object) -> None:
    hands = Hands()
    async with city(tmp_path, hands) as town:  # type: ignore[arg-type]
        await town.key("ci-bot")
        kept, gone = await town.issue("ci-bot"), await town.issue("ci-bot")
        await town.invoker.invoke("keys.revoke", {"key": "ci-bot", "credential": gone["credential"]}, SYSTEM)
    async with city(tmp_path, hands) as town:  # type: ignore[arg-type]
        assert town.who(kept["secret"]).principal.name == "ci-bot"
        assert unauthenticated(town, gone["secret"])
        await town.issue("ci-bot")  # also what was loaded can be changed
        await town.invoker.invoke("keys.revoke", {"key": "ci-bot"}, SYSTEM)
        assert unauthenticated(town, kept["secret"])


async def test_simultaneous_issues_and_revocations_lose_nothing(town: City) -> None:
    await town.key("ci-bot")
    old = await town.issue("ci-bot")
    calls = [town.issue("ci-bot") for _ in range(12)]
    calls.insert(6, town.invoker.invoke("keys.revoke", {"key": "ci-bot", "credential": old["credential"]}, SYSTEM))
    answers = await asyncio.gather(*calls)
    assert unauthenticated(town, old["secret"])
    for answer in answers:
        if "secret" in answer:
            assert town.who(answer["secret"]).credential == answer["credential"]
    assert len(town.authenticator) == 12


async def test_a_key_has_a_bounded_number_of_credentials(town: City) -> None:
    await town.key("ci-bot")
    answers = [await town.issue("ci-bot") for _ in range(32)]
    fault = await refusal(town.issue("ci-bot"))
    assert fault.code == "CREDENTIAL_LIMIT"
    [fix] = fault.document.fixes
    assert fix.call is not None
    await town.invoker.invoke(fix.call.operation, fix.call.arguments, SYSTEM)
    assert unauthenticated(town, answers[0]["secret"])
    await town.issue("ci-bot")


async def test_dead_credentials_are_on_record_but_not_for_ever(town: City) -> None:
    await town.key("ci-bot")
    for _ in range(36):
        await town.issue("ci-bot")
        await town.invoker.invoke("keys.revoke", {"key": "ci-bot"}, SYSTEM)
    await town.issue("ci-bot")
    listed = await town.invoker.invoke("keys.list", {"key": "ci-bot"}, SYSTEM)
    states = [credential["state"] for credential in listed["items"][0]["credentials"]]  # type: ignore[index,call-overload,union-attr]
    assert states == ["active", *["revoked"] * 32]


async def test_keys_are_listed_in_pages_with_the_state_of_their_credentials(town: City) -> None:
    for name in ("a", "b", "c"):
        await town.key(name, models=["fast"])
    issued = await town.issue("b", expiresInSeconds=60)
    first = await town.invoker.invoke("keys.list", {"limit": 2}, SYSTEM)
    assert [item["key"] for item in first["items"]] == ["a", "b"]  # type: ignore[index,call-overload,union-attr]
    assert [item["state"] for item in first["items"]] == ["unissued", "active"]  # type: ignore[index,call-overload,union-attr]
    second = await town.invoker.invoke("keys.list", {"limit": 2, "cursor": first["next"]}, SYSTEM)
    assert [item["key"] for item in second["items"]] == ["c"]  # type: ignore[index,call-overload,union-attr]
    assert second["next"] is None
    town.hands.pass_(61)
    listed = await town.invoker.invoke("keys.list", {"key": "b"}, SYSTEM)
    [credential] = listed["items"][0]["credentials"]  # type: ignore[index,call-overload]
    assert credential["state"] == "expired" and credential["id"] == issued["credential"]  # type: ignore[index,call-overload]
    assert credential["issuedBy"] == SYSTEM.id  # type: ignore[index,call-overload]


async def test_star_means_every_model_and_dangles_nowhere(town: City) -> None:
    answer = await town.key("all", models=["*"])
    assert answer["warnings"] == []
    assert list(town.index.references(next(iter(town.index.everything())).id)) == []


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        ({"scopes": ["Models.call"]}, "/spec/scopes/0"),
        ({"scopes": ["models"]}, "/spec/scopes/0"),
        ({"models": ["a", "a"]}, "/spec/models/1"),
        ({"models": ["a b"]}, "/spec/models/0"),
        ({"limits": {"concurrency": 0}}, "/spec/limits/concurrency"),
        ({"expiresAt": "2027-01-01T00:00:00"}, "/spec/expiresAt"),
        ({"principal": "partner"}, "/spec/principal"),
        ({"model": ["a"]}, "/spec/model"),
    ],
)
async def test_a_malformed_key_is_refused_with_the_place(town: City, spec: dict[str, object], pointer: str) -> None:
    fault = await refusal(town.key("k", **spec))
    assert fault.code == "INVALID"
    assert [problem.pointer.removeprefix("/documents/0") for problem in fault.document.problems] == [pointer]


# Hard case 14: nothing raises the caller's own rights.


async def test_nobody_declares_a_key_with_more_rights_than_their_own(town: City) -> None:
    clerk = user("clerk", "catalog.write", "keys.grant", "keys.issue", "ledger.*", "operations.undo")
    await town.key("fine", as_=clerk, scopes=["ledger.read", "ledger.*"])
    for scopes in (["*"], ["ledger.*", "keys.revoke"], ["models.call"]):
        fault = await refusal(town.key("wide", as_=clerk, scopes=scopes))
        assert fault.code == "RIGHTS_EXCEEDED"
        assert fault.document.facts["missing"] == [scope for scope in scopes if not clerk.may(scope)]
    assert (await refusal(town.key("default-scopes", as_=clerk))).code == "RIGHTS_EXCEEDED"


async def test_nobody_widens_an_existing_key_not_even_their_own(town: City) -> None:
    clerk = await town.holder("clerk", "catalog.write", "keys.grant", "operations.undo")
    fault = await refusal(town.key("clerk", as_=clerk, scopes=["*"]))
    assert fault.code == "RIGHTS_EXCEEDED"
    fault = await refusal(town.key("clerk", as_=clerk, scopes=["catalog.write", "keys.grant", "keys.issue"]))
    assert fault.code == "RIGHTS_EXCEEDED"


async def test_undo_is_no_way_around_the_guard(town: City) -> None:
    clerk = user("clerk", "catalog.write", "keys.grant", "operations.undo")
    await town.key("boss", scopes=["*"])
    narrowed = await town.key("boss", as_=clerk, scopes=["catalog.write"])  # taking away is allowed
    fault = await refusal(town.undo(narrowed, as_=clerk))
    assert fault.code == "RIGHTS_EXCEEDED"
    deleted = await town.invoker.invoke("catalog.delete", {"kind": "Key", "name": "boss"}, clerk)
    await town.undo(deleted, as_=clerk)
    undone = await town.undo(narrowed)
    assert undone["state"] == "undone"


async def test_declaring_keys_is_a_permission_of_its_own(town: City) -> None:
    editor = user("editor", "catalog.write", "models.call")
    fault = await refusal(town.key("k", as_=editor))
    assert fault.code == "FORBIDDEN" and fault.document.required_permission == "keys.grant"
    await town.key("k")
    fault = await refusal(town.invoker.invoke("catalog.delete", {"kind": "Key", "name": "k"}, editor))
    assert fault.code == "FORBIDDEN"


async def test_nobody_issues_a_secret_for_a_key_that_may_do_more(town: City) -> None:
    await town.key("boss", scopes=["*"])
    clerk = user("clerk", "keys.issue")
    fault = await refusal(town.issue("boss", as_=clerk))
    assert fault.code == "RIGHTS_EXCEEDED"
    assert len(town.authenticator) == 0
    [fix] = fault.document.fixes
    assert fix.permitted is Permitted.YES and fix.call is not None
    assert fix.call.operation == "approvals.request"


async def test_the_fix_for_missing_rights_asks_and_does_not_widen(town: City) -> None:
    """The offered request, run as it was returned, leads to a secret only through someone who holds the rights."""
    await town.key("boss", scopes=["ledger.read"])
    clerk = user("clerk", "keys.issue")
    fault = await refusal(town.issue("boss", as_=clerk))
    request = fault.document.fixes[0].call
    assert request is not None
    asked = await town.invoker.invoke(request.operation, request.arguments, clerk)
    assert len(town.authenticator) == 0
    name = asked["approval"]["name"]  # type: ignore[index,call-overload]
    other = user("other-clerk", "keys.issue", "approvals.decide")
    assert (await refusal(town.invoker.invoke("approvals.approve", {"name": name}, other))).code == "RIGHTS_EXCEEDED"
    owner = user("owner", "keys.issue", "approvals.decide", "ledger.read")
    approved = await town.invoker.invoke("approvals.approve", {"name": name}, owner)
    assert town.who(approved["result"]["secret"]).principal.name == "boss"  # type: ignore[index,call-overload]


async def test_a_key_that_gains_rights_while_it_is_issued_is_judged_anew(town: City) -> None:
    """The widening is on its way to the disk when the issue is decided: no secret of the wide key may come out."""
    clerk = user("clerk", "keys.issue", "models.call")
    for round in range(20):
        name = f"k{round}"
        await town.key(name)
        widened, issued = await asyncio.gather(
            town.key(name, scopes=["*"]), town.issue(name, as_=clerk), return_exceptions=True
        )
        assert not isinstance(widened, BaseException)
        if isinstance(issued, Fault):
            assert issued.code == "RIGHTS_EXCEEDED"
            assert len(town.authenticator) == 0
        else:  # decided and committed before the widening: the secret grew with its key, by its author's will
            assert not isinstance(issued, BaseException)
            await town.invoker.invoke("keys.revoke", {"key": name}, SYSTEM)


async def test_what_a_guard_refuses_can_be_asked_for_with_the_fix_as_it_is_returned(town: City) -> None:
    clerk = user("clerk", "catalog.write", "keys.grant")
    fault = await refusal(town.key("wide", as_=clerk, scopes=["ledger.read"]))
    assert fault.code == "RIGHTS_EXCEEDED" and fault.document.required_permission == "ledger.read"
    [fix] = fault.document.fixes
    assert fix.call is not None
    asked = await town.invoker.invoke(fix.call.operation, fix.call.arguments, clerk)
    name = asked["approval"]["name"]  # type: ignore[index,call-overload]
    owner = user("owner", "approvals.decide", "catalog.write", "keys.grant", "ledger.*")
    await town.invoker.invoke("approvals.approve", {"name": name}, owner)
    assert (await town.issue("wide"))["secret"]


async def test_who_may_not_decide_is_offered_no_approval_of_an_approval(town: City) -> None:
    fault = await refusal(town.invoker.invoke("approvals.approve", {"name": "x"}, user("clerk")))
    assert fault.code == "FORBIDDEN"
    assert [fix.call for fix in fault.document.fixes] == [None]


async def test_no_key_is_recorded_under_the_citys_own_name(town: City) -> None:
    document = {
        "apiVersion": "pharos/v1",
        "kind": "Key",
        "metadata": {"name": "pharos", "namespace": "system"},
        "spec": {"principal": "workload", "scopes": ["models.call"]},
    }
    assert (await refusal(town.apply(document))).code == "FORBIDDEN"  # type: ignore[arg-type]


async def test_an_expired_key_is_issued_no_secret(town: City) -> None:
    await town.key("old", expiresAt="2020-01-01T00:00:00Z")
    assert (await refusal(town.issue("old"))).code == "KEY_EXPIRED"
