"""A dictionary as tools of agents: ``dictionary_look_up`` reads it, ``dictionary_define`` adds to it.

It stands for a service with an interface of its own. The definitions are in a file, ``$PHAROS_DICTIONARY`` or
``dictionary.jsonl`` in the working directory: one line for each, with the key of the effect that made it. That line is
how a call whose answer was lost is found again.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from pharos.core.fault import NOT_FOUND
from pharos.core.principal import Principal
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import EffectClass, Errand, Known, Tool, ToolResult


class Definition(TypedDict):
    """A line of the file."""

    word: str
    meaning: str
    key: str


LOOK_UP = Tool(
    name="dictionary_look_up",
    description="What a word means.",
    input_schema={
        "type": "object",
        "properties": {"word": {"type": "string"}},
        "required": ["word"],
        "additionalProperties": False,
    },
    effect=EffectClass.PURE,
)

DEFINE = Tool(
    name="dictionary_define",
    description="Add what a word means.",
    input_schema={
        "type": "object",
        "properties": {"word": {"type": "string"}, "meaning": {"type": "string"}},
        "required": ["word", "meaning"],
        "additionalProperties": False,
    },
    # Calling it twice would add two lines; but the line of a call can be found.
    effect=EffectClass.RECONCILABLE,
)


class Dictionary:
    """Implements ``pharos.mesh.connectors.ToolConnector``. The city makes one when it opens."""

    def __init__(self) -> None:
        self._file = Path(os.environ.get("PHAROS_DICTIONARY", "dictionary.jsonl"))

    async def tools(self, principal: Principal) -> Sequence[Tool]:
        """Anybody may look up; who may ``dictionary.write`` may define. The permission is one of ours: any name with a
        dot will do, and a key has it in its scopes."""
        return [LOOK_UP, DEFINE] if principal.may("dictionary.write") else [LOOK_UP]

    async def call(self, errand: Errand, name: str, arguments: JsonObject) -> ToolResult:
        """Call one of them. Nothing here may block: the file is read and written on a thread."""
        word = arguments.get("word")
        if not isinstance(word, str) or not word:
            return ToolResult("Give a word.", failed=True)
        if name == LOOK_UP.name:
            found = [each for each in await asyncio.to_thread(self._read) if each["word"] == word]
            if not found:
                return ToolResult(f"{word!r} is in no dictionary.", failed=True)
            return ToolResult(found[-1]["meaning"])
        if name == DEFINE.name and errand.principal.may("dictionary.write"):
            made = Definition(word=word, meaning=str(arguments.get("meaning", "")), key=errand.key)
            await asyncio.to_thread(self._add, made)
            return _defined(made)
        raise NOT_FOUND(f"There is no tool {name[:64]!r}.")

    async def lookup(self, errand: Errand, name: str) -> tuple[Known, ToolResult | None]:
        """Whether the call with this key was made."""
        for each in await asyncio.to_thread(self._read):
            if each["key"] == errand.key:
                return "done", _defined(each)
        return "not done", None

    def _read(self) -> list[Definition]:
        try:
            lines = self._file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    def _add(self, definition: Definition) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(definition) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _defined(definition: Definition) -> ToolResult:
    return ToolResult(f"{definition['word']} is defined.", {"word": definition["word"]})
