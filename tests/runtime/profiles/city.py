"""A city in this process, and agents in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pharos.core.principal import SYSTEM, Principal, PrincipalKind
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.profiles.resolving import agent_named, resolve
from pharos.server.city import City, open_city

ADMIN = replace(SYSTEM, namespace="default")

GROUND = """
kind: Provider
metadata: {name: sim}
spec: {dialect: openai-chat, baseUrl: "http://127.0.0.1:9/v1"}
---
kind: Model
metadata: {name: small}
spec: {targets: [{provider: sim, model: sim-small}], unpriced: allow}
---
kind: Key
metadata: {name: account}
spec: {models: [small], scopes: [models.call]}
---
kind: Key
metadata: {name: rich}
spec: {models: ["*"], scopes: ["*"]}
"""


class Town:
    """What tests do in a city."""

    def __init__(self, city: City) -> None:
        self.city = city

    async def apply(self, manifest: str, principal: Principal = ADMIN) -> dict[str, Any]:
        return await self.city.invoker.invoke("catalog.apply", {"manifest": manifest}, principal)

    async def call(self, name: str, principal: Principal = ADMIN, /, **arguments: Any) -> dict[str, Any]:
        return await self.city.invoker.invoke(name, arguments, principal)

    def resolve(self, agent: str, **values: Any) -> Profile:
        return resolve(self.city.index, agent_named(self.city.index, agent), values)


def who(*permissions: str) -> Principal:
    """Someone with these permissions."""
    return Principal(PrincipalKind.KEY, "someone", permissions=frozenset(permissions))


@asynccontextmanager
async def open_town(home: Path) -> AsyncIterator[Town]:
    async with open_city(home) as city:
        town = Town(city)
        await town.apply(GROUND)
        yield town


def agent(name: str, *spec: str) -> str:
    """The manifest of an agent; ``spec`` are further lines of it."""
    lines = ["---", "kind: Agent", f"metadata: {{name: {name}}}", "spec:", "  model: small", "  key: account"]
    return "\n".join([*lines, *(f"  {line}" for line in spec), ""])
