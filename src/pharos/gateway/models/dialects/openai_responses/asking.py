"""What governance must know of a responses request, and the declared edits of its bytes."""

from __future__ import annotations

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.dialect import Ask, Edits
from pharos.gateway.models.dialects.openai_responses.reasoning import is_foreign
from pharos.gateway.models.dialects.reading import Reading
from pharos.gateway.models.dialects.splice import edited, elements, members, too_deep

KEPT_ELSEWHERE = "conversation", "background"
"""Members that tie a call to what one account at the provider keeps. That account is the city's: whoever could name a
conversation in it, or fetch an answer from it later, would do so past keys and budgets."""

_WHOLE = frozenset({
    "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output",
    "local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output",
    "apply_patch_call", "apply_patch_call_output", "computer_call", "computer_call_output",
    "mcp_list_tools", "mcp_call", "mcp_approval_request", "mcp_approval_response",
})  # fmt: skip
"""Items that say all of what they are, beside messages. Any other, also one that nobody here has heard of, may be no
more than the id of something long that was kept: a picture, what a search found, another item."""

_INSTEAD = {
    "conversation": "names a conversation kept in the city's account at the provider; continue one with "
    "`previous_response_id`, which is kept here",
    "background": "leaves the answer in the city's account at the provider; ask for a stream instead",
}


def ask(body: JsonObject) -> Ask:
    """Read what governance must know. Raises ``INVALID`` with all wrong members."""
    reading = Reading()
    model = reading.required(reading.string(body, "model"), "/model")
    given = body.get("input")
    turns: list[Json] = []
    if isinstance(given, list):
        for index, item in enumerate(given):
            if type(item) is not dict:
                reading.wrong(f"/input/{index}", "must be an object")
            else:
                turns.append(_turn(item))
    elif isinstance(given, str):
        turns.append({"role": "user", "content": given})
    elif given is not None:
        reading.wrong("/input", "must be a string or a list of items")
    if not given and body.get("prompt") is None:
        reading.filled(body, "input")
    if instructions := reading.string(body, "instructions"):
        turns.insert(0, {"role": "system", "content": instructions})
    limit = reading.integer(body, "max_output_tokens", minimum=1)
    stream = reading.boolean(body, "stream")
    reading.boolean(body, "store")
    reading.string(body, "previous_response_id")
    for key in KEPT_ELSEWHERE:
        if body.get(key):
            reading.untranslatable(f"/{key}", _INSTEAD[key])
    user = reading.string(body, "user") or reading.string(body, "safety_identifier")
    tools = tuple([_name(tool) for tool, _ in reading.objects(body, "tools")])
    if reading.problems:
        reading.close()
    return Ask(model, bool(stream), limit, turns, tools, True, user or "")


def edit(raw: bytes, body: JsonObject, edits: Edits) -> bytes:
    """``raw`` with the declared edits. Raises ``INVALID`` for a body nested too deep to be edited."""
    values = {"model": orjson.dumps(edits.model)}
    if edits.max_output is not None:
        values["max_output_tokens"] = b"%d" % edits.max_output
    given = body.get("input")
    if isinstance(given, list) and any(map(is_foreign, given)):
        values["input"] = _without_foreign(raw)
    return edited(raw, body, values)


def input_items(text: str) -> list[str]:
    """The items of the last ``input`` that is an array, each as it stands in the text. Raises ``ValueError``."""
    found: list[str] = []
    for member in members(text):
        if member.key == "input" and text[member.start] == "[":
            found = [text[start:end] for start, end in elements(text, member.start)]
    return found


def _without_foreign(raw: bytes) -> bytes:
    """The input without reasoning that this service did not produce: it could not read it, and refuses it."""
    try:
        kept = [item for item in input_items(raw.decode()) if not is_foreign(orjson.loads(item))]
    except ValueError as error:
        raise too_deep() from error
    return f"[{','.join(kept)}]".encode()


def _turn(item: JsonObject) -> JsonObject:
    """An item as a turn: what the bytes do not bound (images, files, references) stands in its content."""
    if _stands_for_more(item):
        return {"content": [item]}
    output = item.get("output")
    if isinstance(output, list | dict):
        shown: list[Json] = output if isinstance(output, list) else [output]
        content = item.get("content")
        return {**item, "content": [*content, *shown] if isinstance(content, list) else shown}
    return item


def _stands_for_more(item: JsonObject) -> bool:
    """Whether an item may be no more than an id."""
    match item.get("type"):
        case None | "message":  # a reference needs no type
            return "role" not in item
        case "reasoning" | "compaction":
            # What the summary tells of is hidden, and comes back from the service's state where it is not sent along.
            return "id" in item and not (item.get("encrypted_content") or item.get("content"))
        case str(kind):
            return kind not in _WHOLE
    return True


def _name(tool: JsonObject) -> str:
    name = tool.get("name")
    return name if isinstance(name, str) else ""
