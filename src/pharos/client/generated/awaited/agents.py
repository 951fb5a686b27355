"""The operations of the noun ``agents``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pharos.core.wire import Json
    from pharos.runtime.profiles.operations import Resolved


class AsyncAgents(AsyncNamespace):
    """Operations on ``agents``."""

    async def resolve(self, *, agent: str, values: Mapping[str, Json] | None = None) -> Resolved:
        """Show what a session of an agent would begin with: its instructions rendered, its version, every default.

        A session keeps what it began with. Where the version here is another one, the agent was changed since; a
        session only goes over to it when it is told to.

        Args:
            agent: Name of the agent, or ``namespace/name``.
            values: Values for variables of its template that are given at the start of a session.

        Needs the permission ``catalog.read``. Raises a fault with code NOT_FOUND, AGENT_INCOMPLETE,
        DELEGATES_CYCLIC, TEMPLATE_VALUES.
        """
        from pharos.runtime.profiles.operations import Resolved

        return await self._caller.typed("agents.resolve", {"agent": agent, "values": values}, Resolved)
