"""Deletes contents whose time is over, unless they are held, and leaves a tombstone in the chain for each.

The tombstone is committed before the content is deleted, so nothing is ever gone without it. What a crash leaves in
between is deleted at the next start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from pharos.control.index import Index
from pharos.core.event import Event, Position
from pharos.core.fault import Fault
from pharos.core.resource import Resource
from pharos.core.tasks import running
from pharos.core.wire import JsonObject
from pharos.insight.audit.chain import EXPIRED
from pharos.insight.audit.kinds import AUDIT_POLICY, LEGAL_HOLD, AuditPolicySpec, holding
from pharos.insight.audit.records import AUDIT, FOREVER
from pharos.insight.audit.sealing import Sealer
from pharos.insight.fields import as_time, since_1970
from pharos.insight.ledger.items import integer, object_in
from pharos.mesh.auditing import chain_of
from pharos.mesh.blobs.letting import let_go, remove
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Append, Store

_log = logging.getLogger(__name__)

PERIOD = 3600.0
"""Seconds between two looks."""
PAGE = 200
_LATELY = timedelta(days=2)
"""Tombstones whose contents are deleted again at a start, in case a crash came between."""


class Due(NamedTuple):
    """A record whose content is to be deleted."""

    call: str
    content: str
    sequence: int
    days: int
    position: Position

    def told(self) -> JsonObject:
        """What the tombstone says of it."""
        return {"call": self.call, "content": self.content, "sequence": self.sequence, "days": self.days}


class Keeper:
    """Applies retention and holds as the resources say them now."""

    def __init__(self, store: Store, index: Index, runner: ProjectionRunner, sealer: Sealer) -> None:
        self._store = store
        self._index = index
        self._runner = runner
        self._sealer = sealer

    def service(self) -> AbstractAsyncContextManager[None]:
        """Look now and every hour until the context is left."""
        return running(self._serve, "audit retention")

    async def _serve(self) -> None:
        first = True
        while True:
            try:
                await self._runner.caught_up(AUDIT)
                if first:
                    await self._finish(datetime.now(UTC))
                    first = False
                await self.expire(datetime.now(UTC))
            except Fault as fault:
                _log.error("contents of the audit could not be deleted: %s", fault.code)
            await asyncio.sleep(PERIOD)

    async def expire(self, now: datetime) -> int:
        """Delete the contents whose time is over at ``now``; returns how many."""
        await self._runner.caught_up(AUDIT)
        policies = {(p.metadata.namespace, p.metadata.name): p for p in self._index.all(AUDIT_POLICY)}
        soonest = await self._soonest(policies.values())
        if soonest is None:
            return 0
        deleted, place = 0, (-(2**62), "")
        while True:
            rows = await self._store.views.query(
                "SELECT at, position, namespace, call, sequence, policy, key_name, model, labels, days, content "
                "FROM audit_records WHERE expired = 0 AND content <> '' AND at <= :now "
                "AND (at, position) > (:at, :position) ORDER BY at, position LIMIT :limit",
                {"now": since_1970(now - timedelta(days=soonest)), "at": place[0], "position": place[1], "limit": PAGE},
            )
            due: dict[str, list[Due]] = {}
            for row in rows:
                found = self._due(dict(zip(_COLUMNS, row, strict=True)), policies, now)
                if found is not None:
                    due.setdefault(str(row[2]), []).append(found)
            for namespace, records in due.items():
                await self._delete(namespace, records, now)
                deleted += len(records)
            if len(rows) < PAGE:
                return deleted
            place = integer(rows[-1][0]), str(rows[-1][1])

    async def _soonest(self, policies: Collection[Resource[AuditPolicySpec]]) -> int | None:
        """After how many days some content can be due: what is younger need not be looked at."""
        days = [rule.days for policy in policies for rule in policy.spec.retention]
        days += [policy.spec.days for policy in policies if policy.spec.days is not None]
        [(recorded,)] = await self._store.views.query(
            "SELECT MIN(days) FROM audit_records WHERE expired = 0 AND content <> '' AND days >= 0"
        )
        if recorded is not None:
            days.append(integer(recorded))
        return min(days, default=None)

    def _due(
        self, of: Mapping[str, Any], policies: Mapping[tuple[str, str], Resource[AuditPolicySpec]], now: datetime
    ) -> Due | None:
        labels = {name: str(value) for name, value in object_in(of["labels"]).items()}
        policy = policies.get((of["namespace"], of["policy"]))
        # What the policy says now counts; what it said then, where it is gone.
        days = policy.spec.days_for(labels) if policy is not None else None if of["days"] == FOREVER else of["days"]
        at = as_time(of["at"])
        if days is None or at + timedelta(days=days) > now:
            return None
        named = {"namespace": of["namespace"], "key": of["key_name"], "model": of["model"], "call": of["call"]}
        if holding(self._index.all(LEGAL_HOLD), **named, labels=labels, at=at) is not None:
            return None
        return Due(of["call"], of["content"], of["sequence"], days, of["position"])

    async def _delete(self, namespace: str, records: Sequence[Due], now: datetime) -> None:
        data: JsonObject = {"records": [record.told() for record in records], "reason": "retention"}
        event = Event(topic=chain_of(namespace), type=EXPIRED, data=data, time=now, subject=chain_of(namespace))
        await let_go(self._store, [(record.position, record.content) for record in records], Append(event))
        self._sealer.grew(namespace)

    async def _finish(self, now: datetime) -> None:
        rows = await self._store.views.query(
            "SELECT content FROM audit_records WHERE expired > :since", {"since": since_1970(now - _LATELY)}
        )
        await remove(self._store, [str(content) for (content,) in rows])


_COLUMNS = (
    "at", "position", "namespace", "call", "sequence", "policy", "key_name", "model", "labels", "days", "content",
)  # fmt: skip
