"""What may be declared of guards, and by whom."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pharos.core.principal import Principal, PrincipalKind
from pharos.core.resource import Metadata, Resource
from pharos.trust.guard.kinds import GUARD, MAX_PATTERN, GuardSpec, check_guard, guard_guard


def spec(**rule: Any) -> GuardSpec:
    return GuardSpec.model_validate({"rules": [{"action": "mask", **rule}], "onError": "closed"})


def test_a_small_guard_is_enough() -> None:
    made = spec(detectors=["pii"])
    assert not check_guard(made)
    assert set(made.rules[0].directions) == {"prompt", "answer", "toolArguments", "toolResults"}
    assert not made.shadow


def test_what_happens_on_an_error_must_be_said() -> None:
    with pytest.raises(ValidationError, match="onError"):
        GuardSpec.model_validate({"rules": [{"detectors": ["pii"], "action": "mask"}]})


@pytest.mark.parametrize(
    ("rule", "pointer", "words"),
    [
        ({}, "/rules/0", "looks for nothing"),
        ({"detectors": ["emial"]}, "/rules/0/detectors/0", "the nearest is 'email'"),
        ({"patterns": [{"name": "x", "pattern": r"a\d+"}]}, "/rules/0/patterns/0/pattern", "without a bound"),
        ({"patterns": [{"name": "x", "pattern": "a?"}]}, "/rules/0/patterns/0/pattern", "empty text"),
        ({"patterns": [{"name": "x", "pattern": "(?=a)b"}]}, "/rules/0/patterns/0/pattern", "looks ahead"),
        ({"patterns": [{"name": "x", "pattern": "[z-a]"}]}, "/rules/0/patterns/0/pattern", "RE2"),
        (
            {"patterns": [{"name": "x", "pattern": f"(?:a{{600}}){{1,{MAX_PATTERN // 300}}}"}]},
            "/rules/0/patterns/0/pattern", "at most",
        ),
        ({"patterns": [{"name": "email", "pattern": "a"}]}, "/rules/0/patterns/0/name", "taken"),
        (
            {"words": [{"name": "x", "words": ["a"]}], "patterns": [{"name": "x", "pattern": "a"}]},
            "/rules/0/words/0/name", "taken",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_declared(rule: dict[str, Any], pointer: str, words: str) -> None:
    problems = dict(check_guard(spec(**rule)))
    assert words in problems[pointer]


def test_allowed_patterns_are_checked() -> None:
    made = spec(detectors=["pii"]).model_copy(update={"allow_patterns": ["a+", "("]})
    assert [pointer for pointer, _ in check_guard(made)] == ["/allowPatterns/1"]


def test_guards_have_a_permission_of_their_own() -> None:
    guard = Resource[GuardSpec](kind=GUARD.name, metadata=Metadata(name="g"), spec=spec(detectors=["pii"]))

    def who(*permissions: str) -> Principal:
        return Principal(kind=PrincipalKind("user"), name="u", permissions=frozenset(permissions))

    for before, after in ((None, guard), (guard, guard), (guard, None)):
        fault = guard_guard(who("catalog.*"), before, after)
        assert fault is not None
        assert fault.document.required_permission == "guards.govern"
        assert guard_guard(who("catalog.*", "guards.govern"), before, after) is None
