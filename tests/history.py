"""A history checker: claims about order, fencing and exactly-once are found in what happened, not asserted.

Whoever works on a store records each operation when it is invoked and when it returns (:meth:`History.invoke`), with a
clock that all processes of the machine share. An operation that was invoked and never returned (its process was killed)
may or may not have happened: its outcome is ``unknown``. Afterwards :func:`check` compares the history with what the
log holds and returns every contradiction, as sentences. It judges by real time only: an operation that returned before
another was invoked came before it; of two that overlapped, either may have been first (linearizability: Herlihy and
Wing, 1990).

The operations it knows:

``append``
    ``topic`` and a ``value``. Returned: it is in the log, once. Several may try to append the same value (a timer that
    fires); then at most one of them returns.
``claim``
    ``group`` and, when it returns a lease, ``topic`` and ``epoch``; with neither, nothing was ready.
``commit``
    ``group``, ``topic``, ``epoch`` and the ``values`` whose effects came about with it, fenced by the lease.
``once``
    a ``key`` under which something may happen one time (a schedule that fires, a tool that is called).
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pharos.core.fault import Fault, State

Outcome = Literal["ok", "fail", "unknown"]


@dataclass
class Call:
    """One operation. ``invoked`` and ``returned`` are nanoseconds of the machine's monotonic clock."""

    process: str
    kind: str
    facts: dict[str, Any]
    invoked: int
    returned: int | None = None
    outcome: Outcome = "unknown"

    def found(self, **facts: Any) -> None:
        """Note what the operation returned."""
        self.facts |= facts

    def before(self, other: Call) -> bool:
        """Whether this one had returned when the other was invoked."""
        return self.returned is not None and self.returned < other.invoked

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self.facts.items())
        return f"{self.kind}({facts}) by {self.process} [{self.outcome}]"


@dataclass
class History:
    """What was done. With a ``path``, each line is in the file as soon as it is known, so that it outlives a kill."""

    path: Path | None = None
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._file = None if self.path is None else os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @contextmanager
    def invoke(self, process: str, kind: str, **facts: Any) -> Iterator[Call]:
        """Record an operation around the block that performs it.

        A fault that says nothing was changed is a failure; anything else that is raised leaves the outcome unknown.
        """
        call = Call(process, kind, facts, time.monotonic_ns())
        number = len(self.calls)
        self.calls.append(call)
        self._write([os.getpid(), number, "invoke", process, kind, facts, call.invoked])
        try:
            yield call
        except BaseException as error:
            unchanged = isinstance(error, Fault) and error.document.state in (State.UNCHANGED, State.ROLLED_BACK)
            self._return(number, call, "fail" if unchanged else "unknown")
            raise
        self._return(number, call, "ok")

    def _return(self, number: int, call: Call, outcome: Outcome) -> None:
        # Something unknown never returns: it may yet happen.
        call.outcome, call.returned = outcome, None if outcome == "unknown" else time.monotonic_ns()
        self._write([os.getpid(), number, "return", outcome, call.facts, call.returned])

    def _write(self, line: list[Any]) -> None:
        if self._file is not None:
            os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @classmethod
    def load(cls, *paths: Path) -> History:
        """Join what several processes wrote. A last line that a kill cut off counts as not written."""
        calls: list[Call] = []
        for path in paths:
            mine: dict[tuple[int, int], Call] = {}
            for text in path.read_text().split("\n"):
                try:
                    pid, number, what, *rest = json.loads(text)
                except ValueError:
                    continue
                if what == "invoke":
                    process, kind, facts, at = rest
                    mine[pid, number] = Call(process, kind, facts, at)
                else:
                    call = mine[pid, number]
                    call.outcome, call.facts, call.returned = rest
            calls.extend(mine.values())
        return cls(calls=sorted(calls, key=lambda call: call.invoked))


def check(
    history: History, log: Mapping[str, Sequence[object]] | None = None, *, drained: Sequence[str] = ()
) -> list[str]:
    """Every contradiction between the history and ``log`` (the values that each topic holds now, in order).

    ``drained`` names groups that must have handled everything by now.
    """
    by_kind: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        by_kind[call.kind].append(call)
    claims = [call for call in by_kind["claim"] if call.outcome == "ok" and call.facts.get("topic") is not None]
    problems = [*_epochs(claims), *_fencing(claims, by_kind["commit"]), *_once(by_kind["once"])]
    if log is not None:
        problems += _appends(by_kind["append"], log)
        problems += _effects(by_kind["commit"], log, drained)
    return problems


def _appends(calls: Sequence[Call], log: Mapping[str, Sequence[object]]) -> Iterator[str]:
    """No loss, no ghost, no duplicate; and who returned first stands first."""
    by_topic: dict[str, dict[object, list[Call]]] = defaultdict(lambda: defaultdict(list))
    for call in calls:
        if call.outcome != "fail":
            by_topic[call.facts["topic"]][call.facts["value"]].append(call)
    for topic in dict.fromkeys([*by_topic, *log]):
        tried = by_topic[topic]
        times = Counter(log.get(topic, ()))
        for value, count in times.items():
            if value not in tried:
                yield f"{topic}: {value!r} is in the log, but nobody appended it or was told so"
            if count > 1:
                yield f"{topic}: {value!r} is in the log {count} times"
        for value, attempts in tried.items():
            sure = [call for call in attempts if call.outcome == "ok"]
            if sure and value not in times:
                yield f"{topic}: {value!r} is lost, though its append returned"
            if len(sure) > 1:
                yield f"{topic}: {value!r} was appended twice: {sure[0]} and {sure[1]}"
        # By place: each must have been invoked before all that come later returned.
        yield from _order(topic, [_first(tried[value]) for value in log.get(topic, ()) if value in tried])


def _first(attempts: Sequence[Call]) -> Call:
    """The attempt that succeeded; if none is known to have, the earliest."""
    return min(attempts, key=lambda call: (call.outcome != "ok", call.invoked))


def _order(topic: str, calls: Sequence[Call]) -> Iterator[str]:
    earliest: Call | None = None
    for call in reversed(calls):
        if earliest is not None and earliest.before(call):
            yield f"{topic}: {earliest} had returned before {call} was invoked, and stands after it"
        if call.returned is not None and (earliest is None or call.returned < (earliest.returned or 0)):
            earliest = call


def _epochs(claims: Sequence[Call]) -> Iterator[str]:
    """A claim has an epoch of its own, above that of every claim that returned before it was made."""
    for where, made in _grouped(claims).items():
        seen: dict[int, Call] = {}
        for claim in made:
            epoch = claim.facts["epoch"]
            if epoch in seen:
                yield f"{where}: epoch {epoch} was given twice, in {seen[epoch]} and {claim}"
            seen[epoch] = claim
        yield from _order(f"{where}: epochs", sorted(made, key=lambda claim: claim.facts["epoch"]))


def _fencing(claims: Sequence[Call], commits: Sequence[Call]) -> Iterator[str]:
    """An effective commit is its epoch's holder's, and no later claim had returned when it was invoked."""
    claimed = _grouped(claims)
    for where, made in _grouped([call for call in commits if call.outcome == "ok"]).items():
        holders: dict[int, set[str]] = defaultdict(set)
        owner = {claim.facts["epoch"]: claim.process for claim in claimed.get(where, ())}
        for commit in made:
            epoch = commit.facts["epoch"]
            holders[epoch].add(commit.process)
            if owner.get(epoch, commit.process) != commit.process:
                yield f"{where}: {commit} committed under the lease of {owner[epoch]}"
            later = [c for c in claimed.get(where, ()) if c.facts["epoch"] > epoch and c.before(commit)]
            if later:
                yield f"{where}: {commit} came about after {later[0]} had taken the lease"
        for epoch, processes in holders.items():
            if len(processes) > 1:
                yield f"{where}: epoch {epoch} has several committers: {sorted(processes)}"
        # Whoever has a lower epoch committed before.
        yield from _order(f"{where}: commits", sorted(made, key=lambda commit: commit.facts["epoch"]))


def _effects(commits: Sequence[Call], log: Mapping[str, Sequence[object]], drained: Sequence[str]) -> Iterator[str]:
    """What a group acknowledged came about once, in the order of the topic, and nothing was passed over."""
    for (group, topic), made in _grouped(commits).items():
        place = {value: number for number, value in enumerate(log.get(topic, ()))}
        sure: dict[object, Call] = {}
        for commit in made:
            for value in commit.facts["values"]:
                if commit.outcome != "ok":
                    continue
                if value not in place:
                    yield f"{group} {topic}: {commit} handled {value!r}, which is not in the log"
                elif value in sure:
                    yield f"{group} {topic}: {value!r} took effect twice, in {sure[value]} and {commit}"
                sure[value] = commit
        present = [value for value in sure if value in place]
        yield from _order(f"{group} {topic}: effects", [sure[v] for v in sorted(present, key=place.__getitem__)])
    for group in drained:
        handled: dict[str, set[object]] = defaultdict(set)
        for commit in commits:
            # A commit that nobody heard back from may have happened, and then nobody did it again.
            if commit.facts["group"] == group and commit.outcome != "fail":
                handled[commit.facts["topic"]].update(commit.facts["values"])
        for topic, values in log.items():
            for value in values:
                if value not in handled[topic]:
                    yield f"{group} {topic}: {value!r} was never handled"


def _once(calls: Sequence[Call]) -> Iterator[str]:
    done: dict[object, Call] = {}
    for call in calls:
        if call.outcome == "ok":
            key = call.facts["key"]
            if key in done:
                yield f"{key!r} happened twice: {done[key]} and {call}"
            done[key] = call


def _grouped(calls: Sequence[Call]) -> dict[tuple[str, str], list[Call]]:
    grouped: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in calls:
        grouped[call.facts["group"], call.facts["topic"]].append(call)
    return grouped
