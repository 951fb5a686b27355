"""Two requests that differ in anything that can affect the answer never share a key."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pharos.core.fault import Fault
from pharos.gateway.models.caching.keys import RULES, asked
from pharos.gateway.models.caching.varies import NOTHING, Varies, varies
from pharos.gateway.models.call import Call
from pharos.gateway.models.dialects.registry import DIALECTS

CACHED = sorted(RULES.keys() & {"openai-chat", "anthropic"})


@dataclass(frozen=True)
class Policy:
    always: bool = True
    seed: Any = field(default_factory=lambda: sha256(b"policy"))
    varies: Varies = NOTHING
    similar: object = None
    name: str = "default"

    def tenant(self, call: Call) -> str:
        return self.name


def request(raw: bytes, dialect: str, headers: dict[str, str] | None = None, set_output: int | None = None) -> Call:
    """As much of a call as its key is made of."""
    body = json.loads(raw)
    sent = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    key = SimpleNamespace(metadata=SimpleNamespace(name="bot", namespace="default", labels={"tier": "gold"}))
    return cast(
        "Call",
        SimpleNamespace(
            dialect=DIALECTS[dialect],
            headers=sent,
            fields=dict(sent),
            raw=raw,
            body=body,
            ask=DIALECTS[dialect].ask(body),
            bounds=SimpleNamespace(set_output=set_output),
            identity=SimpleNamespace(key=key),
            key=SimpleNamespace(labels={"tier": "gold"}),
            session="s-1",
        ),
    )


def digest(value: Any, dialect: str = "openai-chat", policy: Policy = Policy(), **more: Any) -> bytes:
    raw = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    found = asked(request(raw, dialect, **more), policy)
    assert found is not None
    return found.digest


leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    leaves | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["temperature", "seed", "stop", "top_p", "logit_bias", "x-new", "User", "metadata2", '"'])
texts = st.text(max_size=20) | st.sampled_from(['"user":"x"', '\\"metadata": {}', "user", '{"user":1}'])
bodies = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["fast", "other"]),
        "max_tokens": st.integers(1, 3),
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": texts}),
            min_size=1,
            max_size=3,
        ),
    },
    optional={"seed": values, "temperature": values, "x-new": values, "stop": values},
)
who = st.dictionaries(st.sampled_from(["user", "metadata", "safety_identifier"]), st.just({}), max_size=3)


def asking(body: dict[str, Any], volatile: dict[str, Any], text: str) -> dict[str, Any]:
    """``body`` said by somebody."""
    said = {"user": text, "safety_identifier": text, "metadata": {"user_id": text, "a": text}}
    return {**{name: said[name] for name in volatile}, **body}


@given(bodies, bodies, who, st.sampled_from(CACHED))
def test_different_requests_never_share_a_key(
    one: dict[str, Any], other: dict[str, Any], by: dict[str, Any], dialect: str
) -> None:
    if by and dialect == "anthropic":
        by = {"metadata": {}}
    a, b = asking(one, by, "u-1"), asking(other, by, "u-2")
    same = json.dumps(one) == json.dumps(other)  # as text: 1 is not 1.0 and not true
    assert (digest(a, dialect) == digest(b, dialect)) is same


@given(bodies, st.data())
def test_any_single_change_changes_the_key(body: dict[str, Any], data: st.DataObject) -> None:
    changed = deepcopy(body)
    name = data.draw(names | st.sampled_from(["model", "max_tokens"]))
    changed[name] = data.draw(st.integers(5, 9)) if name != "model" else "third"
    assert digest(body) != digest(changed)
    shorter = deepcopy(body)
    shorter["messages"] = [*body["messages"], body["messages"][-1]]
    assert digest(body) != digest(shorter)


@given(bodies, texts, texts)
def test_who_asks_does_not_matter(body: dict[str, Any], one: str, other: str) -> None:
    every: dict[str, Any] = {name: {} for name in ("user", "metadata", "safety_identifier")}
    assert digest(asking(body, every, one)) == digest(asking(body, every, other))
    alone = {"metadata": {}}
    assert digest(asking(body, alone, one), "anthropic") == digest(asking(body, alone, other), "anthropic")


@pytest.mark.parametrize(
    "first, second",
    [
        (b'{"model":"a","messages":[{"role":"user","content":"x"}],"user":"1"}',
         b'{"model":"a","messages":[{"role":"user","content":"x"}],"user":"2222"}'),
        # The name spelled with an escape, and nested elsewhere: the scanner tells which one is the member.
        (b'{"model":"a","messages":[{"role":"user","content":"x"}],"u\\u0073er":"1"}',
         b'{"model":"a","messages":[{"role":"user","content":"x"}],"u\\u0073er":"2"}'),
        (b'{"model":"a","user":"1","messages":[{"role":"user","content":"x","user":"n"}]}',
         b'{"model":"a","user":"2","messages":[{"role":"user","content":"x","user":"n"}]}'),
        (b'{"model":"a","user" :\n "1" ,"messages":[{"role":"user","content":"x"}]}',
         b'{"model":"a","user" :\n "2\\"," ,"messages":[{"role":"user","content":"x"}]}'),
    ],
)  # fmt: skip
def test_a_volatile_member_is_found_wherever_it_stands(first: bytes, second: bytes) -> None:
    assert digest(first) == digest(second)


def test_a_nested_member_of_a_volatile_name_counts() -> None:
    raw = b'{"model":"a","user":"1","messages":[{"role":"user","content":"x","user":"n"}]}'
    assert digest(raw) != digest(raw.replace(b'"n"', b'"m"'))
    raw = raw.replace(b'"user":"1",', b"")
    assert digest(raw) != digest(raw.replace(b'"n"', b'"m"'))


def test_large_metadata_is_cut_out_whole() -> None:
    body = {"model": "a", "messages": [{"role": "user", "content": "é" * 3000}]}
    one, other = [{"metadata": {"k": letter * 2000, "é": [1]}, **body} for letter in "ab"]
    assert digest(one) == digest(other)
    assert digest(one) != digest({**one, "seed": 1})


BODY = {"model": "a", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5}


def test_everything_beside_the_body_counts() -> None:
    anthropic = "anthropic"
    found = [
        digest(BODY),
        digest(BODY, anthropic),
        digest(BODY, set_output=100),
        digest(BODY, set_output=101),
        digest(BODY, policy=Policy(name="other")),
        digest(BODY, policy=Policy(seed=sha256(b"another policy"))),
        digest({**BODY, "stream": True}),
        digest({**BODY, "stream": True, "stream_options": {"include_usage": True}}),
        digest(BODY, headers={"openai-beta": "x"}),
        digest(BODY, headers={"x-pharos-strict": "true"}),
        digest(BODY, anthropic, headers={"anthropic-beta": "x"}),
        digest(BODY, anthropic, headers={"anthropic-beta": "y"}),
        digest(BODY, anthropic, headers={"anthropic-version": "y"}),
    ]
    assert len(set(found)) == len(found)
    ordinary = {"user-agent": "x", "x-request-id": "1", "x-pharos-session": "s", "x-pharos-cache": "on"}
    assert digest(BODY, headers=ordinary) == digest(BODY)


def test_parts_cannot_pass_for_one_another() -> None:
    assert digest(BODY, policy=Policy(name="a1:b")) != digest(BODY, policy=Policy(name="a"))
    one = digest(BODY, headers={"x-pharos-a": "b", "x-pharos-c": "d"})
    assert one != digest(BODY, headers={"x-pharos-a": "bx-pharos-cd"})


@pytest.mark.parametrize("extra", [{"n": 2}, {"store": True}, {"web_search_options": {"a": 1}}])
def test_what_is_no_plain_question_is_left_alone(extra: dict[str, Any]) -> None:
    assert asked(request(json.dumps({**BODY, **extra}).encode(), "openai-chat"), Policy()) is None


def test_the_header() -> None:
    def ask(word: str, policy: Policy = Policy(), **extra: Any) -> Any:
        return asked(request(json.dumps({**BODY, **extra}).encode(), "openai-chat", {"x-pharos-cache": word}), policy)

    assert ask("off") is None
    assert ask("ON ").keep
    assert ask("refresh").fresh
    assert ask("", replace(Policy(), always=False)) is None
    assert ask("on", replace(Policy(), always=False)) is not None
    assert not ask("", store=False).keep
    assert ask("on", store=False).keep
    with pytest.raises(Fault) as refused:
        ask("yes")
    assert refused.value.code == "INVALID"


@pytest.mark.parametrize(
    "expression, read",
    [
        ("inputTokens > 100 && stream", NOTHING),
        ('headers["x-tier"] == "gold"', Varies(headers=frozenset({b"x-tier"}))),
        ("'x-tier' in headers && headers.accept != ''", Varies(headers=frozenset({b"x-tier", b"accept"}))),
        ("headers[session] == 'a'", Varies(session=True, headers=None)),
        ("headers.exists(h, h == 'x')", Varies(headers=None)),
        ("key.labels.team == 'a'", Varies(key=True)),
        ("metadata.plan == 'user'", Varies(volatile=frozenset({"metadata"}))),
        ("user.startsWith('key')", Varies(volatile=frozenset({"metadata", "user", "safety_identifier"}))),
    ],
)
def test_what_a_condition_reads(expression: str, read: Varies) -> None:
    assert varies([expression]) == read


def test_what_conditions_read_belongs_to_the_key() -> None:
    by_header = Policy(varies=varies(['headers["x-tier"] == "gold"']))
    assert digest(BODY, policy=by_header, headers={"x-tier": "a"}) != digest(
        BODY, policy=by_header, headers={"x-tier": "b"}
    )
    assert digest(BODY, policy=by_header, headers={"x-other": "a"}) == digest(BODY, policy=by_header)
    by_user = Policy(varies=varies(["user == 'a'"]))
    assert digest({**BODY, "user": "a"}, policy=by_user) != digest({**BODY, "user": "b"}, policy=by_user)
    by_key = Policy(varies=varies(["key.labels.tier == 'gold'"]))
    assert digest(BODY, policy=by_key) != digest(BODY)
