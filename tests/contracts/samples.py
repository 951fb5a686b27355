"""Small things that the contract suites write."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydantic import Field

from pharos.core.event import Event, Recorded
from pharos.core.fault import Fault, FaultCode
from pharos.core.operation import Put
from pharos.core.projection import View
from pharos.core.resource import Metadata, Resource, ResourceId, Spec, Status
from pharos.core.wire import Json
from pharos.store.ports import Append, Store


class Lamp(Spec):
    """A spec."""

    colour: str = "white"


def lamp(
    name: str, colour: str = "white", *, namespace: str = "default", kind: str = "Lamp", **labels: str
) -> Resource[Lamp]:
    """A resource."""
    metadata = Metadata(name=name, namespace=namespace, labels=labels)
    return Resource[Lamp](kind=kind, metadata=metadata, spec=Lamp(colour=colour))


def lamp_id(name: str) -> ResourceId:
    """Its id."""
    return ResourceId("Lamp", "default", name)


class Glow(Status):
    """A typed status, with a default that no stored document has at first."""

    watts: int = 0
    history: list[int] = Field(default_factory=list)


async def put(store: Store, resource: Resource[Lamp], expected: int = 0) -> int:
    """Store a resource and return its revision."""
    (revision,) = await store.commit(Put(resource, expected))
    assert isinstance(revision, int)
    return revision


def event(topic: str = "lamps", type: str = "lamp.lit", **data: Json) -> Event:
    """An event."""
    return Event(topic, type, data)


async def append(store: Store, *events: Event) -> list[Recorded]:
    """Append events in one commit."""
    return [recorded(result) for result in await store.commit(*(Append(e) for e in events))]


def recorded(result: object) -> Recorded:
    """A result that must be a recorded event."""
    assert isinstance(result, Recorded)
    return result


def numbers(events: Sequence[Recorded]) -> list[Json]:
    """The ``n`` of each event."""
    return [e.event.data["n"] for e in events]


class refused:
    """``with refused(CODE) as fault:`` as ``pytest.raises``, for a fault code."""

    def __init__(self, code: FaultCode) -> None:
        self._code = code
        self._raises = pytest.raises(Fault)

    def __enter__(self) -> pytest.ExceptionInfo[Fault]:
        return self._raises.__enter__()

    def __exit__(self, *error: object) -> bool:
        caught = error[1]
        assert not isinstance(caught, Fault) or caught.code == self._code.code, caught
        return bool(self._raises.__exit__(*error))  # type: ignore[arg-type]


class Tally:
    """A projection: how many events of each topic, and what their ``n`` adds up to."""

    name = "tally"
    types = frozenset({"lamp.lit"})
    tables = ("tally", "tally_seen")

    def __init__(self, version: int = 1, factor: int = 1) -> None:
        self.version = version
        self.factor = factor
        self.schema = (
            "CREATE TABLE tally (topic TEXT NOT NULL PRIMARY KEY, events INTEGER NOT NULL, total INTEGER NOT NULL)",
            "CREATE TABLE tally_seen (position TEXT NOT NULL PRIMARY KEY)",
        )

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        """Fails on the primary key if an event is ever folded twice."""
        view.execute_many("INSERT INTO tally_seen VALUES (?)", [(e.position,) for e in events])
        for e in events:
            n = e.event.data.get("n", 0)
            assert isinstance(n, int)
            parameters = {"topic": e.event.topic, "n": n * self.factor}
            if view.query("SELECT 1 FROM tally WHERE topic = :topic", {"topic": e.event.topic}):
                view.execute(
                    "UPDATE tally SET events = events + 1, total = total + :n WHERE topic = :topic", parameters
                )
            else:
                view.execute("INSERT INTO tally VALUES (:topic, 1, :n)", parameters)


TALLY = "SELECT topic, events, total FROM tally ORDER BY topic"
