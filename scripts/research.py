"""The part of the demo in which the city dies: agents at work, ``kill -9``, and the work goes on where it was."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path

import pharos

SESSION = "research"
QUESTION = "When can we sail, by which star, and with what?"
PATIENCE = 60.0
"""Seconds for which any step is waited for."""


def begin(city: pharos.Client, library: Path) -> None:
    """Give the planner its task, and return when one scholar has been at the shelves and others have not."""
    city.sessions.start(agent="planner", text=QUESTION, session=SESSION)
    print(f"asked the planner: {QUESTION}")
    deadline = time.monotonic() + PATIENCE
    while not any(library.iterdir()):
        if time.monotonic() > deadline:
            raise SystemExit(f"no scholar went to the library: {city.sessions.get(session=SESSION)}")
        time.sleep(0.01)
    print(f"the planner has given three tasks; visits to the library so far: {_visits(library)}")


def show(city: pharos.Client) -> None:
    """How far every session has come."""
    for item in city.sessions.list().items:
        agent, spent = item.agent.removeprefix("default/"), Decimal(item.spent)
        print(f"  {agent:15} {item.status:10} {item.steps} model calls, {spent:.6f} USD with all below it")


def finish(city: pharos.Client, library: Path) -> None:
    """Follow the planner to its end."""
    for event in city.sessions.stream(session=SESSION, tokens=False):
        if event.type == "child.completed":
            print(f"  a scholar is back: {event.data.get('text')}")
    show(city)
    ended = city.sessions.get(session=SESSION)
    if ended.status != "completed":
        raise SystemExit(f"the research has ended as {ended.status}: {ended.reason}")
    print(ended.answer)
    print(f"visits to the library in all: {_visits(library)}, one for each shelf, although the city died in between")


def _visits(library: Path) -> int:
    return sum(1 for _ in library.iterdir())
