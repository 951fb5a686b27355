"""Conditions: what must be true of a request for a rule to answer it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from pharos.release.simulator.conversation import Asked, DialectName, Role
from pharos.release.simulator.part import Part
from pharos.release.simulator.pattern import Pattern


class Words(Part):
    """A condition on a text. Everything that is given must hold."""

    contains: Annotated[str, Field(min_length=1)] | None = None
    """Occurs in the text; upper and lower case are the same."""
    equals: str | None = None
    """Is the text, white space around it aside."""
    matches: Pattern | None = None
    """A regular expression found in the text. Linear time: no backreferences, no look-around; ``(?i)`` ignores case."""

    @model_validator(mode="after")
    def _says_something(self) -> Words:
        if not self.model_fields_set:
            raise PydanticCustomError("empty_condition", "Give at least one of contains, equals, matches")
        return self

    def hold(self, text: str) -> bool:
        """Whether the condition is true of ``text``."""
        return (
            (self.contains is None or self.contains.casefold() in text.casefold())
            and (self.equals is None or self.equals.strip() == text.strip())
            and (self.matches is None or self.matches.found_in(text))
        )


def _text_as_contains(value: object) -> object:
    return {"contains": value} if isinstance(value, str) else value


def _one_as_list(value: object) -> object:
    return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value


def _flag_as_presence(value: object) -> object:
    return {"present": value} if isinstance(value, bool) else _text_as_contains(value)


SomeWords: TypeAlias = Annotated[Words, BeforeValidator(_text_as_contains)]
"""A condition on a text; a bare string means ``contains``."""

Names: TypeAlias = Annotated[list[str], Field(min_length=1), BeforeValidator(_one_as_list)]
Turns: TypeAlias = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1), BeforeValidator(_one_as_list)]


class ToolAnswer(Part):
    """A condition on the tool results that the conversation ends with."""

    present: bool = True
    """Whether it ends with tool results at all."""
    contains: Annotated[str, Field(min_length=1)] | None = None
    """Occurs in their text; upper and lower case are the same."""
    name: str | None = None
    """One of them answers a call of the tool with this name."""

    def hold(self, asked: Asked) -> bool:
        """Whether the condition is true of the conversation's end."""
        results = asked.tool_results
        if not self.present:
            return not results
        return (
            bool(results)
            and (self.contains is None or self.contains.casefold() in asked.tool_text.casefold())
            and (self.name is None or any(result.name == self.name for result in results))
        )


class When(Part):
    """What must be true of a request. Everything that is given must hold; nothing given is always true."""

    last_user: SomeWords | None = None
    """The newest text of the user, also if tool results came after it."""
    system: SomeWords | None = None
    """The system (or developer) text."""
    anywhere: SomeWords | None = None
    """All text of the conversation, system and tool results included."""
    last_role: Role | None = None
    """Who spoke last: ``system``, ``user``, ``assistant`` or ``tool``."""
    tool_result: Annotated[ToolAnswer, BeforeValidator(_flag_as_presence)] | None = None
    """The tool results that the conversation ends with; ``true`` and ``false`` ask whether there are any."""
    offers: Names | None = None
    """Names of tools that the request must all offer."""
    model: Names | None = None
    """The model asked for is one of these."""
    turn: Turns | None = None
    """Number of the answer within its conversation, from 1: one more than the assistant's messages so far."""
    stream: bool | None = None
    """Whether a stream was asked for."""
    dialect: DialectName | None = None
    """The wire protocol: ``openai-chat``, ``openai-responses``, ``anthropic`` or ``gemini``."""
    headers: dict[str, SomeWords] = Field(default_factory=dict)
    """Conditions on request headers, by name in any case."""
    key: str | None = None
    """The credential sent, as ``Authorization: Bearer`` or ``x-api-key``."""

    def hold(self, asked: Asked) -> bool:
        """Whether all of it is true of a request."""
        return (
            (self.dialect is None or self.dialect == asked.dialect)
            and (self.model is None or asked.model in self.model)
            and (self.stream is None or self.stream == asked.stream)
            and (self.turn is None or asked.turn in self.turn)
            and (self.last_role is None or self.last_role == asked.last_role)
            and (self.key is None or self.key == asked.key)
            and (self.offers is None or set(self.offers) <= set(asked.tools))
            and (self.tool_result is None or self.tool_result.hold(asked))
            and all(words.hold(asked.headers.get(name.lower(), "")) for name, words in self.headers.items())
            and (self.last_user is None or self.last_user.hold(asked.last_user))
            and (self.system is None or self.system.hold(asked.system))
            and (self.anywhere is None or self.anywhere.hold(asked.everything))
        )


Sequel: TypeAlias = Literal["last", "cycle", "pass"]
"""What comes after the last of several answers: it again, the first again, or the rules that follow."""
