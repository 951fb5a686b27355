"""Which requirements of A2A's test kit (its branch 1.0-dev) are shown here: those that a test is named after, and why
the others are not. The kit itself is on no package registry; ``scripts/a2a_kit.py`` runs a clone of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

REQUIREMENTS = {
    "AUTH-INTASK": 6, "AUTH-SCOPE": 3, "AUTH-SERVER": 2, "AUTH-TLS": 2, "BIND-EQUIV": 4, "BIND-FIELD": 1,
    "CARD-CACHE": 3, "CARD-DISC": 1, "CARD-EXT": 2, "CARD-PROTO": 2, "CARD-SIGN": 4, "CARD-STRUCT": 1,
    "CORE-CANCEL": 3, "CORE-CAP": 4, "CORE-ERR": 2, "CORE-EXECUTION-MODE": 2, "CORE-GET": 2, "CORE-HIST": 6,
    "CORE-LIST": 5, "CORE-MULTI": 6, "CORE-SEND": 3, "CORE-STREAM": 3, "DM-ART": 1, "DM-MSG": 2, "DM-PART": 1,
    "DM-SERIAL": 5, "DM-STATUS": 1, "DM-TASK": 2, "GRPC-ERR": 3, "GRPC-META": 1, "GRPC-SVC": 3, "HTTP_JSON-ERR": 2,
    "HTTP_JSON-QP": 1, "HTTP_JSON-SSE": 1, "HTTP_JSON-STATUS": 1, "HTTP_JSON-SVC": 2, "HTTP_JSON-URL": 2,
    "JSONRPC-ERR": 3, "JSONRPC-FMT": 2, "JSONRPC-SSE": 2, "JSONRPC-SVC": 2, "PUSH-CREATE": 2, "PUSH-DEL": 2,
    "PUSH-DELIVER": 3, "PUSH-GET": 2, "PUSH-LIST": 1, "STREAM-ORDER": 4, "STREAM-SUB": 4, "VER-CLIENT": 2,
    "VER-SERVER": 3,
}  # fmt: skip
"""How many there are of each, numbered from 001."""

NOT_SHOWN = {
    "CARD-EXT-002": "every agent has an extended card",
    "CORE-CAP-001": "every agent has notifications",
    "CORE-CAP-002": "every agent streams",
    "CORE-CAP-003": "every agent has an extended card",
    "CORE-CAP-004": "no extension of ours is required",
    "CORE-STREAM-002": "an agent of ours answers with a task, never with a message alone",
}


def shown() -> set[str]:
    """The requirements that names of tests in this folder mention: ``core_get_001_002``, ``card_sign_001_to_003``."""
    names: list[str] = []
    for file in Path(__file__).parent.glob("test_*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        names += [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    found: set[str] = set()
    for area in REQUIREMENTS:
        word = re.escape(area.lower().replace("-", "_"))
        for name in names:
            for match in re.finditer(rf"(?<![a-z]){word}_(\d{{3}})(_to_\d{{3}})?((?:_\d{{3}})*)", name):
                first, last = int(match[1]), int((match[2] or match[1])[-3:])
                numbers = [*range(first, last + 1), *(int(number) for number in match[3].split("_") if number)]
                found |= {f"{area}-{number:03}" for number in numbers}
    return found


def test_every_requirement_is_shown_or_it_is_said_why_not() -> None:
    wanted = {f"{area}-{number:03}" for area, count in REQUIREMENTS.items() for number in range(1, count + 1)}
    found = shown()
    assert not found - wanted, "there are no such requirements"
    assert not found & NOT_SHOWN.keys()
    assert sorted(wanted - found - NOT_SHOWN.keys()) == []
