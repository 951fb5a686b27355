"""Reading scripts: strict, typed, every problem at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from pharos.core.fault import Fault
from pharos.release.simulator import Script, load_script, parse_script
from pharos.release.simulator.pattern import PATTERN_LIMIT, LinearPattern


def problems(text: str) -> dict[str, str]:
    """Pointer to message of each problem of a script."""
    with pytest.raises(Fault) as caught:
        parse_script(text)
    assert caught.value.code == "INVALID"
    assert caught.value.document.problems
    return {problem.pointer: problem.message for problem in caught.value.document.problems}


def test_an_empty_script_is_one() -> None:
    assert parse_script("") == parse_script("{}") == Script()


def test_shorthands_mean_their_long_forms() -> None:
    short = parse_script("rules: [{when: {lastUser: hi, model: a, turn: 1, toolResult: true}, answer: Hello}]")
    long = parse_script(
        """
        rules:
        - when: {lastUser: {contains: hi}, model: [a], turn: [1], toolResult: {present: true}}
          answer: {text: Hello}
        """
    )
    assert short == long


def test_every_problem_is_told_at_once_with_its_pointer() -> None:
    found = problems(
        """
        nmae: x
        models: small
        rules:
        - when: {lastUsr: weather, turn: "1", lastUser: {matches: '(a)\\1'}}
          answer: {text: "${nobody}", pace: {firstTokenMs: soon}, fault: {kind: status, status: 200}}
        - when: {lastUser: {}}
        - answer: {fault: {kind: stal}}
        - answer: {text: 5, usage: {input: -3}}
        - answer: {fault: {kind: cut, afterChunks: 1, afterBytes: 1}}
        - answer: a
          answers: [b]
        - {name: Not A Label, answer: a}
        - {answer: {text: a, json: {}}}
        """
    )
    assert set(found) == {
        "/nmae",
        "/models",
        "/rules/0/when/lastUsr",
        "/rules/0/when/turn",
        "/rules/0/when/lastUser/matches",
        "/rules/0/answer/text",
        "/rules/0/answer/pace/firstTokenMs",
        "/rules/0/answer/fault/status",
        "/rules/1/when/lastUser",
        "/rules/2/answer/fault",
        "/rules/3/answer/text",
        "/rules/3/answer/usage/input",
        "/rules/4/answer/fault",
        "/rules/5",
        "/rules/6/name",
        "/rules/7/answer",
    }
    assert "${lastUser}" in found["/rules/0/answer/text"]
    assert "cutUtf8" in found["/rules/2/answer/fault"]
    assert "backreferences" in found["/rules/0/when/lastUser/matches"]


def test_an_unknown_field_comes_with_the_nearest_name() -> None:
    with pytest.raises(Fault) as caught:
        parse_script("rules: [{answer: {toolCall: []}}]")
    [problem] = caught.value.document.problems
    assert (problem.pointer, problem.suggestion) == ("/rules/0/answer/toolCall", "toolCalls")


def test_a_missing_field_is_pointed_at() -> None:
    assert set(problems("rules: [{answer: {fault: {kind: status}}}]")) == {"/rules/0/answer/fault/status"}


def test_nothing_is_coerced() -> None:
    found = problems("rules: [{answer: true}, {answer: {text: 1.10}}, {name: a, when: {stream: 1}, answer: b}]")
    assert set(found) == {"/rules/0/answer", "/rules/1/answer/text", "/rules/2/when/stream"}


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: 1\na: 2",
        "\x00",
        "!!python/object:os.system {}",
        "[" * 2_000,
        "rules: &r [*r]",
        "- a",
        "7",
        "name: a\n---\nname: b",
        "rules: [{answer: '\\ud800'}]".replace("'", '"'),
    ],
    ids=["cut", "twice", "character", "tag", "deep", "recursive", "list", "number", "two", "surrogate"],
)
def test_what_is_no_script_is_one_fault(text: str) -> None:
    assert problems(text)


def test_rules_have_distinct_names() -> None:
    assert "twin" in problems("rules: [{name: twin, answer: a}, {name: twin, answer: b}]")[""]


def test_a_script_is_named_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "My Script!.yaml"
    path.write_text("rules: []")
    assert load_script(path).name == "my-script"
    path.write_text("name: own")
    assert load_script(path).name == "own"


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="NOT_FOUND"):
        load_script(tmp_path / "missing.yaml")
    with pytest.raises(Fault, match="NOT_FOUND"):
        load_script(tmp_path)
    with pytest.raises(Fault, match="not UTF-8"):
        (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
        load_script(tmp_path / "latin.yaml")
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(Fault, match="TOO_LARGE"):
        load_script(big)


def test_a_script_survives_its_json_form() -> None:
    script = parse_script(
        """
        name: all
        rules:
        - when: {lastUser: {matches: "(?i)^hi"}, headers: {x-team: a}}
          answers:
          - {text: a, usage: none}
          - {json: {a: [1, null]}, toolCalls: [{name: f, arguments: {x: 1}}]}
          - {fault: {kind: stall, afterChunks: 2, seconds: 1.5}}
        """
    )
    again = parse_script(yaml.safe_dump(script.to_json()))
    assert again.to_json() == script.to_json()


def test_a_pattern_is_searched_for() -> None:
    assert LinearPattern(r"\bcat\b").found_in("a cat sat")
    assert not LinearPattern(r"\bcat\b").found_in("concatenate")


@pytest.mark.parametrize("source", [r"(a)\1", r"(?=a)", "(", r"((\w{100}){100}){100}", "a" * (PATTERN_LIMIT + 1)])
def test_a_pattern_that_could_hang_or_grow_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"pattern"):
        LinearPattern(source)


def test_a_catastrophic_pattern_is_harmless() -> None:
    # Backtracking engines need longer than the age of the universe for this one.
    pattern = LinearPattern(r"^(a+)+$")
    begun = time.process_time()
    assert not pattern.found_in("a" * 100_000 + "b")
    assert time.process_time() - begun < 1
