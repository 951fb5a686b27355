"""S0: no face lacks an operation another one has. HTTP, MCP, OpenAPI, command line and Python client are compared."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import AsyncIterator
from pathlib import Path

import click
import pytest
from tests.server.cities import Open, opened

import pharos
from pharos.client.description import descriptions
from pharos.core.call import operation_name, tool_name
from pharos.core.operation import AnyOperation, Effect
from pharos.server.cli.app import root
from pharos.server.faces.schema import input_schema


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[Open]:
    async with opened(tmp_path / "home") as city:
        yield city


def operations(city: Open) -> dict[str, AnyOperation]:
    return dict(city.city.directory.operations)


async def test_http_has_every_operation(city: Open) -> None:
    async with city.http() as client:
        for name, operation in operations(city).items():
            answer = await client.post(f"/api/{name}", json={"noSuchMember": 1})
            assert (answer.status_code, answer.json()["code"]) == (400, "INVALID"), (name, answer.text)
            answer = await client.get(f"/api/{name}?noSuchMember=1")
            reads = operation.effect is Effect.READ
            assert answer.json()["code"] == ("INVALID" if reads else "METHOD_NOT_ALLOWED"), (name, answer.text)


async def test_mcp_has_every_operation(city: Open) -> None:
    async with city.mcp() as client:
        tools = {operation_name(tool.name): tool for tool in (await client.list_tools()).tools}
        assert tools.keys() == operations(city).keys()
        for name, tool in tools.items():
            assert tool_name(name) == tool.name
            assert len(tool.name) <= 64  # what model APIs accept
            wanted = input_schema(operations(city)[name]).get("properties", {}).keys()
            assert wanted <= tool.input_schema["properties"].keys(), name
            answer = await client.call_tool(tool.name, {"noSuchMember": 1})
            assert (answer.is_error, answer.structured_content["code"]) == (True, "INVALID"), name


async def test_openapi_has_every_operation(city: Open) -> None:
    async with city.http() as client:
        document = (await client.get("/openapi.json")).json()
    described = {path.removeprefix("/api/"): item for path, item in document["paths"].items() if "/api/" in path}
    assert described.keys() == operations(city).keys()
    for name, item in described.items():
        assert item.keys() == ({"get", "post"} if operations(city)[name].effect is Effect.READ else {"post"})
        assert item["post"]["operationId"] == name


async def test_the_command_line_has_every_operation(city: Open) -> None:
    known = operations(city)
    assert descriptions().keys() == known.keys(), "run `make docs`"
    with click.Context(root) as context:
        for name, operation in known.items():
            noun = root.get_command(context, operation.noun)
            assert isinstance(noun, click.Group), name
            command = noun.get_command(context, operation.verb)
            assert command is not None, name
            wanted = input_schema(operation).get("properties", {}).keys()
            assert {parameter.name for parameter in descriptions()[name].parameters} == wanted, name


@pytest.mark.parametrize("client", [pharos.Client, pharos.AsyncClient])
async def test_the_python_client_has_every_operation(city: Open, client: type) -> None:
    made = client(city.served.url, city.admin)
    try:
        for name, operation in operations(city).items():
            verb = operation.verb.replace("-", "_")
            method = getattr(getattr(made, operation.noun), f"{verb}_" if keyword.iskeyword(verb) else verb)
            assert callable(method), name
            wanted = len(input_schema(operation).get("properties", {}))
            assert len(inspect.signature(method).parameters) >= wanted, name
    finally:
        if inspect.isawaitable(closed := made.close()):
            await closed
