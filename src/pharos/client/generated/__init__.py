"""All namespaces of a client.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from pharos.client.callers import AsyncCaller, Caller
from pharos.client.generated.approvals import Approvals, AsyncApprovals
from pharos.client.generated.budgets import AsyncBudgets, Budgets
from pharos.client.generated.catalog import AsyncCatalog, Catalog
from pharos.client.generated.faults import AsyncFaults, Faults
from pharos.client.generated.journeys import AsyncJourneys, Journeys
from pharos.client.generated.keys import AsyncKeys, Keys
from pharos.client.generated.kinds import AsyncKinds, Kinds
from pharos.client.generated.ledger import AsyncLedger, Ledger
from pharos.client.generated.models import AsyncModels, Models
from pharos.client.generated.operations import AsyncOperations, Operations
from pharos.client.generated.system import AsyncSystem, System
from pharos.client.generated.views import AsyncViews, Views


class Namespaces:
    """Every operation of the city by noun and verb, blocking."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.approvals = Approvals(caller)
        self.budgets = Budgets(caller)
        self.catalog = Catalog(caller)
        self.faults = Faults(caller)
        self.journeys = Journeys(caller)
        self.keys = Keys(caller)
        self.kinds = Kinds(caller)
        self.ledger = Ledger(caller)
        self.models = Models(caller)
        self.operations = Operations(caller)
        self.system = System(caller)
        self.views = Views(caller)


class AsyncNamespaces:
    """Every operation of the city by noun and verb, awaited."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller
        self.approvals = AsyncApprovals(caller)
        self.budgets = AsyncBudgets(caller)
        self.catalog = AsyncCatalog(caller)
        self.faults = AsyncFaults(caller)
        self.journeys = AsyncJourneys(caller)
        self.keys = AsyncKeys(caller)
        self.kinds = AsyncKinds(caller)
        self.ledger = AsyncLedger(caller)
        self.models = AsyncModels(caller)
        self.operations = AsyncOperations(caller)
        self.system = AsyncSystem(caller)
        self.views = AsyncViews(caller)
