"""How the writer says no: light enough for a thread on which every caller waits."""

from __future__ import annotations

from pharos.core.fault import Fault, FaultCode, State
from pharos.core.wire import JsonObject


class Refusal(Exception):
    """An expectation that does not hold. Turned into a fault on the event loop, for the one caller it is about.

    Faults are validated documents and cost as much to make as a whole commit; a budget that refuses a thousand calls
    a second must not slow the writer down.
    """

    def __init__(
        self,
        code: FaultCode,
        detail: str,
        *,
        subject: str | None = None,
        facts: JsonObject | None = None,
        state: State = State.UNCHANGED,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.subject = subject
        self.facts = facts
        self.state = state

    def fault(self) -> Fault:
        """The fault that says the same."""
        return self.code(self.detail, subject=self.subject, facts=self.facts, state=self.state)
