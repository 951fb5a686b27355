"""Correcting the ledger: rows stay as they were posted, and what is to be added to one is a row of its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from pharos.core.call import Call
from pharos.core.event import Event
from pharos.core.fault import INVALID, NOT_FOUND, TIMEOUT, Problem
from pharos.core.forms import form
from pharos.core.operation import Decision, Invocation, Reversibility, Written, write
from pharos.core.projection import Scalar
from pharos.core.wire import JsonObject, Wire
from pharos.insight.fields import since_1970
from pharos.insight.ledger.items import ITEM_COLUMNS, LedgerItem, integer, item_of, time_in
from pharos.insight.ledger.reads import CATCH_UP
from pharos.insight.ledger.rows import ATTEMPT, CORRECTED, CORRECTION, LEDGER
from pharos.mesh.money import MOST_COST, decimal_text, to_nanos
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Store

_AN_HOUR = 3_600_000_000
"""Microseconds."""

Amount = Annotated[Decimal, Field(max_digits=16, decimal_places=9, allow_inf_nan=False)]


class Correct(Wire):
    """Input of ``ledger.correct``. Give exactly one of ``cost``, ``amount`` and ``unpriced``."""

    row: Annotated[
        str,
        StringConstraints(
            pattern=form(r"^[^/]+/[1-9][0-9]*$", "the id of a row, as `ledger.list` shows it: CALL/NUMBER"),
            max_length=256,
        ),
    ]
    """Id of the attempt, as ``ledger.list`` shows it."""
    cost: Annotated[Amount, Field(ge=0)] | None = None
    """What it cost in truth, all corrections together."""
    amount: Amount | None = None
    """What is to be added; negative to take away."""
    unpriced: bool = False
    """Nobody knows what it cost after all: take back what corrections said."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024, strip_whitespace=True)]
    """Why. It stands in the row."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Correct:
        if (self.cost is not None) + (self.amount is not None) + self.unpriced != 1:
            raise ValueError("give exactly one of cost, amount and unpriced")
        return self


class Corrected(Written):
    """The correction that was posted."""

    row: str
    correction: str
    """Id of the correction's own row."""
    before: str | None = None
    """What the row cost with all corrections until now; absent: nobody knew."""
    amount: str
    """What was added."""
    after: str | None = None
    currency: str


class Corrections:
    """The operation."""

    def __init__(self, store: Store, runner: ProjectionRunner) -> None:
        self._store = store
        self._runner = runner

    @write(
        "ledger.correct",
        permission="ledger.correct",
        reversibility=Reversibility.COMPENSATING,
        inverse="ledger.correct",
        faults=(INVALID, NOT_FOUND, TIMEOUT),
    )
    async def correct(self, invocation: Invocation, input: Correct) -> Decision[Corrected]:
        """Post a correction of what an attempt cost: a new row with the difference, the reason and who made it.

        The corrected row stays as it is. Every sum includes the correction, under the dimensions and in the period of
        the row it corrects. Budgets are not touched: what was settled against them was settled. Undo posts the opposite
        correction.
        """
        topic = f"ledger/{input.row}"
        known = await self._store.log.topic(topic)
        await self._runner.caught_up(LEDGER, CATCH_UP)
        row = await self._row(input.row)
        own = None if row.cost is None else to_nanos(Decimal(row.cost))
        added, priced = await self._corrections(row)
        before = None if own is None and not priced else (own or 0) + added
        amount, after, unpriced = _difference(input, own, before, added)
        if after is not None and not 0 <= after <= MOST_COST:
            raise INVALID(
                f"The row would cost {decimal_text(after)} {row.currency}.",
                pointer="/amount",
                problems=[Problem(pointer="/amount", message="must leave a cost of zero or more")],
            )
        data: JsonObject = {
            "row": row.id,
            "call": row.call,
            "namespace": row.namespace,
            "key": row.key,
            "team": row.team,
            "user": row.user or "",
            "labels": dict(row.labels),
            "model": row.model,
            "dialect": row.dialect,
            "target": row.target,
            "answered": row.answered,
            "provider": row.provider,
            "tier": row.tier or "",
            "outcome": row.outcome,
            "time": row.time.isoformat(),
            "amount": decimal_text(amount),
            "currency": row.currency,
            "unpriced": unpriced,
            "reason": input.reason,
        }
        event = Event(topic=topic, type=CORRECTED, data=data, principal=invocation.principal.id, subject=row.id)
        output = Corrected(
            operation=invocation.operation_id,
            row=row.id,
            correction=event.id,
            before=None if before is None else decimal_text(before),
            amount=decimal_text(amount),
            after=None if after is None else decimal_text(after),
            currency=row.currency,
        )
        back: JsonObject = {"row": row.id, "reason": f"takes back correction {event.id}"}
        if before is None:
            back["unpriced"] = True
        elif after is None:
            back["cost"] = decimal_text(before)
        else:
            back["amount"] = decimal_text(-amount)
        inverse = Call(operation="ledger.correct", arguments=back)
        return Decision(output, events=(event,), inverse=inverse, expects={topic: known.sequence if known else 0})

    async def _row(self, id: str) -> LedgerItem:
        """The attempt of that id. Raises ``NOT_FOUND``."""
        call, _, number = id.rpartition("/")
        where = "l.call = :call AND l.number = :number AND l.kind = :kind"
        parameters: dict[str, Scalar] = {"call": call, "number": int(number), "kind": ATTEMPT}
        begun = time_in(call)
        queries = (
            [("", {})] if begun is None else [(" AND l.at >= :at ORDER BY l.at", {"at": begun - _AN_HOUR}), ("", {})]
        )
        for more, bound in queries:
            rows = await self._store.views.query(
                f"SELECT NULL, {ITEM_COLUMNS} FROM ledger l WHERE {where}{more} LIMIT 1",  # noqa: S608 (ours)
                parameters | bound,
            )
            if rows:
                return item_of(rows[0])
        raise NOT_FOUND(f"The ledger has no attempt {id!r}.", subject=id, pointer="/row")

    async def _corrections(self, row: LedgerItem) -> tuple[int, bool]:
        """What corrections of a row add up to, and whether they give it a price."""
        [(amount, change)] = await self._store.views.query(
            "SELECT COALESCE(SUM(cost), 0), COALESCE(SUM(unpriced), 0) FROM ledger "
            "WHERE at = :at AND kind = :kind AND corrects = :row",
            {"at": since_1970(row.time), "kind": CORRECTION, "row": row.id},
        )
        return integer(amount), integer(change) < 0


def _difference(input: Correct, own: int | None, before: int | None, added: int) -> tuple[int, int | None, int]:
    """What to add, what the row costs then, and what becomes of the number of unpriced rows."""
    if input.unpriced:
        if own is not None or before is None:
            raise INVALID("Only a price that corrections gave can be taken back.", pointer="/unpriced")
        return -added, None, 1
    if input.cost is not None:
        after = to_nanos(input.cost)
        return after - (before or 0), after, -1 if before is None else 0
    amount = to_nanos(input.amount or Decimal(0))
    return amount, (before or 0) + amount, -1 if before is None else 0
