"""What holds between resources whatever operation changes them: nothing that is referred to is removed."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pharos.control.faults import REFERENCED
from pharos.control.index import Index
from pharos.control.kinds import Kinds
from pharos.core.call import Call
from pharos.core.fault import Applicability, Cause, Fault, Fix, Permitted
from pharos.core.principal import Principal
from pharos.core.resource import ResourceId
from pharos.core.wire import Json

MOST_NAMED = 50
"""Most referrers named in a fault."""
MOST_DELETED = 100
"""Most resources a fix offers to delete."""


def refuse_dangling(
    removed: Collection[ResourceId], ignored: Collection[ResourceId], index: Index, kinds: Kinds, principal: Principal
) -> Fault | None:
    """``REFERENCED``, if something that stays as it is refers to something in ``removed``; otherwise ``None``.

    What the resources in ``ignored`` refer to now does not count: the same decision replaces them, say.
    """
    gone = {*removed, *ignored}
    blocked = {target for target in removed for source in index.referrers(target) if source not in gone}
    if not blocked:
        return None
    causes = list(_causes(blocked, gone, index))
    what = str(min(blocked)) if len(blocked) == 1 else f"{len(blocked)} resources"
    named: list[Json] = [*sorted({cause.resource for cause in causes if cause.resource})]
    return REFERENCED(
        f"{what} cannot be removed: {len(causes)} reference{'s' if len(causes) > 1 else ''} would dangle.",
        subject=str(min(blocked)),
        rule="control/no-delete-while-referenced",
        causes=causes[:MOST_NAMED],
        facts={"references": len(causes), "referrers": named[:MOST_NAMED]},
        fixes=list(_fixes(blocked, gone, index, kinds, principal)),
    )


def dependents(targets: Collection[ResourceId], index: Index) -> list[ResourceId]:
    """Everything that refers to ``targets``, directly or through others, without the targets; nearest first."""
    found: dict[ResourceId, None] = dict.fromkeys(targets)
    waiting = sorted(targets)
    while waiting:
        layer = sorted({source for target in waiting for source in index.referrers(target) if source not in found})
        found.update(dict.fromkeys(layer))
        waiting = layer
    return [id for id in found if id not in targets]


def _causes(blocked: Collection[ResourceId], gone: Collection[ResourceId], index: Index) -> Iterator[Cause]:
    for target in sorted(blocked):
        for source in sorted(index.referrers(target)):
            if source in gone:
                continue
            for reference in index.references(source):
                if reference.target == target:
                    message = f"{source} refers to {target} at {reference.pointer}."
                    yield Cause(message=message, resource=str(source), observed=reference.pointer)


def _fixes(
    blocked: Collection[ResourceId],
    gone: Collection[ResourceId],
    index: Index,
    kinds: Kinds,
    principal: Principal,
) -> Iterator[Fix]:
    doomed = [id for id in dependents(blocked, index) if id not in gone]
    if len(doomed) <= MOST_DELETED:
        listed: list[Json] = []
        guarded = False
        for id in doomed:
            resource = index.find(id)
            if resource is None:
                continue
            listed.append({"resource": str(id), "revision": resource.metadata.revision})
            kind = kinds.get(id.kind)
            guarded = guarded or (kind is not None and kind.guard(principal, resource, None) is not None)
        call = Call(operation="catalog.delete", arguments={"resources": listed})
        yield Fix(
            id="delete-referrers",
            title=f"Delete the {len(listed)} resources that depend on it" if len(listed) > 1 else f"Delete {doomed[0]}",
            # A guard may refuse the caller what the operation's permission allows.
            applicability=Applicability.LIKELY if guarded else Applicability.CERTAIN,
            call=call,
            effect="What depends on it is removed in one step; operations.undo brings it back.",
            permitted=Permitted.NO if guarded else Permitted.YES,
        )
    root = min(blocked)
    yield Fix(
        id="see-impact",
        title="See what depends on it, and change those references",
        applicability=Applicability.LIKELY,
        call=Call(
            operation="system.impact",
            arguments={"kind": root.kind, "name": root.name, "namespace": root.namespace},
        ),
        effect="The references that stand in the way are known.",
    )
