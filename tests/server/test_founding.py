"""The parts of a home belong together, or the city says which does not and how to go on."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from tests.server.cities import opened
from tests.server.processes import up

from pharos.core.fault import Fault
from pharos.server.city import open_city
from pharos.trust.founding import CITY, FOUNDED
from pharos.trust.secrets import load_pepper


async def begin(home: Path, name: str) -> str:
    """A city with a model of its own in the catalog; its admin's secret."""
    async with opened(home) as city, city.http() as http:
        document = {"apiVersion": "pharos/v1", "kind": "Team", "metadata": {"name": name}, "spec": {}}
        assert (await http.post("/api/catalog.apply", json={"documents": [document]})).status_code == 200
        return city.admin


def without_database(home: Path) -> None:
    for path in home.glob("city.db*"):
        path.unlink()


async def refused(home: Path, part: str, problem: str) -> None:
    before = {path.name: path.read_bytes() for path in home.iterdir() if path.name in ("pepper", "admin.key")}
    with pytest.raises(Fault) as caught:
        async with open_city(home):
            pass
    assert caught.value.code == "HOME_MIXED"
    assert caught.value.document.facts == {"part": part, "problem": problem}
    assert [fix.id for fix in caught.value.fixes] == ["restore", "found-anew"]
    after = {path.name: path.read_bytes() for path in home.iterdir() if path.name in ("pepper", "admin.key")}
    assert after == before


async def test_founded_once(tmp_path: Path) -> None:
    for _ in range(2):
        async with open_city(tmp_path) as city:
            [event] = [r.event for r in await city.store.log.read(CITY)]
            assert event.type == FOUNDED
            assert event.data["fingerprint"] == load_pepper(tmp_path).fingerprint()
            assert city.store.views.made_from == event.data["identity"]


async def test_a_removed_database_is_noticed_and_can_be_put_back(tmp_path: Path) -> None:
    home, backup = tmp_path / "home", tmp_path / "backup"
    secret = await begin(home, "a")
    shutil.copytree(home, backup)
    without_database(home)
    await refused(home, "city.db", "missing")
    without_database(home)
    shutil.copy(backup / "city.db", home / "city.db")
    async with opened(home) as city, city.http(secret) as http:
        assert (await http.get("/api/catalog.get?kind=Team&name=a")).status_code == 200


async def test_a_removed_pepper_is_noticed(tmp_path: Path) -> None:
    await begin(tmp_path, "a")
    (tmp_path / "pepper").unlink()
    await refused(tmp_path, "pepper", "missing")
    assert not (tmp_path / "pepper").exists()


@pytest.mark.parametrize(("exchanged", "names"), [("pepper", ["pepper"]), ("city.db", ["city.db"])])
async def test_an_exchanged_part_is_named(tmp_path: Path, exchanged: str, names: list[str]) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    await begin(mine, "a")
    await begin(other, "b")
    for name in names:
        (mine / name).unlink()
        shutil.copy(other / name, mine / name)
    await refused(mine, exchanged, "exchanged")


async def test_said_so_the_city_goes_on_as_its_database_has_it(tmp_path: Path) -> None:
    secret = await begin(tmp_path, "a")
    (tmp_path / "pepper").unlink()
    async with up(tmp_path, opens=False) as refusal:
        assert "HOME_MIXED" in refusal.said and "--found-anew" in refusal.said
    async with up(tmp_path, "--found-anew") as city, city.client() as http, city.client(secret) as old:
        assert (await http.get("/api/catalog.get?kind=Team&name=a")).status_code == 200
        assert (await old.get("/api/catalog.get?kind=Team&name=a")).status_code == 401
    async with opened(tmp_path) as again, again.http() as http:
        assert (await http.get("/api/catalog.get?kind=Team&name=a")).status_code == 200


async def test_views_of_another_log_are_folded_anew(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    await begin(mine, "a")
    await begin(other, "b")
    for path in mine.glob("views.db*"):
        path.unlink()
    shutil.copy(other / "views.db", mine / "views.db")
    async with open_city(mine) as city:
        [event] = [r.event for r in await city.store.log.read(CITY)]
        assert city.store.views.made_from == event.data["identity"]
        for name in city.runner.positions():
            await city.runner.caught_up(name)
            assert await city.store.views.position(name) == await city.store.log.head()


async def test_a_first_start_that_was_cut_is_no_mixture(tmp_path: Path) -> None:
    load_pepper(tmp_path)
    async with open_city(tmp_path) as city:
        assert len(await city.store.log.read(CITY)) == 1


async def test_a_home_from_before_is_founded_as_it_is(tmp_path: Path) -> None:
    await begin(tmp_path, "a")
    with sqlite3.connect(tmp_path / "city.db") as connection:
        connection.execute("DELETE FROM events WHERE type = 'city.founded'")
        connection.execute("DELETE FROM topics WHERE name = 'city'")
    connection.close()
    with sqlite3.connect(tmp_path / "views.db") as connection:
        connection.execute("DELETE FROM made_from")
    connection.close()
    async with opened(tmp_path) as city, city.http() as http:
        assert (await http.get("/api/catalog.get?kind=Team&name=a")).status_code == 200
        assert len(await city.city.store.log.read(CITY)) == 1
