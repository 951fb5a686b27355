"""Where made-up requests are led, so that they get further than to the first refusal, and how their JSON is broken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from schemathesis import Case

from scripts.fuzzing.city import MODELS


@dataclass(frozen=True)
class Aim:
    """Where a made-up request is led, so that it gets further than to the first refusal."""

    model: str
    there: bool
    """It names a model, or a response, that exists."""
    kept: str
    """``all`` of its members, the needed ones and ``one`` more, or ``none`` but those."""
    plain: bool
    """What is said in it is plain text."""
    index: int


AIMS = st.builds(
    Aim,
    model=st.sampled_from(MODELS),
    there=st.sampled_from([True, True, True, False]),
    kept=st.sampled_from(["all", "one", "one", "none"]),
    plain=st.sampled_from([True, True, False]),
    index=st.integers(0, 999),
)

_PLAIN: Mapping[str, Mapping[str, Any]] = {
    "/chat/completions": {"messages": [{"role": "user", "content": "Hello"}]},
    "/embeddings": {"input": "Hello"},
    "/responses": {"input": "Hello"},
    "/responses/input_tokens": {"input": "Hello"},
}

Break = tuple[float, bytes, bool]
BREAKS: st.SearchStrategy[Break] = st.tuples(
    st.floats(0, 1), st.sampled_from([b"", b"\xff", b"\x00", b"{", b"]", b'"', b"\\ud800", b",", b"NaN"]), st.booleans()
)


def broken(case: Case[Any], how: Break) -> tuple[Case[Any], bytes]:
    """The body as text that is no JSON: bytes put into it at a place, or cut off there."""
    where, what, cut = how
    text = json.dumps(case.body, default=str).encode()
    place = int(where * len(text))
    text = text[:place] + what + (b"" if cut else text[place:])
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return case, text
    return case, text + b"}"


def led(path: str, body: dict[str, Any], aim: Aim) -> dict[str, Any]:
    """The body of a request to ``path``, as ``aim`` says."""
    said = dict(body)
    needed = {"model", *_PLAIN.get(path, ())}
    if aim.kept != "all":
        others = sorted(name for name in body if name not in needed)
        chosen = others[aim.index % len(others)] if others and aim.kept == "one" else ""
        said = {name: value for name, value in said.items() if name in needed or name in (chosen, "stream")}
    if aim.plain:
        said |= _PLAIN.get(path, {})
    elif aim.there:
        said = {**_PLAIN.get(path, {}), **said}
    return said | {"model": aim.model} if aim.there else said
