"""Operations by which the city describes itself: kinds.list, faults.list and system.operations."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from pharos.control.directory import Directory
from pharos.control.problems import invalid
from pharos.control.wording import nearest, quoted
from pharos.core.fault import COMMON, Category, Problem, Retry
from pharos.core.operation import CostClass, Effect, Invocation, Reversibility, read
from pharos.core.wire import JsonObject, Page, Wire


class KindsInput(Wire):
    """Input of ``kinds.list``."""

    name: str | None = Field(default=None, min_length=1, max_length=128)
    """Only the kind of this name, in any case, or plural."""


class KindItem(Wire):
    """A kind of resource."""

    name: str
    plural: str
    summary: str
    plane: str
    """The room that owns it."""
    schema_: JsonObject = Field(alias="schema")
    """JSON Schema of its spec."""


class FaultsInput(Wire):
    """Input of ``faults.list``."""

    code: str | None = Field(default=None, max_length=128)
    """Only this code."""
    operation: str | None = Field(default=None, max_length=128)
    """Only what this operation can answer."""


class FaultItem(Wire):
    """An entry of the fault catalogue."""

    code: str
    title: str
    status: int
    """HTTP status it is sent with."""
    category: Category
    meaning: str
    retry: Retry
    plane: str
    """The room that declares it."""


class OperationsInput(Wire):
    """Input of ``system.operations``."""

    name: str | None = Field(default=None, max_length=128)
    """Only this operation, or all of a noun: ``catalog``."""


class OperationItem(Wire):
    """Everything a caller must know before calling an operation."""

    name: str
    summary: str
    description: str
    plane: str
    permission: str | None = None
    """What the caller must hold; absent where any authenticated caller may."""
    public: bool
    """Whether anyone may, without a credential."""
    effect: Effect
    reversibility: Reversibility
    inverse: str | None = None
    """The operation that takes it back."""
    cost: CostClass
    typical_ms: float
    """How long it usually takes."""
    streaming: bool
    faults: list[str]
    """Codes it can answer besides the common ones."""
    input: JsonObject
    """JSON Schema."""
    output: JsonObject
    """JSON Schema."""


class Reference:
    """The operations that describe the city."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._operations: dict[str, OperationItem] = {}

    @read("kinds.list", permission=None, typical_ms=2)
    async def kinds(self, invocation: Invocation, input: KindsInput) -> Page[KindItem]:
        """List the kinds of resources with the schemas of their specs."""
        kinds = self._directory.kinds
        names = list(kinds) if input.name is None else [kinds.named(input.name).name]
        return Page[KindItem](
            items=[
                KindItem(
                    name=name,
                    plural=kinds[name].plural,
                    summary=kinds[name].summary,
                    plane=self._directory.owners[name],
                    schema_=kinds.schema(name),
                )
                for name in names
            ]
        )

    @read("faults.list", permission=None, typical_ms=1)
    async def faults(self, invocation: Invocation, input: FaultsInput) -> Page[FaultItem]:
        """List the fault codes: what each means, and whether to try again."""
        known = self._directory.faults
        codes = set(known)
        if input.operation is not None:
            operation = self._directory.operations.get(input.operation)
            if operation is None:
                raise _no_such(input.operation, "/operation", self._directory.operations)
            codes = {fault.code for fault in (*COMMON, *operation.faults)}
        if input.code is not None:
            if input.code not in known:
                raise _no_such(input.code, "/code", known)
            codes &= {input.code}
        return Page[FaultItem](
            items=[
                FaultItem(
                    code=code,
                    title=known[code].code.title,
                    status=known[code].code.status,
                    category=known[code].code.category,
                    meaning=known[code].code.meaning,
                    retry=known[code].code.retry,
                    plane=known[code].plane,
                )
                for code in sorted(codes & known.keys())
            ]
        )

    @read("system.operations", permission=None, typical_ms=5)
    async def operations(self, invocation: Invocation, input: OperationsInput) -> Page[OperationItem]:
        """List the operations: schemas, permission, effect, reversibility, inverse, cost, usual duration and faults."""
        names = list(self._directory.operations)
        if input.name is not None:
            names = [name for name in names if input.name in (name, name.partition(".")[0])]
            if not names:
                raise _no_such(input.name, "/name", self._directory.operations)
        return Page[OperationItem](items=[self._item(name) for name in names])

    def _item(self, name: str) -> OperationItem:
        known = self._operations.get(name)
        if known is None:
            operation = self._directory.operations[name]
            known = self._operations[name] = OperationItem(
                name=name,
                summary=operation.summary,
                description=operation.description,
                plane=self._directory.plane_of(name),
                permission=operation.permission,
                public=operation.public,
                effect=operation.effect,
                reversibility=operation.reversibility,
                inverse=operation.inverse,
                cost=operation.cost,
                typical_ms=operation.typical_ms,
                streaming=operation.streaming,
                faults=sorted({fault.code for fault in operation.faults}),
                input=operation.input.model_json_schema(by_alias=True),
                output=operation.output.model_json_schema(by_alias=True, mode="serialization"),
            )
        return known


def _no_such(name: str, pointer: str, options: Iterable[str]) -> Exception:
    message = f"There is no {quoted(name)}."
    return invalid([Problem(pointer=pointer, message=message, suggestion=nearest(name, options))])
