"""Pharos: AI-native application infrastructure in one process, with one command, on one port."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pharos.client.client import AsyncClient as AsyncClient
    from pharos.client.client import Client as Client
    from pharos.client.paging import every as every
    from pharos.client.paging import every_async as every_async
    from pharos.core.call import Call as Call
    from pharos.core.fault import Fault as Fault
    from pharos.mesh.connectors import Errand as Errand
    from pharos.runtime.code import agent as agent
    from pharos.runtime.tools.functions import ToolError as ToolError

__version__ = "0.1.0"

# Resolved at first use: the command line and the server start without the client, and `import pharos` costs nothing.
_EXPORTS = {
    "AsyncClient": "pharos.client.client",
    "Call": "pharos.core.call",
    "Client": "pharos.client.client",
    "Errand": "pharos.mesh.connectors",
    "Fault": "pharos.core.fault",
    "ToolError": "pharos.runtime.tools.functions",
    "agent": "pharos.runtime.code",
    "every": "pharos.client.paging",
    "every_async": "pharos.client.paging",
}

__all__ = [
    "AsyncClient", "Call", "Client", "Errand", "Fault", "ToolError", "__version__", "agent", "every", "every_async",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
