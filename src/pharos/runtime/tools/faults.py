"""The faults of tools."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry

TOOL_GONE = FaultCode(
    "TOOL_GONE", "The tool is gone", 410, Category.PRECONDITION,
    "A tool that a model was offered does not exist any more, or its session may no longer call it. Nothing was "
    "called; the model is told, and goes on without it.",
)  # fmt: skip
TOOL_CHANGED = FaultCode(
    "TOOL_CHANGED", "The tool is another one now", 409, Category.INTEGRITY,
    "The definition of a tool is not the one that the model was offered: it may mean something else under the same "
    "name. Nothing was called; the model is told, and sees the new definition.",
)  # fmt: skip
TOOL_NAME_TAKEN = FaultCode(
    "TOOL_NAME_TAKEN", "Two tools of one name", 409, Category.CONFLICT,
    "Two sources offer a tool of the same name, and a model could not say which it means. `facts` names both sources.",
    Retry.AFTER_FIX,
)  # fmt: skip
TOOL_UNUSABLE = FaultCode(
    "TOOL_UNUSABLE", "Not the definition of a tool", 422, Category.VALIDATION,
    "A source has a tool that no model could be offered: its name has other characters than letters, digits, `_` and "
    "`-`, or is longer than 64, or its input is not described as an object.",
    Retry.AFTER_FIX,
)  # fmt: skip
TOOL_BROKE = FaultCode(
    "TOOL_BROKE", "The tool failed unexpectedly", 500, Category.DEPENDENCY,
    "A function ended with an error that it did not announce (`pharos.ToolError`), so what it has done is not known. "
    "The log has the error.",
)  # fmt: skip
PLUGIN_BROKEN = FaultCode(
    "PLUGIN_BROKEN", "A plugin cannot be used", 500, Category.DEPENDENCY,
    "An installed package says that it brings a connector, and what its entry point leads to cannot be imported, made, "
    "or used as one. `facts` names the package and the entry point. Mend or uninstall it, then start the city again.",
    Retry.AFTER_FIX,
)  # fmt: skip

AGENT_CODE_BROKEN = FaultCode(
    "AGENT_CODE_BROKEN", "The code of an agent cannot be used", 422, Category.VALIDATION,
    "A module that was to bring agents cannot be imported, has none, or has two of one name. The city was not opened.",
    Retry.AFTER_FIX,
)  # fmt: skip

ALL: tuple[FaultCode, ...] = (
    TOOL_GONE, TOOL_CHANGED, TOOL_NAME_TAKEN, TOOL_UNUSABLE, TOOL_BROKE, PLUGIN_BROKEN,
    AGENT_CODE_BROKEN,
)  # fmt: skip
