"""The operations of the noun ``journeys``, blocking.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import Namespace

if TYPE_CHECKING:
    from datetime import datetime

    from pharos.core.wire import Page
    from pharos.insight.journey_reads import Journey, JourneyItem


class Journeys(Namespace):
    """Operations on ``journeys``."""

    def get(self, *, id: str, limit: int = 200, cursor: str | None = None) -> Journey:
        """Show one conversation step by step: what was asked of which model, how it was routed, what it cost.

        Args:
            limit: How many steps at most.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``journeys.read``. Raises a fault with code NOT_FOUND, INVALID, TIMEOUT.
        """
        from pharos.insight.journey_reads import Journey

        return self._caller.typed("journeys.get", {"id": id, "limit": limit, "cursor": cursor}, Journey)

    def list(
        self,
        *,
        key: str | None = None,
        namespace: str | None = None,
        team: str | None = None,
        conversation: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[JourneyItem]:
        """List conversations, the one that began last first, with what they cost and how they went.

        Args:
            key: The key that the calls came with.
            namespace: Namespace.
            team: The team of that key.
            conversation: The caller's own id of the conversation.
            since: Journeys that began then or later.
            until: Journeys that began before.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``journeys.read``. Raises a fault with code INVALID, TIMEOUT.
        """
        from pharos.core.wire import Page
        from pharos.insight.journey_reads import JourneyItem

        return self._caller.typed(
            "journeys.list",
            {
                "key": key,
                "namespace": namespace,
                "team": team,
                "conversation": conversation,
                "since": since,
                "until": until,
                "limit": limit,
                "cursor": cursor,
            },
            Page[JourneyItem],
        )
