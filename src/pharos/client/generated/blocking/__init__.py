"""All namespaces of a Client.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from pharos.client.callers import Caller
from pharos.client.generated.blocking.agents import Agents
from pharos.client.generated.blocking.approvals import Approvals
from pharos.client.generated.blocking.audit import Audit
from pharos.client.generated.blocking.blobs import Blobs
from pharos.client.generated.blocking.budgets import Budgets
from pharos.client.generated.blocking.cache import Cache
from pharos.client.generated.blocking.cards import Cards
from pharos.client.generated.blocking.catalog import Catalog
from pharos.client.generated.blocking.compression import Compression
from pharos.client.generated.blocking.deadletters import Deadletters
from pharos.client.generated.blocking.delegations import Delegations
from pharos.client.generated.blocking.faults import Faults
from pharos.client.generated.blocking.groups import Groups
from pharos.client.generated.blocking.journeys import Journeys
from pharos.client.generated.blocking.keys import Keys
from pharos.client.generated.blocking.kinds import Kinds
from pharos.client.generated.blocking.ledger import Ledger
from pharos.client.generated.blocking.limits import Limits
from pharos.client.generated.blocking.models import Models
from pharos.client.generated.blocking.operations import Operations
from pharos.client.generated.blocking.pools import Pools
from pharos.client.generated.blocking.prompts import Prompts
from pharos.client.generated.blocking.schedules import Schedules
from pharos.client.generated.blocking.secrets import Secrets
from pharos.client.generated.blocking.sessions import Sessions
from pharos.client.generated.blocking.system import System
from pharos.client.generated.blocking.topics import Topics
from pharos.client.generated.blocking.trust import Trust
from pharos.client.generated.blocking.views import Views


class Namespaces:
    """Every operation of the city by noun and verb, blocking."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.agents = Agents(caller)
        self.approvals = Approvals(caller)
        self.audit = Audit(caller)
        self.blobs = Blobs(caller)
        self.budgets = Budgets(caller)
        self.cache = Cache(caller)
        self.cards = Cards(caller)
        self.catalog = Catalog(caller)
        self.compression = Compression(caller)
        self.deadletters = Deadletters(caller)
        self.delegations = Delegations(caller)
        self.faults = Faults(caller)
        self.groups = Groups(caller)
        self.journeys = Journeys(caller)
        self.keys = Keys(caller)
        self.kinds = Kinds(caller)
        self.ledger = Ledger(caller)
        self.limits = Limits(caller)
        self.models = Models(caller)
        self.operations = Operations(caller)
        self.pools = Pools(caller)
        self.prompts = Prompts(caller)
        self.schedules = Schedules(caller)
        self.secrets = Secrets(caller)
        self.sessions = Sessions(caller)
        self.system = System(caller)
        self.topics = Topics(caller)
        self.trust = Trust(caller)
        self.views = Views(caller)
