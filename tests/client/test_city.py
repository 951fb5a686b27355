"""The typed client against a real city."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import get_args

import pytest
from scripts.annotations import safe
from scripts.reference.members import nested
from scripts.survey import survey
from tests.cli.running import RunningCity

import pharos
from pharos.client.description import descriptions
from pharos.control.catalog import Applied
from pharos.control.documents import Document
from pharos.control.plan import Plan
from pharos.core.fault import NOT_FOUND, Fault
from pharos.core.resource import ResourceId
from pharos.core.wire import JsonObject, Page


@pytest.fixture
def client(city: RunningCity) -> Iterator[pharos.Client]:
    with pharos.Client(city.url, city.key) as found:
        yield found


@pytest.fixture
async def async_client(city: RunningCity) -> AsyncIterator[pharos.AsyncClient]:
    async with pharos.AsyncClient(city.url, city.key) as found:
        yield found


def _key(name: str, **labels: str) -> JsonObject:
    return {"apiVersion": "pharos/v1", "kind": "Key", "metadata": {"name": name, "labels": dict(labels)}, "spec": {}}


def test_a_write_answers_its_output_and_a_plan_is_a_plan(client: pharos.Client) -> None:
    planned = client.catalog.apply(documents=[_key("typed")], dry_run=True)
    assert isinstance(planned, Plan)
    assert [change.action for change in planned.changes] == ["created"]
    applied = client.catalog.apply(documents=[_key("typed")])
    assert isinstance(applied, Applied)
    assert applied.resources[0].revision == 1
    undone = client.operations.undo(id=applied.operation)
    assert undone.state == "undone"


def test_a_list_is_a_page_of_typed_items(client: pharos.Client) -> None:
    client.catalog.apply(documents=[_key(f"paged-{number}", set="paged") for number in range(5)])
    page = client.catalog.list(kind="Key", selector="set=paged", limit=2)
    assert isinstance(page, Page)
    assert all(isinstance(item, Document) for item in page.items)
    assert page.next is not None
    everything = list(pharos.every(client.catalog.list, kind="Key", selector="set=paged", limit=2))
    assert [item.metadata.name for item in everything] == [f"paged-{number}" for number in range(5)]


async def test_the_async_client_does_the_same(async_client: pharos.AsyncClient) -> None:
    planned = await async_client.catalog.apply(documents=[_key("awaited", set="awaited")], dry_run=True)
    assert isinstance(planned, Plan)
    await async_client.catalog.apply(documents=[_key("awaited", set="awaited"), _key("awaited-2", set="awaited")])
    names = [
        item.metadata.name
        async for item in pharos.every_async(async_client.catalog.list, kind="Key", selector="set=awaited", limit=1)
    ]
    assert names == ["awaited", "awaited-2"]
    with pytest.raises(pharos.Fault):
        await async_client.catalog.get(kind="Key", name="nobody")


def test_a_fault_carries_calls_that_run_as_they_are(client: pharos.Client) -> None:
    with pytest.raises(pharos.Fault) as refused:
        client.catalog.get(kind="Key", name="nobody")
    document = refused.value.document
    assert document.code == NOT_FOUND.code
    assert document.correlation
    call = next(fix.call for fix in document.fixes if fix.call is not None)
    assert "items" in client.call(call)


def test_the_same_idempotency_key_is_the_same_call(client: pharos.Client) -> None:
    first = client.catalog.apply(documents=[_key("once-typed")], idempotency_key="typed-once")
    again = client.catalog.apply(documents=[_key("once-typed")], idempotency_key="typed-once")
    assert first == again
    with pytest.raises(Fault):
        client.catalog.apply(documents=[_key("another")], idempotency_key="typed-once")


def test_a_watch_yields_typed_items_as_they_happen(client: pharos.Client) -> None:
    with pharos.Client(client.base_url, client._caller.target.key) as other:
        items = client.catalog.watch(kind="Key", selector="set=watched")
        assert next(items).type == "synced"
        writer = threading.Thread(target=lambda: other.catalog.apply(documents=[_key("seen", set="watched")]))
        writer.start()
        item = next(items)
        writer.join()
        items.close()
    assert (item.type, item.resource) == ("applied", str(ResourceId("Key", "default", "seen")))


async def test_an_awaited_watch_yields_the_same(async_client: pharos.AsyncClient) -> None:
    async with aclosing(async_client.catalog.watch(kind="Key", selector="set=awatched")) as items:
        assert (await anext(items)).type == "synced"
        await async_client.catalog.apply(documents=[_key("aseen", set="awatched")])
        assert (await anext(items)).resource == "Key/default/aseen"


def test_options_share_the_connections(client: pharos.Client) -> None:
    quick = client.with_options(timeout=60, retries=0)
    assert quick.base_url == client.base_url
    assert quick._caller._http is client._caller._http
    assert quick.system.version().api_version == "pharos/v1"


def test_a_wrong_key_is_a_fault(city: RunningCity) -> None:
    with pharos.Client(city.url, "ph_wrong") as client, pytest.raises(pharos.Fault) as refused:
        client.keys.list()
    assert refused.value.code == "UNAUTHENTICATED"


def test_every_read_without_input_is_understood(client: pharos.Client) -> None:
    """What a real city answers fits the types the methods promise."""
    for operation in descriptions().values():
        needs = any(parameter.required for parameter in operation.parameters)
        # Two of them need one of two members, which a schema of defaults does not say.
        needs = needs or operation.name in ("catalog.diff", "topics.read")
        if operation.effect == "read" and not operation.streaming and not needs:
            getattr(getattr(client, operation.noun), operation.verb)()


def test_both_clients_have_every_operation() -> None:
    with pharos.Client("http://127.0.0.1:1", "x") as client:
        awaited = pharos.AsyncClient("http://127.0.0.1:1", "x")
        for operation in descriptions().values():
            method = getattr(getattr(client, operation.noun), safe(operation.verb))
            other = getattr(getattr(awaited, operation.noun), safe(operation.verb))
            assert inspect.signature(method).parameters.keys() == inspect.signature(other).parameters.keys()
            assert inspect.iscoroutinefunction(other) is not operation.streaming


def test_what_an_output_leaves_out_can_be_read_back() -> None:
    """``to_json`` leaves out what is null, so a field that may be null must have null as its default."""
    for operation in survey().operations:
        for model in (operation.output, *nested(operation.output)):
            for name, field in model.model_fields.items():
                nullable = type(None) in get_args(field.annotation)
                assert not (nullable and field.is_required()), f"{model.__name__}.{name} needs the default None"


def test_the_client_shows_no_secret() -> None:
    with pharos.Client("http://127.0.0.1:1", "ph_secret") as client:
        assert "ph_secret" not in repr(client) + repr(client._caller.target) + json.dumps(str(vars(client)))
