"""A whole city with one agent, whose provider is simulated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pharos
from pharos.core.fault import Fault
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.wire import JsonObject
from pharos.release.simulator import Simulator, parse_script, serve
from pharos.runtime.code import CodeAgent
from pharos.server.city import City, open_city

SCRIPT = """
models: [sim-small]
rules:
  - when: {toolResult: {name: pay}}
    answer: "Paid: ${toolResult}"
  - when: {toolResult: {name: paint}}
    answer: "Painted: ${toolResult}"
  - when: {lastUser: paint and look, offers: paint}
    answer: {toolCalls: [{name: paint, arguments: {colour: red}}, {name: look, arguments: {}}]}
  - when: {lastUser: paint, offers: paint}
    answer: {toolCalls: [{name: paint, arguments: {colour: red}}]}
  - when: {toolResult: {name: look}}
    answer: "Seen: ${toolResult}"
  - when: {lastUser: pay, offers: pay}
    answer: {toolCalls: [{name: pay, arguments: {amount: 5}}]}
  - when: {lastUser: look, offers: look}
    answer: {toolCalls: [{name: look, arguments: {}}]}
  - when: {toolResult: {name: wait}}
    answer: "Waited: ${toolResult}"
  - when: {toolResult: {name: ask_person}}
    answer: "You said: ${toolResult}"
  - when: {lastUser: wait, offers: wait}
    answer: {toolCalls: [{name: wait, arguments: {seconds: 0.05}}]}
  - when: {lastUser: ask, offers: ask_person}
    answer: {toolCalls: [{name: ask_person, arguments: {question: "Red or blue?", choices: [red, blue]}}]}
otherwise: Well met.
"""

MANIFEST = """
apiVersion: pharos/v1
kind: Provider
metadata: {{name: sim}}
spec: {{dialect: openai-chat, baseUrl: "{url}/v1"}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{name: fast}}
spec: {{targets: [{{provider: sim, model: sim-small}}]}}
---
apiVersion: pharos/v1
kind: Price
metadata: {{name: sim-small}}
spec: {{model: sim-small, inputPerMillion: "0.40", outputPerMillion: "1.60"}}
---
apiVersion: pharos/v1
kind: Key
metadata: {{name: crew}}
spec: {{models: [fast], scopes: [models.call, catalog.read]}}
"""


@dataclass
class Harbour:
    """The city, and what its agent has done."""

    city: City
    paid: list[str] = field(default_factory=list)
    unsafe_gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, operation: str, _as: Principal | None = None, **arguments: Any) -> Any:
        """Call an operation."""
        key = arguments.pop("_key", None)
        return await self.city.invoker.invoke(
            f"sessions.{operation}", arguments, boss() if _as is None else _as, idempotency_key=key
        )

    async def begin(self, text: str, **more: Any) -> str:
        """Start a session; its id."""
        begun = await self("start", agent="mate", text=text, **more)
        return str(begun["session"]["session"])

    async def until(self, session: str, *statuses: str, seconds: float = 20.0) -> JsonObject:
        """Wait until the session stands in one of these ways."""
        log = self.city.store.log
        async with asyncio.timeout(seconds):
            async for _ in log.tail(f"sessions/default/{session}"):
                found: JsonObject = await self("get", session=session)
                if found["status"] in statuses:
                    return found
        raise AssertionError("a tail never ends")

    async def fault(self, operation: str, _as: Principal | None = None, **arguments: Any) -> Fault:
        """The fault with which a call is refused."""
        try:
            await self(operation, _as, **arguments)
        except Fault as fault:
            return fault
        raise AssertionError(f"sessions.{operation} was not refused")


def boss(*permissions: str, name: str = "boss", namespace: str = "default") -> Principal:
    """Somebody with these permissions; without any named, with all."""
    return Principal(PrincipalKind.USER, name, namespace, frozenset(permissions or ("*",)))


@asynccontextmanager
async def open_harbour(home: Path) -> AsyncIterator[Harbour]:
    """A harbour whose agent can look (pure) and pay (unsafe, and somebody must agree)."""
    made: list[Harbour] = []

    @pharos.agent(
        model="fast",
        key="crew",
        tools=["wait", "ask_person"],
        approvals=[{"tools": ["pay"], "ask": "always", "who": "treasurer"}],
    )
    def mate() -> None:
        """You do what you are told."""

    assert isinstance(mate, CodeAgent)

    @mate.tool(effect="pure")
    def look() -> str:
        """Look around."""
        return "ships"

    @mate.tool
    def pay(amount: int, errand: pharos.Errand) -> str:
        """Pay."""
        made[0].paid.append(errand.key)
        return f"{amount} coins"

    home.mkdir(parents=True, exist_ok=True)
    async with serve(Simulator(parse_script(SCRIPT))) as url:
        manifest = home / "city.yaml"
        manifest.write_text(MANIFEST.format(url=url))
        async with open_city(home / "home", files=[manifest], code=[mate]) as city:
            made.append(Harbour(city))
            yield made[0]
