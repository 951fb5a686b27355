"""A small city for the tests of control: real store, real invoker, and a plane that has one operation of each sort."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.control.invoker import Invoker
from pharos.control.plane import control_plane
from pharos.core.call import Call
from pharos.core.event import Event
from pharos.core.fault import FORBIDDEN, Fault
from pharos.core.operation import (
    Decision,
    Invocation,
    Put,
    Reversibility,
    SetStatus,
    Written,
    operations_of,
    read,
    write,
)
from pharos.core.plane import Plane
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.resource import Condition, Kind, Metadata, Ref, Resource, ResourceId, Spec, Status
from pharos.core.wire import JsonObject, Wire
from pharos.store.ports import Store
from pharos.store.sqlite.engine import open_store

ADMIN = Principal(PrincipalKind.USER, "admin", permissions=frozenset({"*"}))
READER = Principal(PrincipalKind.AGENT, "reader", permissions=frozenset({"catalog.read", "system.read"}))
OTHER = Principal(PrincipalKind.USER, "other", permissions=frozenset({"*"}))


class FromEnvironment(Wire):
    env: str


class ProviderSpec(Spec):
    dialect: Literal["openai-chat", "anthropic"]
    base_url: str
    api_key: FromEnvironment | None = None
    timeout_seconds: float = 30


class Target(Wire):
    provider: Annotated[str, Ref("Provider")]
    model: str
    weight: int = Field(default=1, ge=0, le=100)


class ModelSpec(Spec):
    targets: list[Target] = Field(default_factory=list)
    fallbacks: list[Annotated[str, Ref("Model")]] = Field(default_factory=list)
    note: str = ""


class NoteSpec(Spec):
    text: str = ""
    about: Annotated[str, Ref("Note")] | None = None


class VaultSpec(Spec):
    owner: str = ""


class VaultStatus(Status):
    digests: dict[str, str] = Field(default_factory=dict)
    filled: int = 0


def check_model(spec: ModelSpec) -> Sequence[tuple[str, str]]:
    seen: set[str] = set()
    problems = []
    for index, target in enumerate(spec.targets):
        if target.provider in seen:
            problems.append((f"/targets/{index}/provider", "Each provider is listed once."))
        seen.add(target.provider)
    return problems


def guard_vault(
    principal: Principal, before: Resource[VaultSpec] | None, after: Resource[VaultSpec] | None
) -> Fault | None:
    if principal.may("vaults.guard"):
        return None
    return FORBIDDEN("Vaults are declared with vaults.guard.", required_permission="vaults.guard")


PROVIDER = Kind("Provider", ProviderSpec, "A provider.")
MODEL = Kind("Model", ModelSpec, "A model.", check=check_model)
NOTE = Kind("Note", NoteSpec, "Text.")
VAULT = Kind("Vault", VaultSpec, "Secrets.", private_status=frozenset({"digests"}), guard=guard_vault)


class Named(Wire):
    name: str = "x"


class Filled(Written):
    secret: str


class Done(Written):
    said: str = ""


class Login(Wire):
    user: str
    password: SecretStr


class Asked(Wire):
    operation: str
    arguments: JsonObject
    reason: str = ""


class Amount(Wire):
    amount: int


class Pong(Wire):
    said: str


@dataclass
class Works:
    """One operation of each sort."""

    index: Index
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    decided: int = 0
    asked: list[Asked] = field(default_factory=list)

    @read("pings.public", permission=None, public=True)
    async def ping(self, invocation: Invocation, input: Named) -> Pong:
        """Answer anyone."""
        return Pong(said=f"{input.name} from {invocation.principal.name}")

    @read("pings.break", permission="pings.break")
    async def break_(self, invocation: Invocation, input: Named) -> Pong:
        """Fail as nobody foresaw, with a secret in the text."""
        raise RuntimeError(f"the password is {input.name}")

    @read("pings.ticks", permission="pings.read")
    async def ticks(self, invocation: Invocation, input: Amount) -> AsyncIterator[Pong]:
        """Tick, then fail."""
        for number in range(input.amount):
            yield Pong(said=str(number))
        raise FORBIDDEN("No more.", required_permission="pings.more")

    @write("vaults.fill", permission="vaults.fill", reversibility=Reversibility.COMPENSATING, inverse="vaults.empty")
    async def fill(self, invocation: Invocation, input: Named) -> Decision[Filled]:
        """Fill a vault; the secret is shown once."""
        status = self._status(input.name)
        after = status.model_copy(
            update={"digests": {**status.digests, "one": "digest-of-it"}, "filled": status.filled + 1}
        )
        return Decision(
            Filled(operation=invocation.operation_id, secret="shown-once"),
            changes=(SetStatus(ResourceId("Vault", "default", input.name), after),),
            inverse=Call(operation="vaults.empty", arguments={"name": input.name}),
            replayable=False,
        )

    @write("vaults.empty", permission="vaults.fill", reversibility=Reversibility.NONE, inverse=None)
    async def empty(self, invocation: Invocation, input: Named) -> Decision[Done]:
        """Empty a vault, for good."""
        id = ResourceId("Vault", "default", input.name)
        after = VaultStatus(conditions=[Condition(type="Full", status="False", reason="Emptied")])
        return Decision(Done(operation=invocation.operation_id), changes=(SetStatus(id, after),))

    @write("tills.pay", permission="tills.pay", reversibility=Reversibility.COMPENSATING, inverse="tills.refund")
    async def pay(self, invocation: Invocation, input: Amount) -> Decision[Done]:
        """Pay."""
        return Decision(
            Done(operation=invocation.operation_id),
            events=(Event("till", "till.paid", {"amount": input.amount}),),
            inverse=Call(operation="tills.refund", arguments={"amount": input.amount}),
        )

    @write("tills.refund", permission="tills.pay", reversibility=Reversibility.COMPENSATING, inverse="tills.pay")
    async def refund(self, invocation: Invocation, input: Amount) -> Decision[Done]:
        """Give it back."""
        return Decision(
            Done(operation=invocation.operation_id),
            events=(Event("till", "till.refunded", {"amount": input.amount}),),
            inverse=Call(operation="tills.pay", arguments={"amount": input.amount}),
        )

    @write("mails.send", permission="mails.send", reversibility=Reversibility.NONE, inverse=None)
    async def send(self, invocation: Invocation, input: Named) -> Decision[Done]:
        """Send a mail."""
        return Decision(
            Done(operation=invocation.operation_id), events=(Event("mail", "mail.sent", {"to": input.name}),)
        )

    @write("pings.slow", permission="pings.slow")
    async def slow(self, invocation: Invocation, input: Named) -> Decision[Done]:
        """Decide when the gate opens."""
        self.decided += 1
        self.reached.set()
        await self.gate.wait()
        return Decision(
            Done(operation=invocation.operation_id, said=input.name),
            events=(Event("slow", "slow.done", {"name": input.name}),),
        )

    @write("logins.try", permission="logins.try")
    async def login(self, invocation: Invocation, input: Login) -> Decision[Done]:
        """Take a secret."""
        return Decision(Done(operation=invocation.operation_id, said=input.user))

    @write("notes.insist", permission="notes.insist")
    async def insist(self, invocation: Invocation, input: Amount) -> Decision[Done]:
        """Put the note `a`, on the revision the caller names."""
        self.decided += 1
        insisted = Resource[NoteSpec](kind="Note", metadata=Metadata(name="a"), spec=NoteSpec(text="insisted"))
        return Decision(Done(operation=invocation.operation_id), changes=(Put(insisted, input.amount),))

    @write("approvals.request", permission=None)
    async def ask(self, invocation: Invocation, input: Asked) -> Decision[Done]:
        """Ask for approval."""
        self.asked.append(input)
        return Decision(Done(operation=invocation.operation_id))

    def _status(self, name: str) -> VaultStatus:
        vault = self.index.get(VAULT, name)
        return VaultStatus.model_validate(vault.status.model_dump(by_alias=True)) if vault else VaultStatus()


@dataclass
class Town:
    """The city."""

    store: Store
    directory: Directory
    index: Index
    invoker: Invoker
    works: Works

    async def call(self, name: str, principal: Principal | None = ADMIN, /, **arguments: object) -> JsonObject:
        return await self.invoker.invoke(name, dict(arguments), principal)  # type: ignore[arg-type]

    async def apply(self, *documents: JsonObject, principal: Principal = ADMIN) -> JsonObject:
        return await self.call("catalog.apply", principal, documents=list(documents))

    async def document(self, kind: str, name: str) -> JsonObject:
        return await self.call("catalog.get", kind=kind, name=name)

    async def fails(self, name: str, principal: Principal | None = ADMIN, /, **arguments: object) -> Fault:
        try:
            output = await self.call(name, principal, **arguments)
        except Fault as fault:
            return fault
        raise AssertionError(f"{name} succeeded: {output}")


@contextlib.asynccontextmanager
async def town(home: Path) -> AsyncIterator[Town]:
    """Open the city in ``home``."""
    store = open_store(home)
    directory = Directory()
    index = Index(directory.kinds)
    invoker = Invoker(directory, store, index)
    works = Works(index)
    plane = control_plane(directory, store, index, invoker)
    directory.add(plane)
    directory.add(Plane("works", "For tests.", kinds=(PROVIDER, MODEL, NOTE, VAULT), operations=operations_of(works)))
    for projection in plane.projections:
        await store.views.register(projection)
    await index.load(store)
    try:
        yield Town(store, directory, index, invoker, works)
    finally:
        await invoker.close()
        await store.close()


def provider(name: str, **spec: object) -> JsonObject:
    return {
        "apiVersion": "pharos/v1",
        "kind": "Provider",
        "metadata": {"name": name},
        "spec": {"dialect": "openai-chat", "baseUrl": "http://127.0.0.1:1/v1", **spec},  # type: ignore[dict-item]
    }


def model(name: str, *providers: str, fallbacks: Sequence[str] = (), note: str = "", **labels: str) -> JsonObject:
    return {
        "kind": "Model",
        "metadata": {"name": name, "labels": {**labels}},
        "spec": {
            "targets": [{"provider": p, "model": "small"} for p in providers],
            "fallbacks": [*fallbacks],
            "note": note,
        },
    }


def note(name: str, text: str = "", **metadata: object) -> JsonObject:
    return {"kind": "Note", "metadata": {"name": name, **metadata}, "spec": {"text": text}}  # type: ignore[dict-item]


def only(output: JsonObject, member: str = "resources") -> JsonObject:
    """The only entry of a list in an output."""
    entries = output[member]
    assert isinstance(entries, list) and len(entries) == 1, output
    entry = entries[0]
    assert isinstance(entry, dict)
    return entry
