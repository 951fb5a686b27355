"""Records of prompts and answers: what is kept, who sees it, what is found when one byte is another."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.town import chat, document, messages
from tests.gateway.upstream import DONE, Exchange, openai_answer, openai_delta, openai_usage
from tests.insight.audited import Audited, audited

from pharos.core.event import Event
from pharos.core.fault import Fault
from pharos.core.operation import Invocation
from pharos.core.principal import SYSTEM, Principal, PrincipalKind
from pharos.gateway.models.auditing import Trail
from pharos.gateway.models.layers import audit as audit_layer
from pharos.insight.audit.chain import EXPIRED, extended, genesis
from pharos.insight.audit.contents import words_in
from pharos.insight.audit.sealing import Sealer
from pharos.insight.audit.verify import Verifier, Verify
from pharos.insight.plane import projections
from pharos.mesh.auditing import canonical, chain_of, packed, unpacked
from pharos.mesh.blobs.collector import Collector
from pharos.mesh.blobs.depot import Depot
from pharos.mesh.runner import ProjectionRunner
from pharos.store.faults import STORAGE_FAILED
from pharos.store.ports import Append
from pharos.store.sqlite.engine import open_store


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[Audited]:
    async with audited(tmp_path) as it:
        yield it


async def test_nothing_is_kept_of_a_key_without_a_policy(city: Audited) -> None:
    await city.town.chat("bot")
    assert await city.records() == [] and (await city.verify())["chains"] == []
    assert "audit" not in (await city.town.called())[0]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["chat", "messages"])
async def test_what_was_asked_and_answered(city: Audited, dialect: str, stream: bool) -> None:
    await city.policy()
    body = chat(stream=stream) if dialect == "chat" else messages(stream=stream)
    path = "/v1/chat/completions" if dialect == "chat" else "/v1/messages"
    answer = await city.town.ask("bot", body, path)
    assert answer.status == 200
    [record] = await city.records()
    call = record["call"]
    assert (record["key"], record["model"], record["served"], record["stream"]) == (
        "bot",
        "fast",
        "acme/small-1",
        stream,
    )
    assert record["labels"] == {"team": "a"} and record["outcome"] == "ok" and record["sequence"] == 1
    content = await city.call("audit.get", call=call)
    assert content["prompt"] == body
    assert content["text"].strip().endswith("Hello.") if not stream else "Hello." in content["text"]
    whole = content["answer"] if isinstance(content["answer"], str) else None
    assert whole is None or whole.encode() == answer.body, "a stream is kept as it was sent"
    assert (await city.town.called())[0]["audit"].startswith("sha256:")
    assert (await city.sealed())["ok"]


async def test_the_record_is_committed_with_the_call(city: Audited) -> None:
    await city.policy()
    await city.town.chat("bot")
    page = await city.town.store.log.read_all("", 1000)
    types = [recorded.event.type for recorded in page]
    at = types.index("audit.recorded")
    assert types[at + 1] == "model.called" and page[at].event.data["call"] == page[at + 1].event.data["call"]


async def test_the_first_policy_that_is_for_a_call_counts(city: Audited) -> None:
    await city.town.model("other", "acme")
    await city.policy("a-digests", models=["other"], content="digest")
    await city.policy("b-team", labels={"team": "a"}, days=30, retention=[{"labels": {"team": "a"}, "days": 7}])
    await city.policy("c-nobody", keys=["somebody"])
    await city.town.chat("bot")
    await city.town.chat("bot", model="other")
    other, fast = await city.records()
    assert (fast["policy"], other["policy"], other["withheld"]) == ("b-team", "a-digests", "policy")
    assert other["content"] == "" and other["promptBytes"] > 0
    with pytest.raises(Fault) as caught:
        await city.call("audit.get", call=other["call"])
    assert caught.value.code == "CONTENT_GONE"
    log = await city.town.store.log.read(chain_of("default"))
    assert [recorded.event.data["days"] for recorded in log] == [7, None]


async def test_h51_store_false_keeps_nothing_but_digests(city: Audited, tmp_path: Path) -> None:
    def kept() -> list[Path]:
        return [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]

    await city.policy()
    await city.town.chat("bot", store=False)
    [record] = await city.records()
    assert record["withheld"] == "store-false" and record["content"] == "" and not kept()
    await city.policy(storeFalse="keep")
    await city.town.chat("bot", store=False)
    assert (await city.records())[0]["content"] and len(kept()) == 1


async def test_a_failed_call_is_recorded_with_its_prompt(tmp_path: Path) -> None:
    async def fail(exchange: Exchange) -> None:
        await exchange.json({"error": {"message": "no"}}, 500)

    async with audited(tmp_path, fail) as city:
        await city.policy()
        assert (await city.town.chat("bot")).status == 502
        [record] = await city.records()
        assert record["outcome"] == "error" and record["answerBytes"] == 0
        assert (await city.call("audit.get", call=record["call"]))["prompt"] == chat()


async def test_a_cut_stream_is_recorded_as_far_as_it_came(tmp_path: Path) -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(openai_delta("Half of it"))
        exchange.cut()

    async with audited(tmp_path, cut) as city:
        await city.policy()
        await city.town.chat("bot", stream=True)
        [record] = await city.records()
        assert record["outcome"] == "incomplete"
        assert "Half of it" in (await city.call("audit.get", call=record["call"]))["text"]


async def test_what_cannot_be_recorded_is_not_answered_where_a_record_is_required(
    city: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(data: Any) -> str:
        raise STORAGE_FAILED("The disk is full.")

    await city.policy()
    await city.town.budget("b", "1")
    await city.town.key("payer", budgets=["b"])
    monkeypatch.setattr(city.town.store.blobs, "put", full)
    assert (await city.town.chat("payer", max_tokens=5)).status == 503
    assert await city.town.quiet("b") == 20_000, "it was paid for all the same"
    assert "audit" not in (await city.town.called())[0]
    streamed = await city.town.chat("payer", stream=True, max_tokens=5)
    assert "STORAGE_FAILED" in streamed.body.decode() and "[DONE]" not in streamed.events
    await city.policy(required=False)
    assert (await city.town.chat("payer", max_tokens=5)).status == 200
    assert await city.records() == []


async def test_who_saw_what_stands_in_the_chain(city: Audited) -> None:
    await city.policy()
    await city.town.chat("bot")
    [record] = await city.records()
    ann = Principal(PrincipalKind.USER, "ann", permissions=frozenset({"audit.view", "audit.export"}))
    invoke = city.town.invoker.invoke
    assert (await invoke("audit.get", {"call": record["call"]}, ann))["views"] == []
    assert len((await invoke("audit.search", {"text": "SAY HELLO"}, ann))["items"]) == 1
    [chunk, *_] = [chunk async for chunk in city.town.invoker.stream("audit.export", {}, ann)]
    assert chunk["rows"] == 3
    views = (await invoke("audit.get", {"call": record["call"]}, ann))["views"]
    assert [view["by"] for view in views] == ["user/default/ann"] * 3
    report = await city.sealed()
    assert report["ok"] and report["chains"][0]["events"] == 5 and report["chains"][0]["unsealed"] == 0
    with pytest.raises(Fault) as caught:
        await invoke("audit.list", {}, ann)
    assert caught.value.code == "FORBIDDEN"


async def test_search_pages_through_contents(city: Audited) -> None:
    await city.policy()
    for number in range(5):
        turns = [{"role": "user", "content": f"Числа \u4f60\u597d {number}"}]
        await city.town.chat("bot", messages=turns)
    found = await city.call("audit.search", text="\u4f60\u597d 3")
    assert [item["where"] for item in found["items"]] == ["prompt"] and "3" in found["items"][0]["excerpt"]
    pages, cursor = [], None
    while True:
        page = await city.call("audit.search", text="числа", limit=2, **({"cursor": cursor} if cursor else {}))
        pages += [item["sequence"] for item in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert len(pages) == len(set(pages)) == 5
    assert not (await city.call("audit.search", text="nowhere"))["items"]
    assert not (await city.call("audit.list", labels={"team": "b"}))["items"]
    assert len((await city.call("audit.list", labels={"team": "a"}, key="bot"))["items"]) == 5


def test_words_of_streams_are_joined() -> None:
    frames = openai_delta("Hel") + openai_delta("lo there") + DONE
    assert words_in(frames) == "Hello there"
    assert words_in(b"no json") == "" and words_in(b"data: {cut") == ""


async def test_who_may_change_a_model_may_not_make_its_calls_invisible(city: Audited) -> None:
    await city.policy()
    clerk = Principal(PrincipalKind.USER, "clerk", permissions=frozenset({"catalog.*"}))
    document = {"kind": "AuditPolicy", "metadata": {"name": "all"}, "spec": {"keys": []}, "apiVersion": "pharos/v1"}
    for operation, arguments in (
        ("catalog.apply", {"documents": [document]}),
        ("catalog.delete", {"kind": "AuditPolicy", "name": "all"}),
    ):
        with pytest.raises(Fault) as caught:
            await city.town.invoker.invoke(operation, arguments, clerk)
        assert caught.value.code == "FORBIDDEN"


# Retention and holds.


async def test_contents_expire_with_a_tombstone_and_the_chain_stays_whole(city: Audited) -> None:
    await city.policy(days=30, retention=[{"labels": {"team": "a"}, "days": 7}])
    await city.town.chat("bot")
    await city.town.key("long", labels={"team": "b"})
    await city.town.chat("long")
    first = datetime.now(UTC)
    assert await city.keeper.expire(first + timedelta(days=6)) == 0
    assert await city.keeper.expire(first + timedelta(days=8)) == 1
    report = await city.sealed()
    assert report["ok"] and report["chains"][0]["expired"] == 1 and report["chains"][0]["contents"] == 1
    await city.runner.caught_up("audit")
    [gone] = [record for record in await city.records() if record["key"] == "bot"]
    assert gone["expiredAt"]
    with pytest.raises(Fault) as caught:
        await city.call("audit.get", call=gone["call"])
    assert caught.value.code == "CONTENT_GONE" and caught.value.document.facts["expiredAt"]
    assert await city.keeper.expire(first + timedelta(days=8)) == 0


async def test_a_content_that_a_crash_left_without_its_record_is_found_and_collected(city: Audited) -> None:
    await city.policy()
    await city.town.chat("bot")
    [record] = await city.records()
    store = city.town.store
    orphan = await store.blobs.put(packed("never-committed", b"prompt", b"answer"))
    collector, late = Collector(store, Depot(store)), datetime.now(UTC) + timedelta(days=2)
    assert (await collector.collect(datetime.now(UTC))).blobs == 0, "a call may still be on its way to its commit"
    assert (await collector.collect(late)).blobs == 1
    assert await store.blobs.size(orphan) is None
    assert (await city.call("audit.get", call=record["call"]))["prompt"] == chat()


async def test_a_hold_keeps_what_retention_would_delete(city: Audited) -> None:
    await city.policy(days=1)
    await city.town.chat("bot")
    hold = {
        "apiVersion": "pharos/v1",
        "kind": "LegalHold",
        "metadata": {"name": "case"},
        "spec": {"reason": "case 7", "keys": ["bot"]},
    }
    await city.town.apply(hold)
    later = datetime.now(UTC) + timedelta(days=400)
    assert await city.keeper.expire(later) == 0
    await city.call("catalog.delete", kind="LegalHold", name="case")
    assert await city.keeper.expire(later) == 1
    assert (await city.sealed())["ok"]


async def test_a_policy_that_is_gone_still_says_how_long(city: Audited) -> None:
    await city.policy(days=1)
    await city.town.chat("bot")
    await city.call("catalog.delete", kind="AuditPolicy", name="all")
    assert await city.keeper.expire(datetime.now(UTC) + timedelta(hours=23)) == 0
    assert await city.keeper.expire(datetime.now(UTC) + timedelta(hours=25)) == 1


async def test_a_tombstone_before_its_time_hides_nothing(city: Audited) -> None:
    await city.policy(days=30)
    await city.town.chat("bot")
    [record] = await city.records()
    grave = {"call": record["call"], "content": record["content"], "sequence": 1, "days": 30}
    await city.append(Event(topic=chain_of("default"), type=EXPIRED, data={"records": [grave]}))
    await city.town.store.blobs.delete(record["content"])
    assert [p["kind"] for p in (await city.sealed())["problems"]] == ["expired-early"]


# Tampering, on disk.


async def _three_calls(home: Path) -> tuple[list[Any], Any]:
    async with audited(home) as city:
        await city.policy()
        for number in range(3):
            await city.town.chat("bot", messages=[{"role": "user", "content": f"needle {number}"}])
        report = await city.sealed()
        assert report["ok"] and report["chains"][0]["records"] == 3
        return await city.records(), report


async def _verify(home: Path, **arguments: Any) -> Any:
    store = open_store(home)
    try:
        return (await Verifier(store).verify(Invocation(SYSTEM), Verify.model_validate(arguments))).to_json()
    finally:
        await store.close()


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


def _database(home: Path) -> Path:
    database = home / "city.db"
    with sqlite3.connect(database) as connection:  # everything into the one file
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return database


async def test_one_flipped_byte_in_a_content_is_found(tmp_path: Path) -> None:
    records, _ = await _three_calls(tmp_path)
    name = records[1]["content"].removeprefix("sha256:")
    [blob] = [path for path in tmp_path.rglob(name) if path.is_file()]
    for place in (0, len(blob.read_bytes()) // 2, len(blob.read_bytes()) - 1):
        _flip(blob, place)
        report = await _verify(tmp_path)
        assert [(p["kind"], p["call"]) for p in report["problems"]] == [("content-altered", records[1]["call"])]
        _flip(blob, place)
    assert (await _verify(tmp_path))["ok"]
    blob.unlink()
    assert [p["kind"] for p in (await _verify(tmp_path))["problems"]] == ["content-missing"]


async def test_one_flipped_byte_in_a_record_is_found(tmp_path: Path) -> None:
    records, _ = await _three_calls(tmp_path)
    database = _database(tmp_path)
    data = database.read_bytes()
    call = records[1]["call"].encode()
    with sqlite3.connect(database) as connection:
        [(body,)] = connection.execute(
            "SELECT body FROM events WHERE type = 'audit.recorded' AND body LIKE ?", (f"%{call.decode()}%",)
        ).fetchall()
    connection.close()
    start = data.index(body.encode())
    # Everywhere in the record: in names, values, digests and between them, whether it is JSON afterwards or not.
    for offset in range(0, len(body), 23):
        _flip(database, start + offset)
        report = await _verify(tmp_path)
        assert not report["ok"], f"byte {offset} of {body}"
        kinds = {p["kind"] for p in report["problems"]}
        assert kinds & {"altered", "unreadable"}, kinds
        _flip(database, start + offset)
    assert (await _verify(tmp_path))["ok"]


def _sql(home: Path, *statements: str) -> None:
    with sqlite3.connect(home / "city.db") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


_RECORD = "SELECT position FROM events WHERE type = 'audit.recorded' ORDER BY position LIMIT 1 OFFSET {}"


@pytest.mark.parametrize("offset", [0, 1, 2])
async def test_a_record_that_is_gone_is_found(tmp_path: Path, offset: int) -> None:
    records, _ = await _three_calls(tmp_path)
    _sql(tmp_path, f"DELETE FROM events WHERE position = ({_RECORD.format(offset)})")
    problems = (await _verify(tmp_path))["problems"]
    assert ("missing", offset + 1) in {(p["kind"], p["sequence"]) for p in problems}
    assert ("call-differs", records[2 - offset]["call"]) in {(p["kind"], p["call"]) for p in problems}


async def test_the_last_record_is_missed_even_if_its_seal_and_its_call_are_gone_too(tmp_path: Path) -> None:
    _, report = await _three_calls(tmp_path)
    [chain] = report["chains"]
    anchor = {"namespace": "default", "sequence": chain["sequence"], "head": chain["head"]}
    assert (await _verify(tmp_path, anchors=[anchor]))["ok"]
    # Everything that speaks of the third call, and the counts of the topics: as if it had never been.
    _sql(
        tmp_path,
        "DELETE FROM events WHERE type = 'audit.sealed'",
        f"DELETE FROM events WHERE position >= ({_RECORD.format(2)})",
        "UPDATE topics SET sequence = 2 WHERE name = 'audit/default'",
        "DELETE FROM topics WHERE name = 'audit-seals/default'",
    )
    assert (await _verify(tmp_path))["ok"], "nothing that is left contradicts itself"
    problems = (await _verify(tmp_path, anchors=[anchor]))["problems"]
    assert [p["kind"] for p in problems] == ["anchor-differs"], "but the head that was noted elsewhere does"


@pytest.mark.parametrize(
    ("statement", "kinds"),
    [
        (
            "UPDATE events SET body = replace(body, '\"head\":\"', '\"head\":\"0') WHERE type = 'audit.sealed'",
            {"seal-broken"},
        ),
        ("DELETE FROM events WHERE type = 'audit.sealed'", {"missing"}),
        ("UPDATE events SET sequence = sequence + 1 WHERE type = 'audit.recorded'", {"missing", "altered"}),
        ("UPDATE events SET sequence = 1000000000000 WHERE type = 'audit.recorded'", {"missing"}),
        ("UPDATE topics SET sequence = 1000000000000 WHERE name = 'audit/default'", {"missing"}),
        ("UPDATE events SET type = 'audit.viewed' WHERE type = 'audit.recorded'", {"altered", "call-differs"}),
    ],
)
async def test_other_forgeries(tmp_path: Path, statement: str, kinds: set[str]) -> None:
    await _three_calls(tmp_path)
    _sql(tmp_path, statement)
    report = await _verify(tmp_path)
    assert not report["ok"] and {p["kind"] for p in report["problems"]} >= kinds


async def test_a_record_swapped_with_its_digest_and_leaf_is_found_by_the_seals(tmp_path: Path) -> None:
    records, _ = await _three_calls(tmp_path)
    _sql(
        tmp_path,
        'UPDATE events SET body = replace(body, \'"outcome":"ok"\', \'"outcome":"error"\') '
        f"WHERE type = 'audit.recorded' AND position = ({_RECORD.format(0)})",
    )
    kinds = {(p["kind"], p["call"]) for p in (await _verify(tmp_path))["problems"]}
    assert ("altered", records[2]["call"]) in kinds


async def test_seals_continue_after_a_restart(tmp_path: Path) -> None:
    _, before = await _three_calls(tmp_path)
    store = open_store(tmp_path)
    runner, sealer = ProjectionRunner(store, projections()), Sealer(store, linger=0.001)
    await store.commit(Append(Event(topic=chain_of("default"), type="audit.viewed", data={"calls": []})))
    try:
        async with runner.service(), sealer.service(runner):
            async with asyncio.timeout(10):
                verifier = Verifier(store)
                while (report := await verifier.verify(Invocation(SYSTEM), Verify())).chains[0].unsealed:
                    await asyncio.sleep(0.005)
        assert report.ok and report.chains[0].sequence == before["chains"][0]["sequence"] + 1
    finally:
        await store.close()


async def test_many_calls_at_once_are_one_chain(city: Audited) -> None:
    await city.policy()
    await asyncio.gather(*(city.town.chat("bot") for _ in range(20)))
    report = await city.sealed()
    assert report["ok"] and report["chains"][0]["records"] == report["chains"][0]["contents"] == 20


async def test_an_export_proves_itself(city: Audited) -> None:
    await city.policy()
    for _ in range(3):
        await city.town.chat("bot")
    lines = [json.loads(line) for line in (await city.export(since="2000-01-01T00:00:00Z")).splitlines()]
    head = genesis("audit/default")
    leaves = []
    for line in (line for line in lines if "leaf" in line):
        event = line["event"]
        said = [
            event["topic"], line["sequence"], event["id"], event["type"], event["time"], event["source"],
            event.get("subject", ""), event.get("principal", ""), event.get("causation", ""),
            event.get("correlation", ""), event.get("traceparent", ""), event["data"],
            *([line["refs"]] if "refs" in line else []),
        ]  # fmt: skip
        assert hashlib.sha256(canonical(said)).hexdigest() == line["leaf"]
        assert json.loads(line["prompt"]) == chat()
        leaves.append(bytes.fromhex(line["leaf"]))
    [*_, seal] = [line["seal"] for line in lines if "seal" in line]
    assert extended(head, leaves[: seal["last"]]).hex() == seal["head"]
    some = [json.loads(line) for line in (await city.export(key="nobody")).splitlines()]
    assert all("event" not in line or line["event"]["type"] != "audit.recorded" for line in some if "leaf" in line)


def test_contents_are_framed_and_refuse_what_is_not() -> None:
    assert unpacked(packed("c", b"a\nb", b"")) == ("c", b"a\nb", b"")
    for bad in (b"", b"x\n", b"{}\n", b'{"call":"c","prompt":1,"answer":0}\n', b"[]\nx"):
        with pytest.raises(ValueError):
            unpacked(bad)


async def test_large_contents_are_kept_whole(city: Audited) -> None:
    await city.policy()
    text = "lorem " * 200_000
    await city.town.chat("bot", messages=[{"role": "user", "content": text}])
    [record] = await city.records()
    assert record["promptBytes"] > 1_000_000
    content = await city.call("audit.get", call=record["call"])
    assert content["prompt"]["messages"][0]["content"] == text and (await city.sealed())["ok"]


async def test_a_client_that_leaves_is_recorded(tmp_path: Path) -> None:
    async def slow(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(openai_delta("The beginning"))
        await exchange.until_left()

    async with audited(tmp_path, slow) as city:
        await city.policy()
        async with city.town.client("bot", chat(stream=True)) as client:
            await client.head()
            assert b"The beginning" in await client.chunk()
        await city.town.called()
        [record] = await city.records()
        assert record["outcome"] == "cancelled"
        assert "The beginning" in (await city.call("audit.get", call=record["call"]))["text"]


async def test_a_policy_counts_from_the_next_call_and_until_it_is_gone(city: Audited) -> None:
    await city.town.chat("bot")
    await city.policy()
    await city.town.chat("bot")
    await city.call("catalog.delete", kind="AuditPolicy", name="all")
    await city.town.chat("bot")
    assert len(await city.records()) == 1 and len(await city.town.called(3)) == 3


async def test_what_is_kept_is_what_guards_leave(city: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    """The joint with the guards: they stand outside, write the prompt anew, and have a say in what is kept."""
    seen: list[Trail] = []
    made = audit_layer.Trail

    def guarded(rule: Any, prompt: bytes, blobs: Any, grew: Any, redact: Any) -> Trail:
        masked = prompt.replace(b"hello", b"[GREETING_1]")
        seen.append(made(rule, masked, blobs, grew, lambda _, answer: answers.pop(0)(answer)))
        return seen[-1]

    answers: list[Any] = [lambda answer: answer.replace(b"Hello", b"[GREETING_2]"), lambda _: None]
    monkeypatch.setattr(audit_layer, "Trail", guarded)
    await city.policy()
    for _ in range(2):
        assert b"Hello" in (await city.town.chat("bot")).body, "the caller has it all the same"
    unexamined, masked = await city.records()
    content = await city.call("audit.get", call=masked["call"])
    assert "[GREETING_2]" in content["text"] and "[GREETING_1]" in json.dumps(content["prompt"])
    assert "ello" not in json.dumps([content["prompt"], content["answer"]]).replace("GREETING", "")
    assert unexamined["answerBytes"] == 0 and unexamined["promptBytes"] > 0
    assert (await city.sealed())["ok"]


MAIL, CARD = "bob@example.com", "4111 1111 1111 1111"


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_guard_masks_is_recorded_masked(tmp_path: Path, stream: bool) -> None:
    async def tell(exchange: Exchange) -> None:
        """Repeats the placeholder it was given, and lets out a number of its own."""
        said = f"{exchange.request.json['messages'][-1]['content']} {CARD}"
        if not exchange.request.json.get("stream"):
            await exchange.json(openai_answer(said))
            return
        await exchange.start()
        for char in said:
            await exchange.chunk(openai_delta(char))
        await exchange.chunk(openai_delta(finish="stop") + openai_usage() + DONE)
        await exchange.finish()

    async with audited(tmp_path, tell) as city:
        await city.policy()

        async def guard(action: str, *directions: str) -> None:
            rules = [{"detectors": ["pii"], "action": action, "directions": [*directions]}]
            await city.town.apply(document("Guard", "g", {"rules": rules, "onError": "closed"}))

        await guard("mask", "prompt", "answer")
        turns = [{"role": "user", "content": f"Write to {MAIL}"}]
        answer = words_in((await city.town.chat("bot", stream=stream, messages=turns)).body)
        assert MAIL in answer and CARD not in answer, "the caller gets back what is the caller's"
        [record] = await city.records()
        content = await city.call("audit.get", call=record["call"])
        kept = json.dumps(content)
        assert MAIL not in kept and CARD not in kept and kept.count("[EMAIL_1]") >= 1
        assert "[EMAIL_1]" in words_in(json.dumps(content["prompt"]).encode()) and "[EMAIL_1]" in content["text"]
        blobs = [path.read_bytes() for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
        assert len(blobs) == 1 and MAIL.encode() not in blobs[0]
        await guard("block", "answer")
        await city.town.chat("bot", stream=stream, messages=[{"role": "user", "content": "Tell"}])
        [blocked, _] = await city.records()
        assert blocked["answerBytes"] == 0 and (await city.sealed())["ok"]
