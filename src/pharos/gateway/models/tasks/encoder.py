"""Vectors for the city's own use: an embedding call that a caller's other call is the reason for.

It goes the way of every call but for the door: it is held to the caller's limits, paid from the caller's budgets, seen
by the guards, audited, routed, tried again and recorded. It takes no place of its own where calls at once are limited:
it is made in the place of the caller's call. That the caller's key does not name the embeddings model does not matter:
the owner of the model that was called has named it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import orjson

from pharos.core.resource import ResourceId
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.call import Call, Layer
from pharos.gateway.models.inner_call import inner_call
from pharos.gateway.models.layers.admit import Admit
from pharos.gateway.models.layers.attempt import AttemptLayer
from pharos.gateway.models.layers.guard import Guard
from pharos.gateway.models.layers.record import Record
from pharos.gateway.models.layers.route import Route
from pharos.gateway.models.layers.transmit import Transmit
from pharos.gateway.models.layers.understand import Understand
from pharos.gateway.models.plans import Plans
from pharos.gateway.models.spending.limits import Meters, MetersWithin
from pharos.gateway.models.spending.settlement import Settlements
from pharos.gateway.models.stack import compose
from pharos.gateway.models.tasks.embed import EmbedTask
from pharos.gateway.models.tasks.openai_embeddings import OpenAIEmbeddings, OpenAIForm
from pharos.gateway.models.upstream.watchdog import Watchdogs
from pharos.store.ports import Store
from pharos.trust.authenticator import Identity


class Encoder:
    """Implements :class:`~pharos.gateway.models.caching.semantic.Embed`."""

    def __init__(
        self,
        plans: Plans,
        meters: Meters,
        settlements: Settlements,
        store: Store,
        random: Callable[[], float],
        audit: Layer,
    ) -> None:
        admit = Admit(_as_it_is, plans, MetersWithin(meters), store)
        layers: Sequence[Layer] = (
            Record(settlements),
            Understand(),
            admit,
            Guard(admit.enlarge),
            audit,
            Route(plans, random),
            AttemptLayer(store, random),
        )
        self._way = compose(layers, Transmit())
        self._plans = plans
        self._settlements = settlements
        self._watchdogs = Watchdogs()
        self._dialect = OpenAIEmbeddings()
        self._task = EmbedTask(OpenAIForm())

    async def __call__(self, text: str, *, model: ResourceId, caller: Identity) -> Sequence[float]:
        """The vector of a text. Raises the fault of a call that fails, and ``ValueError`` for an answer without one."""
        name = f"{model.namespace}/{model.name}"
        body: JsonObject = {"model": name, "input": text, "encoding_format": "float"}
        key = self._plans.key(caller.key)
        under_way = inner_call(self._dialect, body, self._settlements, self._watchdogs, fields={}, task=self._task)
        with under_way as call:
            # What this call may use is not remembered for the key's own.
            call.identity, call.key = caller, replace(key, models=key.models | {model}, asked={})
            call.authenticated = True
            reply = await self._way(call)
        if not isinstance(reply.body, bytes):
            raise ValueError("embeddings are not streamed")
        return _vector(orjson.loads(reply.body))


def _as_it_is(call: Call) -> None:
    """The caller was looked at a moment ago."""


def _vector(answer: Json) -> Sequence[float]:
    data = answer.get("data") if isinstance(answer, dict) else None
    first = data[0] if isinstance(data, list) and data else None
    vector = first.get("embedding") if isinstance(first, dict) else None
    if not isinstance(vector, list) or not vector:
        raise ValueError("the answer has no vector")
    numbers = [float(number) for number in vector if isinstance(number, int | float)]
    if len(numbers) != len(vector):
        raise ValueError("the vector has something that is no number")
    return numbers
