"""A thing one can do.

An operation is one typed async function together with everything a caller must know before calling it. It is registered
once; the HTTP route, MCP tool, CLI command, SDK method, OpenAPI entry and reference page are generated from it.

A *read* answers. A *write* decides: it reads what it needs and returns a :class:`Decision`, the changes and facts that
should come about, without bringing them about. The invoker (``control/invoker.py``) commits a decision in one
transaction with the record of the operation. That is why every write can be planned (``dry_run``), repeated safely
(idempotency keys) and undone.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any, Generic, TypeVar, cast, get_args, get_origin, get_type_hints

from pharos.core.call import Call
from pharos.core.event import Event
from pharos.core.fault import FaultCode
from pharos.core.ids import uuid7
from pharos.core.principal import Principal
from pharos.core.resource import AnyResource, ResourceId, Status
from pharos.core.wire import JsonObject, Wire


class Effect(StrEnum):
    """What a call does to the city."""

    READ = "read"
    WRITE = "write"
    DESTROY = "destroy"


class Reversibility(StrEnum):
    """How a call can be undone. Known before it is made, never guessed afterwards.

    ``exact``: the state returns as it was. ``snapshot``: it returns to a stored copy. ``compensating``: another act
    balances it. ``none``: it cannot be undone.
    """

    EXACT = "exact"
    SNAPSHOT = "snapshot"
    COMPENSATING = "compensating"
    NONE = "none"


class CostClass(StrEnum):
    """What a call costs: nothing worth counting, or money spent with a provider."""

    FREE = "free"
    METERED = "metered"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of an operation, as its handler sees it."""

    principal: Principal
    operation_id: str = field(default_factory=uuid7)
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    dry_run: bool = False
    correlation: str = ""
    causation: str = ""
    traceparent: str = ""
    idempotency_key: str | None = None
    """The caller's key, for a write that performs itself (:attr:`Decision.perform`); others need not look at it."""
    also: tuple[object, ...] = ()
    """Commands of the store that such a write commits with what it brings about: they note which call has the key."""


@dataclass(frozen=True, slots=True)
class Put:
    """Create or replace a resource. ``expected`` is the revision it must have now, 0 if it must not exist."""

    resource: AnyResource
    expected: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a resource that has revision ``expected`` now."""

    id: ResourceId
    expected: int


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Replace the status of an existing resource. The revision stays; the history does not record it.

    ``expected``, where given, is the status it must have now, and ``revision`` the revision, else ``CONFLICT``: of two
    calls that change one status at the same time, none is lost, and what was decided about one specification is not
    noted of another.
    """

    id: ResourceId
    status: Status
    expected: Status | None = None
    revision: int | None = None


Observe = Callable[[SetStatus], Awaitable[None]]
"""``Invoker.observe``: write down what was observed. Raises the faults of a resource that is another by now."""


Change = Put | Delete | SetStatus

I = TypeVar("I", bound=Wire)  # noqa: E741
O = TypeVar("O", bound=Wire)  # noqa: E741
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Decision(Generic[O]):
    """What a write wants to come about.

    ``inverse`` is given where the inverse is another operation (``compensating``); changes to resources carry their
    exact inverse by themselves. ``replayable`` is false where the output holds a secret that is shown once: a repeated
    call with the same idempotency key is then refused instead of answered. ``reversibility`` and
    ``permission`` (required to do it, and to undo it) are given where they are not the operation's own, because the
    decision carries out another operation's. ``expects`` names, for topics whose
    events the decision was made from, the sequence their last event must still have (0: none); if one has moved on,
    the decision is made anew.

    ``commands`` are further commands of the store (``store/delivery.py``; this floor knows them as objects) that come
    about in the same commit; ``conclude`` makes the output of what they answered, where it depends on that (``output``
    is then what is expected).

    ``perform`` is for what is called too often to be recorded each time, such as publishing, and for what waits: it is
    run instead of the commit, brings everything about by itself, and returns the output. Nothing is recorded, so it
    cannot be undone; what it commits names the principal and the operation's id, and honours the idempotency key: it
    brings nothing about twice, and commits :attr:`Invocation.also` where another call under the same key would.
    """

    output: O
    changes: tuple[Change, ...] = ()
    events: tuple[Event, ...] = ()
    inverse: Call | None = None
    replayable: bool = True
    reversibility: Reversibility | None = None
    permission: str | None = None
    expects: Mapping[str, int] = field(default_factory=dict)
    commands: tuple[object, ...] = ()
    conclude: Callable[[Sequence[object]], O] | None = None
    perform: Callable[[], Awaitable[O]] | None = None


class Written(Wire):
    """Base of every write's output: names the operation, so that it can be undone."""

    operation: str
    """Id of the operation, for ``operations.undo``."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a decorator notes on a handler."""

    name: str
    permission: str | None
    effect: Effect
    reversibility: Reversibility
    inverse: str | None
    cost: CostClass
    typical_ms: float
    faults: tuple[FaultCode, ...]
    public: bool
    lacking: Lacking | None = None
    recorded: bool = True


@dataclass(frozen=True)
class Operation(Generic[I, O]):
    """A registered operation.

    ``permission`` is what the caller must hold; ``None`` means that any authenticated caller may. ``public`` operations
    answer anyone. ``streaming`` operations yield outputs until their end (server-sent events over HTTP).
    ``typical_ms`` is the usual duration, for planning.
    """

    name: str
    summary: str
    description: str
    input: type[I]
    output: type[O]
    permission: str | None
    effect: Effect
    reversibility: Reversibility
    inverse: str | None
    cost: CostClass
    typical_ms: float
    faults: tuple[FaultCode, ...]
    public: bool
    streaming: bool
    handler: Callable[[Invocation, I], Awaitable[O] | Awaitable[Decision[O]] | AsyncIterator[O]]
    lacking: Callable[[Principal, JsonObject], str | None] | None = None
    """What the caller would lack beyond ``permission`` for a call with these arguments, where that depends on them: the
    same that would refuse the call. Asked before a fix is offered as one that the caller may run."""
    recorded: bool = True
    """Whether each call leaves a record, by which it can be undone and put up for approval. A write that is not
    recorded performs itself (:attr:`Decision.perform`)."""

    @property
    def noun(self) -> str:
        """The part before the dot."""
        return self.name.partition(".")[0]

    @property
    def verb(self) -> str:
        """The part after the dot."""
        return self.name.partition(".")[2]


AnyOperation = Operation[Any, Any]

Lacking = Callable[[Any, Principal, JsonObject], str | None]
"""See :attr:`Operation.lacking`; the first argument is the owner of the handler."""

_MARK = "__pharos_operation__"


def read(
    name: str,
    *,
    permission: str | None,
    cost: CostClass = CostClass.FREE,
    typical_ms: float = 5,
    faults: tuple[FaultCode, ...] = (),
    public: bool = False,
) -> Callable[[F], F]:
    """Mark ``async def handler(self, invocation, input) -> Output`` (or ``-> AsyncIterator[Output]``) as a read.

    The docstring's first line becomes the summary, the rest the description.
    """
    return _mark(Signature(name, permission, Effect.READ, Reversibility.NONE, None, cost, typical_ms, faults, public))


def write(
    name: str,
    *,
    permission: str | None,
    reversibility: Reversibility = Reversibility.EXACT,
    inverse: str | None = "operations.undo",
    destroys: bool = False,
    cost: CostClass = CostClass.FREE,
    typical_ms: float = 10,
    faults: tuple[FaultCode, ...] = (),
    lacking: Lacking | None = None,
    recorded: bool = True,
) -> Callable[[F], F]:
    """Mark ``async def handler(self, invocation, input) -> Decision[Output]`` as a write."""
    effect = Effect.DESTROY if destroys else Effect.WRITE
    return _mark(
        Signature(name, permission, effect, reversibility, inverse, cost, typical_ms, faults, False, lacking, recorded)
    )


def _mark(signature: Signature) -> Callable[[F], F]:
    def mark(function: F) -> F:
        setattr(function, _MARK, signature)
        return function

    return mark


def operations_of(owner: object) -> tuple[AnyOperation, ...]:
    """The operations that ``owner``'s methods are marked as, in the order of definition."""
    found = []
    for cls in reversed(type(owner).__mro__):
        for name, function in vars(cls).items():
            signature = getattr(function, _MARK, None)
            if isinstance(signature, Signature):
                found.append(_bind(signature, function, getattr(owner, name)))
    return tuple(found)


def _bind(signature: Signature, function: Callable[..., Any], bound: Callable[..., Any]) -> AnyOperation:
    hints = get_type_hints(function)
    answer = hints.pop("return")
    parameters = [p for p in inspect.signature(bound).parameters if p in hints]
    input_type = hints[parameters[1]]
    streaming = get_origin(answer) is AsyncIterator
    if streaming or get_origin(answer) is Decision:
        answer = get_args(answer)[0]
    summary, _, description = inspect.cleandoc(function.__doc__ or "").partition("\n")
    if not summary or not issubclass(input_type, Wire) or not issubclass(answer, Wire):
        raise TypeError(f"operation {signature.name}: needs a docstring, a Wire input and a Wire output")
    return Operation(
        name=signature.name,
        summary=summary.strip(),
        description=description.strip(),
        input=input_type,
        output=answer,
        permission=signature.permission,
        effect=signature.effect,
        reversibility=signature.reversibility,
        inverse=signature.inverse,
        cost=signature.cost,
        typical_ms=signature.typical_ms,
        faults=signature.faults,
        public=signature.public,
        streaming=streaming,
        handler=cast("Any", bound),
        lacking=None if signature.lacking is None else partial(signature.lacking, cast("Any", bound).__self__),
        recorded=signature.recorded,
    )


class Registry(Mapping[str, AnyOperation]):
    """All operations of the city, by name. Built once at start-up."""

    def __init__(self, operations: Iterable[AnyOperation]) -> None:
        self._operations: dict[str, AnyOperation] = {}
        for operation in operations:
            if operation.name in self._operations:
                raise ValueError(f"operation {operation.name} is registered twice")
            self._operations[operation.name] = operation

    def __getitem__(self, name: str) -> AnyOperation:
        return self._operations[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._operations))

    def __len__(self) -> int:
        return len(self._operations)
