"""All namespaces of an AsyncClient.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from pharos.client.callers import AsyncCaller
from pharos.client.generated.awaited.agents import AsyncAgents
from pharos.client.generated.awaited.approvals import AsyncApprovals
from pharos.client.generated.awaited.audit import AsyncAudit
from pharos.client.generated.awaited.blobs import AsyncBlobs
from pharos.client.generated.awaited.budgets import AsyncBudgets
from pharos.client.generated.awaited.cache import AsyncCache
from pharos.client.generated.awaited.cards import AsyncCards
from pharos.client.generated.awaited.catalog import AsyncCatalog
from pharos.client.generated.awaited.compression import AsyncCompression
from pharos.client.generated.awaited.deadletters import AsyncDeadletters
from pharos.client.generated.awaited.delegations import AsyncDelegations
from pharos.client.generated.awaited.faults import AsyncFaults
from pharos.client.generated.awaited.groups import AsyncGroups
from pharos.client.generated.awaited.journeys import AsyncJourneys
from pharos.client.generated.awaited.keys import AsyncKeys
from pharos.client.generated.awaited.kinds import AsyncKinds
from pharos.client.generated.awaited.ledger import AsyncLedger
from pharos.client.generated.awaited.limits import AsyncLimits
from pharos.client.generated.awaited.models import AsyncModels
from pharos.client.generated.awaited.operations import AsyncOperations
from pharos.client.generated.awaited.pools import AsyncPools
from pharos.client.generated.awaited.prompts import AsyncPrompts
from pharos.client.generated.awaited.schedules import AsyncSchedules
from pharos.client.generated.awaited.secrets import AsyncSecrets
from pharos.client.generated.awaited.sessions import AsyncSessions
from pharos.client.generated.awaited.system import AsyncSystem
from pharos.client.generated.awaited.topics import AsyncTopics
from pharos.client.generated.awaited.trust import AsyncTrust
from pharos.client.generated.awaited.views import AsyncViews


class AsyncNamespaces:
    """Every operation of the city by noun and verb, awaited."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller
        self.agents = AsyncAgents(caller)
        self.approvals = AsyncApprovals(caller)
        self.audit = AsyncAudit(caller)
        self.blobs = AsyncBlobs(caller)
        self.budgets = AsyncBudgets(caller)
        self.cache = AsyncCache(caller)
        self.cards = AsyncCards(caller)
        self.catalog = AsyncCatalog(caller)
        self.compression = AsyncCompression(caller)
        self.deadletters = AsyncDeadletters(caller)
        self.delegations = AsyncDelegations(caller)
        self.faults = AsyncFaults(caller)
        self.groups = AsyncGroups(caller)
        self.journeys = AsyncJourneys(caller)
        self.keys = AsyncKeys(caller)
        self.kinds = AsyncKinds(caller)
        self.ledger = AsyncLedger(caller)
        self.limits = AsyncLimits(caller)
        self.models = AsyncModels(caller)
        self.operations = AsyncOperations(caller)
        self.pools = AsyncPools(caller)
        self.prompts = AsyncPrompts(caller)
        self.schedules = AsyncSchedules(caller)
        self.secrets = AsyncSecrets(caller)
        self.sessions = AsyncSessions(caller)
        self.system = AsyncSystem(caller)
        self.topics = AsyncTopics(caller)
        self.trust = AsyncTrust(caller)
        self.views = AsyncViews(caller)
