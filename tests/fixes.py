"""The proof behind a fix that is graded certain: trigger the fault, run the fix as returned, repeat with success."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from pharos.control.invoker import Invoker
from pharos.core.call import Call
from pharos.core.fault import Applicability, Fault, Fix, Permitted
from pharos.core.principal import Principal
from pharos.core.wire import JsonObject


async def prove_certain_fix(
    attempt: Callable[[], Awaitable[object]],
    run: Callable[[Call], Awaitable[object]],
    *,
    code: str,
    fix: str | None = None,
) -> Fault:
    """Prove a fix. ``attempt`` is the call that fails with ``code``; ``run`` executes the call of a fix.

    ``fix`` is the id of the fix to prove; left out, the first that is graded certain. Returns the fault.
    """
    with pytest.raises(Fault) as caught:
        await attempt()
    document = caught.value.document
    assert document.code == code, document
    chosen = certain(caught.value, fix)
    assert chosen.call is not None and chosen.permitted is Permitted.YES, chosen
    # As returned: through its JSON form, as a caller receives it.
    await run(Call.model_validate(chosen.call.to_json()))
    await attempt()
    return caught.value


async def prove_certain_fix_of_call(
    invoker: Invoker, call: Call, principal: Principal, *, code: str, fix: str | None = None
) -> Fault:
    """:func:`prove_certain_fix` where one principal makes the failing call and runs its fix through the invoker."""

    async def run(it: Call) -> JsonObject:
        return await invoker.invoke(it.operation, it.arguments, principal)

    return await prove_certain_fix(lambda: run(call), run, code=code, fix=fix)


def certain(fault: Fault, id: str | None = None) -> Fix:
    """The fix graded certain, by its id or the first."""
    found = [f for f in fault.document.fixes if f.applicability is Applicability.CERTAIN and id in (None, f.id)]
    assert found, f"no certain fix {id or ''} in {fault.document.to_json()}"
    return found[0]
