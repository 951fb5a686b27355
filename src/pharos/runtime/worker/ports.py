"""What a worker needs of the rest of the city."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pharos.core.principal import Principal
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import (
    AgentConnector,
    Errand,
    ModelConnector,
    ModelRequest,
    PersonConnector,
    Tool,
    ToolConnector,
)
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.session.data.thinking import ContextAssembled
from pharos.runtime.session.state import State


class Prepared(NamedTuple):
    """What a model is to be asked with, and the record of why."""

    request: ModelRequest
    context: ContextAssembled | None = None


class Shortened(NamedTuple):
    """History has become too long: this is noted first, then the context is prepared again. ``cost`` in billionths;
    ``call``: the ``model.called`` of the summary (empty: there was no answer)."""

    steps: int
    compaction: JsonObject
    cost: int | None = None
    call: str = ""


class Contexts(Protocol):
    """Decides what a model sees (``runtime/context``)."""

    async def prepare(
        self, state: State, profile: Profile, tools: Sequence[Tool], errand: Errand, id: str
    ) -> Prepared | Shortened:
        """The request for the model call ``id``. The state is not changed. Raises faults, which end the session where
        they say that no retry helps."""


PrincipalOf = Callable[[State], Principal | None]
"""Whom a session acts for, with the rights they have now; ``None``: they are gone."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What sessions can reach."""

    models: ModelConnector
    tools: ToolConnector
    contexts: Contexts
    principal: PrincipalOf
    agents: AgentConnector | None = None
    people: PersonConnector | None = None
