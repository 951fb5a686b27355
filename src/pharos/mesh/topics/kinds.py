"""What users declare of topics: rules for topics (``Topic``) and messages that come by the clock (``Schedule``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from pharos.core.fault import FORBIDDEN, Fault
from pharos.core.principal import Principal
from pharos.core.resource import Kind, Ref, Resource, Spec
from pharos.core.wire import Json, Wire
from pharos.mesh.topics.access import CROSS, PUBLISH
from pharos.mesh.topics.cron import check_cron, zone_of
from pharos.mesh.topics.messages import PLAIN, Text
from pharos.mesh.topics.names import TopicName, TopicPattern, is_reply

YEAR = 366 * 24 * 3600


class Retention(Wire):
    """What is kept of a topic. Beyond any of these the oldest messages go, but none that a group has yet to see."""

    age_seconds: int | None = Field(default=None, ge=1, le=100 * YEAR)
    count: int | None = Field(default=None, ge=1)
    bytes: int | None = Field(default=None, ge=1)
    """Of the messages as JSON."""


class DeadLetters(Wire):
    """What becomes of a message that a group cannot handle."""

    max_attempts: int = Field(default=5, ge=1, le=1000)
    backoff_seconds: float = Field(default=1.0, ge=0, le=3600)
    """Before the second attempt; doubled with each further one, with jitter."""
    most_backoff_seconds: float = Field(default=300.0, ge=0, le=24 * 3600)
    then: Literal["go-on", "hold"] = "go-on"
    """After the last attempt: handle what follows, or hold the topic for that group until the dead letter is redriven
    or discarded, so that nothing overtakes it."""


class LaneRule(Wire):
    """Where the topic's deliveries wait, for workers in the process that ask by lane or by a pool. Who claims over the
    wire (``groups.claim``) is given what has waited longest, on whichever lane."""

    pool: Annotated[str, Ref("Pool")] | None = None
    priority: str = Field(default="", max_length=64)
    """A class of the pool; left out: its class for work that names none."""
    agent: str = Field(default="", max_length=128)
    model: str = Field(default="", max_length=128)
    labels: dict[str, str] = Field(default_factory=dict, max_length=8)
    """What a pool may share or limit by, besides the namespace (``tenant``)."""


class TopicSpec(Spec):
    """Rules for the topics of a name or pattern. Topics need no declaration: they come into being when written to."""

    match: TopicPattern | None = None
    """``orders``, ``orders/*`` for all below it, or ``*``; left out: the resource's own name. The closest match counts,
    and it alone."""
    retention: Retention | None = None
    """Left out: everything is kept."""
    idle_seconds: int | None = Field(default=None, ge=1, le=100 * YEAR)
    """A topic that was not written to for so long is retired, if every group has seen everything in it."""
    dead_letters: DeadLetters = Field(default_factory=DeadLetters)
    depth: int | None = Field(default=None, ge=1, le=10_000_000)
    """So many messages may wait for the slowest group; more are refused with ``TOPIC_FULL``."""
    lane: LaneRule | None = None


class ScheduleSpec(Spec):
    """A message that is published by the clock."""

    topic: TopicName
    cron: str | None = Field(default=None, max_length=128)
    """Minute, hour, day of month, month, day of week, as in crontab(5)."""
    at: AwareDatetime | None = None
    """Once, instead of ``cron``."""
    time_zone: str = Field(default="UTC", max_length=64)
    """IANA name of the zone that ``cron`` is read in; over daylight saving as Debian's cron does it."""
    type: Text = PLAIN
    subject: Text | None = None
    data: Json = None
    overlap: Literal["allow", "skip"] = "allow"
    """``skip``: not while a group has yet to handle an earlier message of this schedule."""
    missed: Literal["once", "all", "skip"] = "once"
    """What becomes of times that passed while nothing ran: one message for all of them, one for each, or none."""
    suspended: bool = False


def check_schedule(spec: ScheduleSpec) -> Sequence[tuple[str, str]]:
    """What the types of a schedule cannot say."""
    problems = []
    if (spec.cron is None) is (spec.at is None):
        problems.append(("/cron", "give either cron or at"))
    try:
        zone_of(spec.time_zone)
    except ValueError as error:
        problems.append(("/timeZone", str(error)))
    else:
        if spec.cron is not None and (wrong := check_cron(spec.cron, spec.time_zone)) is not None:
            problems.append(("/cron", wrong))
    if is_reply(spec.topic):
        problems.append(("/topic", "only answers go to replies/"))
    return problems


def guard_schedule(
    principal: Principal, before: Resource[ScheduleSpec] | None, after: Resource[ScheduleSpec] | None
) -> Fault | None:
    """A schedule publishes in the name of who declares it: they must be able to publish there."""
    resource = after or before
    if resource is None:
        return None
    needed = PUBLISH if not principal.may(PUBLISH) else CROSS
    if principal.may(PUBLISH) and (resource.metadata.namespace == principal.namespace or principal.may(CROSS)):
        return None
    return FORBIDDEN(
        f"{resource.id} publishes a message, which needs the permission {needed}.",
        required_permission=needed,
        subject=str(resource.id),
    )


TOPIC: Kind[TopicSpec] = Kind(
    name="Topic",
    spec=TopicSpec,
    summary="Rules for topics of a name or pattern: retention, idle time, dead letters, depth, lane.",
)

SCHEDULE: Kind[ScheduleSpec] = Kind(
    name="Schedule",
    spec=ScheduleSpec,
    summary="A message that is published by the clock, again and again or once.",
    check=check_schedule,
    guard=guard_schedule,
)
