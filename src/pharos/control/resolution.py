"""A fault as its caller may see it.

Fixes are built by the code that raises a fault, from typed facts. Here each of them is judged for one caller: may they
run it, and if not, how can they ask? A fix never widens the caller's own rights. A fix that was run and did not help is
trusted less the next time, so that two fixes which undo each other do not keep an agent busy for ever.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

import orjson

from pharos.control.directory import Directory
from pharos.control.idempotency import fingerprint_of
from pharos.core.call import Call
from pharos.core.fault import (
    FORBIDDEN,
    NO_CREDENTIAL,
    NOT_FOUND,
    UNAUTHENTICATED,
    Applicability,
    Category,
    Fault,
    FaultDocument,
    Fix,
    Permitted,
)
from pharos.core.operation import AnyOperation, Effect
from pharos.core.principal import Principal
from pharos.core.wire import JsonObject

REQUEST = "approvals.request"
"""The operation with which a caller asks for what they may not do."""

_ASKING = REQUEST.partition(".")[0]
"""The noun of the operations that decide on requests; they are not put up for approval themselves."""

_LIST = "list"
"""The verb that every noun with many things has."""

LONGEST_CALL = 16 * 1024
"""Calls with more bytes of arguments are not repeated in a fault."""

_REMEMBERED = 4_096

K = TypeVar("K")
V = TypeVar("V")


class Resolver:
    """Resolves faults for callers. Remembers, within bounds, which fixes were offered and tried."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._offered: OrderedDict[tuple[str, str], tuple[str, str, str]] = OrderedDict()
        """(principal, digest of a fix's call) -> (operation that failed, its symptom, id of the fix)."""
        self._tried: OrderedDict[tuple[str, str], dict[tuple[str, str], int]] = OrderedDict()
        """(principal, operation that failed) -> how often (symptom, id of a fix) was run since it last succeeded."""

    def unauthenticated(self, correlation: str) -> Fault:
        """The one answer to everyone who sent no credential, whatever they asked for."""
        return _bare(UNAUTHENTICATED(NO_CREDENTIAL), correlation)

    def forbidden(self, operation: AnyOperation, arguments: JsonObject, permission: str | None = None) -> Fault:
        """The refusal of a call for want of a permission (its operation's own, unless given), with the way to ask."""
        required = permission or operation.permission or ""
        return FORBIDDEN(
            f"{operation.name} requires the permission {required}.",
            required_permission=required,
            subject=operation.name,
            fixes=[self._ask(operation, arguments, required)],
        )

    def with_way_to_ask(self, fault: Fault, operation: str, arguments: JsonObject) -> Fault:
        """A refusal for want of a permission that says no way out (a guard knows the change, not the call that led to
        it), with the way to ask."""
        known = self._directory.operations.get(operation)
        required = fault.document.required_permission
        if (
            known is None
            or required is None
            or fault.document.fixes
            or fault.document.category is not Category.PERMISSION
        ):
            return fault
        fix = self._ask(known, arguments, required)
        return fault.amended(lambda document: document.model_copy(update={"fixes": [fix]}))

    def resolve(self, fault: Fault, principal: Principal | None, operation: str, correlation: str) -> Fault:
        """The fault for this caller."""
        if principal is None:
            return _bare(fault, correlation)
        symptom = f"{fault.code} {fault.document.subject or ''}"
        offered = fault.document.fixes or self._look(fault, operation)
        fixes = [resolved for fix in offered if (resolved := self._resolved(fix, principal)) is not None]
        doubted = [self._doubted(fix, (operation, symptom), principal) for fix in fixes]
        kept = [fix for fix in doubted if fix is not None]
        facts: JsonObject = {"escalate": True} if len(kept) < len(fixes) else {}

        def amend(document: FaultDocument) -> FaultDocument:
            update = {"fixes": kept, "facts": {**document.facts, **facts}, "correlation": correlation}
            return document.model_copy(update=update)

        return fault.amended(amend)

    def succeeded(self, operation: str, fingerprint: str, principal: Principal) -> None:
        """Note that a call was carried out. If it was offered as a fix, it has now been tried; otherwise what was tried
        to make its operation succeed has helped."""
        if (offer := self._offered.pop((principal.id, fingerprint), None)) is None:
            self._tried.pop((principal.id, operation), None)
        else:
            failed, symptom, fix = offer
            counts = self._tried.get((principal.id, failed), {})
            counts[symptom, fix] = counts.get((symptom, fix), 0) + 1
            _keep(self._tried, (principal.id, failed), counts)

    def _resolved(self, fix: Fix, principal: Principal) -> Fix | None:
        """Whether the caller may run it; ``None`` for a fix that this city cannot carry out."""
        if fix.call is None or fix.permitted is not Permitted.YES:
            return fix
        operation = self._directory.operations.get(fix.call.operation)
        if operation is None:
            return None
        lacking = _lacking(operation, fix.call.arguments, principal)
        if lacking is None:
            return fix
        asked = self._request(operation, fix.call.arguments, lacking)
        permitted = Permitted.NEEDS_APPROVAL if asked is not None else Permitted.NO
        return fix.model_copy(update={"permitted": permitted, "request": asked})

    def _doubted(self, fix: Fix, failed: tuple[str, str], principal: Principal) -> Fix | None:
        """The fix, one grade lower if it was tried on this symptom before; ``None`` after the second time."""
        if fix.call is None:
            return fix
        operation, symptom = failed
        _keep(self._offered, (principal.id, fingerprint_of(fix.call.operation, fix.call.arguments)), (*failed, fix.id))
        tried = self._tried.get((principal.id, operation), {}).get((symptom, fix.id), 0)
        if tried == 0:
            return fix
        return fix.model_copy(update={"applicability": Applicability.LIKELY}) if tried == 1 else None

    def _look(self, fault: Fault, operation: str) -> list[Fix]:
        """For what is not there, where nobody knew better: the list of what is, if it can be had without more."""
        noun, _, verb = operation.partition(".")
        listing = self._directory.operations.get(f"{noun}.{_LIST}")
        if fault.code != NOT_FOUND.code or verb == _LIST or listing is None:
            return []
        if any(field.is_required() for field in listing.input.model_fields.values()):
            return []
        call = Call(operation=listing.name, arguments={})
        return [Fix(id="look", title=f"See the {noun} there are", applicability=Applicability.LIKELY, call=call)]

    def _ask(self, operation: AnyOperation, arguments: JsonObject, required: str) -> Fix:
        request = self._request(operation, arguments, required)
        if request is None:
            return Fix(
                id="ask",
                title=f"Ask an administrator for a key with the scope {required}",
                applicability=Applicability.MANUAL,
            )
        return Fix(
            id="ask",
            title="Ask someone who holds the permission to run this call",
            applicability=Applicability.LIKELY,
            call=request,
            effect="The call waits for approval; who approves it runs it on their own authority.",
        )

    def _request(self, operation: AnyOperation, arguments: JsonObject, required: str) -> Call | None:
        """The call that asks for approval; only writes can be run by someone else in one's place."""
        write = operation.effect is not Effect.READ and operation.recorded
        askable = REQUEST in self._directory.operations and write
        if not askable or operation.name in self._directory.with_secrets or operation.noun == _ASKING:
            return None
        try:
            size = len(orjson.dumps(arguments))
        except orjson.JSONEncodeError:
            return None
        if size > LONGEST_CALL:
            return None
        reason = f"The caller lacks the permission {required}."
        return Call(
            operation=REQUEST, arguments={"operation": operation.name, "arguments": arguments, "reason": reason}
        )


def _lacking(operation: AnyOperation, arguments: JsonObject, principal: Principal) -> str | None:
    """The permission for want of which a call would be refused."""
    if operation.permission is not None and not principal.may(operation.permission):
        return operation.permission
    return None if operation.lacking is None else operation.lacking(principal, arguments)


def _bare(fault: Fault, correlation: str) -> Fault:
    """A fault for someone unknown: nothing of rights, rules or names."""
    hidden: dict[str, object] = {"fixes": [], "causes": [], "required_permission": None, "rule": None}
    return fault.amended(lambda document: document.model_copy(update={**hidden, "correlation": correlation}))


def _keep(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)
