"""The composition root, the city's own pages and operations."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.server.cities import Open, opened

from pharos.core.asgi import send_json
from pharos.core.fault import Category, Fault, FaultCode
from pharos.core.operation import Invocation, SetStatus, operations_of, read
from pharos.core.plane import Plane, Receive, Route, Scope, Send
from pharos.core.resource import Condition, Kind, ResourceId, Spec, Status
from pharos.core.wire import Wire
from pharos.gateway.models.kinds import SecretSource
from pharos.server import city as composition
from pharos.server.city import open_city
from pharos.server.doctor import secret_sources
from pharos.server.ground import Ground

LOST = FaultCode("GARDEN_LOST", "Garden lost", 410, Category.PRECONDITION, "The garden is gone.")


class GardenSpec(Spec):
    gate: SecretSource | None = None
    sheds: list[SecretSource] = []
    doors: dict[str, SecretSource] = {}


class Nothing(Wire):
    pass


class Flowers(Wire):
    flowers: int


class Gardening:
    @read("garden.count", permission="garden.read", faults=(LOST,))
    async def count(self, invocation: Invocation, input: Nothing) -> Flowers:
        """Count the flowers."""
        return Flowers(flowers=3)


def garden(ground: Ground) -> Plane:
    """A plane of a third party."""
    assert ground.index is not None

    @contextlib.asynccontextmanager
    async def service() -> AsyncIterator[None]:
        SEASONS.append("spring")
        yield
        SEASONS.append("winter")

    async def gate(scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, {"path": scope["path"]})

    return Plane(
        name="garden",
        summary="A garden.",
        kinds=(Kind("Garden", GardenSpec, "A garden."),),
        operations=operations_of(Gardening()),
        faults=(LOST,),
        routes=(Route("GET", "/garden/*", gate, "The gate"),),
        services=(service,),
    )


SEASONS: list[str] = []


class Entry:
    def load(self) -> Any:
        return garden


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed distribution that brings a plane."""

    class Installed:
        def select(self, *, group: str) -> list[Entry]:
            return [Entry()] if group == "pharos.planes" else []

    monkeypatch.setattr(composition, "entry_points", Installed)
    SEASONS.clear()
    return


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[Open]:
    async with opened(tmp_path / "home") as city:
        yield city


@pytest.mark.usefixtures("third_party")
async def test_a_third_party_adds_a_plane_and_nothing_else_changes(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as city:
        assert SEASONS == ["spring"]
        async with city.http() as http:
            assert (await http.get("/api/garden.count")).json() == {"flowers": 3}
            assert (await http.get("/faults/GARDEN_LOST")).json()["status"] == 410
            assert (await http.get("/garden/a/b")).json() == {"path": "/garden/a/b"}
            assert (await http.get("/garden")).status_code == 404
            paths = (await http.get("/openapi.json")).json()["paths"]
            assert {"/garden/{rest}", "/api/garden.count"} <= paths.keys()
            assert "410" in paths["/api/garden.count"]["get"]["responses"]
        async with city.mcp() as mcp:
            assert "garden_count" in {tool.name for tool in (await mcp.list_tools()).tools}
    assert SEASONS == ["spring", "winter"]


async def test_a_city_that_cannot_open_leaves_its_home_free(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: [")
    for _ in range(2):
        with pytest.raises(Fault) as caught:
            async with open_city(tmp_path / "home", files=[bad]):
                pass
        assert caught.value.code == "INVALID"
        assert str(bad) in caught.value.document.detail
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Fault, match="not UTF-8"):
        async with open_city(tmp_path / "home", files=[binary]):
            pass
    async with open_city(tmp_path / "home"):
        pass


async def test_pages_for_everyone(city: Open) -> None:
    async with city.http() as http:
        http.headers.pop("authorization")
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).json() == {"status": "ready"}
        index = (await http.get("/")).json()
        assert index["openapi"] == "/openapi.json"
        assert (await http.get("/faults/CONFLICT")).json()["category"] == "conflict"
        assert (await http.get("/faults/NONE")).json()["code"] == "NOT_FOUND"
        city.city.draining.set()
        draining = await http.get("/readyz")
        assert (draining.status_code, draining.json()["code"]) == (503, "SHUTTING_DOWN")
        assert draining.headers["retry-after"] == "5"
        assert (await http.get("/healthz")).status_code == 200


async def test_every_fault_type_resolves(city: Open) -> None:
    async with city.http() as http:
        for code in city.city.directory.faults:
            assert (await http.get(f"/faults/{code}")).json()["code"] == code


@pytest.mark.may_skip(reason="the validator is no dependency")
async def test_the_openapi_document_is_valid(city: Open) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    async with city.http() as http:
        validator.validate((await http.get("/openapi.json")).json())


async def test_the_openapi_document_is_whole(city: Open) -> None:
    async with city.http() as http:
        document = (await http.get("/openapi.json")).json()
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in re.findall(r'"\$ref": "#/([^"]*)"', json.dumps(document)):
        at = document
        for part in reference.split("/"):
            at = at[part]
    calls = [call for item in document["paths"].values() for call in item.values()]
    ids = [call["operationId"] for call in calls]
    assert len(ids) == len({*ids})
    for path, item in document["paths"].items():
        for call in item.values():
            declared = {parameter["name"] for parameter in call.get("parameters", []) if parameter["in"] == "path"}
            assert declared == {*re.findall(r"{(\w+)}", path)}


async def test_examples_in_the_openapi_document_are_valid_input(city: Open) -> None:
    async with city.http() as http:
        document = (await http.get("/openapi.json")).json()
    examples = 0
    for name, operation in city.city.directory.operations.items():
        content = document["paths"][f"/api/{name}"]["post"]["requestBody"]["content"]["application/json"]
        if "example" in content:
            operation.input.model_validate(content["example"])
            examples += 1
    assert examples > len(city.city.directory.operations) * 0.8


async def test_the_version(city: Open) -> None:
    async with city.http() as http:
        version = (await http.get("/api/system.version")).json()
        assert version.keys() == {"version", "apiVersion", "python", "startedAt"}
        http.headers.pop("authorization")
        assert (await http.get("/api/system.version")).status_code == 401


async def checks(city: Open) -> dict[str, list[dict]]:
    async with city.http() as http:
        answer = await http.get("/api/system.doctor")
    found: dict[str, list[dict]] = {}
    for check in answer.json()["checks"]:
        found.setdefault(check["check"], []).append(check)
    return found


async def test_the_doctor_finds_a_healthy_city_healthy(city: Open) -> None:
    found = await checks(city)
    assert {check for check, (first, *_) in found.items() if first["state"] == "error"} == set()
    assert found.keys() >= {"storage", "views", "secrets", "references", "clock", "disk", "permissions"}


@pytest.mark.usefixtures("third_party")
async def test_the_doctor_tells_what_resources_say_of_themselves(city: Open) -> None:
    document = {"apiVersion": "pharos/v1", "kind": "Garden", "metadata": {"name": "ailing"}, "spec": {}}
    async with city.http() as http:
        assert (await http.post("/api/catalog.apply", json={"documents": [document]})).status_code == 200
    dry = Condition(type="Watered", status="False", reason="Drought", message="It has not rained.")
    await city.city.invoker.observe(SetStatus(ResourceId("Garden", "default", "ailing"), Status(conditions=[dry])))
    [found] = (await checks(city))["conditions"]
    assert (found["state"], found["message"]) == ("warning", "Garden/default/ailing is not well: It has not rained.")


async def test_a_base_url_with_too_little_or_too_much_is_met_with_the_path_that_was_meant(city: Open) -> None:
    async with city.http() as http:
        for asked, meant in (
            ("/chat/completions", "/v1/chat/completions"),
            ("/responses", "/v1/responses"),
            ("/v1/v1/messages", "/v1/messages"),
        ):
            reply = await http.post(asked, json={})
            assert (reply.status_code, reply.json()["pharos"]["code"]) == (404, "NOT_FOUND")
            assert f"Did you mean {meant}?" in reply.json()["error"]["message"], "what an SDK shows"
        assert "Did you mean" not in (await http.post("/v1/nothing", json={})).text
        assert (await http.post("/nothing", json={})).json()["code"] == "NOT_FOUND"


@pytest.mark.usefixtures("third_party")
async def test_the_doctor_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_KEY", "swordfish")
    (tmp_path / "empty").write_text("\n")
    spec = {
        "gate": {"env": "GATE_KEY"},
        "sheds": [{"env": "NO_SUCH_KEY"}, {"file": str(tmp_path / "none")}],
        "doors": {"back": {"file": str(tmp_path / "empty")}},
    }
    document = {"apiVersion": "pharos/v1", "kind": "Garden", "metadata": {"name": "eden"}, "spec": spec}
    key = {"apiVersion": "pharos/v1", "kind": "Key", "metadata": {"name": "bot"}, "spec": {"models": ["none"]}}
    async with opened(tmp_path / "home") as city:
        async with city.http() as http:
            assert (await http.post("/api/catalog.apply", json={"documents": [document, key]})).status_code == 200
            home = city.city.home
            home.chmod(0o755)
            (home / "admin.key").chmod(0o644)
            found = await checks(city)
            assert not (await http.get("/api/system.doctor")).json()["healthy"]
        secrets = [finding["message"] for finding in found["secrets"]]
        assert secrets == [
            "Garden/default/eden needs the environment variable NO_SUCH_KEY.",
            f"Garden/default/eden needs the file {tmp_path / 'none'}.",
            f"Garden/default/eden needs a secret in the file {tmp_path / 'empty'}.",
        ]
        (dangling,) = found["references"]
        assert dangling["message"] == "Model/default/none does not exist, but is referred to by Key/default/bot."
        async with city.http() as http:
            call = dangling["fix"]["call"]
            impact = await http.post(f"/api/{call['operation']}", json=call["arguments"])
            assert impact.json()["dependents"]
        (exposed,) = [finding for finding in found["permissions"] if finding["state"] == "error"]
        assert exposed["fix"]["title"] == "chmod 600 admin.key"
        assert "swordfish" not in json.dumps(found)


async def test_the_doctor_sees_a_disk_that_takes_nothing(city: Open) -> None:
    blobs = city.city.home / "blobs"
    if os.geteuid() == 0:
        # The superuser may write anywhere: a file in the directory's place stops them, too.
        for path in sorted(blobs.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        blobs.rmdir()
        blobs.write_text("")
    else:
        blobs.chmod(0o500)
    (storage,) = (await checks(city))["storage"]
    assert storage["state"] == "error", storage


async def test_the_doctor_sees_a_database_that_takes_nothing(city: Open) -> None:
    """Blobs can still be written; commits cannot."""
    connection = city.city.store._connection  # type: ignore[attr-defined]
    connection.execute("PRAGMA query_only = 1").fetchall()
    try:
        (storage,) = (await checks(city))["storage"]
        assert storage["state"] == "error", storage
    finally:
        connection.execute("PRAGMA query_only = 0").fetchall()
    (storage,) = (await checks(city))["storage"]
    assert storage["state"] == "ok", storage


def test_secrets_are_found_wherever_a_spec_has_them() -> None:
    one, two, three = (SecretSource(env=name) for name in ("A", "B", "C"))
    spec = GardenSpec(gate=one, sheds=[two], doors={"x": three})
    assert [source.env for source in secret_sources(spec)] == ["A", "B", "C"]
