"""Who is asking, and until when."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.trust.city import City, Hands, city

from pharos.core.fault import Fault
from pharos.core.operation import Put, SetStatus
from pharos.core.principal import SYSTEM, PrincipalKind
from pharos.core.resource import Metadata, Resource, ResourceId, Status
from pharos.trust.authenticator import Authenticator
from pharos.trust.clock import SteadyClock
from pharos.trust.kinds import Credential, KeySpec, KeyStatus
from pharos.trust.secrets import Minted, load_pepper, mint


def refused(town: City, secret: object) -> Fault:
    with pytest.raises(Fault) as caught:
        town.who(secret)
    assert caught.value.code == "UNAUTHENTICATED"
    return caught.value


@pytest.mark.parametrize(
    "secret",
    ["", "ph_", "nonsense", "ph_" + "a" * 12 + "_" + "b" * 43, "ph_" + "ä" * 56, "\ud800" * 59, "x" * 1_000_000],
)
async def test_what_is_no_secret_of_ours_is_refused_and_told_nothing(town: City, secret: str) -> None:
    await town.key("ci-bot")
    await town.issue("ci-bot")
    document = refused(town, secret).document.to_json()
    assert "ci-bot" not in str(document) and document.get("fixes", []) == []


async def test_a_right_credential_with_a_wrong_secret_is_refused(town: City) -> None:
    await town.key("ci-bot")
    secret = str((await town.issue("ci-bot"))["secret"])
    wrong = secret[:-1] + ("a" if secret[-1] != "a" else "b")
    assert refused(town, wrong).document.to_json() == refused(town, "nonsense").document.to_json()


async def test_deleting_a_key_ends_its_secrets_at_once(town: City) -> None:
    await town.key("ci-bot")
    secret = (await town.issue("ci-bot"))["secret"]
    await town.invoker.invoke("catalog.delete", {"kind": "Key", "name": "ci-bot"}, SYSTEM)
    refused(town, secret)
    assert len(town.authenticator) == 0


async def test_a_key_made_again_under_the_same_name_knows_no_old_secret(town: City) -> None:
    await town.key("ci-bot")
    secret = (await town.issue("ci-bot"))["secret"]
    await town.invoker.invoke("catalog.delete", {"kind": "Key", "name": "ci-bot"}, SYSTEM)
    await town.key("ci-bot")
    refused(town, secret)


async def test_a_change_of_the_key_counts_from_the_next_call(town: City) -> None:
    await town.key("ci-bot", scopes=["ledger.read"], principal="agent")
    secret = (await town.issue("ci-bot"))["secret"]
    principal = town.who(secret).principal
    assert principal.kind is PrincipalKind.AGENT and principal.may("ledger.read")
    await town.key("ci-bot", scopes=["models.call"], models=["fast"])
    identity = town.who(secret)
    assert not identity.principal.may("ledger.read") and identity.key.spec.models == ["fast"]


async def test_a_credential_expires(town: City) -> None:
    await town.key("ci-bot")
    answer = await town.issue("ci-bot", expiresInSeconds=60)
    assert "expiresAt" in answer
    town.hands.pass_(59.9)
    town.who(answer["secret"])
    town.hands.pass_(0.1)
    assert "expired" in refused(town, answer["secret"]).document.detail


async def test_a_key_expires_with_all_its_credentials(town: City) -> None:
    await town.key("ci-bot", expiresAt="2027-01-15T08:01:00Z")  # one minute from the test's now
    answer = await town.issue("ci-bot", expiresInSeconds=3600)
    assert answer["expiresAt"] == "2027-01-15T08:01:00Z"
    town.hands.pass_(61)
    refused(town, answer["secret"])
    await town.key("ci-bot", expiresAt="2027-01-15T08:30:00Z")
    town.who(answer["secret"])


# Hard case 24 of the infrastructure notes: clock jumps.


async def test_setting_the_clock_back_does_not_revive_an_expired_secret(town: City) -> None:
    await town.key("ci-bot")
    secret = (await town.issue("ci-bot", expiresInSeconds=60))["secret"]
    town.hands.pass_(61)
    refused(town, secret)
    town.hands.wall -= 3600
    refused(town, secret)


async def test_setting_the_clock_back_does_not_lengthen_a_secrets_life(town: City) -> None:
    await town.key("ci-bot")
    secret = (await town.issue("ci-bot", expiresInSeconds=60))["secret"]
    town.hands.wall -= 3600
    town.hands.pass_(59)
    town.who(secret)
    town.hands.pass_(2)
    refused(town, secret)


async def test_a_secret_issued_after_the_clock_was_set_back_lives_as_long_as_was_asked(town: City) -> None:
    town.hands.pass_(10)
    town.hands.wall -= 3600
    await town.key("ci-bot")
    secret = (await town.issue("ci-bot", expiresInSeconds=60))["secret"]
    town.hands.pass_(59)
    town.who(secret)
    town.hands.pass_(2)
    refused(town, secret)


async def test_a_jump_ahead_that_is_corrected_does_no_lasting_harm(town: City) -> None:
    await town.key("ci-bot")
    secret = (await town.issue("ci-bot", expiresInSeconds=60))["secret"]
    town.hands.wall += 10 * 365 * 86400
    refused(town, secret)
    town.hands.wall -= 10 * 365 * 86400
    town.who(secret)


def test_the_clock_never_runs_backwards_and_follows_a_correction_ahead() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.wall += 50 * 365 * 86400  # booted in 1970, corrected by a time server
    assert clock() == hands.wall
    before = clock.now()
    hands.elapsed += 5
    hands.wall += 5
    assert (clock.now() - before).total_seconds() == 5
    real = SteadyClock()
    assert real() <= real()


async def test_a_status_that_cannot_be_read_lets_nobody_in(town: City, caplog: pytest.LogCaptureFixture) -> None:
    await town.key("ci-bot")
    secret = (await town.issue("ci-bot"))["secret"]
    key = town.who(secret).key
    broken = Status.model_validate({"credentials": "many", "digests": {"a": "zz"}})
    await town.store.commit(SetStatus(key.id, broken))
    town.index.refresh(key.id, town.index.entry(key.id), await town.store.catalog.get(key.id))
    refused(town, secret)
    assert "cannot be read" in caplog.text


async def test_ten_thousand_keys_are_known_after_a_start_and_none_is_searched_for(tmp_path: Path) -> None:
    real = {number: mint(load_pepper(tmp_path)) for number in (0, 5_000, 9_999)}
    issued = datetime(2026, 1, 1, tzinfo=UTC)
    async with city(tmp_path) as town:
        commands: list[Put] = []
        for number in range(10_000):
            minted = real.get(number) or Minted(f"{number:012}", "", number.to_bytes(32))
            status = KeyStatus(
                credentials=[Credential(id=minted.credential, issued_at=issued, issued_by="test")],
                digests={minted.credential: minted.digest.hex()},
            )
            key = Resource[KeySpec](kind="Key", metadata=Metadata(name=f"k{number}"), spec=KeySpec(), status=status)
            commands.append(Put(key, 0))
        await town.store.commit(*commands)
    async with city(tmp_path) as town:
        assert len(town.authenticator) == 10_000
        table = _Counting(town.authenticator)
        for number, minted in real.items():
            assert town.who(minted.secret).key.id == ResourceId("Key", "default", f"k{number}")
        assert table.count == 3


class _Counting:
    """Counts how often the table of credentials is asked."""

    def __init__(self, authenticator: Authenticator) -> None:
        outer = self
        self.count = 0

        class Table(dict):  # type: ignore[type-arg]
            def get(self, *arguments: object) -> object:
                outer.count += 1
                return super().get(*arguments)

            def __iter__(self) -> object:
                raise AssertionError("the table is searched")

        authenticator._entries = Table(authenticator._entries)
