"""The lane of a delivery: which pool it waits in, in which class, and whose work it is.

The text form is what :class:`pharos.store.delivery.Lane` keeps. It names attributes instead of places in a pool, so
that a pool that is changed later reads lanes that were given earlier in its new way.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

DEFAULT_POOL = "default/default"
"""The pool of work that names none. It has a place also where nobody declared it."""

ENDING_POOL = "~/ending"
"""The pool of work that is told to end. It is no name that could be declared, so that it has places whatever happens to
the others: who wants something to end does not wait for what is to be ended."""

LABEL = "label/"
"""An attribute that begins so is a label: ``label/team``."""

_POOL, _CLASS = "pool", "class"


class Flow(NamedTuple):
    """What a lane says.

    ``pool`` is ``namespace/name``. ``priority`` is the name of a class of the pool; ``""``: the one for work that names
    none. ``attributes`` say whose work it is (``tenant``, ``agent``, ``model``, ``label/…``).
    """

    pool: str = DEFAULT_POOL
    priority: str = ""
    attributes: Mapping[str, str] = MappingProxyType({})


def lane(
    pool: str = DEFAULT_POOL,
    priority: str = "",
    *,
    tenant: str = "",
    agent: str = "",
    model: str = "",
    labels: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The text of a lane. Equal flows have equal texts; what is empty is left out.

    ``tenant`` is who the work is for (of a session: its namespace). Give only those labels that a pool shares or limits
    by: each combination of values is a flow, and sessions of one flow wait in one line.
    """
    attributes = {"tenant": tenant, "agent": agent, "model": model}
    attributes.update((f"{LABEL}{name}", value) for name, value in labels.items())
    return text_of(Flow(pool, priority, attributes))


def text_of(flow: Flow) -> str:
    """The text of a flow."""
    parts = [(_POOL, "" if flow.pool == DEFAULT_POOL else flow.pool), (_CLASS, flow.priority)]
    parts += sorted(flow.attributes.items())
    return urlencode([part for part in parts if part[1]])


@lru_cache(maxsize=65_536)
def flow_of(text: str) -> Flow:
    """What the text of a lane says. A text that nobody here wrote is a flow of its own in the default pool."""
    try:
        parts = dict(parse_qsl(text, strict_parsing=True, max_num_fields=64)) if text else {}
    except ValueError:
        return Flow(attributes=MappingProxyType({"lane": text}))
    pool, priority = parts.pop(_POOL, DEFAULT_POOL), parts.pop(_CLASS, "")
    return Flow(pool, priority, MappingProxyType(parts))
