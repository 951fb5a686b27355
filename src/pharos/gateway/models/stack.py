"""The order of the layers of a model call, in one place.

Read it from the outside in: everything that is recorded includes everything below it; nothing below ``authenticate``
runs for a stranger; nothing below ``admit`` runs without room for it; only ``attempt`` calls what is below it more than
once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from pharos.gateway.models.call import Call, Layer, Next, Reply
from pharos.gateway.models.layers.admit import Admit
from pharos.gateway.models.layers.attempt import AttemptLayer
from pharos.gateway.models.layers.authenticate import Authenticate
from pharos.gateway.models.layers.guard import Guard
from pharos.gateway.models.layers.record import Record
from pharos.gateway.models.layers.route import Route
from pharos.gateway.models.layers.transmit import Transmit
from pharos.gateway.models.layers.understand import Understand
from pharos.gateway.models.plans import Plans
from pharos.gateway.models.spending.limits import Meters
from pharos.gateway.models.spending.settlement import Settlements
from pharos.store.ports import Store


def model_stack(
    authenticate: Authenticate,
    plans: Plans,
    meters: Meters,
    settlements: Settlements,
    store: Store,
    random: Callable[[], float],
    caches: Sequence[Layer],
    state: Sequence[Layer] = (),
) -> Next:
    """The whole way of a call. ``caches`` are the layers of ``caching/room.py``; ``state`` is that of a dialect that
    has some."""
    admit = Admit(authenticate.renew, plans, meters, store)
    layers: Sequence[Layer] = (
        Record(settlements),
        authenticate,
        Understand(),
        *state,
        admit,
        Guard(admit.enlarge),
        *caches,
        Route(plans, random),
        AttemptLayer(store, random),
    )
    return compose(layers, Transmit())


def compose(layers: Sequence[Layer], innermost: Next) -> Next:
    """Each layer around those after it."""
    handler = innermost
    for layer in reversed(layers):
        handler = _around(layer.__call__, handler)
    return handler


def _around(enter: Callable[[Call, Next], Awaitable[Reply]], inner: Next) -> Next:
    def outer(call: Call) -> Awaitable[Reply]:
        # Not a coroutine of its own: each one on the way is passed through again at every wait. Nor a ``partial``: to
        # call a function from a function costs the interpreter half as much as through anything written in C.
        return enter(call, inner)

    return outer
