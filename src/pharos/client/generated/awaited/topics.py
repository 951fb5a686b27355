"""The operations of the noun ``topics``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Page
    from pharos.mesh.topics.messages import Message, NewMessage
    from pharos.mesh.topics.publishing import Answered, Published, Replied
    from pharos.mesh.topics.reading import Retired, TopicDetail, TopicItem


class AsyncTopics(AsyncNamespace):
    """Operations on ``topics``."""

    async def get(self, *, name: str, namespace: str | None = None) -> TopicDetail:
        """Look at one topic: how far it goes, who reads it and how far they are, which rules hold.

        Args:
            namespace: Namespace.

        Needs the permission ``topics.read``. Raises a fault with code NOT_FOUND.
        """
        from pharos.mesh.topics.reading import TopicDetail

        return await self._caller.typed("topics.get", {"name": name, "namespace": namespace}, TopicDetail)

    async def list(
        self, *, prefix: str = "", namespace: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[TopicItem]:
        """List the topics of a namespace by name.

        Args:
            prefix: What the names begin with.
            namespace: Namespace.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``topics.read``.
        """
        from pharos.core.wire import Page
        from pharos.mesh.topics.reading import TopicItem

        return await self._caller.typed(
            "topics.list", {"prefix": prefix, "namespace": namespace, "limit": limit, "cursor": cursor}, Page[TopicItem]
        )

    @overload
    async def publish(
        self,
        *,
        name: str,
        messages: Sequence[NewMessage],
        namespace: str | None = None,
        expected_sequence: int | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Published: ...
    @overload
    async def publish(
        self,
        *,
        name: str,
        messages: Sequence[NewMessage],
        namespace: str | None = None,
        expected_sequence: int | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def publish(
        self,
        *,
        name: str,
        messages: Sequence[NewMessage],
        namespace: str | None = None,
        expected_sequence: int | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Published | Plan:
        """Publish messages to a topic, which comes into being by that.

        All messages of a call are published or none, in their order; a call is about one topic, because only within one
        is that promised on every engine. A message with a `key`, or with `id` and `source`, is published once however
        often it is sent; so are those of a call that is repeated under one idempotency key. Publishing leaves no record
        of an operation: the messages are their own record, and name the call as their causation.

        Args:
            namespace: Left out: the caller's own.
            messages: Published together or not at all, in this order.
            expected_sequence: Publish only if this is the number of the topic's last message (0: it has none): for who
                decides on what is there, or must be the only one who publishes. A call that was carried out is answered
                again all the same; one of which a part was published before is refused.

        Needs the permission ``topics.publish``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code TOPIC_FULL, POSITION_CONFLICT, TOO_LARGE, FORBIDDEN, INVALID.
        """
        from pharos.mesh.topics.publishing import Published

        input_: dict[str, object] = {
            "name": name,
            "namespace": namespace,
            "messages": messages,
            "expectedSequence": expected_sequence,
        }
        if dry_run:
            return await self._caller.plan("topics.publish", input_)
        return await self._caller.typed(
            "topics.publish", input_, Published, write=True, idempotency_key=idempotency_key
        )

    async def read(
        self,
        *,
        name: str | None = None,
        namespace: str | None = None,
        log: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> Page[Message]:
        """Read messages of a topic, from any position on.

        Any position that was ever given out can be continued from, as long as nothing behind it was removed; else the
        fault `GONE` names the earliest message there is. The same position always reads the same messages.

        Args:
            namespace: Left out: the caller's own.
            log: Such as ``catalog`` or ``operations/…``: needs the permission ``logs.read``.
            after: Position after which to begin; left out: the first message there is.
            limit: Most items of the page.

        Needs the permission ``topics.read``. Raises a fault with code GONE, NOT_FOUND.
        """
        from pharos.core.wire import Page
        from pharos.mesh.topics.messages import Message

        return await self._caller.typed(
            "topics.read",
            {"name": name, "namespace": namespace, "log": log, "after": after, "limit": limit},
            Page[Message],
        )

    @overload
    async def reply(
        self,
        *,
        to: str,
        message: NewMessage,
        namespace: str | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Replied: ...
    @overload
    async def reply(
        self,
        *,
        to: str,
        message: NewMessage,
        namespace: str | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def reply(
        self,
        *,
        to: str,
        message: NewMessage,
        namespace: str | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Replied | Plan:
        """Answer a request.

        The first answer counts: one that is sent again, by the same worker or by another that the request was delivered
        to anew, gets the first one's receipt. An answer after the deadline is kept, and marked late.

        Args:
            to: The request's ``replyTo``.
            namespace: Namespace.
            message: A message, such as {"type": "placed", "data": 3}.

        Needs the permission ``topics.publish``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, INVALID, TOO_LARGE, FORBIDDEN.
        """
        from pharos.mesh.topics.publishing import Replied

        input_: dict[str, object] = {"to": to, "namespace": namespace, "message": message}
        if dry_run:
            return await self._caller.plan("topics.reply", input_)
        return await self._caller.typed("topics.reply", input_, Replied, write=True, idempotency_key=idempotency_key)

    @overload
    async def request(
        self,
        *,
        name: str,
        message: NewMessage,
        namespace: str | None = None,
        timeout_seconds: float = 20.0,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Answered: ...
    @overload
    async def request(
        self,
        *,
        name: str,
        message: NewMessage,
        namespace: str | None = None,
        timeout_seconds: float = 20.0,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def request(
        self,
        *,
        name: str,
        message: NewMessage,
        namespace: str | None = None,
        timeout_seconds: float = 20.0,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Answered | Plan:
        """Publish a request and wait for its answer.

        The request is a message like any other, with a `deadline` and a `replyTo`; whoever handles it answers with
        `topics.reply`. Request and answer are durable: an answer after the deadline is kept and marked late, and read
        from the topic `replyTo`. Where no group subscribes to the topic, that is said at once. The call can be repeated
        under its idempotency key, and a message with a `key` under that: it then waits for the answer of the first.
        What asks something else under the key of another message is refused.

        Args:
            namespace: Namespace.
            message: A message, such as {"type": "placed", "data": 3}.
            timeout_seconds: How long to wait. An answer that comes later is kept all the same.

        Needs the permission ``topics.publish``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NO_RESPONDER, CONFLICT, TIMEOUT, TOPIC_FULL, TOO_LARGE, FORBIDDEN.
        """
        from pharos.mesh.topics.publishing import Answered

        input_: dict[str, object] = {
            "name": name,
            "namespace": namespace,
            "message": message,
            "timeoutSeconds": timeout_seconds,
        }
        if dry_run:
            return await self._caller.plan("topics.request", input_)
        return await self._caller.typed("topics.request", input_, Answered, write=True, idempotency_key=idempotency_key)

    @overload
    async def retire(
        self,
        *,
        name: str,
        namespace: str | None = None,
        unread: bool = False,
        reason: str = "retired",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Retired: ...
    @overload
    async def retire(
        self,
        *,
        name: str,
        namespace: str | None = None,
        unread: bool = False,
        reason: str = "retired",
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def retire(
        self,
        *,
        name: str,
        namespace: str | None = None,
        unread: bool = False,
        reason: str = "retired",
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Retired | Plan:
        """Remove a topic with everything in it, and leave a tombstone that tells late readers why.

        Refused while someone works on it or a group has not seen everything, unless `unread`. Publishing to the name
        afterwards begins a new topic, whose positions have nothing to do with the old one's.

        Args:
            namespace: Namespace.
            unread: Also if a group has not seen everything, or someone works on it.
            reason: Why. It is recorded.

        Needs the permission ``topics.manage``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, TOPIC_BUSY.
        """
        from pharos.mesh.topics.reading import Retired

        input_: dict[str, object] = {"name": name, "namespace": namespace, "unread": unread, "reason": reason}
        if dry_run:
            return await self._caller.plan("topics.retire", input_)
        return await self._caller.typed("topics.retire", input_, Retired, write=True, idempotency_key=idempotency_key)

    def tail(
        self, *, name: str | None = None, namespace: str | None = None, log: str | None = None, after: str | None = None
    ) -> AsyncGenerator[Message, None]:
        """Follow a topic: each message as it is published.

        A stream without end. Each message's position is the id of its event: a client that reconnects with it as
        `Last-Event-ID` misses nothing and sees nothing twice. A reader that is slower than the writers is served from
        the disk, so it neither holds them up nor fills the memory. The topic need not exist yet.

        Args:
            namespace: Left out: the caller's own.
            log: Such as ``catalog`` or ``operations/…``: needs the permission ``logs.read``.
            after: Position after which to begin, as in ``Last-Event-ID``; empty: the first message there is; left out:
                now.

        Needs the permission ``topics.read``. Raises a fault with code GONE.
        """
        from pharos.mesh.topics.messages import Message

        return self._caller.typed_stream(
            "topics.tail", {"name": name, "namespace": namespace, "log": log, "after": after}, Message
        )
