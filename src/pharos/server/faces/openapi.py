"""The city's HTTP surface as an OpenAPI 3.1 document, from the registry and the planes' protocol routes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from pydantic import ValidationError

from pharos.control.plan import Plan
from pharos.core.fault import FORBIDDEN, HTTP_PROBLEM, INVALID, UNAUTHENTICATED, FaultCode, FaultDocument
from pharos.core.operation import AnyOperation, Effect, Registry
from pharos.core.plane import Route
from pharos.core.wire import JsonObject
from pharos.server.faces.examples import example_of
from pharos.server.faces.schema import Components, Schema, traits_of

_ALWAYS = (INVALID, UNAUTHENTICATED)


def openapi(registry: Registry, routes: Iterable[Route], version: str) -> Schema:
    """The document. Every operation has a POST, and a GET where it reads; protocol routes appear with their summary."""
    operations = [registry[name] for name in registry]
    outputs = [operation.output for operation in operations]
    schemas = Components((operation.input for operation in operations), (*outputs, Plan, FaultDocument))
    fault = schemas.output(FaultDocument)
    paths: dict[str, Schema] = defaultdict(dict)
    for route in routes:
        paths[route.path.replace("*", "{rest}")][route.method.lower()] = _route(route)
    for operation in operations:
        given = schemas.input(operation.input)
        answer = schemas.output(operation.output)
        if operation.effect is not Effect.READ:
            answer = {"anyOf": [answer, schemas.output(Plan)]}
        item = paths[f"/api/{operation.name}"]
        shared = _shared(operation, answer, fault)
        item["post"] = _post(operation, given, _example(operation, given, schemas.definitions), shared)
        if operation.effect is Effect.READ:
            item["get"] = _get(operation, _properties(given, schemas.definitions), shared)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pharos",
            "version": version,
            "summary": "Operations of this city, and the protocols it speaks.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": noun} for noun in sorted({operation.noun for operation in operations})],
        "paths": dict(sorted(paths.items())),
        "security": [{"bearer": []}, {"apiKey": []}],
        "components": {
            "schemas": schemas.definitions,
            "responses": {"Fault": _fault("A fault.", fault)},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key's secret."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A key's secret."},
            },
        },
    }


def _shared(operation: AnyOperation, output: Schema, fault: Schema) -> Schema:
    """What the POST and the GET of an operation have in common."""
    described: Schema = {
        "tags": [operation.noun],
        "summary": operation.summary,
        "responses": {**_success(operation, output), **_failures(operation, fault)},
        "x-pharos": {"operation": operation.name, **traits_of(operation)},
    }
    if operation.description:
        described["description"] = operation.description
    if operation.public:
        described["security"] = []
    return described


def _example(operation: AnyOperation, given: Schema, definitions: Schema) -> Schema | None:
    """A smallest input, where the schema alone says enough to make one."""
    example: Schema = example_of(given, definitions)
    try:
        operation.input.model_validate(example)
    except ValidationError:
        return None
    return example


def _post(operation: AnyOperation, given: Schema, example: Schema | None, shared: Schema) -> Schema:
    content = {"schema": given} if example is None else {"schema": given, "example": example}
    post = {
        **shared,
        "operationId": operation.name,
        "requestBody": {"required": example != {}, "content": {"application/json": content}},
    }
    if operation.effect is not Effect.READ:
        post["parameters"] = [_DRY_RUN, _IDEMPOTENCY_KEY]
    return post


def _get(operation: AnyOperation, properties: Iterable[tuple[str, Schema, bool]], shared: Schema) -> Schema:
    parameters = [_query(name, schema, required) for name, schema, required in properties]
    if operation.streaming:
        parameters.append(_LAST_EVENT_ID)
    return {**shared, "operationId": f"{operation.name}.get", "parameters": parameters}


def _query(name: str, schema: Schema, required: bool) -> Schema:
    parameter: Schema = {"name": name, "in": "query", "required": required}
    if "description" in schema:
        parameter["description"] = schema["description"]
    if schema.get("type") == "object":
        return {**parameter, "style": "deepObject", "explode": True, "schema": schema}
    return {**parameter, "schema": schema}


def _properties(given: Schema, definitions: Schema) -> Iterable[tuple[str, Schema, bool]]:
    schema: Schema = definitions[given["$ref"].rpartition("/")[2]] if "$ref" in given else given
    required = schema.get("required", ())
    for name, value in schema.get("properties", {}).items():
        yield name, value, name in required


def _success(operation: AnyOperation, output: Schema) -> Schema:
    if operation.streaming:
        text = "Server-sent events; the data of each is one item, its id a position to continue from."
        # OpenAPI 3.1 has no word for the schema of one event; 3.2's `itemSchema` is an extension here.
        return {"200": {"description": text, "content": {"text/event-stream": {"x-itemSchema": output}}}}
    return {"200": {"description": "The operation's output.", "content": {"application/json": {"schema": output}}}}


def _failures(operation: AnyOperation, fault: Schema) -> Schema:
    codes: dict[int, list[FaultCode]] = defaultdict(list)
    permission = (FORBIDDEN,) if operation.permission is not None else ()
    for code in dict.fromkeys((*_ALWAYS, *permission, *operation.faults)):
        if not (operation.public and code is UNAUTHENTICATED):
            codes[code.status].append(code)
    faults = {
        str(status): _fault(". ".join(f"{code.code}: {code.title}" for code in of_status) + ".", fault)
        for status, of_status in sorted(codes.items())
    }
    return {**faults, "default": {"$ref": "#/components/responses/Fault"}}


def _fault(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {HTTP_PROBLEM: {"schema": schema}}}


def _route(route: Route) -> Schema:
    name = "_".join(part for part in re.split(r"[^A-Za-z0-9]+", route.path.replace("*", "rest")) if part) or "index"
    described: Schema = {
        "tags": ["protocols"],
        "operationId": f"{route.method.lower()}_{name}",
        "summary": route.summary,
        "responses": {"default": {"description": "As the protocol defines it."}},
    }
    if route.path.endswith("*"):
        described["parameters"] = [{"name": "rest", "in": "path", "required": True, "schema": {"type": "string"}}]
    if route.method == "POST":
        described["requestBody"] = {"content": {"application/json": {"schema": {"type": "object"}}}}
    return described


def fault_page(code: FaultCode) -> JsonObject:
    """The page of a fault code: what its ``type`` resolves to."""
    return {
        "code": code.code,
        "title": code.title,
        "status": code.status,
        "category": code.category.value,
        "meaning": code.meaning,
        "retry": code.retry.value,
    }


_DRY_RUN: Schema = {
    "name": "dryRun",
    "in": "query",
    "description": "Plan only: answer what would happen, and change nothing.",
    "schema": {"type": "boolean", "default": False},
}
_IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes repeating the call safe: the same key with the same input answers what the first call did.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_LAST_EVENT_ID: Schema = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "Continue after this event.",
    "schema": {"type": "string"},
}
