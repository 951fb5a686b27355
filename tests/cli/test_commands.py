"""The command line against a real city: what it prints, where, and how it ends."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
import yaml
from tests.cli.conftest import Pharos
from tests.cli.running import RunningCity

from pharos.client.description import descriptions
from pharos.server.cli.operations import KINDS, help_text

KEY = """\
apiVersion: pharos/v1
kind: Key
metadata: {{name: {name}, labels: {{team: {team}}}}}
spec: {{models: [fast], budgets: [team-a]}}
"""


def _manifest(name: str, team: str = "a") -> str:
    return KEY.format(name=name, team=team)


def _apply(pharos: Pharos, name: str, team: str = "a") -> str:
    """Apply a key; the id of the operation."""
    Path(f"{name}.yaml").write_text(_manifest(name, team))
    ran = pharos("apply", "-f", f"{name}.yaml", "--json")
    assert ran.code == 0, ran.err
    return str(ran.json["operation"])


def test_apply_get_list_and_delete(pharos: Pharos) -> None:
    _apply(pharos, "life", team="life")
    got = pharos("get", "key", "life", "--json").json
    assert got["metadata"]["labels"] == {"team": "life"}
    assert pharos("get", "Key/life", "-o", "yaml").out.startswith("apiVersion: pharos/v1\nkind: Key\n")
    assert yaml.safe_load(pharos("get", "Key/default/life").out) == got
    listed = pharos("list", "keys", "-l", "team=life", "--json").json
    assert [item["metadata"]["name"] for item in listed["items"]] == ["life"]
    assert listed["next"] is None
    assert pharos("delete", "key", "life").code == 0
    gone = pharos("get", "key", "life")
    assert gone.code == 1
    assert gone.out == ""
    assert gone.err.startswith("NOT_FOUND: ")


def test_keys_issue_prints_the_operations_output(pharos: Pharos) -> None:
    _apply(pharos, "ci-bot")
    issued = pharos("keys", "issue", "ci-bot", "--json").json
    assert issued["key"] == "ci-bot"
    assert issued["secret"]
    shown = pharos("keys", "issue", "ci-bot")
    assert "secret  ph_" in shown.out
    assert "shown this once" in shown.err


@pytest.mark.parametrize("words", [("keys", "issue", "near-by"), ("keys", "revoke", "near-by")], ids=" ".join)
def test_a_key_that_is_not_there_is_met_with_the_nearest(pharos: Pharos, words: tuple[str, ...]) -> None:
    _apply(pharos, "nearby")
    ran = pharos(*words)
    assert ran.err.startswith("NOT_FOUND: There is no Key 'near-by'. Did you mean nearby?\n")
    assert "pharos catalog list --kind Key" in ran.err


@pytest.mark.parametrize("noun", ["keys", "ledger", "journeys", "operations", "kinds", "faults", "views", "approvals"])
def test_a_noun_alone_is_its_list(pharos: Pharos, noun: str) -> None:
    bare = pharos(noun, "--json")
    assert bare.code == 0, bare.err
    assert bare.json == pharos(noun, "list", "--json").json
    assert set(bare.json) == {"items", "next"}
    assert pharos(noun).code == 0


def test_ledger_takes_options_without_its_verb(pharos: Pharos) -> None:
    assert pharos("ledger", "--json", "--limit", "1000").json == {"items": [], "next": None}


def test_plan_shows_each_difference_and_changes_nothing(pharos: Pharos) -> None:
    Path("plan.yaml").write_text(_manifest("planned"))
    planned = pharos("apply", "-f", "plan.yaml", "--dry-run")
    assert "+ Key/planned created" in planned.out
    assert '/spec/models: ["fast"]' in planned.out
    assert "warning: " in planned.out
    assert pharos("get", "key", "planned").code == 1
    assert pharos("apply", "-f", "plan.yaml", "--dry-run", "--json").json["dryRun"] is True
    _apply(pharos, "planned")
    again = pharos("apply", "-f", "plan.yaml", "--dry-run").out
    assert again.startswith("catalog.apply would change nothing\n= Key/planned unchanged\n")


def test_undo_redo_diff_and_history(pharos: Pharos) -> None:
    _apply(pharos, "wheel", team="old")
    operation = _apply(pharos, "wheel", team="new")
    assert "/metadata/labels/team: old → new" in pharos("diff", "key", "wheel").out
    Path("wheel.yaml").write_text(_manifest("wheel", "newer"))
    assert "/metadata/labels/team: new → newer" in pharos("diff", "-f", "wheel.yaml").out
    undone = pharos("undo", operation, "--json").json
    assert undone["state"] == "undone"
    assert pharos("get", "key", "wheel", "--json").json["metadata"]["labels"] == {"team": "old"}
    assert pharos("redo", operation).code == 0
    assert pharos("get", "key", "wheel", "--json").json["metadata"]["labels"] == {"team": "new"}
    history = pharos("history", "key", "wheel", "--json").json["items"]
    assert [item["revision"] for item in history] == [4, 3, 2, 1]


def test_apply_reads_files_directories_and_standard_input(city: RunningCity, pharos: Pharos, tmp_path: Path) -> None:
    (tmp_path / "all" / "deep").mkdir(parents=True)
    (tmp_path / "all" / ".hidden").mkdir()
    (tmp_path / "all" / "one.yaml").write_text(_manifest("file-one") + "---\n" + _manifest("file-two"))
    document = yaml.safe_load(_manifest("file-three"))
    (tmp_path / "all" / "deep" / "three.json").write_text(json.dumps(document))
    (tmp_path / "all" / ".hidden" / "four.yaml").write_text("nonsense: true")
    (tmp_path / "all" / "notes.txt").write_text("not a manifest")
    (tmp_path / "five.yml").write_text(_manifest("file-five"))
    done = pharos("apply", "-f", "all", "-f", "five.yml", "--json").json
    names = [resource["resource"].rpartition("/")[2] for resource in done["resources"]]
    assert names == ["file-three", "file-one", "file-two", "file-five"]
    piped = city.pharos("apply", "-f", "-", "--json", input=_manifest("file-six"))
    assert piped.json["resources"][0]["action"] == "created"


def test_problems_are_led_back_to_their_files(pharos: Pharos) -> None:
    Path("good.yaml").write_text(_manifest("good"))
    Path("bad.yaml").write_text(_manifest("fine") + "---\n" + _manifest("bad").replace("models", "modelz"))
    refused = pharos("apply", "-f", "good.yaml", "-f", "bad.yaml")
    assert refused.code == 1
    assert "bad.yaml#2: /spec/modelz: " in refused.err
    assert "Did you mean 'models'?" in refused.err
    Path("broken.yaml").write_text("a: [")
    Path("text.yaml").write_text("just text")
    assert pharos("apply", "-f", "text.yaml").err == "INVALID: text.yaml: /: Must be an object.\n"
    broken = pharos("apply", "-f", "broken.yaml")
    assert broken.code == 1
    assert "broken.yaml: " in broken.err


@pytest.mark.parametrize(
    "words",
    [
        ("apply",),
        ("apply", "-f", "nowhere.yaml"),
        ("get", "key"),
        ("get", "key/a/b/c"),
        ("keys", "issue"),
        ("keys", "invent"),
        ("invent",),
        ("ledger", "--limit", "many"),
        ("diff",),
        ("diff", "key", "x", "-f", "y.yaml"),
        ("call", "keys.list", "["),
        ("call", "keys.list", "[1]"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_a_matter_of_usage(pharos: Pharos, words: tuple[str, ...]) -> None:
    ran = pharos(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert "Error: " in ran.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("ledgr",), "ledger"),
        (("session", "list"), "sessions"),
        (("keys", "isue"), "issue"),
        (("ledger", "--limt", "1"), "--limit"),
    ],
    ids=["command", "one that others are a little like", "verb", "option"],
)
def test_a_word_that_is_nearly_right_is_met_with_the_right_one(
    pharos: Pharos, words: tuple[str, ...], meant: str
) -> None:
    ran = pharos(*words)
    assert ran.code == 2
    assert f"Did you mean '{meant}'?" in ran.err


@pytest.mark.parametrize("words", [("agents", "list"), ("pools", "get", "desk"), ("budgets", "create")], ids=" ".join)
def test_a_verb_that_all_kinds_have_in_common_is_met_with_its_command(pharos: Pharos, words: tuple[str, ...]) -> None:
    ran = pharos(*words)
    assert ran.code == 2
    assert f"`pharos list {words[0]}`" in ran.err and f"`pharos get {words[0]} NAME`" in ran.err
    assert pharos("list", words[0]).code == 0


def test_the_nouns_that_are_plurals_of_kinds_are_known(pharos: Pharos) -> None:
    plurals = {kind["plural"].lower() for kind in pharos("kinds", "list", "--json").json["items"]}
    assert {operation.noun for operation in descriptions().values()} & plurals == KINDS


def test_the_version_is_printed_as_by_most_programs(pharos: Pharos) -> None:
    assert pharos("--version").out == pharos("version").out


def test_the_ledger_is_read_since_a_time_of_its_table(pharos: Pharos) -> None:
    for since in ("2026-01-31", "2026-01-31 14:00:00", "2h"):
        ran = pharos("ledger", "--since", since, "--json")
        assert (ran.code, ran.json) == (0, {"items": [], "next": None}), ran.err


def test_a_refusal_prints_fixes_that_can_be_pasted(pharos: Pharos) -> None:
    refused = pharos("get", "key", "no-such-key")
    assert "fix (likely): " in refused.err
    [line] = [line for line in refused.err.splitlines() if line.startswith("  pharos ")]
    assert pharos(*line.split()[1:]).code == 0


def test_a_refusal_for_programs_is_the_problem_document(pharos: Pharos) -> None:
    refused = pharos("get", "key", "no-such-key", "--json")
    assert (refused.code, refused.out) == (1, "")
    document = json.loads(refused.err)
    assert document["code"] == "NOT_FOUND"
    assert document["fixes"][0]["call"]["operation"] == "catalog.list"


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (("ledger", "--limit", "-1"), "--limit: "),
        (("sessions", "list", "--waiting-on", "X"), "--waiting-on: "),
        (("list", "keys", "--limit", "0"), "--limit: "),
        (("get", "key", "X Y", "-n", "A"), "--namespace: "),
        (("sessions", "get", "x!"), "SESSION: "),
        (("keys", "issue", "A!"), "KEY: "),
    ],
)
def test_what_is_wrong_with_an_option_is_said_by_its_name(pharos: Pharos, words: tuple[str, ...], place: str) -> None:
    ran = pharos(*words)
    assert ran.code == 1 and place in ran.err and "/" not in ran.err.split(place)[0]
    # A program reads the place in what was sent.
    pointers = [problem["pointer"] for problem in json.loads(pharos(*words, "--json").err)["problems"]]
    assert pointers and all(pointer.startswith("/") for pointer in pointers)


def test_whoever_takes_away_their_own_key_is_warned(pharos: Pharos) -> None:
    _apply(pharos, "other")
    for words in (("delete", "key", "admin"), ("keys", "revoke", "admin", "--yes")):
        [warning] = pharos(*words, "--dry-run", "--json").json["warnings"]
        assert warning.startswith("Key/default/admin: this is the key you call with")
        assert "warning: Key/default/admin: this is the key" in pharos(*words, "--dry-run").out
    assert pharos("delete", "key", "other", "--dry-run", "--json").json["warnings"] == []
    assert pharos("delete", "key", "other", "--json").json["warnings"] == []


def test_whoever_is_asked_is_warned_before(pharos: Pharos, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    ran = pharos("keys", "revoke", "admin")
    assert ran.code == 130
    assert "warning: Key/default/admin: this is the key you call with: none of its secrets" in ran.err
    assert pharos("keys", "list").code == 0


def test_call_runs_what_a_fix_says(city: RunningCity, pharos: Pharos) -> None:
    done = pharos("call", "catalog.list", '{"kind": "Key", "limit": 1}', "--json")
    assert len(done.json["items"]) == 1
    piped = city.pharos("call", "-", "--json", input='{"operation": "system.version", "arguments": {}}')
    assert piped.json["apiVersion"] == "pharos/v1"
    assert city.pharos("call", "-", input='{"tool": 1}').code == 2


def test_a_repeated_idempotency_key_answers_with_the_first_answer(pharos: Pharos) -> None:
    Path("once.yaml").write_text(_manifest("once"))
    words = ("apply", "-f", "once.yaml", "--json", "--idempotency-key", "only-once")
    assert pharos(*words).json == pharos(*words).json


def test_graph_shows_what_is_missing(pharos: Pharos) -> None:
    _apply(pharos, "lonely")
    shown = pharos("graph").out
    assert "Key/lonely" in shown
    assert "✗ Model/fast missing" in shown
    assert "missing: Key/lonely /spec/models/0 needs Model/fast" in shown
    assert pharos("graph", "--json").json["dangling"]


def test_doctor_reports_on_the_way_and_on_the_city(pharos: Pharos) -> None:
    found = pharos("doctor", "--json")
    checks = {check["check"]: check["state"] for check in found.json["checks"]}
    assert checks["address"] == "ok"
    assert checks["key"] == "ok"
    assert {"storage", "references"} <= set(checks)
    assert found.code == (0 if found.json["healthy"] else 1)
    assert "✓ address: " in pharos("doctor").out


def test_doctor_says_what_to_do_about_a_key_that_opens_nothing(pharos: Pharos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHAROS_KEY", "ph_wrong")
    ran = pharos("doctor")
    assert ran.code == 1 and "✗ entry: UNAUTHENTICATED" in ran.out
    assert "a city's first key is in HOME/admin.key" in ran.out.split("✗ entry: ")[1]


def test_every_read_without_input_can_be_shown_to_people(pharos: Pharos) -> None:
    """No view breaks on what a real city answers."""
    for operation in descriptions().values():
        needs = any(parameter.required for parameter in operation.parameters)
        # Two of them need one of two members, which a schema of defaults does not say.
        needs = needs or operation.name in ("catalog.diff", "topics.read")
        if operation.effect == "read" and not operation.streaming and not needs:
            shown = pharos(operation.noun, operation.verb)
            assert shown.code == 0, f"{operation.name}: {shown.err}"
            assert pharos(operation.noun, operation.verb, "-o", "yaml").code == 0


def test_output_options_may_stand_before_or_after_the_command(pharos: Pharos) -> None:
    assert pharos("--json", "keys").json == pharos("keys", "-o", "json").json
    assert yaml.safe_load(pharos("-o", "yaml", "kinds").out) == pharos("kinds", "--json").json


def test_the_key_of_an_option_goes_before_that_of_the_environment(pharos: Pharos) -> None:
    refused = pharos("--key", "ph_wrong", "keys")
    assert refused.code == 1
    assert refused.err.startswith("UNAUTHENTICATED: ")
    assert "the key from --key opens nothing here" in refused.err


def test_a_first_key_that_opens_nothing_is_said_to_come_anew(pharos: Pharos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHAROS_KEY")
    Path(".pharos").mkdir()
    Path(".pharos/admin.key").write_text("ph_former")
    refused = pharos("keys")
    assert refused.code == 1
    assert "opens nothing here: it is another city's, or was taken away" in refused.err
    assert "writes a new one to HOME/admin.key when it starts" in refused.err


def test_rebuild_waits_until_the_view_is_ready(pharos: Pharos) -> None:
    done = pharos("views", "rebuild", "ledger", "--wait", "--json")
    assert done.json["name"] == "ledger"
    states = {view["name"]: view["state"] for view in pharos("views", "--json").json["items"]}
    assert states["ledger"] == "ready"


def test_a_call_that_is_planned_is_shown_as_a_plan(pharos: Pharos) -> None:
    _apply(pharos, "plain-call")
    planned = pharos("call", "catalog.delete", '{"kind": "Key", "name": "plain-call"}', "--dry-run")
    assert planned.out.startswith(
        "catalog.delete would change 1 resource; nothing was changed\n- Key/plain-call deleted"
    )


def test_help_says_what_an_operation_needs_and_how_to_undo_it() -> None:
    text = help_text(descriptions()["catalog.apply"], "apply")
    assert "Needs the permission catalog.write." in text
    assert "It can be undone" in text
