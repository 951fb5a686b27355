"""A script: what the simulator answers to what.

Rules are tried in order and the first whose ``when`` holds answers. A rule with several ``answers`` gives them one
after the other, over all requests that match it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, JsonValue, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pharos.core.wire import JsonObject
from pharos.release.simulator.faults import Fault
from pharos.release.simulator.part import Label, Milliseconds, Part, Tokens
from pharos.release.simulator.when import Sequel, When

PLACEHOLDERS = ("lastUser", "toolResult", "model", "turn", "count")
PLACEHOLDER = re.compile(r"\$\{(\w*)\}")

FinishWord: TypeAlias = Literal["stop", "stop_sequence", "length", "tool", "filter", "refusal", "pause", "context"]
"""Why the answer ends. Each protocol has its own word for it; see the table in ``docs/how-to/simulate.md``."""


class Call(Part):
    """A tool call of an answer."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    arguments: JsonObject = Field(default_factory=dict)
    raw_arguments: str | None = None
    """The arguments as text in place of ``arguments``, for a model that writes broken JSON. The Anthropic protocol can
    carry such text in a stream only."""
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    """By default made from the number of the request, so that it is the same in every run."""


class TokenCounts(Part):
    """Token usage by price class; classes do not overlap. What is not given is estimated from the text.

    ``input`` is uncached input, ``cacheRead``, ``cacheWrite5m`` and ``cacheWrite1h`` are what a prompt cache gave and
    took, ``output`` excludes ``reasoning``.
    """

    reported: bool = True
    """Whether the provider reports usage at all."""
    input: Tokens | None = None
    cache_read: Tokens = 0
    cache_write_5m: Tokens = Field(default=0, alias="cacheWrite5m")
    cache_write_1h: Tokens = Field(default=0, alias="cacheWrite1h")
    output: Tokens | None = None
    reasoning: Tokens | None = None


def _none_as_unreported(value: object) -> object:
    return {"reported": False} if value == "none" else value


class Pace(Part):
    """When the parts of an answer are sent. All delays are 0 by default."""

    headers_ms: Milliseconds = 0
    """From the request's last byte to the response headers."""
    first_token_ms: Milliseconds = 0
    """From the headers to the first content. Unstreamed, the whole answer waits for the sum of all delays."""
    per_token_ms: Milliseconds = 0
    """Between tokens after the first."""
    tokens_per_chunk: Annotated[int, Field(ge=1, le=10_000)] = 1
    """How many tokens one chunk of a stream carries."""
    write_bytes: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Send the body in pieces of this many bytes, so that frames, lines and characters are split over the network."""


class Answer(Part):
    """What is answered: thinking, then text, then tool calls; or a fault instead of, or inside, all that."""

    thinking: str | None = None
    """Reasoning before the answer (OpenAI protocol: ``reasoning_content``, as several providers have it)."""
    text: str | None = None
    """The text. ``${lastUser}``, ``${toolResult}``, ``${model}``, ``${turn}`` and ``${count}`` (how often the rule has
    matched) are filled in, each cut to 2,000 characters."""
    chunks: list[str] | None = None
    """The text as the exact chunks of a stream, in place of ``text``; nothing is filled in."""
    json_value: JsonValue = Field(default=None, alias="json")
    """The text as a JSON value, in place of ``text``, for structured output; nothing is filled in."""
    tool_calls: list[Call] = Field(default_factory=list, max_length=128)
    finish: FinishWord | None = None
    """By default ``tool`` with tool calls, ``length`` if the client's limit cut the answer, else ``stop``."""
    finish_raw: str | None = None
    """A word of the protocol itself, sent as it is."""
    stop_sequence: str | None = None
    """Which stop sequence was met, with ``finish: stop_sequence``."""
    usage: Annotated[TokenCounts, BeforeValidator(_none_as_unreported)] = Field(default_factory=TokenCounts)
    """Token counts; ``none``: the provider reports no usage at all."""
    model: str | None = None
    """The model the answer names; by default the one asked for, marked as simulated."""
    ignore_max_tokens: bool = False
    """Go on although the client's output limit is reached."""
    pace: Pace = Field(default_factory=Pace)
    fault: Fault | None = None

    @field_validator("text", "thinking")
    @classmethod
    def _known_placeholders(cls, value: str | None) -> str | None:
        for name in PLACEHOLDER.findall(value or ""):
            if name not in PLACEHOLDERS:
                known = ", ".join(f"${{{known}}}" for known in PLACEHOLDERS)
                raise PydanticCustomError(
                    "placeholder",
                    "Unknown placeholder {name}; there are {known}",
                    {"name": f"${{{name}}}", "known": known},
                )
        return value

    @model_validator(mode="after")
    def _one_text(self) -> Answer:
        if len(self.model_fields_set & {"text", "chunks", "json_value"}) > 1:
            raise PydanticCustomError("two_texts", "Give only one of text, chunks, json")
        return self


def _text_as_answer(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


SomeAnswer: TypeAlias = Annotated[Answer, BeforeValidator(_text_as_answer)]
"""An answer; a bare string is its text."""

ECHO = (
    "This is the Pharos simulator, not a model. It answers by a script and understands nothing. You said: ${lastUser}"
)


class Rule(Part):
    """One entry of the script."""

    name: Label | None = None
    """Shown in the response header; by default ``rule-N``, counted from 1."""
    when: When = Field(default_factory=When)
    answer: SomeAnswer | None = None
    answers: list[SomeAnswer] = Field(default_factory=list, max_length=10_000)
    """Given one after the other."""
    afterwards: Sequel = "last"
    """After the last of ``answers``: ``last`` repeats it, ``cycle`` begins again, ``pass`` lets later rules answer."""

    @model_validator(mode="after")
    def _answers_somehow(self) -> Rule:
        if (self.answer is None) == (not self.answers):
            raise PydanticCustomError("one_of", "Give answer or answers, and not both")
        return self

    @property
    def sequence(self) -> Sequence[Answer]:
        """The answers in order; never empty."""
        return [self.answer] if self.answer is not None else self.answers


class Script(Part):
    """What the simulator answers to what."""

    name: Label = "script"
    """Shown in the response header; a script read from a file is named after it by default."""
    description: str = ""
    models: list[Annotated[str, Field(min_length=1, max_length=256)]] | None = None
    """The models that are listed and accepted; another one is not found. Absent: any model is accepted."""
    keys: list[Annotated[str, Field(min_length=1)]] | None = None
    """The credentials that are accepted. Absent: any, also none."""
    refuse_unknown: bool = False
    """Refuse members of a request that the protocol does not have, as the vendors' own services do."""
    rules: list[Rule] = Field(default_factory=list, max_length=10_000)
    otherwise: SomeAnswer = Field(default_factory=lambda: Answer(text=ECHO))
    """The answer where no rule holds; by default an echo that says what it is."""

    @model_validator(mode="after")
    def _distinct_names(self) -> Script:
        names = [rule.name for rule in self.rules if rule.name is not None]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise PydanticCustomError("duplicate_names", "Rules share the name {names}", {"names": ", ".join(twice)})
        return self

    def label(self, index: int) -> str:
        """The name of a rule."""
        return self.rules[index].name or f"rule-{index + 1}"
