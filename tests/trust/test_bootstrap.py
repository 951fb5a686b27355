"""The first key: written once, mended after every kind of crash."""

from __future__ import annotations

import stat
from collections.abc import Awaitable
from pathlib import Path

import pytest
from tests.trust.city import City, Hands, city

from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM, Principal
from pharos.core.wire import JsonObject
from pharos.trust.authenticator import key_status
from pharos.trust.bootstrap import ADMIN_FILE, ensure_admin
from pharos.trust.kinds import KEY


async def start(town: City) -> bool:
    return await ensure_admin(town.home, town.index, town.invoker.invoke, town.authenticator)


def held(town: City) -> str:
    return (town.home / ADMIN_FILE).read_text().strip()


def live(town: City) -> int:
    key = town.index.get(KEY, "admin")
    assert key is not None
    return len(key_status(key).digests)


async def test_the_first_start_writes_a_key_that_may_do_everything(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with city(tmp_path) as town:
        assert await start(town)
        identity = town.who(held(town))
        assert identity.principal.may("anything.at-all") and identity.key.spec.models == ["*"]
        assert stat.S_IMODE((tmp_path / ADMIN_FILE).stat().st_mode) == 0o600
        secret = held(town)
    async with city(tmp_path) as town:
        assert not await start(town)
        assert held(town) == secret and live(town) == 1
    assert secret not in caplog.text and secret not in "".join(capfd.readouterr())


class Crash(BaseException):
    """The process dies."""


@pytest.mark.parametrize("dies_before", ["catalog.apply", "keys.issue", "the file", "keys.revoke"])
async def test_a_crash_between_the_steps_is_mended_by_the_next_start(
    tmp_path: Path, dies_before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dies_before == "keys.revoke":  # there is something to revoke only on a later start
        async with city(tmp_path) as town:
            await start(town)
        (tmp_path / ADMIN_FILE).unlink()

    def die(*_: object) -> None:
        raise Crash

    async with city(tmp_path) as town:

        def invoke(name: str, arguments: JsonObject, principal: Principal | None, /) -> Awaitable[JsonObject]:
            if name == dies_before:
                raise Crash
            return town.invoker.invoke(name, arguments, principal)

        with monkeypatch.context() as patch:
            if dies_before == "the file":
                patch.setattr("pharos.trust.bootstrap.write_private", die)
            with pytest.raises(Crash):
                await ensure_admin(town.home, town.index, invoke, town.authenticator)
    async with city(tmp_path) as town:
        await start(town)
        assert town.who(held(town)).principal.name == "admin"
        assert live(town) == 1
        assert not await start(town)


async def test_a_removed_file_is_answered_with_a_new_secret_and_the_old_one_is_dead(tmp_path: Path) -> None:
    async with city(tmp_path) as town:
        await start(town)
        old = held(town)
        (tmp_path / ADMIN_FILE).unlink()
        assert await start(town)
        assert held(town) != old
        with pytest.raises(Fault):
            town.who(old)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\xfe", b"ph_" + b"a" * 12 + b"_" + b"b" * 43 + b"\n"])
async def test_a_file_that_opens_nothing_is_replaced(tmp_path: Path, content: bytes) -> None:
    async with city(tmp_path) as town:
        (tmp_path / ADMIN_FILE).write_bytes(content)
        assert await start(town)
        assert town.who(held(town)).principal.name == "admin"


async def test_a_lost_pepper_locks_out_everyone_but_the_owner_of_the_home(tmp_path: Path) -> None:
    async with city(tmp_path) as town:
        await start(town)
        await town.key("ci-bot")
        other = (await town.issue("ci-bot"))["secret"]
    (tmp_path / "pepper").unlink()
    async with city(tmp_path) as town:
        assert await start(town)
        assert town.who(held(town)).principal.name == "admin" and live(town) == 1
        with pytest.raises(Fault):
            town.who(other)


async def test_a_secret_of_another_key_does_not_pass_for_the_admins(tmp_path: Path) -> None:
    async with city(tmp_path) as town:
        await town.key("ci-bot")
        (tmp_path / ADMIN_FILE).write_text(str((await town.issue("ci-bot"))["secret"]))
        assert await start(town)
        assert town.who(held(town)).principal.name == "admin"


async def test_further_credentials_that_the_owner_issued_stay(tmp_path: Path) -> None:
    async with city(tmp_path) as town:
        await start(town)
        admin = town.who(held(town)).principal
        mine = (await town.issue("admin", as_=admin))["secret"]
        (tmp_path / ADMIN_FILE).unlink()
        await start(town)
        assert town.who(mine).principal.name == "admin"


async def test_a_narrowed_admin_stays_narrow(tmp_path: Path) -> None:
    async with city(tmp_path) as town:
        await start(town)
        await town.key("admin", scopes=["ledger.read"])
        (tmp_path / ADMIN_FILE).unlink()
        assert await start(town)
        assert not town.who(held(town)).principal.may("keys.issue")


async def test_an_expired_admin_does_not_keep_the_city_from_starting(tmp_path: Path) -> None:
    async with city(tmp_path, Hands()) as town:
        await start(town)
        await town.key("admin", scopes=["*"], models=["*"], expiresAt="2020-01-01T00:00:00Z")
        assert not await start(town)
        await town.invoker.invoke("catalog.delete", {"kind": "Key", "name": "admin"}, SYSTEM)
        assert await start(town)
        assert town.who(held(town)).principal.may("keys.issue")
