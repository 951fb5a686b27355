"""The operations of the noun ``audit``, blocking.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from datetime import datetime

    from pharos.core.wire import Page
    from pharos.insight.audit.items import AuditContent, AuditItem, AuditLine, Found
    from pharos.insight.audit.verify import Anchor, Verified


class Audit(Namespace):
    """Operations on ``audit``."""

    def export(
        self,
        *,
        namespace: str = "default",
        key: str | None = None,
        team: str | None = None,
        user: str | None = None,
        model: str | None = None,
        call: str | None = None,
        policy: str | None = None,
        outcome: str | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        contents: bool = True,
    ) -> Generator[AuditLine, None, None]:
        """Write a chain as lines of JSON that prove themselves anywhere: every event with its leaf, then every seal.

        Records that the conditions leave out stand as their leaf alone, so the chain stays whole. A leaf is the SHA-256
        of ``[topic, sequence, id, type, time, source, subject, principal, causation, correlation, traceparent, data]``
        and, where the line has them, ``refs``, as JSON with sorted keys and no white space; a head is the SHA-256 of
        the head before and the leaf.

        Args:
            namespace: Namespace.
            key: The key that the calls came with.
            team: The team of that key.
            user: An end user, as calls named them.
            model: The model the client asked for.
            call: Id of one call, as in the ledger.
            policy: Name of an AuditPolicy.
            outcome: How the call ended: `ok`, `error`, `refused`, `cancelled`, `incomplete` or `unknown`.
            since: From this moment on.
            until: Before this moment.

        Needs the permission ``audit.export``. Raises a fault with code AUDIT_BROKEN, TIMEOUT.
        """
        from pharos.insight.audit.items import AuditLine

        return self._caller.typed_stream(
            "audit.export",
            {
                "namespace": namespace,
                "key": key,
                "team": team,
                "user": user,
                "model": model,
                "call": call,
                "policy": policy,
                "outcome": outcome,
                "labels": labels,
                "since": since,
                "until": until,
                "contents": contents,
            },
            AuditLine,
        )

    def get(self, *, call: str) -> AuditContent:
        """Show what was asked and answered in one call, proven to be what was recorded, and who has seen it.

        That the caller saw it is recorded in the chain before it is shown.

        Needs the permission ``audit.view``. Raises a fault with code NOT_FOUND, CONTENT_GONE, AUDIT_BROKEN,
        TIMEOUT.
        """
        from pharos.insight.audit.items import AuditContent

        return self._caller.typed("audit.get", {"call": call}, AuditContent)

    def list(
        self,
        *,
        namespace: str | None = None,
        key: str | None = None,
        team: str | None = None,
        user: str | None = None,
        model: str | None = None,
        call: str | None = None,
        policy: str | None = None,
        outcome: str | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[AuditItem]:
        """List records of calls, newest first: who asked which model when, and how it ended. Contents are not shown.

        Args:
            namespace: Namespace.
            key: The key that the calls came with.
            team: The team of that key.
            user: An end user, as calls named them.
            model: The model the client asked for.
            call: Id of one call, as in the ledger.
            policy: Name of an AuditPolicy.
            outcome: How the call ended: `ok`, `error`, `refused`, `cancelled`, `incomplete` or `unknown`.
            since: From this moment on.
            until: Before this moment.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``audit.read``. Raises a fault with code INVALID, TIMEOUT.
        """
        from pharos.core.wire import Page
        from pharos.insight.audit.items import AuditItem

        return self._caller.typed(
            "audit.list",
            {
                "namespace": namespace,
                "key": key,
                "team": team,
                "user": user,
                "model": model,
                "call": call,
                "policy": policy,
                "outcome": outcome,
                "labels": labels,
                "since": since,
                "until": until,
                "limit": limit,
                "cursor": cursor,
            },
            Page[AuditItem],
        )

    def search(
        self,
        *,
        text: str,
        namespace: str | None = None,
        key: str | None = None,
        team: str | None = None,
        user: str | None = None,
        model: str | None = None,
        call: str | None = None,
        policy: str | None = None,
        outcome: str | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[Found]:
        """Find records whose prompt or answer has a text, newest first.

        Contents are read one after the other, so narrow the search by time, key or model. A page ends after 500
        contents, whatever it found: go on with ``next``. That the found contents were seen is recorded.

        Args:
            namespace: Namespace.
            key: The key that the calls came with.
            team: The team of that key.
            user: An end user, as calls named them.
            model: The model the client asked for.
            call: Id of one call, as in the ledger.
            policy: Name of an AuditPolicy.
            outcome: How the call ended: `ok`, `error`, `refused`, `cancelled`, `incomplete` or `unknown`.
            since: From this moment on.
            until: Before this moment.
            text: What was asked or answered, in any case of letters.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``audit.view``. Raises a fault with code INVALID, TIMEOUT.
        """
        from pharos.core.wire import Page
        from pharos.insight.audit.items import Found

        return self._caller.typed(
            "audit.search",
            {
                "namespace": namespace,
                "key": key,
                "team": team,
                "user": user,
                "model": model,
                "call": call,
                "policy": policy,
                "outcome": outcome,
                "labels": labels,
                "since": since,
                "until": until,
                "text": text,
                "limit": limit,
                "cursor": cursor,
            },
            Page[Found],
        )

    def verify(
        self, *, namespace: str | None = None, contents: bool = True, anchors: Sequence[Anchor] | None = None
    ) -> Verified:
        """Prove that no record, tombstone or content was changed or removed since it was written.

        Every event of a chain is hashed again and compared with the seals, every content with the digest in its record,
        every audited call in the log with its record. One byte that differs is found, and told with its place; so is
        a record that is gone. Contents that retention deleted are proven by their tombstones. ``head`` and
        ``sequence`` of the answer, noted outside the city, prove later that the whole was not rewritten.

        Args:
            namespace: Only this chain; absent: all.
            contents: Read the contents too, and compare their digests.
            anchors: Heads that were noted elsewhere: who rewrote everything, seals included, is found by them.

        Needs the permission ``audit.read``.
        """
        from pharos.insight.audit.verify import Verified

        return self._caller.typed(
            "audit.verify", {"namespace": namespace, "contents": contents, "anchors": anchors}, Verified
        )
