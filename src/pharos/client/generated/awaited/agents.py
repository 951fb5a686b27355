"""The operations of the noun ``agents``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Json, Page
    from pharos.runtime.orchestration.stopping import Resumed, StopItem, Stopped
    from pharos.runtime.profiles.operations import ResolvedNow


class AsyncAgents(AsyncNamespace):
    """Operations on ``agents``."""

    async def resolve(self, *, agent: str, values: Mapping[str, Json] | None = None) -> ResolvedNow:
        """Show what a session of an agent would begin with: instructions, version, defaults and tools.

        The instructions are rendered, and of the tools that the agent names it says which it would be offered.

        A session keeps what it began with. Where the version here is another one, the agent was changed since; a
        session only goes over to it when it is told to.

        Args:
            agent: Name of the agent in the caller's namespace, or ``namespace/name``.
            values: Values for variables of its template that are given at the start of a session.

        Needs the permission ``catalog.read``. Raises a fault with code NOT_FOUND, AGENT_INCOMPLETE,
        DELEGATES_CYCLIC, TEMPLATE_VALUES, TOOL_NAME_TAKEN, TOOL_UNUSABLE.
        """
        from pharos.runtime.profiles.operations import ResolvedNow

        return await self._caller.typed("agents.resolve", {"agent": agent, "values": values}, ResolvedNow)

    @overload
    async def resume(
        self,
        *,
        agent: str,
        namespace: str | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Resumed: ...
    @overload
    async def resume(
        self, *, agent: str, namespace: str | None = None, dry_run: Literal[True], idempotency_key: str | None = None
    ) -> Plan: ...
    async def resume(
        self, *, agent: str, namespace: str | None = None, dry_run: bool = False, idempotency_key: str | None = None
    ) -> Resumed | Plan:
        """Let an agent that was stopped begin sessions again. One that was not is left as it is.

        Args:
            namespace: Namespace.

        Needs the permission ``agents.stop``. Reversibility: compensating. With ``dry_run`` nothing changes. Raises
        a fault with code NOT_FOUND.
        """
        from pharos.runtime.orchestration.stopping import Resumed

        input_: dict[str, object] = {"agent": agent, "namespace": namespace}
        if dry_run:
            return await self._caller.plan("agents.resume", input_)
        return await self._caller.typed("agents.resume", input_, Resumed, write=True, idempotency_key=idempotency_key)

    @overload
    async def stop(
        self,
        *,
        agent: str | None = None,
        session: str | None = None,
        namespace: str | None = None,
        reason: str = "",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Stopped: ...
    @overload
    async def stop(
        self,
        *,
        agent: str | None = None,
        session: str | None = None,
        namespace: str | None = None,
        reason: str = "",
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def stop(
        self,
        *,
        agent: str | None = None,
        session: str | None = None,
        namespace: str | None = None,
        reason: str = "",
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Stopped | Plan:
        """Stop an agent, or all that works for one task.

        Nothing new begins from the moment this returns: no session of the agent, no call of a model or a tool. What is
        under way is cancelled from the leaves up, what was reserved is free again, and effects whose outcome nobody
        knows are named as such. Letting the agent go (`agents.resume`, or undo) lets it begin new sessions; those that
        were stopped stay ended.

        Args:
            agent: All sessions of this agent, and none begins until it is let go.
            session: This session with everything that works for the same task, above it and below.
            namespace: Namespace.
            reason: Why. It is recorded.

        Needs the permission ``agents.stop``. Reversibility: compensating. With ``dry_run`` nothing changes. Raises
        a fault with code NOT_FOUND.
        """
        from pharos.runtime.orchestration.stopping import Stopped

        input_: dict[str, object] = {"agent": agent, "session": session, "namespace": namespace, "reason": reason}
        if dry_run:
            return await self._caller.plan("agents.stop", input_)
        return await self._caller.typed("agents.stop", input_, Stopped, write=True, idempotency_key=idempotency_key)

    async def stops(self, *, namespace: str | None = None, limit: int = 20) -> Page[StopItem]:
        """List what was stopped, the newest first, and how long it took until the last of it had ended.

        Args:
            namespace: Namespace.
            limit: Most items of the page.

        Needs the permission ``agents.stop``.
        """
        from pharos.core.wire import Page
        from pharos.runtime.orchestration.stopping import StopItem

        return await self._caller.typed("agents.stops", {"namespace": namespace, "limit": limit}, Page[StopItem])
