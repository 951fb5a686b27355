"""What the cache hands to ``coalesce``: under which key a call may share a request, and who takes the answer down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pharos.gateway.models.caching.recording import Recorder


@dataclass(slots=True)
class Sharing:
    """A call that may share a request. ``recorder`` is taken out by whoever asks the provider."""

    key: bytes
    recorder: Recorder | None
