"""What a request asked, in the words conditions use: the same for every wire protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

DialectName: TypeAlias = Literal["openai-chat", "openai-responses", "anthropic", "gemini"]
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool returned. ``name`` is the tool's, or empty where the conversation does not hold the call."""

    id: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """One message. A message with tool results has the role ``tool``, whatever the protocol calls it."""

    role: Role
    text: str
    results: Sequence[ToolResult] = ()


@dataclass(frozen=True)
class Asked:
    """A well-formed request for an answer."""

    dialect: DialectName
    model: str
    messages: Sequence[Said]
    stream: bool = False
    stream_usage: bool = False
    """OpenAI only: the client asked for the usage chunk."""
    max_tokens: int | None = None
    choices: int = 1
    """OpenAI only: how many answers were asked for (``n``)."""
    sealed: bool = False
    """OpenAI responses only: reasoning is to come in encrypted form too."""
    tools: Sequence[str] = ()
    tools_text: str = ""
    """The offered tools as JSON text, to estimate their tokens."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers by lower-case name; of a repeated one the last."""

    @cached_property
    def key(self) -> str:
        """The credential that was sent, or empty."""
        return credential(self.headers)

    @cached_property
    def last_user(self) -> str:
        """The newest text of the user; text beside tool results counts."""
        return next((m.text for m in reversed(self.messages) if m.role in ("user", "tool") and m.text), "")

    @cached_property
    def system(self) -> str:
        """All system text."""
        return "\n".join(m.text for m in self.messages if m.role == "system")

    @cached_property
    def everything(self) -> str:
        """All text of the conversation."""
        return "\n".join("\n".join((m.text, *(r.text for r in m.results))) for m in self.messages)

    @property
    def last_role(self) -> Role:
        """Who spoke last."""
        return self.messages[-1].role if self.messages else "system"

    @cached_property
    def tool_results(self) -> Sequence[ToolResult]:
        """The tool results that the conversation ends with, in order."""
        found: list[ToolResult] = []
        for message in reversed(self.messages):
            if message.role != "tool":
                break
            found[:0] = message.results
        return found

    @cached_property
    def tool_text(self) -> str:
        """The text of those results."""
        return "\n".join(result.text for result in self.tool_results)

    @cached_property
    def turn(self) -> int:
        """Number of the answer within its conversation, from 1."""
        return 1 + sum(message.role == "assistant" for message in self.messages)


def credential(headers: Mapping[str, str]) -> str:
    """The secret in ``x-api-key``, ``x-goog-api-key`` or ``Authorization: Bearer``, or empty. Names are in lower
    case."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    own = headers.get("x-api-key") or headers.get("x-goog-api-key")
    return own or (token.strip() if scheme.lower() == "bearer" else "")
