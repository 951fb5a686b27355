"""The operations of A2A on the sessions of the city: one handler for all bindings.

A task is a session of its agent that was begun for the caller; another caller's, and another agent's, does not exist
for it. What changes something goes through the city's operations; what only looks reads the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import UnsupportedOperationError
from a2a.utils.proto_utils import validate_proto_required_fields
from google.protobuf.message import Message

from pharos.core.event import START, Position
from pharos.core.fault import FORBIDDEN, Fault
from pharos.gateway.federation.bindings.errors import (
    TRANSPORT,
    ended,
    error_of,
    not_cancelable,
    not_found,
    unsupported_media,
    violation,
)
from pharos.gateway.federation.bindings.extensions import RESUME, metadata_of
from pharos.gateway.federation.bindings.visit import Visit, check_version, visit_of
from pharos.gateway.federation.cards.card import Cards
from pharos.gateway.federation.push.configs import Configs
from pharos.gateway.federation.tasks.delegation import Delegation, delegation_in
from pharos.gateway.federation.tasks.follow import folded, following, topics_of
from pharos.gateway.federation.tasks.listing import Listing, Wanted
from pharos.gateway.federation.tasks.message import content_of, sane_id, takes
from pharos.gateway.federation.tasks.states import CONTEXT, INTERRUPTED
from pharos.gateway.federation.tasks.task import MESSAGE, Cursor, TaskFold, Update
from pharos.gateway.federation.tasks.work import READ, Asked, Beginning, Result, Saying, Work
from pharos.runtime.session.address import Address
from pharos.store.ports import Log

MOST_PAGE: Final = 100
_PAGE: Final = 50

Event = pb.Task | pb.Message | Update


class Handler(RequestHandler):
    """See the module. ``blocking_seconds`` is the longest that ``SendMessage`` waits for an end.

    Each method raises ``A2AError``; faults of transport (:data:`~.errors.TRANSPORT`) go through.
    """

    def __init__(
        self,
        log: Log,
        work: Work,
        listing: Listing,
        cards: Cards,
        configs: Configs,
        *,
        blocking_seconds: float,
    ) -> None:
        self._log = log
        self._work = work
        self._listing = listing
        self._cards = cards
        self._configs = configs
        self._blocking_seconds = blocking_seconds

    # Sending.

    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Task:
        """Begin or continue a task, and wait until it ends or needs somebody, unless told to return at once."""
        visit = _admitted(params, context)
        address = await self._send(params, visit)
        fold, head = await folded(self._log, address)
        if not params.configuration.return_immediately:
            await self._settled(fold, head)
        return fold.snapshot(_history(params.configuration))

    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """Begin or continue a task: the task, then every update until it ends or needs input."""
        visit = _admitted(params, context)
        address = await self._send(params, visit)
        async with aclosing(self._stream(address, visit, _history(params.configuration))) as events:
            async for event in events:
                yield event
                if _asks_for_input(event):
                    return

    async def _send(self, params: pb.SendMessageRequest, visit: Visit) -> Address:
        message = params.message
        id = sane_id(message.message_id, "message.message_id")
        context_id = sane_id(message.context_id, "message.context_id")
        if message.role != pb.Role.ROLE_USER:
            raise violation("message.role", "must be ROLE_USER")
        said = content_of(message)
        output = "application/json" if visit.agent.spec.output is not None else "text/plain"
        if not takes(params.configuration.accepted_output_modes, [output]):
            raise unsupported_media(f"{output}, which the agent answers in,")
        correlation = f"{MESSAGE}{id}"
        asked = Asked(visit.principal, f"{MESSAGE}{visit.agent_name}:{id}", correlation, visit.traceparent)
        config = params.configuration.task_push_notification_config
        if config.url:
            await self._configs.check(config)
        if message.task_id:
            fold = await self._own(message.task_id, visit)
            if context_id and context_id != fold.task.context_id:
                raise violation("message.context_id", "is not the context of the task")
            if fold.ended:
                raise ended(_state(fold))
            address = fold.address
            question = next(iter(fold.asked), "")
            answer = Saying(results=(Result(question, said.text, said.data),))
            with _Translated():
                await self._work.send(asked, address, answer if question else Saying(said.text, said.data))
        else:
            with _Translated():
                delegation = delegation_in({**metadata_of(message), **metadata_of(params)})
                _bounded(delegation, visit)
                beginning = Beginning(
                    namespace=visit.agent.metadata.namespace,
                    agent=visit.agent.metadata.name,
                    text=said.text,
                    data=said.data,
                    labels={CONTEXT: context_id} if context_id else {},
                    delegation=delegation,
                )
                address = await self._work.start(asked, beginning)
        if config.url:
            await self._configs.put(address, config, everything=not message.task_id)
        return address

    # Looking.

    async def on_get_task(self, params: pb.GetTaskRequest, context: ServerCallContext) -> pb.Task:
        """The task as it is now."""
        visit = _admitted(params, context)
        fold = await self._own(params.id, visit)
        return fold.snapshot(_history(params))

    async def on_list_tasks(self, params: pb.ListTasksRequest, context: ServerCallContext) -> pb.ListTasksResponse:
        """The caller's tasks with this agent, the latest change first."""
        visit = _admitted(params, context)
        _may_read(visit)
        size = params.page_size if params.HasField("page_size") else _PAGE
        if not 1 <= size <= MOST_PAGE:
            raise violation("page_size", f"must be from 1 to {MOST_PAGE}")
        if params.status not in pb.TaskState.values():
            raise violation("status", "is not a state of tasks")
        after = params.status_timestamp_after.ToMicroseconds() if params.HasField("status_timestamp_after") else None
        wanted = Wanted(
            owner=visit.principal.id,
            agent=visit.agent_name,
            context=params.context_id,
            state=int(params.status),
            changed_after=after,
            limit=size,
            token=params.page_token,
        )
        history = _history(params)
        with _Translated():
            found = await self._listing.find(wanted)
            answer = pb.ListTasksResponse(next_page_token=found.next, page_size=size, total_size=found.total)
            for address in found.tasks:
                fold, _ = await folded(self._log, address)
                answer.tasks.append(fold.snapshot(history, artifacts=params.include_artifacts))
        return answer

    async def on_subscribe_to_task(
        self, params: pb.SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """The task, then every update until it ends; with the extension ``resume``, what came after an id instead."""
        visit = _admitted(params, context)
        fold = await self._own(params.id, visit)
        resuming = bool(visit.after)
        if fold.ended and not resuming:
            raise ended(_state(fold))
        async with aclosing(self._stream(fold.address, visit, None, resuming=resuming)) as events:
            async for event in events:
                yield event

    async def _stream(
        self, address: Address, visit: Visit, history: int | None, *, resuming: bool = False
    ) -> AsyncGenerator[Event]:
        """The task and what follows, or what follows behind ``visit.after``."""
        marks = RESUME in visit.extensions
        with _Translated():
            behind = Cursor.parse(visit.after) if resuming else None
        fold = TaskFold(address)
        head = START
        if behind is None:
            fold, head = await folded(self._log, address, tokens=True)
            yield _first(fold, history, marks)
            if fold.ended:
                return
        with _Translated():
            async with aclosing(following(self._log, topics_of(address, tokens=True), head)) as records:
                async for recorded in records:
                    for told in fold.apply(recorded):
                        if behind is None or told.cursor > behind:
                            yield told.marked() if marks else told.update
                    if fold.ended:
                        return

    async def _settled(self, fold: TaskFold, head: Position) -> None:
        """Bring ``fold`` forward until the task has ended or needs somebody, or the time is over."""
        if fold.ended or fold.state in INTERRUPTED:
            return
        try:
            async with (
                asyncio.timeout(self._blocking_seconds),
                aclosing(following(self._log, topics_of(fold.address, tokens=False), head)) as records,
            ):
                async for recorded in records:
                    fold.apply(recorded)
                    if fold.ended or fold.state in INTERRUPTED:
                        return
        except TimeoutError:
            return

    async def _own(self, id: str, visit: Visit) -> TaskFold:
        """The caller's task with this agent. Raises ``TaskNotFoundError`` for any other."""
        _may_read(visit)
        address = Address(visit.principal.namespace, id)
        if "/" in id or len(id) > 128:
            raise not_found()
        fold, _ = await folded(self._log, address)
        if fold.owner != visit.principal.id or fold.agent != visit.agent_name:
            raise not_found()
        return fold

    # Ending.

    async def on_cancel_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """Ask that the task end, and wait a moment for it."""
        visit = _admitted(params, context)
        fold = await self._own(params.id, visit)
        if fold.ended:
            raise not_cancelable(_state(fold))
        with _Translated():
            await self._work.cancel(
                Asked(visit.principal, None, visit.correlation, visit.traceparent),
                fold.address,
                "The caller cancelled the task.",
            )
        fold, head = await folded(self._log, fold.address)
        await self._over(fold, head)
        if fold.ended and fold.state != pb.TaskState.TASK_STATE_CANCELED:
            raise not_cancelable(_state(fold))  # its end was being written as the call came
        return fold.snapshot()

    async def _over(self, fold: TaskFold, head: Position) -> None:
        """Wait for the end: what is below the session ends first, which may take its time."""
        if fold.ended:
            return
        try:
            async with (
                asyncio.timeout(min(_CANCEL_SECONDS, self._blocking_seconds)),
                aclosing(following(self._log, topics_of(fold.address, tokens=False), head)) as records,
            ):
                async for recorded in records:
                    fold.apply(recorded)
                    if fold.ended:
                        return
        except TimeoutError:
            return

    # Notifications.

    async def on_create_task_push_notification_config(
        self, params: pb.TaskPushNotificationConfig, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        """Have updates of a task sent to a URL; one with an id that is there already is replaced."""
        visit = _admitted(params, context)
        fold = await self._own(params.task_id, visit)
        return await self._configs.put(fold.address, params)

    async def on_get_task_push_notification_config(
        self, params: pb.GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        """One of a task's configurations, without its secrets."""
        visit = _admitted(params, context)
        fold = await self._own(params.task_id, visit)
        found = (await self._configs.of(fold.address)).get(params.id)
        if found is None:
            raise not_found()
        return found

    async def on_list_task_push_notification_configs(
        self, params: pb.ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> pb.ListTaskPushNotificationConfigsResponse:
        """A task's configurations, by id."""
        visit = _admitted(params, context)
        fold = await self._own(params.task_id, visit)
        configs: Mapping[str, pb.TaskPushNotificationConfig] = await self._configs.of(fold.address)
        size = params.page_size or MOST_PAGE
        if not 1 <= size <= MOST_PAGE:
            raise violation("page_size", f"must be from 1 to {MOST_PAGE}")
        names = sorted(name for name in configs if name > params.page_token)
        answer = pb.ListTaskPushNotificationConfigsResponse(configs=[configs[name] for name in names[:size]])
        if len(names) > size:
            answer.next_page_token = names[size - 1]
        return answer

    async def on_delete_task_push_notification_config(
        self, params: pb.DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        """Send nothing more. One that is not there is as good as deleted."""
        visit = _admitted(params, context)
        fold = await self._own(params.task_id, visit)
        await self._configs.remove(fold.address, params.id)

    # The card.

    async def on_get_extended_agent_card(
        self, params: pb.GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> pb.AgentCard:
        """The card for callers with a key."""
        visit = _admitted(params, context)
        return self._cards.card(visit.agent, visit.reach, extended=True)


_CANCEL_SECONDS = 10.0


def _admitted(params: Message, context: ServerCallContext) -> Visit:
    """The visit, once its version and the request's required fields are as they must be."""
    visit = visit_of(context)
    check_version(visit.version)
    validate_proto_required_fields(params)
    return visit


def _bounded(delegation: Delegation, visit: Visit) -> None:
    """Raise ``UnsupportedOperationError`` for a task that has been passed on too often, or comes round again."""
    most = visit.agent.spec.limits.depth
    if delegation.depth > most:
        raise UnsupportedOperationError(message=f"The task was passed on {delegation.depth} times; {most} are taken.")
    if sum(name.startswith(f"{visit.url} ") for name in delegation.path) > 1:
        raise UnsupportedOperationError(message="The task has come by this agent twice before.")


def _may_read(visit: Visit) -> None:
    if not visit.principal.may(READ):
        raise FORBIDDEN(f"Looking at tasks requires the permission {READ}.", required_permission=READ)


class _Translated:
    """Faults of the city leave as errors of the protocol, but for those that the transport has words for."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Fault) and error.status not in TRANSPORT:
            raise error_of(error) from error


def _history(params: pb.GetTaskRequest | pb.ListTasksRequest | pb.SendMessageConfiguration) -> int | None:
    if not params.HasField("history_length"):
        return None
    if params.history_length < 0:
        raise violation("history_length", "must not be negative")
    return params.history_length


def _first(fold: TaskFold, history: int | None, marks: bool) -> pb.Task:
    task = fold.snapshot(history)
    if marks:
        task.metadata.update({RESUME: {"id": str(fold.cursor)}})
    return task


def _asks_for_input(event: Event) -> bool:
    # A quick agent has asked before the stream's first word, which then is a task that already waits.
    asks = pb.TaskState.TASK_STATE_INPUT_REQUIRED
    return isinstance(event, pb.Task | pb.TaskStatusUpdateEvent) and event.status.state == asks


def _state(fold: TaskFold) -> str:
    return str(pb.TaskState.Name(fold.task.status.state).removeprefix("TASK_STATE_").lower())
