"""Tools of whoever speaks to a session: which may be given, and how it is told what came of their calls.

The city carries out none of them. A definition is text from outside: the model is told it, it gives no right to
anything, and it never takes the place of a tool that the agent has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import orjson
from pydantic import Field

from pharos.control.problems import invalid
from pharos.core.fault import Problem
from pharos.core.forms import form
from pharos.core.principal import Principal
from pharos.core.wire import JsonObject, Wire, is_deep
from pharos.runtime.operations.items import EffectId, Text
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.session.data.parts import ClientTool
from pharos.runtime.tools.offering import OfferOf

MOST_TOOLS: Final = 64
LARGEST: Final = 65_536
"""Bytes of all definitions together, as JSON."""
MOST_RESULTS: Final = 256
"""At once."""


class LentTool(Wire):
    """A tool that the caller carries out itself."""

    name: Annotated[
        str, Field(pattern=form(r"^[A-Za-z0-9_-]{1,64}$", "letters, digits, '_' and '-', at most 64 of them"))
    ]
    description: str = ""
    parameters: JsonObject = Field(default_factory=dict)
    """JSON Schema of its arguments, of the type ``object``; left out: it has none."""

    def definition(self) -> ClientTool:
        """As events have it."""
        schema: JsonObject = {"type": "object", **self.parameters}
        schema.setdefault("properties", {})
        return ClientTool(name=self.name, description=self.description, parameters=schema)


LentTools = Annotated[list[LentTool], Field(max_length=MOST_TOOLS)]


class Result(Wire):
    """What came of a call that was left to the caller; or the answer to a question."""

    answers: EffectId
    """The call or question, as ``sessions.get`` has it under ``questions``."""
    text: Text
    data: JsonObject = Field(default_factory=dict)
    failed: bool = False
    """It did not do what it should."""


Results = Annotated[list[Result], Field(max_length=MOST_RESULTS)]


class Lending:
    """Looks at the tools that somebody gives a session."""

    def __init__(self, offer: OfferOf) -> None:
        self._offer = offer

    async def take(self, given: Sequence[LentTool], profile: Profile, principal: Principal) -> tuple[ClientTool, ...]:
        """The tools, as a session keeps them. Raises ``INVALID`` with the place of each that cannot be given, and what
        looking up the agent's own raises."""
        problems = [*_problems(given)]
        if given and not problems:
            own = (await self._offer(profile, principal)).versions
            problems = [
                _problem(place, "name", f"is the name of a tool that {profile.agent} has")
                for place, tool in enumerate(given)
                if tool.name in own
            ]
        if problems:
            raise invalid(problems)
        return tuple(tool.definition() for tool in given)


def _problems(given: Sequence[LentTool]) -> Iterator[Problem]:
    names: set[str] = set()
    for place, tool in enumerate(given):
        if tool.name in names:
            yield _problem(place, "name", "is the name of another one of these")
        names.add(tool.name)
        if is_deep(tool.parameters):
            yield _problem(place, "parameters", "is nested too deeply")
            return
        if tool.parameters.get("type", "object") != "object":
            yield _problem(place, "parameters/type", "must be object: arguments have names")
    size = len(orjson.dumps([tool.definition() for tool in given]))
    if size > LARGEST:
        yield Problem(pointer="/tools", message=f"has {size} bytes of definitions; {LARGEST} are the most")


def _problem(place: int, member: str, message: str) -> Problem:
    return Problem(pointer=f"/tools/{place}/{member}", message=message)
