"""The faults of agents' profiles."""

from __future__ import annotations

from pharos.core.call import Call
from pharos.core.fault import Applicability, Category, FaultCode, Fix, Retry
from pharos.core.resource import ResourceId

TEMPLATE_VALUES = FaultCode(
    "TEMPLATE_VALUES", "The template's values do not fit", 400, Category.VALIDATION,
    "A variable of the template has no value, or one that does not fit it, or there is no such variable. `facts` names "
    "the `missing`, the `unknown` and all `variables`; `problems` says where each is.",
    Retry.AFTER_FIX,
)  # fmt: skip
AGENT_INCOMPLETE = FaultCode(
    "AGENT_INCOMPLETE", "The agent cannot be run as declared", 409, Category.PRECONDITION,
    "The agent names a model, key, template, delegate or pool that does not exist, or its template's variables have no "
    "value; `problems` lists each place in its manifest. Or it is not declared any more, and a session of it is to be "
    "forked. Sessions that began before go on with what they pinned.",
    Retry.AFTER_FIX,
)  # fmt: skip
DELEGATES_CYCLIC = FaultCode(
    "DELEGATES_CYCLIC", "Agents delegate in a circle", 409, Category.INTEGRITY,
    "An agent would come to delegate to itself. `facts.cycle` names the agents in order; take one of these delegates "
    "away.",
    Retry.AFTER_FIX,
)  # fmt: skip


def look_at(id: ResourceId) -> Fix:
    """The way to how something is declared."""
    return Fix(
        id=f"look-at-{id.name}",
        title=f"See how {id} is declared, and apply it anew",
        applicability=Applicability.LIKELY,
        call=Call(operation="catalog.get", arguments={"kind": id.kind, "name": id.name, "namespace": id.namespace}),
    )


ALL: tuple[FaultCode, ...] = (TEMPLATE_VALUES, AGENT_INCOMPLETE, DELEGATES_CYCLIC)
