"""The operations of the noun ``compression``, blocking.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import Namespace

if TYPE_CHECKING:
    from pharos.gateway.models.compression.operations import Expanded


class Compression(Namespace):
    """Operations on ``compression``."""

    def expand(self, *, ref: str) -> Expanded:
        """Give back what was left out of a request where it says `[pharos:ref …]`.

        Only what was left out of the caller's own model calls is found, and only for the time that the model's
        `compression` says (`ttlMs`, from the last call in which it was left out). A call that sends the same
        conversation again keeps it again.

        Args:
            ref: The sixteen characters behind ``[pharos:ref`` in a text.

        Raises a fault with code NOT_FOUND.
        """
        from pharos.gateway.models.compression.operations import Expanded

        return self._caller.typed("compression.expand", {"ref": ref}, Expanded)
