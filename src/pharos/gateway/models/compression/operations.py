"""The operation that gives back what was left out."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import StringConstraints

from pharos.core.fault import NOT_FOUND
from pharos.core.forms import form
from pharos.core.operation import Invocation, read
from pharos.core.wire import Wire
from pharos.gateway.models.compression.originals import Originals


class ExpandReference(Wire):
    """Input of ``compression.expand``."""

    ref: Annotated[
        str,
        StringConstraints(
            pattern=form(r"^[0-9a-f]{16}$", "the 16 digits 0-9 and a-f of a reference, as the compressed text has them")
        ),
    ]
    """The sixteen characters behind ``[pharos:ref`` in a text."""


class Expanded(Wire):
    """What a reference stands for."""

    ref: str
    text: str
    """What was left out, byte for byte. Where the reference stands at the head of a text, it is the whole text."""
    kept_until: datetime


class CompressionOperations:
    """See the method. Name and schema of the operation are generated from it."""

    def __init__(self, originals: Originals) -> None:
        self._originals = originals

    @read("compression.expand", permission=None, typical_ms=1, faults=(NOT_FOUND,))
    async def expand(self, invocation: Invocation, input: ExpandReference) -> Expanded:
        """Give back what was left out of a request where it says `[pharos:ref …]`.

        Only what was left out of the caller's own model calls is found, and only for the time that the model's
        `compression` says (`ttlMs`, from the last call in which it was left out). A call that sends the same
        conversation again keeps it again.
        """
        caller, now = invocation.principal.id, time.monotonic()
        text = self._originals.get(caller, input.ref, now)
        if text is None:
            raise NOT_FOUND(
                f"Nothing of yours is kept under the reference {input.ref}.",
                subject=input.ref,
                pointer="/ref",
                facts={"hint": "A call with the same conversation keeps it again."},
            )
        until = datetime.now(UTC) + timedelta(seconds=self._originals.until(caller, input.ref) - now)
        return Expanded(ref=input.ref, text=text, kept_until=until)
