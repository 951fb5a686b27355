"""A city of the real parts that trust stands on: store, index, invoker, catalog, undo."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.control.invoker import Invoker
from pharos.control.plane import control_plane
from pharos.core.principal import SYSTEM, Principal, PrincipalKind
from pharos.core.wire import JsonObject
from pharos.store.ports import Store
from pharos.store.sqlite.engine import open_store
from pharos.trust.authenticator import Authenticator, Identity
from pharos.trust.clock import SteadyClock
from pharos.trust.plane import trust_plane
from pharos.trust.sealed.keyring import Keyring
from pharos.trust.sealed.plane import secret_plane
from pharos.trust.sealed.vault import Vault
from pharos.trust.secrets import load_pepper


class Hands:
    """The hands of both clocks, for a test to move: seconds."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.elapsed = 0.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall, lambda: self.elapsed)


@dataclass
class City:
    home: Path
    store: Store
    index: Index
    invoker: Invoker
    directory: Directory
    authenticator: Authenticator
    hands: Hands
    vault: Vault

    async def apply(self, *documents: JsonObject, as_: Principal = SYSTEM) -> JsonObject:
        return await self.invoker.invoke("catalog.apply", {"documents": list(documents)}, as_)

    async def key(self, name: str, as_: Principal = SYSTEM, **spec: object) -> JsonObject:
        document = {"apiVersion": "pharos/v1", "kind": "Key", "metadata": {"name": name}, "spec": spec}
        return await self.apply(document, as_=as_)  # type: ignore[arg-type]

    async def issue(self, key: str, as_: Principal = SYSTEM, **more: object) -> JsonObject:
        return await self.invoker.invoke("keys.issue", {"key": key, **more}, as_)  # type: ignore[dict-item]

    async def undo(self, answer: JsonObject, as_: Principal = SYSTEM) -> JsonObject:
        return await self.invoker.invoke("operations.undo", {"id": answer["operation"]}, as_)

    async def redo(self, answer: JsonObject, as_: Principal = SYSTEM) -> JsonObject:
        return await self.invoker.invoke("operations.redo", {"id": answer["operation"]}, as_)

    def who(self, secret: object) -> Identity:
        return self.authenticator.authenticate(str(secret))

    async def holder(self, name: str, *scopes: str, **spec: object) -> Principal:
        """A key with these scopes, and the principal that its secret makes."""
        await self.key(name, scopes=list(scopes), **spec)
        return self.who((await self.issue(name))["secret"]).principal


def user(name: str, *permissions: str) -> Principal:
    return Principal(PrincipalKind.USER, name, permissions=frozenset(permissions))


@asynccontextmanager
async def city(home: Path, hands: Hands | None = None, *, grace: float = 300) -> AsyncIterator[City]:
    hands = hands or Hands()
    clock = hands.clock()
    store = open_store(home)
    directory = Directory()
    index = Index(directory.kinds)
    invoker = Invoker(directory, store, index)
    pepper = load_pepper(home)
    directory.add(control_plane(directory, store, index, invoker))
    directory.add(trust_plane(index, directory, invoker.decide, pepper, clock))
    vault = Vault(index, Keyring(home))
    secrets = secret_plane(index, vault, invoker.observe, grace=grace)
    directory.add(secrets)
    await index.load(store)
    authenticator = Authenticator(index, pepper, clock)
    try:
        async with secrets.services[0]():
            yield City(home, store, index, invoker, directory, authenticator, hands, vault)
    finally:
        await invoker.close()
        await store.close()
