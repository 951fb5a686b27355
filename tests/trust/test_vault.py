"""Secrets the city keeps: sealed, never shown, re-wrapped while everything runs, and broken in plain sight."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trust.city import City, city, user

from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM
from pharos.core.resource import ResourceId
from pharos.core.wire import JsonObject
from pharos.trust.sealed.envelope import SealBroken, opened, rewrapped, seal
from pharos.trust.sealed.keyring import FILE, Keyring
from pharos.trust.sealed.upkeep import READABLE
from pharos.trust.sealed.vault import SECRET, secret_status

VALUE = "sk-acme-1f7b2c9d0e5a48f6b3"
ID = ResourceId("Secret", "default", "acme")


async def put(town: City, value: str = VALUE, name: str = "acme") -> JsonObject:
    return await town.invoker.invoke("secrets.set", {"name": name, "value": value}, SYSTEM)


async def listed(town: City) -> list[dict[str, object]]:
    return (await town.invoker.invoke("secrets.list", {}, SYSTEM))["items"]  # type: ignore[return-value]


def sealed_under(town: City, name: str = "acme") -> str:
    secret = town.index.get(SECRET, name)
    assert secret is not None
    sealed = secret_status(secret).sealed
    assert sealed is not None
    return sealed.key


async def condition(town: City, status: str, name: str = "acme") -> str:
    """Wait until the secret's condition is this; its message."""
    async with asyncio.timeout(20):
        while True:
            secret = town.index.get(SECRET, name)
            found = [c for c in secret.status.conditions if c.type == READABLE] if secret else []
            if found and found[0].status == status:
                return found[0].message
            await asyncio.sleep(0.01)


def everything_in(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


async def test_a_secret_is_kept_sealed_and_stands_nowhere_in_clear(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    async with city(tmp_path) as town:
        answer = await put(town)
        assert answer["created"] is True
        assert town.vault.reveal(ID) == VALUE
        again = await put(town, VALUE + "-2")
        assert again["created"] is False
        assert town.vault.reveal(ID) == VALUE + "-2"
        shown = [
            await town.invoker.invoke("catalog.get", {"kind": "Secret", "name": "acme"}, SYSTEM),
            await town.invoker.invoke("catalog.history", {"kind": "Secret", "name": "acme"}, SYSTEM),
            await town.invoker.invoke("operations.get", {"id": again["operation"]}, SYSTEM),
            await town.invoker.invoke("secrets.list", {}, SYSTEM),
            [recorded.event.data for recorded in await town.store.log.read_all(limit=1000)],
        ]
        assert VALUE not in json.dumps(shown)
        assert "sealed" not in json.dumps(shown[0])
        assert await condition(town, "True") == ""
        with pytest.raises(Fault, match="cannot be undone"):
            await town.undo(again)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert VALUE.encode() not in everything_in(tmp_path)
    assert VALUE not in caplog.text
    async with city(tmp_path) as town:
        assert town.vault.reveal(ID) == VALUE + "-2"


async def test_what_is_no_secret_is_refused_without_being_repeated(town: City) -> None:
    for value in ("", " padded ", "two\nlines", "é" * 10, "x" * 8193):
        with pytest.raises(Fault) as caught:
            await put(town, value)
        assert caught.value.code == "INVALID"
        assert not value or value not in json.dumps(caught.value.document.to_json())
    assert not (town.home / FILE).exists()


async def test_a_plan_changes_nothing_and_makes_no_key(town: City) -> None:
    plan = await town.invoker.invoke("secrets.set", {"name": "acme", "value": VALUE}, SYSTEM, dry_run=True)
    assert VALUE not in json.dumps(plan)
    await town.invoker.invoke("secrets.rotate", {}, SYSTEM, dry_run=True)
    assert not (town.home / FILE).exists()
    assert town.index.get(SECRET, "acme") is None


async def test_who_may_not_entrust_sets_no_secret_and_is_told_how_to_ask_without_it(town: City) -> None:
    with pytest.raises(Fault) as caught:
        await town.invoker.invoke("secrets.set", {"name": "a", "value": VALUE}, user("bob", "catalog.*", "secrets.*"))
    assert caught.value.code == "FORBIDDEN"
    assert VALUE not in json.dumps(caught.value.document.to_json())


async def test_undo_of_a_deletion_brings_back_no_secret(town: City) -> None:
    await put(town)
    gone = await town.invoker.invoke("catalog.delete", {"kind": "Secret", "name": "acme"}, SYSTEM)
    await town.undo(gone)
    assert (await listed(town))[0]["state"] == "unset"
    with pytest.raises(SealBroken, match="never set"):
        town.vault.reveal(ID)
    assert "never set" in await condition(town, "False")


async def test_rotation_rewraps_everything_and_drops_the_old_key_afterwards(tmp_path: Path) -> None:
    async with city(tmp_path, grace=0.01) as town:
        for number in range(20):
            await put(town, f"{VALUE}-{number}", f"s{number}")
        before = sealed_under(town, "s0")
        rotated = await town.invoker.invoke("secrets.rotate", {}, SYSTEM)
        assert (rotated["rewrapped"], rotated["broken"]) == (20, [])
        assert {sealed_under(town, f"s{number}") for number in range(20)} == {rotated["key"]} != {before}
        async with asyncio.timeout(20):
            while before in town.vault.ring.ids:
                await asyncio.sleep(0.01)
        assert Keyring(tmp_path).ids == {rotated["key"]}
    async with city(tmp_path) as town:
        assert [town.vault.reveal(ResourceId("Secret", "default", f"s{n}")) for n in (0, 19)] == [
            f"{VALUE}-0",
            f"{VALUE}-19",
        ]


async def test_rotation_while_secrets_are_set_loses_none(tmp_path: Path) -> None:
    async with city(tmp_path, grace=0.2) as town:
        await put(town, VALUE, "s0")
        async with asyncio.TaskGroup() as group:
            for number in range(12):
                group.create_task(put(town, f"{VALUE}-{number}", f"s{number}"))
                if number % 4 == 0:
                    group.create_task(town.invoker.invoke("secrets.rotate", {}, SYSTEM))
        for number in range(12):
            assert town.vault.reveal(ResourceId("Secret", "default", f"s{number}")) == f"{VALUE}-{number}"
    async with city(tmp_path) as town:
        assert not list(town.vault.broken())
        assert len(await listed(town)) == 12


async def test_a_crash_between_key_and_commit_loses_nothing(tmp_path: Path) -> None:
    async with city(tmp_path) as town:
        await put(town)
        old = sealed_under(town)
        town.vault.ring.add()  # as far as a rotation came before the crash
        lonely = town.vault.ring.active
    async with city(tmp_path) as town:
        assert town.vault.reveal(ID) == VALUE
        assert town.vault.ring.ids == {old, lonely}
        rotated = await town.invoker.invoke("secrets.rotate", {}, SYSTEM)
        assert rotated["key"] == lonely
    async with city(tmp_path) as town:  # and after the commit: the next start finishes it
        assert town.vault.ring.ids == {lonely}
        assert town.vault.reveal(ID) == VALUE


async def test_a_lost_master_key_shows_and_is_mended_by_setting_anew(tmp_path: Path) -> None:
    async with city(tmp_path) as town:
        await put(town)
        await put(town, VALUE, "other")
    (tmp_path / FILE).unlink()
    async with city(tmp_path) as town:
        assert "is not in master.keys" in await condition(town, "False")
        item = (await listed(town))[0]
        assert (item["state"], item["name"]) == ("broken", "acme")
        assert {id.name for id, _ in town.vault.broken()} == {"acme", "other"}
        await put(town)
        assert town.vault.reveal(ID) == VALUE
        assert await condition(town, "True") == ""
        rotated = await town.invoker.invoke("secrets.rotate", {}, SYSTEM)
        assert rotated["broken"] == ["Secret/default/other"]


async def test_a_damaged_file_is_never_written_over(tmp_path: Path) -> None:
    async with city(tmp_path) as town:
        await put(town)
    good = (tmp_path / FILE).read_bytes()
    for damage in (b"", b"{}", good[:-20], good.replace(b'"active":"mk-', b'"active":"xx-')):
        (tmp_path / FILE).write_bytes(damage)
        async with city(tmp_path) as town:
            assert "master.keys" in await condition(town, "False")
            for call in (put(town), town.invoker.invoke("secrets.rotate", {}, SYSTEM)):
                with pytest.raises(Fault, match="MASTER_KEYS_DAMAGED"):
                    await call
        assert (tmp_path / FILE).read_bytes() == damage
    (tmp_path / FILE).write_bytes(good)
    async with city(tmp_path) as town:
        assert town.vault.reveal(ID) == VALUE


@given(st.text(max_size=200), st.text(max_size=40), st.text(max_size=40))
def test_what_is_sealed_opens_for_its_name_alone(value: str, subject: str, other: str) -> None:
    first, second = b"1" * 32, b"2" * 32
    sealed = seal(value, subject, "k1", first)
    moved = rewrapped(sealed, subject, first, "k2", second)
    assert opened(sealed, subject, first) == opened(moved, subject, second) == value
    assert moved.value == sealed.value
    renamed = sealed.model_copy(update={"key": "k3"})
    for wrong, name, key in ((sealed, subject, second), (moved, subject, first), (renamed, subject, first)):
        with pytest.raises(SealBroken):
            opened(wrong, name, key)
    if other != subject:
        with pytest.raises(SealBroken):
            opened(sealed, other, first)
