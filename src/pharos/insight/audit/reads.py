"""Finding records and reading what they hold. Whoever sees contents is recorded in the chain, before they are shown."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson

from pharos.core.event import START, Event, Position
from pharos.core.fault import INVALID, NOT_FOUND, TIMEOUT, Cause
from pharos.core.operation import Invocation, read
from pharos.core.projection import Row
from pharos.core.wire import Json, JsonObject, Page
from pharos.insight.audit.chain import VIEWED, leaf_of, seals_of
from pharos.insight.audit.contents import parsed, read_content, words_in
from pharos.insight.audit.faults import AUDIT_BROKEN, CONTENT_GONE
from pharos.insight.audit.items import (
    SELECT,
    AuditContent,
    AuditFilter,
    AuditItem,
    AuditLine,
    ExportAudit,
    Found,
    GetAudit,
    ListAudit,
    SearchAudit,
    Viewing,
    conditions,
    fields_of,
)
from pharos.insight.audit.records import AUDIT
from pharos.insight.audit.sealing import Sealer
from pharos.insight.fields import as_time
from pharos.insight.ledger.items import integer
from pharos.insight.pages import read_cursor, write_cursor
from pharos.mesh.auditing import RECORDED, chain_of
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Append, Store

CATCH_UP = 5.0
MOST_SCANNED = 500
"""Contents that one page of a search reads."""
PAGE = 100


class AuditReads:
    """The reads of the audit."""

    def __init__(self, store: Store, runner: ProjectionRunner, sealer: Sealer) -> None:
        self._store = store
        self._runner = runner
        self._sealer = sealer

    @read("audit.list", permission="audit.read", faults=(INVALID, TIMEOUT))
    async def list_records(self, invocation: Invocation, input: ListAudit) -> Page[AuditItem]:
        """List records of calls, newest first: who asked which model when, and how it ended. Contents are not shown."""
        rows = await self._page(input, input.cursor, input.limit + 1)
        page = rows[: input.limit]
        return Page[AuditItem](
            items=[AuditItem.model_validate(fields_of(row)) for row in page],
            next=_cursor(page[-1]) if len(rows) > len(page) else None,
        )

    @read("audit.search", permission="audit.view", faults=(INVALID, TIMEOUT), typical_ms=500)
    async def search(self, invocation: Invocation, input: SearchAudit) -> Page[Found]:
        """Find records whose prompt or answer has a text, newest first.

        Contents are read one after the other, so narrow the search by time, key or model. A page ends after 500
        contents, whatever it found: go on with ``next``. That the found contents were seen is recorded.
        """
        wanted = input.text.casefold()
        rows = await self._page(input, input.cursor, MOST_SCANNED + 1, "content <> '' AND expired = 0")
        found: list[Found] = []
        last: Row | None = None
        more = len(rows) > MOST_SCANNED
        for row in rows[:MOST_SCANNED]:
            if len(found) == input.limit:
                more = True
                break
            last = row
            fields = fields_of(row)
            content = await self._content(fields)
            if content is None:
                continue
            for where, data in zip(("prompt", "answer"), content, strict=True):
                words = words_in(data)
                place = words.casefold().find(wanted)
                if place >= 0:
                    excerpt = words[max(0, place - 80) : place + len(wanted) + 80]
                    found.append(Found.model_validate(fields | {"where": where, "excerpt": excerpt}))
                    break
        await self._viewed(invocation, "audit.search", found)
        return Page[Found](items=found, next=_cursor(last) if more and last is not None else None)

    @read("audit.get", permission="audit.view", faults=(NOT_FOUND, CONTENT_GONE, AUDIT_BROKEN, TIMEOUT))
    async def get(self, invocation: Invocation, input: GetAudit) -> AuditContent:
        """Show what was asked and answered in one call, proven to be what was recorded, and who has seen it.

        That the caller saw it is recorded in the chain before it is shown.
        """
        rows = await self._page(AuditFilter(call=input.call), None, 1)
        if not rows:
            raise NOT_FOUND(f"There is no audit record of call {input.call!r}.", subject=input.call, pointer="/call")
        fields = fields_of(rows[0])
        content = await self._content(fields)
        if content is None:
            raise CONTENT_GONE(subject=input.call, facts=AuditItem.model_validate(fields).to_json())
        seen = await self._store.views.query(
            "SELECT seen_by, at FROM audit_views WHERE call = :call ORDER BY position", {"call": input.call}
        )
        views = [Viewing(by=str(by), time=as_time(integer(at))) for by, at in seen]
        prompt, answer = content
        item = AuditContent.model_validate(
            fields | {"prompt": parsed(prompt), "answer": parsed(answer), "text": words_in(answer), "views": views}
        )
        await self._viewed(invocation, "audit.get", [item])
        return item

    @read("audit.export", permission="audit.export", faults=(AUDIT_BROKEN, TIMEOUT), typical_ms=2000)
    async def export(self, invocation: Invocation, input: ExportAudit) -> AsyncIterator[AuditLine]:
        """Write a chain as lines of JSON that prove themselves anywhere: every event with its leaf, then every seal.

        Records that the conditions leave out stand as their leaf alone, so the chain stays whole. A leaf is the SHA-256
        of ``[topic, sequence, id, type, time, source, subject, principal, causation, correlation, traceparent, data]``
        and, where the line has them, ``refs``, as JSON with sorted keys and no white space; a head is the SHA-256 of
        the head before and the leaf.
        """
        await self._runner.caught_up(AUDIT, CATCH_UP)
        await self._sealer.seal(input.namespace)
        topic = await self._store.log.topic(chain_of(input.namespace))
        end = topic.sequence if topic is not None else 0
        where, parameters = conditions(input)
        position: Position = START
        while there := await self._store.log.read(chain_of(input.namespace), position, PAGE):
            # That this export was made is in the chain too, and not in it.
            page = [recorded for recorded in there if recorded.sequence <= end]
            if not page:
                break
            position = page[-1].position
            rows = await self._store.views.query(
                f"{SELECT} WHERE {' AND '.join(where)} AND position >= :first AND position <= :last",
                parameters | {"first": page[0].position, "last": position},
            )
            chosen = {str(row[0]): fields_of(row) for row in rows}
            lines: list[JsonObject] = []
            seen: list[AuditItem] = []
            for recorded in page:
                line: JsonObject = {"sequence": recorded.sequence, "leaf": leaf_of(recorded).hex()}
                fields = chosen.get(recorded.position)
                if fields is not None or recorded.event.type != RECORDED:
                    line["event"] = {**recorded.cloudevent(), "time": recorded.event.time.isoformat()}
                    if recorded.event.refs:
                        line["refs"] = [[*ref] for ref in recorded.event.refs]
                if fields is not None and input.contents and (content := await self._content(fields)) is not None:
                    line["prompt"], line["answer"] = map(_readable, content)
                    seen.append(AuditItem.model_validate(fields))
                lines.append(line)
            await self._viewed(invocation, "audit.export", seen)
            yield _lines(lines)
        position = START
        while there := await self._store.log.read(seals_of(input.namespace), position, PAGE):
            position = there[-1].position
            seals = [dict(recorded.event.data) for recorded in there]
            yield _lines([{"seal": seal} for seal in seals if isinstance(last := seal["last"], int) and last <= end])

    async def _page(
        self, filter: AuditFilter, cursor: str | None, limit: int, condition: str = "1 = 1"
    ) -> Sequence[Row]:
        await self._runner.caught_up(AUDIT, CATCH_UP)
        where, parameters = conditions(filter)
        where.append(condition)
        if cursor is not None:
            at, position = read_cursor(cursor, (int, str))
            where.append("(at, position) < (:before, :position)")
            parameters |= {"before": at, "position": position}
        return await self._store.views.query(
            f"{SELECT} WHERE {' AND '.join(where)} ORDER BY at DESC, position DESC LIMIT :limit",
            parameters | {"limit": limit},
        )

    async def _content(self, fields: Mapping[str, Any]) -> tuple[bytes, bytes] | None:
        """Prompt and answer; ``None`` where they are not kept. Raises ``AUDIT_BROKEN``."""
        if not fields["content"] or fields["expired_at"] is not None:
            return None
        try:
            content = await read_content(self._store.blobs, fields["call"], fields["content"])
        except ValueError as error:
            raise AUDIT_BROKEN(subject=fields["call"], causes=[Cause(message=str(error))]) from None
        if content is None:
            gone = "the content is gone without a tombstone"
            raise AUDIT_BROKEN(subject=fields["call"], causes=[Cause(message=gone)])
        return content

    async def _viewed(self, invocation: Invocation, operation: str, items: Sequence[AuditItem]) -> None:
        """Record who sees contents: a fact, stated before they are shown. It changes nothing, so nothing is decided."""
        for namespace in {item.namespace for item in items}:
            event = Event(
                topic=chain_of(namespace),
                type=VIEWED,
                data={"operation": operation, "calls": [i.call for i in items if i.namespace == namespace]},
                principal=invocation.principal.id,
                correlation=invocation.correlation,
            )
            await self._store.commit(Append(event))
            self._sealer.grew(namespace)


def _cursor(row: Row) -> str:
    return write_cursor((row[3], row[0]))


def _readable(data: bytes) -> Json:
    """Bytes as text, or in base64 where they are none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _lines(lines: Sequence[JsonObject]) -> AuditLine:
    return AuditLine(text="".join(orjson.dumps(line).decode() + "\n" for line in lines), rows=len(lines))
