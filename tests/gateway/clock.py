"""Time that is moved and not waited for, so that no test depends on how fast it runs."""

from __future__ import annotations

import time

import pytest


class Clock:
    """The clock of this process (``time.monotonic``, and with it the event loop's), which a test moves ahead.

    A call's deadline counts from the unmoved clock: keep all moves together below it, or declare a long one.

    Whatever waits with a deadline when the clock is moved is late at once: move it while only that waits which is to
    be late. Between two moves real time passes, so give deadlines in minutes: a loaded machine loses seconds.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        real = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: real() + self._ahead)

    def move(self, seconds: float) -> None:
        self._ahead += seconds
