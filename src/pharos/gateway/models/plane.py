"""What the model gateway brings to the city."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from pharos.control.index import Index
from pharos.core.fault import Fault
from pharos.core.operation import Observe, operations_of
from pharos.core.plane import Plane, Route
from pharos.core.tasks import running
from pharos.gateway.models.caching.room import Caching
from pharos.gateway.models.caching.semantic import Embed
from pharos.gateway.models.call import Layer
from pharos.gateway.models.compression.room import Compression
from pharos.gateway.models.connector import InnerEntrance
from pharos.gateway.models.conversation import Stitch
from pharos.gateway.models.dialects.registry import DIALECTS
from pharos.gateway.models.entrance import MAX_BODY, Entrance, Resolve
from pharos.gateway.models.faults import ALL
from pharos.gateway.models.google import GoogleListing, Refuse
from pharos.gateway.models.guarding.keeping import keepable
from pharos.gateway.models.importing.operation import ImportOperations
from pharos.gateway.models.kinds import KINDS, ProviderSpec
from pharos.gateway.models.layers.audit import Audit
from pharos.gateway.models.layers.authenticate import Authenticate
from pharos.gateway.models.layers.recall import Recall
from pharos.gateway.models.listing import Listing
from pharos.gateway.models.operations import Operations
from pharos.gateway.models.plans import Plans
from pharos.gateway.models.routing.explain import RoutingOperations
from pharos.gateway.models.spending.alerts import Alerts
from pharos.gateway.models.spending.limits import Meters
from pharos.gateway.models.spending.operations import SpendingOperations
from pharos.gateway.models.spending.prices import PriceList
from pharos.gateway.models.spending.retention import Retention
from pharos.gateway.models.spending.settlement import Settlements
from pharos.gateway.models.stack import model_stack
from pharos.gateway.models.state.reading import ReadingRoom
from pharos.gateway.models.state.responses import Responses
from pharos.gateway.models.state.routes import KeptResponses
from pharos.gateway.models.state.sweep import Sweep
from pharos.gateway.models.tasks.count import Estimate
from pharos.gateway.models.tasks.encoder import Encoder
from pharos.gateway.models.tasks.routes import google_routes, task_routes
from pharos.gateway.models.upstream.conditions import Conditions
from pharos.gateway.models.upstream.pool import PooledTransport
from pharos.gateway.models.upstream.provider import Reveal, nothing_kept
from pharos.gateway.models.upstream.transport import Transport
from pharos.store.ports import Store
from pharos.trust.authenticator import Identity

SWEEP_SECONDS = 15.0


def models_plane(
    store: Store,
    index: Index,
    authenticate: Callable[[str], Identity],
    resolve: Resolve,
    observe: Observe,
    *,
    max_body: int = MAX_BODY,
    random: Callable[[], float] = random.random,
    transport: Callable[[ProviderSpec], Transport] | None = None,
    embed: Embed | None = None,
    audited: Callable[[str], None] = lambda _: None,
    reveal: Reveal = nothing_kept,
    inner: InnerEntrance | None = None,
    stitching: bytes = b"",
) -> Plane:
    """Build the plane.

    ``authenticate`` is ``Authenticator.authenticate``, ``resolve`` and ``observe`` are the invoker's. ``random`` and
    ``transport`` are for tests. ``audited`` is told the namespace of each audit record that was committed.
    ``reveal`` is ``Vault.reveal``. ``inner`` is where calls from inside begin; they go the same way.
    ``stitching`` is the city's key for the marks of conversations.
    """
    prices = PriceList()

    def opens_city(secret: str) -> bool:
        try:
            authenticate(secret)
        except Fault:
            return False
        return True

    plans = Plans(index, DIALECTS, transport or _pooled, prices, opens_city, reveal)
    meters = Meters()
    settlements = Settlements(store)
    settlements.stitch = Stitch(stitching)
    alerts = Alerts(store, index)
    settlements.spent, settlements.recovered = alerts.spent, alerts.look_at_all
    caller = Authenticate(authenticate, plans)
    audit = Audit(store.blobs, audited, keepable)
    encoder = Encoder(plans, meters, settlements, store, random, audit)
    caching = Caching(index, random, observe, embed or encoder)
    plans.caches = caching.plan
    # Inside the guards and outside the caches: what is recorded is what leaves, also where it was kept.
    compression = Compression(index)
    within: Sequence[Layer] = (audit, compression.layer, *caching.layers)
    stack = model_stack(caller, plans, meters, settlements, store, random, within)
    counting = model_stack(caller, plans, meters, settlements, store, random, [audit, Estimate()])
    conditions = Conditions(index, plans, observe)
    openai, anthropic = DIALECTS["openai-chat"], DIALECTS["anthropic"]
    responses, kept = DIALECTS["openai-responses"], Responses(store)
    room = ReadingRoom(meters)
    stateful = model_stack(caller, plans, meters, settlements, store, random, within, state=[Recall(kept, room)])
    keeping = KeptResponses(responses, caller.identify, kept, resolve, room, plans.key, max_body=max_body)
    if inner is not None:
        inner.join(openai, stack, settlements, resolve)
    refuse = Refuse(resolve)
    google = GoogleListing(caller.identify, plans, refuse)
    listing = Listing(openai, anthropic, caller.identify, plans, resolve, google)

    @asynccontextmanager
    async def upkeep() -> AsyncIterator[None]:
        """Read the price list before the first call; forget what is idle; at the end close all connections."""
        await asyncio.to_thread(prices.load)
        try:
            async with running(partial(_sweep, meters, settlements), "pharos-model-upkeep"):
                yield
        finally:
            await plans.aclose()

    return Plane(
        name="models",
        summary="One entrance for every model: routed, limited, paid for and recorded.",
        kinds=KINDS,
        operations=(
            *operations_of(Operations(store, index, plans)),
            *operations_of(RoutingOperations(index, plans, DIALECTS)),
            *operations_of(ImportOperations(DIALECTS)),
            *operations_of(caching.operations),
            *operations_of(compression.operations),
            *operations_of(SpendingOperations(store, index)),
        ),
        faults=ALL,
        routes=(
            Route(
                "POST",
                "/v1/chat/completions",
                Entrance(openai, stack, settlements, resolve, max_body=max_body),
                "Call a model in the OpenAI chat completions dialect.",
            ),
            Route(
                "POST",
                "/v1/messages",
                Entrance(anthropic, stack, settlements, resolve, max_body=max_body),
                "Call a model in the Anthropic messages dialect.",
            ),
            Route(
                "POST",
                "/v1/responses",
                Entrance(responses, stateful, settlements, resolve, max_body=max_body),
                "Call a model in the OpenAI responses dialect.",
            ),
            Route("GET", "/v1/responses/*", keeping, "A response of the key's that was kept, or its input items."),
            Route("DELETE", "/v1/responses/*", keeping, "Delete a response of the key's with its content."),
            Route("POST", "/v1/responses/*", keeping, "Estimate input tokens (`input_tokens`)."),
            *task_routes(stack, counting, settlements, resolve, max_body),
            *google_routes(stack, counting, settlements, resolve, max_body, google, refuse),
            Route("GET", "/v1/models", listing, "List the models the key may use, in the client's dialect."),
            Route("GET", "/v1/models/*", listing, "Look up one model, in the client's dialect."),
        ),
        services=(
            upkeep,
            caching.upkeep,
            compression.upkeep,
            settlements.service,
            alerts.service,
            Retention(store).service,
            conditions.service,
            Sweep(store).service,
        ),
        series=(*caching.series, *compression.series),
    )


async def _sweep(meters: Meters, settlements: Settlements) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        now = time.monotonic()
        meters.sweep(now)
        settlements.sweep(now)


def _pooled(spec: ProviderSpec) -> Transport:
    return PooledTransport(
        spec.base_url,
        connect_seconds=spec.timeouts.connect_ms / 1000,
        user_agent="pharos",
    )
