"""What insight brings to the city."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pharos.control.index import Index
from pharos.core.fault import FORBIDDEN
from pharos.core.operation import operations_of
from pharos.core.plane import ASGIApp, Plane, Receive, Route, Scope, Send, Series
from pharos.core.principal import Principal
from pharos.core.projection import Projection
from pharos.insight.audit.faults import ALL
from pharos.insight.audit.kinds import KINDS
from pharos.insight.audit.reads import AuditReads
from pharos.insight.audit.records import AuditProjection
from pharos.insight.audit.retention import Keeper
from pharos.insight.audit.sealing import Sealer
from pharos.insight.audit.verify import Verifier
from pharos.insight.journey_reads import JourneyReads
from pharos.insight.journeys import JourneysProjection
from pharos.insight.ledger.correct import Corrections
from pharos.insight.ledger.export import Exports
from pharos.insight.ledger.outlook import Outlook
from pharos.insight.ledger.reads import LedgerReads
from pharos.insight.ledger.reconcile import Reconciliations
from pharos.insight.ledger.reprice import Repricing
from pharos.insight.ledger.rows import LedgerProjection
from pharos.insight.metrics import Metrics, Reading
from pharos.insight.series import SeriesCollector
from pharos.insight.views import Rebuilder, ViewOperations, ViewStates
from pharos.mesh.pricing import Pricer
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Store

READ_METRICS = "metrics.read"
"""Permission to scrape ``GET /metrics``."""

Identify = Callable[[Scope], Principal]
"""Who makes a request; raises ``UNAUTHENTICATED``."""


def projections() -> tuple[Projection, ...]:
    """Insight's own views; the runner takes them, with those of the other rooms, before the plane is built."""
    return (LedgerProjection(), JourneysProjection(), AuditProjection())


def insight_plane(
    store: Store,
    runner: ProjectionRunner,
    views: Sequence[Projection],
    identify: Identify,
    pricer: Callable[[], Pricer],
    index: Index,
    sealer: Sealer,
    readings: Sequence[Reading] = (),
    series: Sequence[Series] = (),
) -> Plane:
    """Ledger, journeys, audit, metrics, views.

    ``views`` are all projections of the city; ``runner`` runs them; ``pricer`` makes one that knows the prices as they
    are; ``sealer`` is told by the room where calls pass of records it committed.

    ``readings`` and ``series`` are what other rooms measure about themselves, for ``GET /metrics``.
    """
    states = ViewStates(store, runner, views)
    metrics = Metrics(store.views, states, readings)
    metrics.registry.register(SeriesCollector(series))
    return Plane(
        name="insight",
        summary="What happened and what it cost: ledger, journeys, audit, metrics, and the views they are read from.",
        kinds=KINDS,
        faults=ALL,
        operations=(
            *operations_of(LedgerReads(store.views, runner)),
            *operations_of(Outlook(store.views, runner)),
            *operations_of(Repricing(store.views, runner, pricer)),
            *operations_of(Exports(store, runner)),
            *operations_of(Reconciliations(store.views, runner)),
            *operations_of(Corrections(store, runner)),
            *operations_of(JourneyReads(store.views, runner)),
            *operations_of(ViewOperations(states)),
            *operations_of(AuditReads(store, runner, sealer)),
            *operations_of(Verifier(store)),
        ),
        projections=tuple(view for view in views if view.name in {own.name for own in projections()}),
        routes=(Route("GET", "/metrics", metrics_app(metrics, identify), "Metrics in Prometheus' text format"),),
        services=(
            metrics.service,
            Rebuilder(store, runner).service,
            partial(sealer.service, runner),
            Keeper(store, index, runner, sealer).service,
        ),
    )


def metrics_app(metrics: Metrics, identify: Identify) -> ASGIApp:
    """``GET /metrics`` for callers who hold ``metrics.read``: model names and spending are nobody else's business."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not identify(scope).may(READ_METRICS):
            raise FORBIDDEN(f"Metrics are read with the permission {READ_METRICS}.", required_permission=READ_METRICS)
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        body, content_type = await metrics.exposition(accept.decode("latin-1"))
        headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app
