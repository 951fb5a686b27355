"""Prompt templates: a text with places for values, ``{{name}}``, and nothing else.

There are no expressions, filters, loops or includes, and a value is never looked at for places again: what a value says
cannot become a template. A value that a session's starter gives stands as JSON, on one line and with every character
that a reader would not see written out, so that it reads as data and begins no section of the text around it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

import orjson
from pydantic import Field, StringConstraints

from pharos.control.problems import escape
from pharos.control.wording import nearest, quoted
from pharos.core.fault import Applicability, Fault, Fix, Problem
from pharos.core.forms import form
from pharos.core.resource import ResourceId, Spec
from pharos.core.wire import Json, JsonObject, Wire
from pharos.runtime.profiles.faults import TEMPLATE_VALUES, look_at

MOST_TEXT = 200_000
"""Characters of a template, and of instructions."""

MOST_RENDERED = 1_000_000
"""Characters of a template with its values."""

VARIABLE = form(
    r"^[a-z][A-Za-z0-9_]{0,63}$",
    "the name of a variable, such as city: letters, digits and '_', a lower-case letter at its beginning",
)

VariableName = Annotated[str, StringConstraints(pattern=VARIABLE)]

Giver = Literal["agent", "session"]

_PLACE = re.compile(r"(?P<literal>\\\{\{)|\{\{\s*(?P<name>[a-z][A-Za-z0-9_]{0,63})\s*\}\}|(?P<stray>\{\{)")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Variable(Wire):
    """What may stand at the places of one name."""

    type: Literal["text", "integer", "number", "boolean", "list", "json"] = "text"
    """``list`` is a list of texts, ``json`` any value but null."""
    description: Annotated[str, Field(max_length=1_000)] = ""
    default: Json = None
    """Stands where no value is given; left out, one must be."""
    choices: Annotated[list[str], Field(max_length=200)] = Field(default_factory=list)
    """The only texts it may be; left out: any."""
    max_length: Annotated[int, Field(ge=1, le=MOST_TEXT)] = 10_000
    """Characters of the value as it is written."""
    given: Giver = "agent"
    """Who gives it. ``agent``: the ``Agent``'s manifest, and it becomes part of the instructions. ``session``: whoever
    starts a session may, too; it is data, and stands as JSON."""


class PromptTemplateSpec(Spec):
    """A text with places for values, written ``{{name}}``; ``\\{{`` stands for two braces. Each revision is a version:
    a session goes on with the text it began with."""

    text: Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]
    variables: Annotated[dict[VariableName, Variable], Field(max_length=200)] = Field(default_factory=dict)
    """What stands at the places, by name."""
    description: Annotated[str, Field(max_length=2_000)] = ""


def check_template(spec: PromptTemplateSpec) -> Sequence[tuple[str, str]]:
    """What the types of a template's spec cannot say."""
    return list(_problems(spec))


def _problems(spec: PromptTemplateSpec) -> Iterator[tuple[str, str]]:
    used: set[str] = set()
    for place in _PLACE.finditer(spec.text):
        if place["stray"]:
            line = spec.text.count("\n", 0, place.start()) + 1
            yield "/text", f"line {line}: two braces that begin no variable; write \\{{{{ if they are meant"
        elif (name := place["name"]) and name not in used:
            used.add(name)
            if name not in spec.variables:
                close = nearest(name, spec.variables)
                hint = f"; did you mean {close!r}?" if close else ""
                yield "/text", f"the variable {name!r} is not declared{hint}"
    for name, variable in spec.variables.items():
        here = f"/variables/{name}"
        if name not in used:
            yield here, "stands nowhere in the text"
        if variable.choices and variable.type != "text":
            yield f"{here}/choices", "only a text has choices"
        if variable.default is not None and (problem := _refused(variable, variable.default)):
            yield f"{here}/default", problem


def unfit(template: PromptTemplateSpec, values: Mapping[str, Json], pointer: str, by: Giver) -> Iterator[Problem]:
    """What is wrong with ``values`` that ``by`` gives, each with its place under ``pointer``."""
    for name, value in values.items():
        variable = template.variables.get(name)
        here = f"{pointer}/{escape(name)}"
        if variable is None:
            close = nearest(name, template.variables)
            yield Problem(pointer=here, message=f"There is no variable {quoted(name)}.", suggestion=close)
        elif by == "session" and variable.given == "agent":
            message = f"The variable {name!r} is given by the agent, not by who starts a session."
            yield Problem(pointer=here, message=message)
        elif problem := _refused(variable, value):
            yield Problem(pointer=here, message=f"The value of {name!r} {problem}.")


def absent(template: PromptTemplateSpec, values: Mapping[str, Json], pointer: str, by: Giver) -> Iterator[Problem]:
    """The variables without a value that only ``by`` can still give; a session's starter is the last who can."""
    for name, variable in template.variables.items():
        due = by == "session" or variable.given == "agent"
        if due and name not in values and variable.default is None:
            message = f"The variable {name!r} ({variable.type}) has no value."
            yield Problem(pointer=f"{pointer}/{name}", message=message)


def render(template: PromptTemplateSpec, values: Mapping[str, Json], subject: ResourceId | None = None) -> str:
    """The text with its values. Raises ``TEMPLATE_VALUES``, which names every missing, unknown and unfit one."""
    problems = [*unfit(template, values, "/values", "agent"), *absent(template, values, "/values", "session")]
    if problems:
        raise values_refused(template, values, problems, subject)

    def filled(place: re.Match[str]) -> str:
        if place["name"]:
            variable = template.variables[place["name"]]
            return _written(variable, values.get(place["name"], variable.default))
        return "{{"

    text = _PLACE.sub(filled, template.text)
    if len(text) > MOST_RENDERED:
        message = f"The text with its values has {len(text)} characters; {MOST_RENDERED} are allowed."
        raise values_refused(template, values, [Problem(pointer="/values", message=message)], subject)
    return text


def values_refused(
    template: PromptTemplateSpec,
    values: Mapping[str, Json],
    problems: Sequence[Problem],
    subject: ResourceId | None = None,
) -> Fault:
    """``TEMPLATE_VALUES`` with what is missing, what is unknown, and what there could be."""
    missing: list[Json] = [n for n, v in template.variables.items() if n not in values and v.default is None]
    unknown: list[Json] = [quoted(name) for name in values if name not in template.variables]
    first = problems[0].message
    facts: JsonObject = {"missing": missing, "unknown": unknown, "variables": [*template.variables]}
    return TEMPLATE_VALUES(
        first if len(problems) == 1 else f"{len(problems)} problems; the first: {first}",
        subject=None if subject is None else str(subject),
        pointer=problems[0].pointer,
        problems=problems,
        facts=facts,
        fixes=[*_given(missing), *([] if subject is None else [look_at(subject)])],
    )


def _given(missing: Sequence[Json]) -> Iterator[Fix]:
    """The way to go on for whoever left values out."""
    if missing:
        values = ", ".join(f'"{name}": …' for name in missing)
        title = f"Call again with `values` that have them all (on the command line: --values '{{{values}}}')"
        yield Fix(id="give-values", title=title, applicability=Applicability.MANUAL)


def _refused(variable: Variable, value: Json) -> str:
    """Why ``value`` cannot stand for ``variable``; empty if it can."""
    match variable.type:
        case "text":
            fits = isinstance(value, str)
        case "integer":
            fits = isinstance(value, int) and not isinstance(value, bool)
        case "number":
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            fits = isinstance(value, bool)
        case "list":
            fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "json":
            fits = value is not None
    if not fits:
        return f"must be of type {variable.type}"
    if variable.choices and value not in variable.choices:
        return f"must be one of {', '.join(map(repr, variable.choices))}"
    if (length := len(_written(variable, value))) > variable.max_length:
        return f"has {length} characters; {variable.max_length} are allowed"
    return ""


def _written(variable: Variable, value: Json) -> str:
    """The value as it stands in the text."""
    if variable.given == "session":
        return _as_data(value)
    if isinstance(value, str) and variable.type == "text":
        return value
    if isinstance(value, list) and variable.type == "list":
        return "\n".join(f"- {item}" for item in value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _as_data(value: Json) -> str:
    """JSON in one line, in which no character hides or changes the direction of its neighbours."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if text.isascii():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character.isascii() or unicodedata.category(character) not in _UNSEEN:
        return character
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000  # a surrogate pair (RFC 8259, section 7)
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
