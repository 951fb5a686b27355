"""Who may give away a key without issuing a secret of it: by vouching for those who act as it."""

from __future__ import annotations

from collections.abc import Iterable

from pharos.control.index import Index
from pharos.core.fault import FORBIDDEN, Fault
from pharos.core.principal import Principal
from pharos.core.resource import AnyResource, Ref
from pharos.trust.guards import GRANT, rights_exceeded
from pharos.trust.kinds import KEY

_KEY = Ref("Key")


def may_grant(
    index: Index, principal: Principal, resource: AnyResource | None, granted: Iterable[tuple[str, str]]
) -> Fault | None:
    """Why ``principal`` may not declare ``resource``, which lets others act as the keys that it names at these places.

    It is as if a secret of each were issued: nobody gives away more than they hold.
    """
    if resource is None:
        return None
    if not principal.may(GRANT):
        return FORBIDDEN(
            f"{resource.kind} resources are declared with the permission {GRANT}.",
            rule="trust/grant",
            subject=str(resource.id),
            required_permission=GRANT,
        )
    for pointer, name in granted:
        id = _KEY.resolve(name, resource.metadata.namespace)
        key = index.get(KEY, id.name, id.namespace)
        if key is None and not principal.may("*"):
            # It could be declared later, by someone with more rights, for something else.
            return FORBIDDEN(
                f"{id} does not exist; only who may do everything grants a key that is yet to come.",
                rule="trust/no-escalation",
                subject=str(id),
                pointer=pointer,
                required_permission="*",
            )
        if key is not None and (refused := rights_exceeded(principal, key)) is not None:
            return refused
    return None
