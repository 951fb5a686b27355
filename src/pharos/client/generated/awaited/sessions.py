"""The operations of the noun ``sessions``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from decimal import Decimal
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Json, Page
    from pharos.runtime.context.operations import Seen
    from pharos.runtime.operations.items import Began, Changed, SessionDetail, SessionItem
    from pharos.runtime.operations.lending import LentTool, Result
    from pharos.runtime.operations.looking import Replayed, SessionEvent


class AsyncSessions(AsyncNamespace):
    """Operations on ``sessions``."""

    @overload
    async def approve(
        self,
        *,
        session: str,
        approval: str,
        digest: str,
        namespace: str | None = None,
        reason: str = "",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Changed: ...
    @overload
    async def approve(
        self,
        *,
        session: str,
        approval: str,
        digest: str,
        namespace: str | None = None,
        reason: str = "",
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def approve(
        self,
        *,
        session: str,
        approval: str,
        digest: str,
        namespace: str | None = None,
        reason: str = "",
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Changed | Plan:
        """Agree to a call that a session wants to make.

        The agreement is to exactly the call whose `digest` is given. It is recorded before the call is made and stays
        whatever happens to the call. The first answer counts; the same one again changes nothing.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.
            digest: Of the call that one has seen, from ``sessions.get``: the answer is to that call and to no other.
            reason: Why. It is recorded.

        Needs the permission ``sessions.approve``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, OWN_REQUEST, ANSWER_GIVEN, ANSWER_LATE, ANSWER_MISMATCH, NOT_WAITING,
        SESSION_ENDED, SESSION_QUARANTINED.
        """
        from pharos.runtime.operations.items import Changed

        input_: dict[str, object] = {
            "session": session,
            "namespace": namespace,
            "approval": approval,
            "digest": digest,
            "reason": reason,
        }
        if dry_run:
            return await self._caller.plan("sessions.approve", input_)
        return await self._caller.typed(
            "sessions.approve", input_, Changed, write=True, idempotency_key=idempotency_key
        )

    @overload
    async def cancel(
        self,
        *,
        session: str,
        namespace: str | None = None,
        reason: str = "",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Changed: ...
    @overload
    async def cancel(
        self,
        *,
        session: str,
        namespace: str | None = None,
        reason: str = "",
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def cancel(
        self,
        *,
        session: str,
        namespace: str | None = None,
        reason: str = "",
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Changed | Plan:
        """End a session, and everything below it.

        What is under way is stopped, its children end first, and what was kept of its budget for them is free again.
        What may have happened outside and cannot be known is named at its end. Asked twice it changes nothing. To undo
        it is to fork the session from where it was: the fork goes on, without what was under way.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.
            reason: Why. It is recorded.

        Needs the permission ``sessions.control``. Reversibility: compensating. With ``dry_run`` nothing changes.
        Raises a fault with code NOT_FOUND, SESSION_QUARANTINED.
        """
        from pharos.runtime.operations.items import Changed

        input_: dict[str, object] = {"session": session, "namespace": namespace, "reason": reason}
        if dry_run:
            return await self._caller.plan("sessions.cancel", input_)
        return await self._caller.typed("sessions.cancel", input_, Changed, write=True, idempotency_key=idempotency_key)

    @overload
    async def close(
        self,
        *,
        session: str,
        namespace: str | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Changed: ...
    @overload
    async def close(
        self, *, session: str, namespace: str | None = None, dry_run: Literal[True], idempotency_key: str | None = None
    ) -> Plan: ...
    async def close(
        self, *, session: str, namespace: str | None = None, dry_run: bool = False, idempotency_key: str | None = None
    ) -> Changed | Plan:
        """Complete an interactive session with its last answer.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.

        Needs the permission ``sessions.send``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, SESSION_ENDED, SESSION_QUARANTINED, NOT_WAITING.
        """
        from pharos.runtime.operations.items import Changed

        input_: dict[str, object] = {"session": session, "namespace": namespace}
        if dry_run:
            return await self._caller.plan("sessions.close", input_)
        return await self._caller.typed("sessions.close", input_, Changed, write=True, idempotency_key=idempotency_key)

    async def context(
        self,
        *,
        session: str,
        namespace: str | None = None,
        step: int | None = None,
        budget: int | None = None,
        messages: bool = False,
    ) -> Seen:
        """Show what the model saw at a step of a session, part by part, with the reason and the tokens of each.

        With ``budget``, what it would have seen had the agent had this budget from the beginning: nothing is called,
        old steps are told in short by the summaries on record or by excerpts. The parts are those of the session's
        events; tools are those the agent is offered now, and those that whoever speaks to it had then.

        Args:
            session: Id of the session.
            namespace: Left out: the caller's own.
            step: Which time the model was asked; left out: the last.
            budget: Tokens, for what it would have seen had this been the agent's budget; left out: what it did see.
            messages: Whether the messages and tools themselves are wanted, too.

        Needs the permission ``sessions.read``. Raises a fault with code NOT_FOUND, CONTEXT_TOO_LARGE.
        """
        from pharos.runtime.context.operations import Seen

        return await self._caller.typed(
            "sessions.context",
            {"session": session, "namespace": namespace, "step": step, "budget": budget, "messages": messages},
            Seen,
        )

    @overload
    async def deny(
        self,
        *,
        session: str,
        approval: str,
        digest: str,
        namespace: str | None = None,
        reason: str = "",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Changed: ...
    @overload
    async def deny(
        self,
        *,
        session: str,
        approval: str,
        digest: str,
        namespace: str | None = None,
        reason: str = "",
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def deny(
        self,
        *,
        session: str,
        approval: str,
        digest: str,
        namespace: str | None = None,
        reason: str = "",
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Changed | Plan:
        """Refuse a call that a session wants to make. The model is told, with the reason.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.
            digest: Of the call that one has seen, from ``sessions.get``: the answer is to that call and to no other.
            reason: Why. It is recorded.

        Needs the permission ``sessions.approve``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, OWN_REQUEST, ANSWER_GIVEN, ANSWER_LATE, ANSWER_MISMATCH, NOT_WAITING,
        SESSION_ENDED, SESSION_QUARANTINED.
        """
        from pharos.runtime.operations.items import Changed

        input_: dict[str, object] = {
            "session": session,
            "namespace": namespace,
            "approval": approval,
            "digest": digest,
            "reason": reason,
        }
        if dry_run:
            return await self._caller.plan("sessions.deny", input_)
        return await self._caller.typed("sessions.deny", input_, Changed, write=True, idempotency_key=idempotency_key)

    @overload
    async def extend(
        self,
        *,
        session: str,
        budget: Decimal | str,
        namespace: str | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Changed: ...
    @overload
    async def extend(
        self,
        *,
        session: str,
        budget: Decimal | str,
        namespace: str | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def extend(
        self,
        *,
        session: str,
        budget: Decimal | str,
        namespace: str | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Changed | Plan:
        """Set the most that a session may spend. One that waits for money goes on.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.
            budget: The most it may spend altogether, as a decimal string.

        Needs the permission ``sessions.control``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, INVALID, SESSION_ENDED, SESSION_QUARANTINED, TREE_BOUND.
        """
        from pharos.runtime.operations.items import Changed

        input_: dict[str, object] = {"session": session, "namespace": namespace, "budget": budget}
        if dry_run:
            return await self._caller.plan("sessions.extend", input_)
        return await self._caller.typed("sessions.extend", input_, Changed, write=True, idempotency_key=idempotency_key)

    @overload
    async def fork(
        self,
        *,
        session: str,
        namespace: str | None = None,
        at: int | None = None,
        to: str | None = None,
        text: str | None = None,
        data: Mapping[str, Json] | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Began: ...
    @overload
    async def fork(
        self,
        *,
        session: str,
        namespace: str | None = None,
        at: int | None = None,
        to: str | None = None,
        text: str | None = None,
        data: Mapping[str, Json] | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def fork(
        self,
        *,
        session: str,
        namespace: str | None = None,
        at: int | None = None,
        to: str | None = None,
        text: str | None = None,
        data: Mapping[str, Json] | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Began | Plan:
        """Begin a session that shares another one's history up to an event, and goes its own way from there.

        What was open there stays with the source: the fork sends no effect again, and has none of its approvals,
        timers, questions and children. It acts for whoever forks it, and what was spent before is not counted again.
        What a lack of trust takes from the agent now is taken from the fork, and who may not read the session cannot
        have its history either. Refused where the agent is not declared any more, or is private elsewhere by now.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.
            at: Sequence of the last event that is taken over; left out: all that there are.
            to: The id of the fork; left out: a new one.
            text: Input to go on with; left out: it goes on with what it has.
            data: More of the input, as an object.

        Needs the permission ``sessions.start``. Reversibility: compensating. With ``dry_run`` nothing changes.
        Raises a fault with code NOT_FOUND, INVALID, TOO_LARGE, SESSION_STARTED, AGENT_INCOMPLETE, TREE_BOUND,
        AGENT_STOPPED, AGENT_BARRED.
        """
        from pharos.runtime.operations.items import Began

        input_: dict[str, object] = {
            "session": session,
            "namespace": namespace,
            "at": at,
            "to": to,
            "text": text,
            "data": data,
        }
        if dry_run:
            return await self._caller.plan("sessions.fork", input_)
        return await self._caller.typed("sessions.fork", input_, Began, write=True, idempotency_key=idempotency_key)

    async def get(self, *, session: str, namespace: str | None = None) -> SessionDetail:
        """Show a session: how it stands, everything that is open, and what it waits for.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.

        Needs the permission ``sessions.read``. Raises a fault with code NOT_FOUND.
        """
        from pharos.runtime.operations.items import SessionDetail

        return await self._caller.typed("sessions.get", {"session": session, "namespace": namespace}, SessionDetail)

    async def list(
        self,
        *,
        namespace: str | None = None,
        agent: str | None = None,
        status: Literal[
            "created",
            "queued",
            "running",
            "waiting",
            "paused",
            "cancelling",
            "completed",
            "failed",
            "cancelled",
            "expired",
            "quarantined",
        ]
        | None = None,
        waiting_on: str | None = None,
        owner: str | None = None,
        parent: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[SessionItem]:
        """List sessions, the one that began last first.

        Args:
            namespace: Left out: the caller's own.
            agent: ``namespace/name``, or the name of one in the namespace of the sessions.
            status: How it stands.
            waiting_on: What it waits for: ``approval``, ``question``, ``call``, ``child``, ``effect``, ``input`` …
            owner: Who began it, such as ``key/default/ci-bot``.
            parent: Only those that this topic's session waits for.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``sessions.read``. Raises a fault with code INVALID, TIMEOUT.
        """
        from pharos.core.wire import Page
        from pharos.runtime.operations.items import SessionItem

        return await self._caller.typed(
            "sessions.list",
            {
                "namespace": namespace,
                "agent": agent,
                "status": status,
                "waitingOn": waiting_on,
                "owner": owner,
                "parent": parent,
                "limit": limit,
                "cursor": cursor,
            },
            Page[SessionItem],
        )

    @overload
    async def migrate(
        self,
        *,
        session: str,
        namespace: str | None = None,
        agent: str | None = None,
        values: Mapping[str, Json] | None = None,
        reason: str = "",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Changed: ...
    @overload
    async def migrate(
        self,
        *,
        session: str,
        namespace: str | None = None,
        agent: str | None = None,
        values: Mapping[str, Json] | None = None,
        reason: str = "",
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def migrate(
        self,
        *,
        session: str,
        namespace: str | None = None,
        agent: str | None = None,
        values: Mapping[str, Json] | None = None,
        reason: str = "",
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Changed | Plan:
        """Have a session go on with its agent as it is declared now, or with another agent.

        Nothing else ever changes the agent of a session. What was said so far stays, and so do the account it works
        on, whose rights were never this other agent's to use, and the budget and depth that one above it gave.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.
            agent: Another agent; left out: its own, as it is declared now.
            values: For variables of its prompt that are given at the start of a session.
            reason: Why. It is recorded.

        Needs the permission ``sessions.control``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, INVALID, SESSION_ENDED, SESSION_QUARANTINED, AGENT_INCOMPLETE, DELEGATES_CYCLIC,
        TEMPLATE_VALUES, TREE_BOUND, AGENT_STOPPED, AGENT_BARRED.
        """
        from pharos.runtime.operations.items import Changed

        input_: dict[str, object] = {
            "session": session,
            "namespace": namespace,
            "agent": agent,
            "values": values,
            "reason": reason,
        }
        if dry_run:
            return await self._caller.plan("sessions.migrate", input_)
        return await self._caller.typed(
            "sessions.migrate", input_, Changed, write=True, idempotency_key=idempotency_key
        )

    @overload
    async def pause(
        self,
        *,
        session: str,
        namespace: str | None = None,
        reason: str = "",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Changed: ...
    @overload
    async def pause(
        self,
        *,
        session: str,
        namespace: str | None = None,
        reason: str = "",
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def pause(
        self,
        *,
        session: str,
        namespace: str | None = None,
        reason: str = "",
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Changed | Plan:
        """Let a session begin nothing new. What is under way ends, and its result is kept.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.
            reason: Why. It is recorded.

        Needs the permission ``sessions.control``. Reversibility: compensating. With ``dry_run`` nothing changes.
        Raises a fault with code NOT_FOUND, SESSION_ENDED, SESSION_QUARANTINED.
        """
        from pharos.runtime.operations.items import Changed

        input_: dict[str, object] = {"session": session, "namespace": namespace, "reason": reason}
        if dry_run:
            return await self._caller.plan("sessions.pause", input_)
        return await self._caller.typed("sessions.pause", input_, Changed, write=True, idempotency_key=idempotency_key)

    @overload
    async def release(
        self,
        *,
        session: str,
        namespace: str | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Changed: ...
    @overload
    async def release(
        self, *, session: str, namespace: str | None = None, dry_run: Literal[True], idempotency_key: str | None = None
    ) -> Plan: ...
    async def release(
        self, *, session: str, namespace: str | None = None, dry_run: bool = False, idempotency_key: str | None = None
    ) -> Changed | Plan:
        """Let a session out of quarantine, once what was in its way is mended. Otherwise it is put there again.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.

        Needs the permission ``sessions.control``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, NOT_WAITING.
        """
        from pharos.runtime.operations.items import Changed

        input_: dict[str, object] = {"session": session, "namespace": namespace}
        if dry_run:
            return await self._caller.plan("sessions.release", input_)
        return await self._caller.typed(
            "sessions.release", input_, Changed, write=True, idempotency_key=idempotency_key
        )

    async def replay(
        self, *, session: str, namespace: str | None = None, to: int | None = None, rerun: bool = False
    ) -> Replayed:
        """Fold a session again from its first event, and with `rerun` decide everything anew. No effect is performed.

        Shows that the state follows from the log, that the log was not altered, and whether today's rules would decide
        as it was decided then.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.
            to: Sequence of the last event to fold; left out: all.
            rerun: Also decide everything anew, with the effects' results as they are recorded.

        Needs the permission ``sessions.read``. Raises a fault with code NOT_FOUND.
        """
        from pharos.runtime.operations.looking import Replayed

        return await self._caller.typed(
            "sessions.replay", {"session": session, "namespace": namespace, "to": to, "rerun": rerun}, Replayed
        )

    @overload
    async def resolve(
        self,
        *,
        session: str,
        effect: str,
        outcome: Literal["done", "not done", "abandoned"],
        namespace: str | None = None,
        content: str = "",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Changed: ...
    @overload
    async def resolve(
        self,
        *,
        session: str,
        effect: str,
        outcome: Literal["done", "not done", "abandoned"],
        namespace: str | None = None,
        content: str = "",
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def resolve(
        self,
        *,
        session: str,
        effect: str,
        outcome: Literal["done", "not done", "abandoned"],
        namespace: str | None = None,
        content: str = "",
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Changed | Plan:
        """Say whether a call happened of which nobody could tell.

        Such a call was cut off in the middle, and its tool can neither be asked nor called again safely. The session
        waits for this.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.
            outcome: ``done``: it happened, and ``content`` is its result. ``not done``: it did not; it is done now,
                under the same key. ``abandoned``: it is not to be done any more, and the model is told so.
            content: The result, where it happened.

        Needs the permission ``sessions.control``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, NOT_WAITING, SESSION_QUARANTINED.
        """
        from pharos.runtime.operations.items import Changed

        input_: dict[str, object] = {
            "session": session,
            "namespace": namespace,
            "effect": effect,
            "outcome": outcome,
            "content": content,
        }
        if dry_run:
            return await self._caller.plan("sessions.resolve", input_)
        return await self._caller.typed(
            "sessions.resolve", input_, Changed, write=True, idempotency_key=idempotency_key
        )

    @overload
    async def resume(
        self,
        *,
        session: str,
        namespace: str | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Changed: ...
    @overload
    async def resume(
        self, *, session: str, namespace: str | None = None, dry_run: Literal[True], idempotency_key: str | None = None
    ) -> Plan: ...
    async def resume(
        self, *, session: str, namespace: str | None = None, dry_run: bool = False, idempotency_key: str | None = None
    ) -> Changed | Plan:
        """Let a paused session go on.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.

        Needs the permission ``sessions.control``. Reversibility: compensating. With ``dry_run`` nothing changes.
        Raises a fault with code NOT_FOUND, SESSION_ENDED, SESSION_QUARANTINED, NOT_WAITING.
        """
        from pharos.runtime.operations.items import Changed

        input_: dict[str, object] = {"session": session, "namespace": namespace}
        if dry_run:
            return await self._caller.plan("sessions.resume", input_)
        return await self._caller.typed("sessions.resume", input_, Changed, write=True, idempotency_key=idempotency_key)

    @overload
    async def send(
        self,
        *,
        session: str,
        text: str,
        namespace: str | None = None,
        data: Mapping[str, Json] | None = None,
        answers: str | None = None,
        results: Sequence[Result] | None = None,
        tools: Sequence[LentTool] | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Changed: ...
    @overload
    async def send(
        self,
        *,
        session: str,
        text: str,
        namespace: str | None = None,
        data: Mapping[str, Json] | None = None,
        answers: str | None = None,
        results: Sequence[Result] | None = None,
        tools: Sequence[LentTool] | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def send(
        self,
        *,
        session: str,
        text: str,
        namespace: str | None = None,
        data: Mapping[str, Json] | None = None,
        answers: str | None = None,
        results: Sequence[Result] | None = None,
        tools: Sequence[LentTool] | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Changed | Plan:
        """Give a session input, or the answer to a question it has asked.

        Input that comes while the model works is part of its next step. A question is answered once, and so is a call
        that was left to the caller. None of `tools` may have the name of one that the agent has.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.
            text: Empty, with ``results`` and without ``data``: there is nothing to say beside them.
            data: More of it, as an object.
            answers: The question that it answers; left out: it is new input, which the model sees at its next step.
            results: What came of calls that were left to the caller: all are told at once, and before the text.
            tools: Those that the caller carries out itself from here on; left out: as before. What the model calls of
                them waits for its result.

        Needs the permission ``sessions.send``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, INVALID, SESSION_ENDED, SESSION_QUARANTINED, NOT_WAITING, INBOX_FULL,
        TOOL_NAME_TAKEN, TOOL_UNUSABLE.
        """
        from pharos.runtime.operations.items import Changed

        input_: dict[str, object] = {
            "session": session,
            "namespace": namespace,
            "text": text,
            "data": data,
            "answers": answers,
            "results": results,
            "tools": tools,
        }
        if dry_run:
            return await self._caller.plan("sessions.send", input_)
        return await self._caller.typed("sessions.send", input_, Changed, write=True, idempotency_key=idempotency_key)

    @overload
    async def start(
        self,
        *,
        agent: str,
        text: str,
        data: Mapping[str, Json] | None = None,
        values: Mapping[str, Json] | None = None,
        session: str | None = None,
        namespace: str | None = None,
        interactive: bool = False,
        budget: Decimal | str | None = None,
        seconds: float | None = None,
        labels: Mapping[str, str] | None = None,
        tools: Sequence[LentTool] | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Began: ...
    @overload
    async def start(
        self,
        *,
        agent: str,
        text: str,
        data: Mapping[str, Json] | None = None,
        values: Mapping[str, Json] | None = None,
        session: str | None = None,
        namespace: str | None = None,
        interactive: bool = False,
        budget: Decimal | str | None = None,
        seconds: float | None = None,
        labels: Mapping[str, str] | None = None,
        tools: Sequence[LentTool] | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def start(
        self,
        *,
        agent: str,
        text: str,
        data: Mapping[str, Json] | None = None,
        values: Mapping[str, Json] | None = None,
        session: str | None = None,
        namespace: str | None = None,
        interactive: bool = False,
        budget: Decimal | str | None = None,
        seconds: float | None = None,
        labels: Mapping[str, str] | None = None,
        tools: Sequence[LentTool] | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Began | Plan:
        """Begin a session of an agent.

        It keeps the agent as it is declared now, whatever is applied later, and goes on in the background whatever
        happens to the process. Give `Idempotency-Key`, or an id of your own, to ask safely more than once. An agent of
        another namespace needs the permission `namespaces.cross`, and one that is `federation: private` works in its
        own namespace alone.

        Args:
            agent: Name of the ``Agent``, or ``namespace/name``.
            text: What it is to do.
            data: More of it, as an object.
            values: For variables of its prompt that are given at the start of a session.
            session: The id it shall have; left out: a new one.
            namespace: Whose it is; left out: the caller's own.
            interactive: Wait for more input after each answer, until it is closed.
            budget: The most it may spend, where that is less than its agent allows: a decimal string.
            seconds: The most time it has, where that is less than its agent allows.
            labels: Names and values that are shown with it.
            tools: Those that the caller carries out itself. What the model calls of them waits for its result, which
                ``sessions.send`` gives.

        Needs the permission ``sessions.start``. Reversibility: compensating. With ``dry_run`` nothing changes.
        Raises a fault with code NOT_FOUND, INVALID, SESSION_STARTED, AGENT_INCOMPLETE, DELEGATES_CYCLIC,
        TEMPLATE_VALUES, TREE_BOUND, AGENT_STOPPED, AGENT_BARRED, TOOL_NAME_TAKEN, TOOL_UNUSABLE.
        """
        from pharos.runtime.operations.items import Began

        input_: dict[str, object] = {
            "agent": agent,
            "text": text,
            "data": data,
            "values": values,
            "session": session,
            "namespace": namespace,
            "interactive": interactive,
            "budget": budget,
            "seconds": seconds,
            "labels": labels,
            "tools": tools,
        }
        if dry_run:
            return await self._caller.plan("sessions.start", input_)
        return await self._caller.typed("sessions.start", input_, Began, write=True, idempotency_key=idempotency_key)

    def stream(
        self,
        *,
        session: str,
        namespace: str | None = None,
        after: str | None = None,
        tokens: bool = True,
        follow: bool = True,
    ) -> AsyncGenerator[SessionEvent, None]:
        """Follow a session: each event as it happens, and its answers as they come.

        Ends when the session has. A client that reconnects with the last position it saw (`Last-Event-ID`) misses
        nothing and sees nothing twice. After `stream.reset` an answer begins anew: what came of it before is void.

        Args:
            session: Its id.
            namespace: Left out: the caller's own.
            after: Position after which to begin, as in ``Last-Event-ID``; left out: the session's beginning.
            tokens: Also the model's answers as they come.
            follow: Go on until the session has ended; otherwise until what has happened by now.

        Needs the permission ``sessions.read``. Raises a fault with code NOT_FOUND, GONE.
        """
        from pharos.runtime.operations.looking import SessionEvent

        return self._caller.typed_stream(
            "sessions.stream",
            {"session": session, "namespace": namespace, "after": after, "tokens": tokens, "follow": follow},
            SessionEvent,
        )
