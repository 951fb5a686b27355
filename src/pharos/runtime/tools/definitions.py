"""What makes a tool that tool: its definition, by a digest of what a model is told and a caller must know."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

import orjson

from pharos.control.wording import quoted
from pharos.mesh.connectors import Tool
from pharos.runtime.tools.faults import TOOL_UNUSABLE

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def versioned(tool: Tool) -> Tool:
    """The tool with the version that its definition gives it, whatever version it says it has.

    Raises ``TOOL_UNUSABLE`` for one that could not be offered to a model.
    """
    if _NAME.fullmatch(tool.name) is None:
        raise TOOL_UNUSABLE(f"{quoted(tool.name)} is no name of a tool.", subject=tool.name[:64])
    if tool.input_schema.get("type") != "object":
        raise TOOL_UNUSABLE(f"The input of {tool.name} is not described as an object.", subject=tool.name)
    told = {
        "name": tool.name,
        "description": tool.description,
        "input": tool.input_schema,
        "output": tool.output_schema,
        "effect": tool.effect.value,
        "approval": tool.approval,
    }
    try:
        written = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise TOOL_UNUSABLE(f"The schema of {tool.name} is no JSON: {error}.", subject=tool.name) from None
    return replace(tool, version=f"sha256:{hashlib.sha256(written).hexdigest()}")
