"""``scripts/fuzz_openai.py`` on a description of a few lines: what it drives, what it finds, what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from schemathesis.core.transport import Response
from scripts.fuzz_openai import main
from scripts.fuzzing.contract import Contract, error_shape, found

ROOT = Path(__file__).parents[2]

TEXT: dict[str, Any] = {"type": "string"}
CHAT: dict[str, Any] = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        "model": TEXT,
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["role", "content"],
                "properties": {"role": {"enum": ["user", "assistant"]}, "content": TEXT},
            },
        },
        "stream": {"type": "boolean"},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    },
}


def _description(model_members: list[str]) -> dict[str, Any]:
    """Of two operations the city serves and one it does not; a model has these members."""
    answer = {"type": "object", "required": ["id", "choices"], "properties": {"id": TEXT, "service_tier": TEXT}}
    chunk = {**answer, "required": ["id", "choices", "object"]}
    model = {"type": "object", "required": model_members, "properties": {"id": TEXT}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "A few lines", "version": "1"},
        "security": [{"key": []}],
        "paths": {
            "/chat/completions": {
                "post": {
                    "requestBody": {"required": True, "content": {"application/json": {"schema": CHAT}}},
                    "responses": {
                        "200": {
                            "description": "An answer.",
                            "content": {"application/json": {"schema": answer}, "text/event-stream": {"schema": chunk}},
                        }
                    },
                }
            },
            "/models/{model}": {
                "get": {
                    "parameters": [{"name": "model", "in": "path", "required": True, "schema": TEXT}],
                    "responses": {
                        "200": {
                            "description": "A model.",
                            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Model"}}},
                        }
                    },
                }
            },
            "/moderations": {"post": {"responses": {"200": {"description": "Not of the city."}}}},
        },
        "components": {
            "schemas": {"Model": model},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _run(spec: Path, temporary: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts/fuzz_openai.py"), "--spec", str(spec), "--examples", "8", *options]
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(temporary)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=100, env=environment, cwd=temporary, check=False
    )


def test_a_description_that_holds_is_driven_without_findings(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(_description(["id", "object"])))
    done = _run(spec, tmp_path, "--json", "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["findings"] == []
    chat, model = report["operations"]
    assert (chat["operation"], model["operation"]) == ("POST /chat/completions", "GET /models/{model}")
    assert chat["requests"] >= 16
    assert {"200", "400"} <= set(chat["statuses"])
    assert "200" in model["statuses"]
    assert not list(tmp_path.glob("pharos-fuzz-*"))


def _answered(status: int, content: bytes, kind: str = "application/json", path: str = "/models/{model}") -> list[str]:
    contract = Contract(_description(["id", "horsepower"]), path, "get" if "model" in path else "post")
    request = requests.Request("GET", "http://127.0.0.1").prepare()
    response = Response(status, {"content-type": [kind]}, content, request, 0.0, True)
    return list(found(response, contract, broken=False))


def test_an_answer_that_is_not_as_described_is_found() -> None:
    assert _answered(200, b'{"id": "a", "horsepower": 4}') == []
    assert _answered(200, b'{"id": "a"}') == ["not as described: /: 'horsepower' is a required property"]
    assert _answered(200, b"<html>", "text/html") == ["an answer of type 'text/html'"]
    [failed] = _answered(
        500, b'{"error": {"message": "m", "type": "t", "param": null, "code": null}, "pharos": {"code": "INTERNAL"}}'
    )
    assert failed == "status 500: INTERNAL "
    assert "an error of type 'text/html'" in _answered(404, b"<html>", "text/html")


def test_a_stream_that_is_not_as_described_is_found() -> None:
    def streamed(*events: bytes) -> list[str]:
        content = b"".join(b"data: " + event + b"\n\n" for event in events)
        return _answered(200, content, "text/event-stream; charset=utf-8", "/chat/completions")

    chunk = b'{"id": "a", "object": "chunk", "choices": [], "service_tier": null}'
    error = b'{"error": {"message": "m", "type": "t", "param": null, "code": null}}'
    assert streamed(chunk, b"[DONE]") == streamed(chunk, error) == []
    assert streamed(chunk) == ["a stream without an end"]
    assert streamed(b"[DONE]", chunk) == ["an event after the end of the stream"]
    assert streamed(b'{"id": "a"}', b"[DONE]") == ["an event '' not as described: /: 'choices' is a required property"]
    assert streamed(b"{", b"[DONE]") == ["an event that is not a JSON object"]
    assert streamed(b'{"error": {}}')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read"),
        ("{", "is not JSON"),
        ("[]", "is not an OpenAPI 3 document"),
        ('{"openapi": "3.1.0", "paths": {"/moderations": {}}}', "describes none of"),
    ],
)
def test_what_is_no_description_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, said: str
) -> None:
    spec = tmp_path / "spec.json"
    if content is not None:
        spec.write_text(content)
    with pytest.raises(SystemExit) as refused:
        main(["--spec", str(spec)])
    shown = capsys.readouterr()
    assert (refused.value.code, shown.out) == (2, "")
    assert f"{spec}" in shown.err
    assert said in shown.err


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"error": "no"},
        {"error": {"message": "", "type": "t", "param": None, "code": None}},
        {"error": {"message": "m", "type": "t", "param": None}},
        {"error": {"message": "m", "type": "t", "param": None, "code": 1}},
    ],
)
def test_another_form_of_error_is_found(body: Any) -> None:
    assert list(error_shape(body))
    assert not list(error_shape({"error": {"message": "m", "type": "t", "param": "p", "code": None}}))
