"""What to do next: where a list is empty, and after what has just been done. On stderr, for people alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pharos.server.cli.values import command_line

EMPTY = {
    "agents.stops": "`pharos agents stop AGENT` stops one.",
    "approvals.list": "Who lacks a permission asks with the fix of the refusal, or `pharos approvals request`.",
    "audit.list": "An AuditPolicy says which calls are recorded: `pharos kinds list AuditPolicy`.",
    "audit.search": "No record that you may see has these words.",
    "blobs.list": "Large messages are put at POST /blobs.",
    "budgets.alerts": "A Budget's `alerts` say at which part of its limit one is given.",
    "budgets.list": "Declare a Budget: `pharos apply -f FILE`.",
    "budgets.usage": "Nobody has spent anything of it in this window.",
    "cache.stats": "A Model with `cache` gives answers again.",
    "catalog.diff": "Nothing differs.",
    "catalog.history": "There was never such a resource.",
    "catalog.list": "Declare something: `pharos apply -f FILE`. What there can be: `pharos kinds`.",
    "deadletters.list": "No message was given up.",
    "delegations.deadlocks": "No sessions wait for each other.",
    "delegations.list": "An Agent with `delegates` gives work to others.",
    "faults.list": "There is no such code.",
    "groups.deliveries": "No topic of the group has messages.",
    "groups.list": "`pharos groups subscribe GROUP TOPICS` makes one.",
    "journeys.list": "Calls of models are made at /v1 with a key: `pharos keys issue KEY`.",
    "keys.list": "Declare a Key: `pharos apply -f FILE`.",
    "kinds.list": "There is no such kind.",
    "ledger.anomalies": "No day stands out.",
    "ledger.forecast": "Nothing was called in this period.",
    "ledger.list": "Calls of models are made at /v1 with a key: `pharos keys issue KEY`.",
    "models.list": "Declare a Model and its Provider: `pharos apply -f FILE`.",
    "operations.list": "Nothing was done yet.",
    "pools.list": "Sessions have a pool of their own; declare others: `pharos kinds list Pool`.",
    "schedules.list": "`pharos schedules create TOPIC --message JSON --delay-seconds 60` has one sent later.",
    "secrets.list": "`pharos secrets set NAME @FILE` keeps one.",
    "sessions.list": "`pharos sessions start AGENT TEXT` begins one.",
    "system.operations": "There is no such operation.",
    "topics.list": "`pharos topics publish NAME --messages JSON` makes one.",
    "topics.read": "There is no such topic, or nothing stands behind that position.",
    "trust.list": "Declare an Agent: `pharos apply -f FILE`.",
    "views.list": "",
}
"""What would bring something about, by operation."""

_Output = Mapping[str, Any]


def next_steps(view: str, output: _Output) -> Iterator[str]:
    """What people mostly do after ``view`` has shown ``output``."""
    if (found := _NEXT.get(view)) is not None:
        yield from found(output)


def _goes_on(output: _Output) -> Iterator[str]:
    session = output["session"]
    yield f"follow it: {command_line('sessions.stream', _named(session['namespace'], session=session['session']))}"


def _asked(output: _Output) -> Iterator[str]:
    approval = output["approval"]
    yield f"who may, runs: {command_line('approvals.approve', _named(approval['namespace'], name=approval['name']))}"


def _requests(output: _Output) -> Iterator[str]:
    pending = [item for item in output["items"] if item["state"] == "pending"]
    for item in pending[:1]:
        which = _named(item["namespace"], name=item["name"])
        yield f"agree: {command_line('approvals.approve', which)}   refuse: {command_line('approvals.deny', which)}"


def _sessions(output: _Output) -> Iterator[str]:
    asking = ("approval:", "question:", "call:", "effect:")
    waiting = [item for item in output["items"] if any(on.startswith(asking) for on in item["waiting"])]
    for item in waiting[:1]:
        which = _named(item["namespace"], session=item["session"])
        yield f"what a person is asked: {command_line('sessions.get', which)}"


def _rebuilt(output: _Output) -> Iterator[str]:
    yield "it is folded again beside what goes on; how far it is: pharos views list"


def _stopped(output: _Output) -> Iterator[str]:
    yield "how long it took until all had ended: pharos agents stops"


def _named(namespace: str, **which: str) -> dict[str, str]:
    return which if namespace == "default" else {**which, "namespace": namespace}


def _claimed(output: _Output) -> Iterator[str]:
    if not output.get("lease"):
        yield "no message waits for a worker; --wait-seconds 10 waits for one"


_GOES_ON = ("approve", "deny", "extend", "fork", "release", "resolve", "resume", "send", "start")
"""After these a session goes on by itself."""

_NEXT: dict[str, Callable[[_Output], Iterator[str]]] = {
    "agents.stop": _stopped,
    "approvals.list": _requests,
    "approvals.request": _asked,
    "groups.claim": _claimed,
    "sessions.list": _sessions,
    "views.rebuild": _rebuilt,
    **{f"sessions.{verb}": _goes_on for verb in _GOES_ON},
}
