"""``RunAgentInput``: what of it is new to the session, and what the front end brings along.

A front end sends the whole conversation with every run. New is what stands behind the last message of anybody else's:
what the user says, and what came of calls that were left to the front end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import orjson
from ag_ui.core import RunAgentInput, ToolMessage, UserMessage
from pydantic import BaseModel

from pharos.control.problems import validate
from pharos.core.fault import INVALID, Fault, Problem
from pharos.core.wire import Json, JsonObject, is_deep
from pharos.gateway.federation.tasks.work import Result
from pharos.runtime.operations.items import LONGEST_TEXT
from pharos.runtime.session.faults import ANSWER_GIVEN

MOST_ID: Final = 256
MOST_VALUES: Final = 100_000
"""Members and elements of a body, however deep."""
MOST_STATE: Final = 20_000
"""Of these, in its state: a model is told all of it, and it is looked at by several on the way there."""
MOST_ENTRIES: Final = 10_000
"""Messages, their parts and calls, tools, and whatever else is looked at one by one: each that is wrong takes some
microseconds, in which nothing else goes on."""

_FREE: Final = frozenset({"state", "forwardedProps", "forwarded_props"})
"""Members of a body that may be anything: nobody looks into them."""

NO_RESULT: Final = "The front end gave no result of this call."
"""What a call ends with whose front end goes on without it."""


class New(NamedTuple):
    """What a run brings that the session has not heard. ``text`` is ``None`` where the user says nothing."""

    text: str | None
    results: tuple[Result, ...]


def input_of(body: bytes) -> RunAgentInput:
    """Read a body. Raises ``INVALID`` with the places of what is wrong."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise INVALID(f"The body is no JSON: {error}.") from None
    _require_bounded(given)
    if is_deep(given):
        raise INVALID("The body is nested too deeply.")
    input = validate(RunAgentInput, given)
    for name, value in (("threadId", input.thread_id), ("runId", input.run_id)):
        if not 0 < len(value) <= MOST_ID or not value.isprintable():
            raise wrong(f"/{name}", f"must have 1 to {MOST_ID} printable characters")
    return input


def new_in(input: RunAgentInput, left: Mapping[str, str], made: frozenset[str]) -> New:
    """What is new: of the user, and of the calls that are ``left`` to the front end (their ids in the session, by those
    of the model). ``made``: all calls of the thread.

    A result that the session has is passed over. Raises ``INVALID`` for one of a call that the agent has not made.
    """
    texts: list[str] = []
    results: dict[str, Result] = {}
    known = _end_of_known(input)
    for place, message in enumerate(input.messages[known:], known):
        if isinstance(message, UserMessage):
            texts.append(_text_of(message.content, place))
        elif isinstance(message, ToolMessage):
            call = message.tool_call_id
            if call in left:
                results.setdefault(left[call], _result(left[call], message, place))
            elif call not in made:
                raise wrong(f"/messages/{place}/toolCallId", "names a call that the agent has not made")
    return New("\n\n".join(texts) if texts else None, tuple(results.values()))


def require_new(input: RunAgentInput, new: New) -> None:
    """Raise ``INVALID`` where there is nothing, and ``ANSWER_GIVEN`` where there is what was given before."""
    if new.results or new.text is not None:
        return
    last = len(input.messages) - 1
    if last >= 0 and isinstance(input.messages[last], ToolMessage):
        raise ANSWER_GIVEN(
            "The session has the result of this call, and there is nothing else that is new.",
            pointer=f"/messages/{last}/toolCallId",
        )
    raise wrong("/messages", "must end with a message of the user's, or with what came of a call")


def digest_of(input: RunAgentInput) -> str:
    """Of what the front end says in a run, which is what makes it the same run when it comes again. What others say in
    the conversation is not part of it: a front end that comes back may have heard more of that by then."""
    said = [
        message.model_dump(mode="json", include={"role", "content", "tool_call_id", "error"})
        for message in input.messages
        if isinstance(message, UserMessage | ToolMessage)
    ]
    whole = [said, input.resume, tools_of(input), data_of(input)]
    return hashlib.sha256(orjson.dumps(whole, default=_plain, option=orjson.OPT_SORT_KEYS)).hexdigest()


def data_of(input: RunAgentInput) -> JsonObject:
    """What the front end brings along, as the agent is told it. An empty state is none."""
    data: JsonObject = {}
    if input.context:
        data["context"] = [{"description": entry.description, "value": entry.value} for entry in input.context]
    if input.state:
        data["state"] = input.state
    return data


def tools_of(input: RunAgentInput) -> Sequence[JsonObject]:
    """The tools of the front end, for the session to look at."""
    return [
        {
            "name": tool.name,
            "description": tool.description,
            **({} if tool.parameters is None else {"parameters": cast("JsonObject", tool.parameters)}),
        }
        for tool in input.tools or ()
    ]


def wrong(pointer: str, message: str) -> Fault:
    """``INVALID``, about one place."""
    return INVALID(problems=[Problem(pointer=pointer, message=message)], pointer=pointer)


def _require_bounded(body: Json) -> None:
    """Raise ``INVALID`` for a body with which everybody else would wait for long."""
    members = body if isinstance(body, dict) else {"": body}
    if _size([members.get("state")])[0] > MOST_STATE:
        raise wrong("/state", f"has more than {MOST_STATE} values")
    free, _ = _size([value for name, value in members.items() if name in _FREE])
    looked_at, entries = _size([value for name, value in members.items() if name not in _FREE])
    if free + looked_at > MOST_VALUES:
        raise INVALID(f"The body has more than {MOST_VALUES} values.")
    if entries > MOST_ENTRIES:
        raise INVALID(f"The body has more than {MOST_ENTRIES} messages, parts of them, calls, tools and the like.")


def _plain(part: object) -> Json:
    if not isinstance(part, BaseModel):
        raise TypeError(type(part))
    return cast("Json", part.model_dump(mode="json", by_alias=True, exclude_none=True))


def _size(left: list[Json]) -> tuple[int, int]:
    """How many values these are, however deep, and how many of them are elements of lists; counted no further than to
    one more than there may be."""
    values = elements = 0
    while left:
        one = left.pop()
        values += 1
        if isinstance(one, dict | list):
            elements += len(one) if isinstance(one, list) else 0
            if values + len(left) + len(one) > MOST_VALUES:
                return MOST_VALUES + 1, elements
            left += one.values() if isinstance(one, dict) else one
    return values, elements


def _end_of_known(input: RunAgentInput) -> int:
    """Where what is new begins."""
    place = len(input.messages)
    while place and isinstance(input.messages[place - 1], UserMessage | ToolMessage):
        place -= 1
    return place


def _result(id: str, message: ToolMessage, place: int) -> Result:
    text = _text_of(message.content, place)
    if message.error:
        text = f"{text}\n{message.error}" if text else message.error
    if len(text) > LONGEST_TEXT:
        raise wrong(f"/messages/{place}/content", f"has {len(text)} characters; {LONGEST_TEXT} are the most")
    return Result(id, text, failed=bool(message.error))


def _text_of(content: Any, place: int) -> str:
    parts: Sequence[Any] = [content] if isinstance(content, str) else content
    for part in parts:
        if not isinstance(part, str) and part.type != "text":
            raise wrong(f"/messages/{place}/content", f"has a part of type {part.type}; agents here take text")
    return "\n\n".join(part if isinstance(part, str) else str(part.text) for part in parts)
