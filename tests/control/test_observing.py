from __future__ import annotations

from pharos.control.observing import judged, note
from pharos.core.fault import CONFLICT
from pharos.core.operation import SetStatus
from pharos.core.resource import AnyResource, Condition, Metadata, Resource, Spec, Status


def resource(*conditions: Condition) -> AnyResource:
    return Resource[Spec](
        kind="Toy", metadata=Metadata(name="bear"), spec=Spec(), status=Status(conditions=[*conditions])
    )


class Observed:
    """Keeps what was observed."""

    def __init__(self) -> None:
        self.status: Status | None = None

    async def __call__(self, change: SetStatus) -> None:
        self.status = change.status


async def test_a_condition_is_written_once_and_its_time_is_that_of_its_change() -> None:
    observed = Observed()
    other = Condition(type="Other", status="True")
    await note(observed, resource(other), judged("Ready", "", good="Listening", bad="Broken"))
    assert observed.status is not None
    assert [(each.type, each.status, each.reason) for each in observed.status.conditions] == [
        ("Other", "True", ""),
        ("Ready", "True", "Listening"),
    ]
    first = observed.status.conditions[1]
    assert first.last_transition_time is not None

    observed.status = None
    await note(observed, resource(other, first), judged("Ready", "", good="Listening", bad="Broken"))
    assert observed.status is None, "it stands there already"

    await note(observed, resource(first), judged("Ready", "in use", good="Listening", bad="Broken"))
    assert observed.status is not None
    broken = observed.status.conditions[0]
    assert (broken.status, broken.reason, broken.message) == ("False", "Broken", "in use")
    assert broken.last_transition_time >= first.last_transition_time
    await note(observed, resource(broken), judged("Ready", "not ours", good="Listening", bad="Broken"))
    assert observed.status.conditions[0].last_transition_time == broken.last_transition_time


async def test_what_was_changed_meanwhile_stays_as_it_is() -> None:
    async def refuses(change: SetStatus) -> None:
        raise CONFLICT("changed")

    await note(refuses, resource(), judged("Ready", "", good="Listening", bad="Broken"))


async def test_several_conditions_are_one_write_and_what_no_longer_applies_is_taken_out() -> None:
    observed = Observed()
    ready, reachable = (Condition(type=type, status="True") for type in ("Ready", "Reachable"))
    await note(observed, resource(ready), reachable, ready, gone=("Absent",))
    assert observed.status is not None
    assert [each.type for each in observed.status.conditions] == ["Ready", "Reachable"]
    kept = observed.status.conditions[0]
    await note(observed, resource(*observed.status.conditions), gone=("Reachable",))
    assert observed.status.conditions == [kept]
    observed.status = None
    await note(observed, resource(kept), gone=("Reachable",))
    assert observed.status is None
