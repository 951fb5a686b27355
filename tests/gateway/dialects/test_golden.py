"""Golden conversations: whole exchanges, word for word. ``PHAROS_GOLDEN=write`` writes the derived parts anew; read the
difference before it is committed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.gateway.dialects.gemini_wire import GEMINI, Official, gemini_events
from tests.gateway.dialects.responses_wire import RESPONSES, response
from tests.gateway.dialects.wire import CHAT, MESSAGES, completion, frames, message

from pharos.gateway.models.dialects.canonical import Started
from pharos.gateway.models.dialects.registry import DIALECTS

FILES = sorted((Path(__file__).parent / "golden").glob("*.json"))
SPOKEN = {CHAT.name: CHAT, MESSAGES.name: MESSAGES, RESPONSES.name: RESPONSES, GEMINI.name: GEMINI}
OFFICIAL = {CHAT.name: completion, MESSAGES.name: message, RESPONSES.name: response, GEMINI.name: Official}
DERIVED = ("sent", "dropped", "converted", "received", "received_stream")


def derived(case: dict[str, Any]) -> dict[str, Any]:
    client, provider = SPOKEN[case["client"]], SPOKEN[case["provider"]]
    request = client.read_request(case["request"])
    sent = provider.write_request(request, case["model"], 4096)
    answer = provider.read_answer(case["answer"], request.renamed)
    answer.echo = request.echo
    writer = client.writer("alias", True, 42)
    stream = "".join(frame + "\n\n" for frame in case["stream"]).encode()
    said = [
        replace(event, echo=request.echo) if isinstance(event, Started) else event
        for event in gemini_events(provider.reader(request.renamed), stream)
    ]
    received = b"".join(writer.write(event) for event in said)
    return {
        "sent": sent,
        "dropped": request.dropped,
        "converted": request.converted,
        "received": client.write_answer(answer, "alias"),
        "received_stream": [frame.raw.decode().rstrip("\n") for frame in frames(received)],
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    case = orjson.loads(path.read_bytes())
    found = orjson.loads(orjson.dumps(derived(case)))
    if os.environ.get("PHAROS_GOLDEN") == "write":
        path.write_bytes(orjson.dumps({**case, **found}, option=orjson.OPT_INDENT_2) + b"\n")
    for part in DERIVED:
        assert found[part] == orjson.loads(path.read_bytes())[part]
    received = "".join(frame + "\n\n" for frame in found["received_stream"]).encode()
    official: Any = OFFICIAL[case["client"]](received)
    assert official.model == "alias"


def test_there_is_a_golden_conversation_for_every_pair() -> None:
    pairs = {(case["client"], case["provider"]) for case in (orjson.loads(path.read_bytes()) for path in FILES)}
    assert pairs == {(a, b) for a in DIALECTS for b in DIALECTS if a != b}
