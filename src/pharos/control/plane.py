"""The control plane: what should be, how it changes, how it is taken back, and the city seen as a whole."""

from __future__ import annotations

from pharos.control.catalog import CatalogWrites
from pharos.control.catalog_reads import CatalogReads
from pharos.control.directory import Directory
from pharos.control.faults import ALL
from pharos.control.index import Index
from pharos.control.invoker import Invoker
from pharos.control.operations import Operations
from pharos.control.operations_view import OperationsView
from pharos.control.reference import Reference
from pharos.control.system import System
from pharos.control.undo import Undo
from pharos.control.watch import CatalogWatch
from pharos.core.operation import operations_of
from pharos.core.plane import Plane
from pharos.store.ports import Store


def control_plane(directory: Directory, store: Store, index: Index, invoker: Invoker) -> Plane:
    """Build the plane. ``directory`` may be filled afterwards; it is read when operations are called."""
    kinds = directory.kinds
    writes = CatalogWrites(index, kinds, store.catalog)
    owners = (
        writes,
        CatalogReads(index, kinds, store.catalog, writes),
        CatalogWatch(index, kinds, store.log, invoker.committer),
        Operations(store),
        Undo(store, index, kinds, invoker),
        System(index, kinds),
        Reference(directory),
    )
    return Plane(
        name="control",
        summary="The catalog of what should be, every change to it with undo, and the index of the whole system.",
        operations=tuple(operation for owner in owners for operation in operations_of(owner)),
        faults=ALL,
        projections=(OperationsView(),),
    )
