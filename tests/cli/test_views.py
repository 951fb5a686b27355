"""Views for people: a graph as a tree, plans with their differences, columns that leave out what says nothing."""

from __future__ import annotations

from io import StringIO
from itertools import pairwise
from typing import Any, cast

import pytest
from rich.console import Console

from pharos.client.description import descriptions
from pharos.control.problems import invalid
from pharos.core.call import Call
from pharos.core.fault import FORBIDDEN, Applicability, Fix, Problem
from pharos.server.cli.faults import show_fault
from pharos.server.cli.output import people
from pharos.server.cli.views import render, render_item
from pharos.server.cli.views.cells import milliseconds, money, time
from pharos.server.cli.views.hints import EMPTY


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    """What a person sees of an output."""

    def show(output: dict[str, Any], view: str) -> str:
        with people() as console:
            render(output, view, console)
        return capsys.readouterr().out

    return show


def _node(name: str, state: str = "healthy") -> dict[str, Any]:
    return {"resource": f"Model/default/{name}", "state": state, "conditions": []}


def _edge(source: str, target: str) -> dict[str, Any]:
    return {"source": f"Model/default/{source}", "target": f"Model/default/{target}", "pointer": "/spec"}


def _graph(nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> dict[str, Any]:
    return {"counts": {}, "edgeCount": len(edges), "nodes": nodes, "edges": edges, "dangling": []}


def test_a_graph_is_a_tree_from_what_nothing_needs(shown: Any) -> None:
    edges = [_edge("a", "b"), _edge("a", "c"), _edge("b", "d"), _edge("c", "d"), _edge("d", "e")]
    out = shown(_graph([_node(name) for name in "abcde"], edges), "system.graph").splitlines()[1:]
    assert out == [
        "● Model/a",
        "├── ● Model/b",
        "│   └── ● Model/d",
        "│       └── ● Model/e",
        "└── ● Model/c",
        "    └── ● Model/d  (see above)",
    ]


def test_a_circle_is_shown_once(shown: Any) -> None:
    out = shown(_graph([_node("a"), _node("b")], [_edge("a", "b"), _edge("b", "a")]), "system.graph").splitlines()[1:]
    assert out == ["● Model/a", "└── ● Model/b", "    └── ● Model/a  (circle)"]


def test_a_part_that_is_missing_is_seen(shown: Any) -> None:
    out = shown(_graph([_node("a", "unhealthy")], [_edge("a", "gone")]), "system.graph")
    assert "└── ✗ Model/gone missing" in out


def test_a_long_chain_is_no_problem(shown: Any) -> None:
    names = [f"n{number}" for number in range(150)]
    edges = [_edge(a, b) for a, b in pairwise(names)]
    assert "n149" in shown(_graph([_node(name) for name in names], edges), "system.graph")


def test_a_plan_shows_what_appears_changes_and_goes(shown: Any) -> None:
    changes = [
        {"action": "created", "resource": "Key/default/a", "diff": [{"pointer": "/spec", "after": {"models": ["x"]}}]},
        {"action": "updated", "resource": "Key/prod/b", "diff": [{"pointer": "/spec/limit", "before": 1, "after": 2}]},
        {"action": "deleted", "resource": "Key/default/c", "diff": [{"pointer": "/spec/note", "before": "old"}]},
    ]
    out = shown({"operation": "catalog.apply", "changes": changes, "reversibility": "none", "warnings": ["w"]}, "plan")
    assert out.splitlines() == [
        "catalog.apply would change 3 resources; nothing was changed",
        "+ Key/a created",
        '    /spec/models: ["x"]',
        "~ Key/prod/b updated",
        "    /spec/limit: 1 → 2",
        "- Key/c deleted",
        "    /spec/note: old removed",
        "warning: w",
        "this could not be undone",
    ]


def test_what_has_no_view_is_shown_by_its_form(shown: Any) -> None:
    out = shown({"operation": "1", "flag": True, "none": None, "rows": [{"a": 1, "b": {"c": 2}}]}, "tomorrow.invent")
    assert "operation  1" in out
    assert "flag       yes" in out
    assert "A  B" in out
    assert "MAX ENTRIES" in shown({"rows": [{"maxEntries": 1}]}, "tomorrow.invent")
    assert shown({"items": ["x", "y"], "next": None}, "tomorrow.list").split() == ["x", "y"]


def test_moments_are_local_to_the_second_for_people(shown: Any) -> None:
    moment = "2026-11-21T13:42:16.598418Z"
    local = str(time(moment))
    assert local in shown({"rows": [{"since": moment}, {"since": None}], "at": moment}, "tomorrow.invent")
    assert "T13:42" not in shown({"items": [{"since": moment}], "next": None, "at": moment}, "tomorrow.list")
    assert "T13:42:16Z!" in shown({"rows": [{"text": moment}, {"text": "2026-11-21T13:42:16Z!"}]}, "tomorrow.invent")


def test_markup_in_a_value_is_text(shown: Any) -> None:
    assert "[red]:smile: http://x" in shown({"text": "[red]:smile: http://x"}, "tomorrow.invent")


def test_columns_that_are_empty_are_left_out_and_lines_end_where_they_end(shown: Any) -> None:
    row = {"time": "2026-11-21T00:00:00Z", "key": "k", "model": "m", "provider": "p", "target": "t", "outcome": "ok"}
    out = shown({"items": [{**row, "cost": "0.0100", "currency": "USD"}], "next": None}, "ledger.list")
    head, line = out.splitlines()
    assert "TEAM" not in head
    assert "0.01 USD" in line
    assert not head.endswith(" ") and not line.endswith(" ")


def _on_a_terminal(output: dict[str, Any], view: str, width: int) -> str:
    console = Console(file=StringIO(), width=width, soft_wrap=True, highlight=False)
    render(output, view, console)
    return cast("StringIO", console.file).getvalue()


_FAULTS = {
    "items": [
        {"code": "UPSTREAM_UNREACHABLE", "status": 502, "category": "dependency", "retry": "same_request",
         "meaning": "No connection to the provider came about. Nothing was sent, and another target was asked."},
    ],
    "next": None,
}  # fmt: skip


def test_prose_is_broken_at_words_to_fit_a_narrow_terminal(shown: Any) -> None:
    assert len(shown(_FAULTS, "faults.list").splitlines()) == 2
    narrow = _on_a_terminal(_FAULTS, "faults.list", 90).splitlines()
    assert max(map(len, narrow)) <= 90
    assert len(narrow) > 3
    words = " ".join(line[narrow[0].index("MEANING") :].strip() for line in narrow[1:])
    assert words == _FAULTS["items"][0]["meaning"]  # type: ignore[index]


def test_ids_and_names_stay_whole_however_narrow_the_terminal() -> None:
    id = "01a1fd25-13fe-799a-8aeb-92fed4aaca73"
    changes = [{"action": "updated", "resource": "Budget/default/pocket-money"}]
    item = {"time": "2026-01-01T00:00:00Z", "operation": "budgets.raise", "principal": "key/default/approver",
            "changes": changes, "state": "in_effect", "id": id}  # fmt: skip
    lines = _on_a_terminal({"items": [item], "next": None}, "operations.list", 40).splitlines()
    for whole in (id, "key/default/approver", "budgets.raise", "Budget/pocket-money"):
        assert any(whole in line for line in lines), whole
    assert len(lines) == 3
    assert all(line == line.rstrip() for line in lines)


def test_what_is_to_be_copied_is_not_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    call = Call(operation="approvals.request", arguments={"operation": "budgets.raise", "reason": "There is no more."})
    fix = Fix(id="ask", title="Ask", applicability=Applicability.LIKELY, call=call)
    show_fault(FORBIDDEN("Not permitted.", fixes=[fix]), "table")
    assert "pharos approvals request --reason 'There is no more.' budgets.raise" in capsys.readouterr().err


def test_each_of_several_problems_is_told_once_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem(pointer="/name", message="Must be text."), Problem(pointer="/x", message="There is no x.")]
    show_fault(invalid(problems), "table")
    assert capsys.readouterr().err == "INVALID: 2 problems\n  /name: Must be text.\n  /x: There is no x.\n"


def test_the_places_of_problems_are_told_as_they_were_given(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem(pointer=pointer, message="No.") for pointer in ("/scopes/1", "/labels/team", "/data/a/b", "/x")]
    show_fault(invalid(problems), "table", spoken={name: f"--{name}" for name in ("scopes", "labels", "data")})
    said = capsys.readouterr().err.splitlines()[1:]
    assert said == ["  --scopes no. 2: No.", "  --labels team: No.", "  --data a/b: No.", "  /x: No."]


def test_the_ids_of_credentials_that_can_be_revoked_are_seen(shown: Any) -> None:
    credentials = [{"id": "old", "state": "revoked"}, {"id": "used", "state": "active"}]
    text = shown({"items": [{"key": "bot", "state": "active", "credentials": credentials}], "next": None}, "keys.list")
    assert "used" in text
    assert "old" not in text


def test_an_unknown_price_is_seen(shown: Any) -> None:
    assert "unpriced" in shown({"items": [{"key": "k", "outcome": "ok"}], "next": None}, "ledger.list")


def test_items_of_a_watch(capsys: pytest.CaptureFixture[str]) -> None:
    with people() as console:
        render_item({"type": "applied", "resource": "Key/default/a", "revision": 3}, "catalog.watch", console, {})
        render_item({"x": 1}, "tomorrow.watch", console, {})
    assert capsys.readouterr().out == "applied   Key/a revision 3\nx=1\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.000000010", "0.00000001"), ("25", "25.00"), ("1.5", "1.50"), ("0", "0.00"), (None, "unpriced"), ("x", "x")],
)
def test_money_is_exact(value: str | None, text: str) -> None:
    assert str(money(value)) == text


def test_durations_and_times_are_short() -> None:
    assert [str(milliseconds(value)) for value in (0.5, 42.4, 12_345)] == ["0.5 ms", "42 ms", "12.3 s"]
    assert str(time("no time")) == "no time"


@pytest.mark.parametrize(
    ("type", "data", "line"),
    [
        ("session.completed", {"text": "Well\nmet.", "data": {}, "spent": "0.000004400"},
         "session.completed    Well met. (0.0000044 USD spent)"),
        ("stream.delta", {"id": "e4", "turn": 1, "attempt": 1, "offset": 0, "text": " met.\n"},
         'stream.delta         e4 " met.\\n"'),
        ("session.waiting", {"on": ["approval:e7"]}, "session.waiting      approval:e7"),
        ("model.completed",
         {"id": "e4", "message": {"role": "assistant", "content": None,
                                  "tool_calls": [{"function": {"name": "pay", "arguments": '{"amount": 5}'}}]},
          "usage": {"input": 3}, "cost": "0.10"},
         'model.completed      e4 pay({"amount": 5}) (cost 0.10 USD)'),
        ("approval.requested", {"id": "e7", "name": "pay", "arguments": {"amount": 5}, "digest": "1f"},
         'approval.requested   e7 pay {"amount": 5}\napprove: pharos sessions approve pilot e7 1f\n'
         'deny: pharos sessions deny pilot e7 1f'),
        ("effect.completed", {"id": "e1", "content": "x" * 1000, "failed": False},
         f"effect.completed     e1 {'x' * 400} … (1000 characters)"),
        ("timer.set", {"id": "deadline", "due": "2026-11-21T15:47:30+00:00", "purpose": "deadline", "of": ""},
         f"timer.set            deadline at {time('2026-11-21T15:47:30+00:00')}"),
        ("of.tomorrow", {"deep": [{"a": 1}]}, "of.tomorrow"),
    ],
)  # fmt: skip
def test_an_event_of_a_session_is_one_line_with_what_people_look_for(
    capsys: pytest.CaptureFixture[str], type: str, data: dict[str, Any], line: str
) -> None:
    with people() as console:
        render_item(
            {"type": type, "time": "2026-11-21T14:41:42.439782+00:00", "data": data},
            "sessions.stream",
            console,
            {"session": "pilot"},
        )
    shown = capsys.readouterr().out.splitlines()
    assert [shown[0][9:], *(more.strip() for more in shown[1:])] == line.split("\n")


def test_sessions_and_pools_are_listed_by_what_people_ask_of_them(shown: Any) -> None:
    session = {
        "session": "pilot", "namespace": "default", "agent": "default/purser", "version": "sha256:" + "f" * 64,
        "owner": "key/default/admin", "status": "waiting", "waiting": ["approval:e7"],
        "started": "2026-11-21T14:00:00Z", "updated": "2026-11-21T14:00:00Z", "steps": 1,
        "spent": "0.000083200", "answer": None,
    }  # fmt: skip
    listed = shown({"items": [session], "next": None}, "sessions.list")
    assert "approval:e7" in listed and "0.0000832" in listed and "sha256" not in listed
    pool = {
        "name": "desk", "namespace": "other", "group": "sessions", "declared": True, "slots": 1, "used": 0,
        "paused": [], "classes": [{"name": name, "waiting": 1, "granted": 2} for name in ("people", "batch")],
        "rates": [{"unit": "cost", "amount": "5.000000000", "seconds": 3600.0, "per": "tenant", "shut": 0}],
    }  # fmt: skip
    titles, first, second = shown({"items": [pool], "next": None}, "pools.list").splitlines()
    assert titles.split() == ["POOL", "GROUP", "SLOTS", "USED", "CLASSES", "RATES"]
    assert first.startswith("other/desk") and "people: 1 waiting, 2 granted" in first
    assert first.endswith("5.00 cost in 3600 s for each tenant") and second.strip() == "batch: 1 waiting, 2 granted"


def test_messages_are_shown_with_what_they_say(shown: Any, capsys: pytest.CaptureFixture[str]) -> None:
    said = {
        "position": "000000000000000a", "sequence": 1, "topic": "orders/7", "namespace": "default", "id": "i-1",
        "source": "/till", "type": "placed", "time": "2026-11-21T14:53:24.667425Z", "data": {"total": 3},
        "principal": "key/default/admin",
    }  # fmt: skip
    assert '1  placed  {"total": 3}  key/default/admin  000000000000000a  i-1' in shown(
        {"items": [said], "next": None}, "topics.read"
    )
    with people() as console:
        render_item(said, "topics.tail", console, {})
    assert capsys.readouterr().out.rstrip().endswith('1 placed {"total": 3}')


_SESSION = {
    "session": "pilot", "namespace": "other", "status": "waiting", "waiting": ["approval:e7"], "spent": "0.000084000",
    "approvals": [{"id": "e7", "tool": "pay", "arguments": {"amount": 5}, "digest": "1f"}],
    "questions": [{"id": "e9", "question": "Which?"}],
    "effects": [{"id": "e8", "status": "unknown"}, {"id": "e10", "status": "begun"}],
}  # fmt: skip


def test_what_a_session_waits_for_is_shown_with_the_commands_that_answer(shown: Any) -> None:
    lines = shown(_SESSION, "sessions.get").splitlines()
    assert "0.000084 USD" in lines[4]
    assert [line for line in lines if "pharos " in line] == [
        "approve: pharos sessions approve --namespace other pilot e7 1f",
        "deny: pharos sessions deny --namespace other pilot e7 1f",
        "answer: pharos sessions send --namespace other --answers e9 pilot TEXT",
        "it happened: pharos sessions resolve --namespace other pilot e8 done",
        "it did not: pharos sessions resolve --namespace other pilot e8 'not done'",
        "leave it: pharos sessions resolve --namespace other pilot e8 abandoned",
    ]


@pytest.mark.parametrize(
    ("view", "output", "step"),
    [
        ("sessions.start", {"operation": "o", "session": {"session": "pilot", "namespace": "default"}},
         "follow it: pharos sessions stream pilot"),
        ("sessions.approve", {"operation": "o", "session": {"session": "pilot", "namespace": "other"}},
         "follow it: pharos sessions stream --namespace other pilot"),
        ("groups.claim", {"operation": "o", "messages": []},
         "no message waits for a worker; --wait-seconds 10 waits for one"),
        ("sessions.list", {"items": [_SESSION], "next": None},
         "what a person is asked: pharos sessions get --namespace other pilot"),
        ("approvals.list", {"items": [{"name": "a-1", "namespace": "default", "state": "pending"}], "next": None},
         "agree: pharos approvals approve a-1   refuse: pharos approvals deny a-1"),
        ("approvals.list", {"items": [{"name": "a-1", "namespace": "default", "state": "denied"}], "next": None}, ""),
    ],
)  # fmt: skip
def test_what_comes_next_is_said_beside_the_output(
    capsys: pytest.CaptureFixture[str], view: str, output: dict[str, Any], step: str
) -> None:
    with people() as console:
        render(output, view, console)
    assert capsys.readouterr().err.strip() == step


@pytest.mark.parametrize("name", [item.name for item in descriptions().values() if item.page])
def test_an_empty_list_says_what_would_fill_it(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with people() as console:
        render({"items": [], "next": None}, name, console)
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"nothing here. {EMPTY[name]}".rstrip() + "\n")


def test_rows_of_the_ledger_that_are_no_request_say_what_they_are(shown: Any) -> None:
    lost = {"key": "k", "outcome": "unknown", "price": {"source": "reservation"}, "cost": "0.01", "currency": "USD"}
    again = {"key": "k", "kind": "cached", "outcome": "ok", "reason": "hit", "saved": "0.5", "currency": "USD"}
    corrected = {
        "key": "k",
        "kind": "correction",
        "corrects": "c/1",
        "reason": "the bill",
        "cost": "-1",
        "currency": "",
    }
    lines = shown({"items": [lost, again, corrected], "next": None}, "ledger.list").splitlines()
    assert "?" in lines[1] and "0.01 USD" in lines[1] and "the city ended before the call did" in lines[1]
    assert "unpriced" not in lines[2] and lines[2].endswith("answer given again (hit), saved 0.50 USD")
    assert lines[3].endswith("correction of c/1: the bill")


def test_a_cache_by_meaning_shows_what_it_gets_wrong(shown: Any) -> None:
    row = {"model": "faq", "hits": 3, "semantic": {"state": "shadow", "wrong": 2, "samples": 80, "falseHits": 0.0875}}
    assert "shadow: 2 of 80 wrong (at most 8.8% of its answers)" in shown({"items": [row], "next": None}, "cache.stats")
    row["semantic"] = {"state": "off", "wrong": 0, "samples": 0, "falseHits": 1.0}
    assert "(nothing compared yet)" in shown({"items": [row], "next": None}, "cache.stats")


def test_amounts_without_a_currency_beside_them_have_one(shown: Any) -> None:
    rows = {"rows": [{"spent": "0.000000010", "count": 12}, {"spent": None, "count": 3}], "most": "1.000000000"}
    out = shown(rows, "tomorrow.invent")
    assert "most  1.00 USD" in out
    assert "0.00000001 USD     12" in out
    assert "USD" not in shown({"items": [{"left": "0.010000000", "currency": "EUR"}], "next": None}, "tomorrow.list")
