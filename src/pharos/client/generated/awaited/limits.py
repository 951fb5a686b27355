"""The operations of the noun ``limits``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.gateway.models.spending.operations import LimitsRaised


class AsyncLimits(AsyncNamespace):
    """Operations on ``limits``."""

    @overload
    async def raise_(
        self,
        *,
        kind: Literal["Key", "Team", "Organisation"],
        name: str,
        namespace: str = "default",
        per: Literal["agent", "user", "session"] | None = None,
        agent: str | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        concurrency: int | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> LimitsRaised: ...
    @overload
    async def raise_(
        self,
        *,
        kind: Literal["Key", "Team", "Organisation"],
        name: str,
        namespace: str = "default",
        per: Literal["agent", "user", "session"] | None = None,
        agent: str | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        concurrency: int | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def raise_(
        self,
        *,
        kind: Literal["Key", "Team", "Organisation"],
        name: str,
        namespace: str = "default",
        per: Literal["agent", "user", "session"] | None = None,
        agent: str | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        concurrency: int | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> LimitsRaised | Plan:
        """Raise limits of a key, a team or an organisation.

        The new limits count from the next call on. It only raises limits that are there: a call that was refused for
        want of room carries this operation as its fix, and nobody can be made to lower a limit by following one. For a
        key, one also needs `keys.grant`, as for every change of a key. Undoing it restores the limits that were.

        Args:
            kind: What declares them.
            namespace: Namespace.
            per: Left out: those for all of it together; otherwise those for each agent (of a team), end user or
                session.
            agent: With ``per: agent``, those of this agent, where the team has limits of its own for it.
            requests_per_minute: The new limit; left out: as it is.
            tokens_per_minute: The same for tokens, in and out.
            concurrency: The same for calls under way at once.

        Needs the permission ``limits.raise``. Reversibility: exact. With ``dry_run`` nothing changes. Raises a
        fault with code LIMIT_NOT_RAISED, NOT_FOUND.
        """
        from pharos.gateway.models.spending.operations import LimitsRaised

        input_: dict[str, object] = {
            "kind": kind,
            "name": name,
            "namespace": namespace,
            "per": per,
            "agent": agent,
            "requestsPerMinute": requests_per_minute,
            "tokensPerMinute": tokens_per_minute,
            "concurrency": concurrency,
        }
        if dry_run:
            return await self._caller.plan("limits.raise", input_)
        return await self._caller.typed(
            "limits.raise", input_, LimitsRaised, write=True, idempotency_key=idempotency_key
        )
