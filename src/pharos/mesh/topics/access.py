"""Who may touch which namespace.

A permission such as ``topics.read`` holds for the caller's own namespace. For another one ``namespaces.cross`` is
needed besides, which no pattern of topics includes. Topics of the city itself (the catalog, operations, sessions) are
nobody's namespace: they are read with ``logs.read`` and written by no one.
"""

from __future__ import annotations

from typing import Final

from pharos.core.fault import FORBIDDEN
from pharos.core.principal import Principal
from pharos.core.wire import JsonObject

CROSS: Final = "namespaces.cross"
LOGS: Final = "logs.read"

PUBLISH: Final = "topics.publish"
READ: Final = "topics.read"
MANAGE: Final = "topics.manage"
CONSUME: Final = "groups.consume"
GROUPS: Final = "groups.manage"
SCHEDULE: Final = "schedules.write"


def namespace_for(principal: Principal, asked: str | None) -> str:
    """The namespace that a call is about: the caller's own unless said otherwise. Raises ``FORBIDDEN``."""
    if asked is None or asked == principal.namespace:
        return principal.namespace
    if not principal.may(CROSS):
        raise FORBIDDEN(
            f"Other namespaces than {principal.namespace!r} need the permission {CROSS}.", required_permission=CROSS
        )
    return asked


def require(principal: Principal, permission: str, why: str) -> None:
    """Raise ``FORBIDDEN`` where a permission is lacking."""
    if not principal.may(permission):
        raise FORBIDDEN(f"{why} needs the permission {permission}.", required_permission=permission)


def lacking_namespace(_owner: object, principal: Principal, arguments: JsonObject) -> str | None:
    """What a caller lacks for a call whose arguments name a namespace (:attr:`Operation.lacking`)."""
    asked = arguments.get("namespace")
    if asked is None or asked == principal.namespace or principal.may(CROSS):
        return None
    return CROSS
