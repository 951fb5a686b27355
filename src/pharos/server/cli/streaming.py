"""A streaming operation on the command line: its items as they come, and the way on where it stops midway."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from pharos.client.description import Description
from pharos.server.cli.session import Session
from pharos.server.cli.values import command_line

if TYPE_CHECKING:
    from pharos.core.fault import Fault

_AFTER = "after"
"""The input that continues a stream behind the ``position`` of an item."""


def follow(session: Session, operation: Description, given: dict[str, Any]) -> None:
    """Print the items of a streaming operation until it ends. Raises ``Fault``, with the call that goes on from there,
    and ``KeyboardInterrupt``, after a person was told how to; so they are by who ends the process (SIGTERM)."""
    from pharos.core.fault import Fault
    from pharos.server.cli.output import show_item

    way_on: dict[str, Any] | None = None
    resumable = any(parameter.name == _AFTER for parameter in operation.parameters)
    try:
        with _ended_by_sigterm():
            for item in session.stream(operation.name, given):
                show_item(item, session.form, operation.name, given)
                if resumable and isinstance(position := item.get("position"), str):
                    way_on = {**given, _AFTER: position}
    except Fault as fault:
        raise (fault if way_on is None else _continued(fault, operation.name, way_on)) from fault.__cause__
    except (KeyboardInterrupt, _Terminated) as ended:
        if way_on is not None and session.form == "table":
            from pharos.server.cli.views.generic import note

            note(f"\nto go on from here: {command_line(operation.name, way_on)}")
        if isinstance(ended, _Terminated):
            # Whoever sent it sees that it did what it does.
            signal.raise_signal(signal.SIGTERM)
        raise


class _Terminated(BaseException):
    """SIGTERM has come."""


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end what is done here as Ctrl-C does, by an exception."""

    def end(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _continued(fault: Fault, operation: str, arguments: dict[str, Any]) -> Fault:
    """The fault with the call that goes on behind the last item as one more fix."""
    from pharos.core.call import Call
    from pharos.core.fault import Applicability, Fix

    call = Call(operation=operation, arguments=arguments)
    fix = Fix(id="go-on", title="Go on behind the last item", applicability=Applicability.LIKELY, call=call)
    return fault.amended(lambda document: document.model_copy(update={"fixes": [*document.fixes, fix]}))
