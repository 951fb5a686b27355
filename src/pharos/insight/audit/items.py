"""Records of the audit as the wire shows them, and the conditions that choose among them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import AwareDatetime, Field, StringConstraints

from pharos.core.projection import Row, Scalar
from pharos.core.resource import Name
from pharos.core.wire import Json, Wire
from pharos.insight.fields import as_time, since_1970
from pharos.insight.ledger.items import Text, integer, object_in


class AuditFilter(Wire):
    """Which records. Conditions add up."""

    namespace: Name | None = None
    key: Name | None = None
    """The key that the calls came with."""
    team: Text | None = None
    """The team of that key."""
    user: Text | None = None
    model: Text | None = None
    """The model the client asked for."""
    call: Text | None = None
    """Id of one call, as in the ledger."""
    policy: Name | None = None
    outcome: Text | None = None
    labels: Annotated[dict[str, str], Field(max_length=16)] = Field(default_factory=dict)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class ListAudit(AuditFilter):
    """Input of ``audit.list``."""

    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=1024)


class SearchAudit(AuditFilter):
    """Input of ``audit.search``."""

    text: Annotated[str, StringConstraints(min_length=2, max_length=256)]
    """What was asked or answered, in any case of letters."""
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=1024)


class ExportAudit(AuditFilter):
    """Input of ``audit.export``."""

    namespace: Name = "default"
    contents: bool = True


class GetAudit(Wire):
    """Input of ``audit.get``."""

    call: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class AuditItem(Wire):
    """A record, without its content."""

    call: str
    sequence: int
    """Its place in the chain of its namespace."""
    namespace: str
    time: datetime
    policy: str
    key: str
    team: str
    user: str
    labels: dict[str, str]
    dialect: str
    model: str
    served: str
    """Provider and model that answered."""
    stream: bool
    outcome: str
    fault: str
    content: str
    """Digest of the content; empty where only digests are kept."""
    prompt_bytes: int
    answer_bytes: int
    withheld: str | None = None
    """Why the content is not kept: ``policy`` or ``store-false``."""
    expired_at: datetime | None = None
    """When the content was deleted because its time was over."""


class Found(AuditItem):
    """A record whose content has the text."""

    where: str
    """``prompt`` or ``answer``."""
    excerpt: str


class Viewing(Wire):
    """Somebody saw the content."""

    by: str
    time: datetime


class AuditContent(AuditItem):
    """A record with its content, which is proven to be what was recorded."""

    prompt: Json
    """The request as it left the guards."""
    answer: Json
    """The answer as it came: an object, or the text of a stream."""
    text: str
    """What the answer says."""
    views: list[Viewing]
    """Who saw it before."""


class AuditLine(Wire):
    """A piece of an export: lines of JSON."""

    text: str
    rows: int


COLUMNS = (
    "position", "sequence", "namespace", "at", "call", "policy", "key_name", "team", "user_name", "labels", "dialect",
    "model", "served", "outcome", "fault", "stream", "content", "prompt_bytes", "answer_bytes", "withheld", "expired",
)  # fmt: skip
SELECT = f"SELECT {', '.join(COLUMNS)} FROM audit_records"  # noqa: S608


def conditions(filter: AuditFilter) -> tuple[list[str], dict[str, Scalar]]:
    equal = {
        "namespace": filter.namespace,
        "key_name": filter.key,
        "team": filter.team,
        "user_name": filter.user,
        "model": filter.model,
        "call": filter.call,
        "policy": filter.policy,
        "outcome": filter.outcome,
    }
    where = ["1 = 1"]
    parameters: dict[str, Scalar] = {}
    for column, value in equal.items():
        if value is not None:
            where.append(f"{column} = :{column}")
            parameters[column] = value
    for place, (name, value) in enumerate(filter.labels.items()):
        # As in the ledger: a name and its value, as JSON, occur only where they are a member.
        where.append(f"REPLACE(labels, :label{place}, '') <> labels")
        parameters[f"label{place}"] = f"{orjson.dumps(name).decode()}:{orjson.dumps(value).decode()}"
    if filter.since is not None:
        where.append("at >= :since")
        parameters["since"] = since_1970(filter.since)
    if filter.until is not None:
        where.append("at < :until")
        parameters["until"] = since_1970(filter.until)
    return where, parameters


def fields_of(row: Row) -> dict[str, Any]:
    of = dict(zip(COLUMNS, row, strict=True))
    return {
        "call": of["call"],
        "sequence": of["sequence"],
        "namespace": of["namespace"],
        "time": as_time(integer(of["at"])),
        "policy": of["policy"],
        "key": of["key_name"],
        "team": of["team"],
        "user": of["user_name"],
        "labels": object_in(of["labels"]),
        "dialect": of["dialect"],
        "model": of["model"],
        "served": of["served"],
        "stream": bool(of["stream"]),
        "outcome": of["outcome"],
        "fault": of["fault"],
        "content": of["content"],
        "prompt_bytes": of["prompt_bytes"],
        "answer_bytes": of["answer_bytes"],
        "withheld": of["withheld"] or None,
        "expired_at": as_time(integer(of["expired"])) if of["expired"] else None,
    }
