"""The hard cases of large messages (``mesh-24`` to ``26``, and the storage side of ``runtime-21``)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.mesh.blobs.conftest import PIECE, TUS, Tenant, Town, declare, town_of

from pharos.core.event import Event
from pharos.core.fault import Fault
from pharos.mesh.blobs.collector import Collector
from pharos.mesh.blobs.depot import Depot
from pharos.store.delivery import Retire
from pharos.store.faults import BLOB_MISSING, BLOBS_UNAVAILABLE
from pharos.store.ports import Append
from pharos.store.sqlite.engine import open_store

MB = 1024 * 1024
LETTER = {"name": "letters"}


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


async def cut_after(town: Town, tenant: Tenant, place: str, offset: int, data: bytes, length: int) -> None:
    """Send a piece that was announced with ``length`` bytes, and leave after ``data``."""
    authorization = tenant.http.headers["authorization"]
    head = (
        f"PATCH {place} HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\ntus-resumable: 1.0.0\r\n"
        f"content-type: {PIECE}\r\nupload-offset: {offset}\r\ncontent-length: {length}\r\n\r\n"
    )
    raw = await town.open.served.connect()
    raw.writer.write(head.encode() + data)
    await raw.writer.drain()
    raw.writer.write_eof()
    assert await raw.rest() == b"", "there is no one to answer"
    raw.writer.close()
    with contextlib.suppress(OSError):
        await raw.writer.wait_closed()


async def test_mesh_24_an_upload_cut_at_59_of_60_mb_goes_on_and_its_message_waits_for_it(tmp_path: Path) -> None:
    data = b"".join(bytes([n]) * MB for n in range(60))
    digest = digest_of(data)
    async with town_of(tmp_path / "home") as town:
        place = await town.acme.begin(len(data))
        await cut_after(town, town.acme, place, 0, data[: 59 * MB], len(data))
        early = {"data": {}, "extensions": {"dataref": f"/blobs/{digest}"}}
        refused = await town.acme.refused("topics.publish", **LETTER, messages=[early])
        assert refused["code"] == "BLOB_MISSING", "the message is sent anyway: it is not visible before its blob"
        later = {"topic": "letters", "delaySeconds": 60, "message": early}
        assert (await town.acme.refused("schedules.create", **later))["code"] == "BLOB_MISSING"
        secret = town.acme.http.headers["authorization"].removeprefix("Bearer ")
    async with town_of(tmp_path / "home") as town, town.open.http(secret) as http:
        acme = Tenant("acme", http)
        offset = await acme.offset(place)
        assert offset == 59 * MB, "what had come is still there after a restart"
        assert (await acme.piece(place, offset, data[offset:])).headers["pharos-blob"] == digest
        await acme.send("letters", f"/blobs/{digest}")
        [message] = (await acme.call("topics.read", **LETTER))["items"]
        answer = await acme.http.get(message["extensions"]["dataref"], headers={"range": "bytes=61865983-61865984"})
        assert answer.content == b"\x3a\x3b"


async def test_mesh_24_an_upload_that_is_given_up_expires(town: Town) -> None:
    await declare(town.admin, "BlobQuota", {"name": "q", "namespace": "acme"}, {"uploadHours": 2})
    place = await town.acme.begin(100)
    await town.acme.piece(place, 0, b"half")
    store = town.open.city.store
    [upload] = await store.uploads.list()
    collector = Collector(store, Depot(store, lambda _: ()))
    assert (await collector.collect(upload.touched_at + timedelta(hours=23))).uploads == 0
    assert (await collector.collect(upload.touched_at + timedelta(hours=25))).uploads == 1
    assert (await town.acme.http.head(place, headers=TUS)).status_code == 404
    assert not list((town.open.city.home / "blobs" / "uploads").iterdir())


async def test_mesh_24_a_message_that_is_removed_while_its_blob_is_read_lets_who_reads_finish(town: Town) -> None:
    data = bytes(range(256)) * 20_000
    digest = await town.acme.put(data)
    await town.acme.send("letters", digest)
    store = town.open.city.store
    place = f"/blobs/{digest}"
    late = datetime.now(UTC) + timedelta(days=2)
    collector = Collector(store, Depot(store))
    async with town.acme.http.stream("GET", place) as answer:
        pieces = answer.aiter_bytes(100_000)
        first = await anext(pieces)
        assert await store.commit(Retire("topics/acme/letters", "over", unread=True)) == [True]
        assert (await collector.collect(late)).blobs == 0
        got = first + b"".join([piece async for piece in pieces])
    assert got == data
    # Also who reads in ranges comes to the end: the namespace has the blob for a while after its last message.
    assert (await town.acme.http.get(place, headers={"range": "bytes=1-3"})).content == data[1:4]
    assert (await collector.collect(datetime.now(UTC) + timedelta(hours=23))).blobs == 0
    for _ in range(100):  # the server reads to the end a moment after the client has
        if (await collector.collect(late)).blobs == 1:
            break
        await asyncio.sleep(0.01)
    assert (await town.acme.http.get(place)).status_code == 404


async def test_mesh_24_the_last_message_counts(town: Town) -> None:
    digest = await town.acme.put(b"large")
    store = town.open.city.store
    collector = Collector(store, Depot(store))
    late = datetime.now(UTC) + timedelta(days=2)
    await town.acme.send("letters", digest)
    await town.acme.send("copies", digest)
    later = {"data": {}, "extensions": {"dataref": f"/blobs/{digest}"}}
    scheduled = await town.acme.call("schedules.create", topic="letters", delaySeconds=3600, message=later)
    for topic in ("letters", "copies"):
        assert (await town.acme.call("blobs.get", digest=digest))["references"] > 0
        assert (await collector.collect(late)).blobs == 0
        await store.commit(Retire(f"topics/acme/{topic}", "over", unread=True))
    assert (await collector.collect(late)).blobs == 0, "what is scheduled is still to come"
    await town.acme.call("schedules.cancel", id=scheduled["id"])
    assert (await collector.collect(late)).blobs == 1


async def _answers(tenant: Tenant, digest: str) -> list[tuple[Any, ...]]:
    """Everything a tenant can ask about a blob, without what differs from call to call."""
    found: list[tuple[Any, ...]] = []
    place = f"/blobs/{digest}"
    message = {"data": {}, "extensions": {"dataref": place}}
    for answer in [
        await tenant.http.get(place),
        await tenant.http.head(place),
        await tenant.http.get(place, headers={"range": "bytes=0-1"}),
        await tenant.http.get(place, headers={"if-none-match": f'"{digest}"'}),
        await tenant.http.post("/api/blobs.get", json={"digest": digest}),
        await tenant.http.post("/api/blobs.delete", json={"digest": digest}),
        await tenant.http.post("/api/blobs.list", json={}),
        await tenant.http.post("/api/topics.publish", json={"name": "x", "messages": [message]}),
    ]:
        told = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
        said = answer.json() if answer.content else None
        if isinstance(said, dict):
            said.pop("correlation", None)
        found.append((answer.status_code, told, str(said).replace(digest, "DIGEST")))
    return found


async def test_mesh_25_the_blob_of_another_tenant_is_nowhere_to_be_seen(town: Town) -> None:
    secret = b"the merger is on friday"
    theirs = await town.acme.put(secret)
    await town.acme.send("letters", theirs)
    nobodys = digest_of(b"the merger is on monday")
    assert await _answers(town.rival, theirs) == await _answers(town.rival, nobodys)
    assert await _answers(town.admin, theirs) == await _answers(town.admin, nobodys), "whatever else it may do"
    # An upload of the same bytes is answered and charged like one of new bytes.
    known, new = [await town.rival.http.post("/blobs", content=c) for c in (secret, b"the merger is on sunday")]
    assert (known.status_code, set(known.json())) == (new.status_code, set(new.json()))
    assert sorted(blob["size"] for blob in (await town.rival.call("blobs.list"))["items"]) == [23, 23]
    # From then on it is the rival's too, with counts of its own, and neither takes it from the other.
    assert (await town.rival.call("blobs.get", digest=theirs))["references"] == 0
    await town.rival.call("blobs.delete", digest=theirs)
    assert (await town.rival.http.get(f"/blobs/{theirs}")).status_code == 404
    await town.admin.call("blobs.collect", graceMinutes=0)
    assert (await town.acme.http.get(f"/blobs/{theirs}")).content == secret


async def test_mesh_25_the_upload_of_another_tenant_is_nowhere_to_be_seen(town: Town) -> None:
    place = await town.acme.begin(10)
    nowhere = f"/blobs/uploads/{'0' * 32}"
    for other in (place, nowhere):
        assert (await town.rival.http.head(other, headers=TUS)).status_code == 404
        assert (await town.rival.piece(other, 0, b"x")).json()[
            "detail"
        ] == "There is no such upload; it may have expired."
        assert (await town.rival.http.delete(other, headers=TUS)).status_code == 404
    assert await town.acme.offset(place) == 0


async def test_mesh_26_with_the_blob_store_away_nothing_is_lost_and_the_rest_goes_on(town: Town) -> None:
    home = town.open.city.home
    digest = await town.acme.put(b"kept")
    await town.acme.send("letters", digest)
    free = await town.acme.put(b"not cited")
    place = await town.acme.begin(4)
    (home / "blobs").rename(home / "away")  # as when a volume is not mounted any more
    down = "BLOBS_UNAVAILABLE"
    for answer in [
        await town.acme.http.post("/blobs", content=b"new"),
        await town.acme.http.get(f"/blobs/{digest}"),
        await town.acme.http.post("/blobs/uploads", headers={**TUS, "upload-length": "3"}),
        await town.acme.http.post(
            "/api/topics.publish",
            json={**LETTER, "messages": [{"data": {}, "extensions": {"dataref": f"/blobs/{digest}"}}]},
        ),
        await town.admin.http.post("/api/blobs.collect", json={"graceMinutes": 0}),
    ]:
        document = answer.json()
        assert (answer.status_code, document["code"], document["retry"]["class"]) == (503, down, "after_time")
    await town.acme.call("topics.publish", **LETTER, messages=[{"data": "small messages pass"}])
    (home / "away").rename(home / "blobs")
    assert (await town.acme.http.get(f"/blobs/{digest}")).content == b"kept"
    assert (await town.acme.http.get(f"/blobs/{free}")).content == b"not cited"
    assert (await town.acme.piece(place, 0, b"rest")).status_code == 204
    assert len((await town.acme.call("topics.read", **LETTER))["items"]) == 2


async def test_mesh_26_bytes_that_are_gone_are_no_missing_blob(town: Town) -> None:
    digest = await town.acme.put(b"kept")
    await town.acme.send("letters", digest)
    shutil.rmtree(town.open.city.home / "blobs" / digest[7:9])
    lost = await town.acme.http.get(f"/blobs/{digest}")
    assert (lost.status_code, lost.json()["code"]) == (503, "BLOBS_UNAVAILABLE")


async def test_mesh_26_a_disk_that_fills_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path / "home")
    depot = Depot(store)
    upload = await depot.begin("acme", "me", 3 * MB)
    written = 0

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * MB

    real = store.uploads._write

    def full(id: str, file: Any, data: bytearray) -> None:
        nonlocal written
        if written >= MB:
            raise OSError(28, "No space left on device")
        written += len(data)
        real(id, file, data)

    monkeypatch.setattr(store.uploads, "_write", full)
    with pytest.raises(Fault) as caught:
        await depot.extend(upload, 0, pieces())
    assert caught.value.code == BLOBS_UNAVAILABLE.code
    monkeypatch.undo()
    upload = await depot.upload("acme", upload.id)
    assert upload.offset == MB
    upload = await depot.extend(upload, MB, rest())
    assert upload.digest == digest_of(b"x" * 3 * MB)
    await store.close()


async def rest() -> AsyncIterator[bytes]:
    yield b"x" * 2 * MB


async def test_runtime_21_a_result_above_the_cap_is_kept_by_reference(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    depot = Depot(store)
    result = b"row\n" * 500_000
    ref = await depot.keep("acme", result)
    assert await depot.find("acme", ref.digest) is None, "nobody has it before the event is there"
    event = Event(
        "sessions/acme/s1", "effect.completed", {"blob": {"digest": ref.digest, "size": ref.size}}, refs=(ref,)
    )
    await store.commit(Append(event))
    await store.close()
    store = open_store(tmp_path / "home")
    depot = Depot(store)
    [recorded] = await store.log.read("sessions/acme/s1")
    assert recorded.event.refs == (ref,)
    assert recorded.cloudevent()["dataref"] == f"/blobs/{ref.digest}"
    late = datetime.now(UTC) + timedelta(days=2)
    assert (await Collector(store, depot).collect(late)).blobs == 0
    assert b"".join([piece async for piece in depot.read(ref, 4, 8)]) == b"row\n"
    await store.commit(Retire("sessions/acme/s1", "over"))
    assert (await Collector(store, depot).collect(late)).blobs == 1
    assert await depot.find("acme", ref.digest) is None
    with pytest.raises(Fault) as caught:
        await depot.ref("acme", ref.uri)
    assert caught.value.code == BLOB_MISSING.code
    await store.close()


async def test_an_event_with_several_blobs_names_them_all(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    depot = Depot(store)
    refs = (await depot.keep("acme", b"one"), await depot.keep("acme", b"two"))
    [recorded] = await store.commit(Append(Event("t", "a.b", {}, refs=refs)))
    assert recorded.cloudevent()["dataref"] == refs[0].uri  # type: ignore[union-attr]
    assert recorded.cloudevent()["datarefs"] == f"{refs[0].uri} {refs[1].uri}"  # type: ignore[union-attr]
    await store.close()


async def test_what_leads_elsewhere_passes_as_it_is(town: Town) -> None:
    sent = await town.acme.send("letters", "https://example.com/large.bin")
    assert len(sent["items"]) == 1
    for broken in ("/blobs/nonsense", "sha256:abc", "/blobs/uploads/1"):
        message = {"data": {}, "extensions": {"dataref": broken}}
        assert (await town.acme.refused("topics.publish", **LETTER, messages=[message]))["code"] == "BLOB_MISSING"
