"""A city with two simulated providers, and the official SDKs as its clients.

``north`` speaks the OpenAI protocol, ``south`` Anthropic's. Both play the same script, so that whichever client asks
whichever provider, streamed or not, the answer is known in advance and the same.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
from tests.server.serving import serving

from pharos.release.simulator import Simulator, parse_script, serve
from pharos.server.city import open_city

Json = dict[str, Any]

NORTH_KEY = "sk-north-0123456789"
SOUTH_KEY = "sk-south-0123456789"

MANIFEST = """
apiVersion: pharos/v1
kind: Provider
metadata: {{namespace: {namespace}, name: north}}
spec:
  dialect: openai-chat
  baseUrl: "{north}/v1"
  apiKey: {{env: SDK_TEST_NORTH}}
  retries: {{attempts: 1}}
---
apiVersion: pharos/v1
kind: Provider
metadata: {{namespace: {namespace}, name: south}}
spec:
  dialect: anthropic
  baseUrl: "{south}"
  apiKey: {{env: SDK_TEST_SOUTH}}
  retries: {{attempts: 1}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{namespace: {namespace}, name: northern}}
spec: {{targets: [{{provider: north, model: sim-small}}]}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{namespace: {namespace}, name: southern}}
spec: {{targets: [{{provider: south, model: sim-large}}]}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{namespace: {namespace}, name: north-then-south}}
spec: {{targets: [{{provider: north, model: sim-small}}], fallbacks: [southern]}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{namespace: {namespace}, name: south-then-north}}
spec: {{targets: [{{provider: south, model: sim-large}}], fallbacks: [northern]}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{namespace: {namespace}, name: misnamed}}
spec: {{targets: [{{provider: north, model: no-such-model}}]}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{namespace: {namespace}, name: forbidden}}
spec: {{targets: [{{provider: north, model: sim-small}}]}}
---
apiVersion: pharos/v1
kind: Price
metadata: {{namespace: {namespace}, name: sim-small}}
spec:
  model: sim-small
  inputPerMillion: "1.00"
  cacheReadPerMillion: "0.10"
  cacheWrite5mPerMillion: "1.25"
  cacheWrite1hPerMillion: "2.00"
  outputPerMillion: "10.00"
---
apiVersion: pharos/v1
kind: Price
metadata: {{namespace: {namespace}, name: no-such-model}}
spec: {{model: no-such-model, inputPerMillion: "1.00", outputPerMillion: "1.00"}}
---
apiVersion: pharos/v1
kind: Price
metadata: {{namespace: {namespace}, name: sim-large}}
spec:
  model: sim-large
  inputPerMillion: "3.00"
  cacheReadPerMillion: "0.30"
  cacheWrite5mPerMillion: "3.75"
  cacheWrite1hPerMillion: "6.00"
  outputPerMillion: "15.00"
---
apiVersion: pharos/v1
kind: Budget
metadata: {{namespace: {namespace}, name: purse}}
spec: {{limit: "100.00", currency: USD, window: month}}
---
apiVersion: pharos/v1
kind: Key
metadata: {{namespace: {namespace}, name: sdk, labels: {{team: sdk}}}}
spec:
  models: [northern, southern, north-then-south, south-then-north, misnamed]
  budgets: [purse]
---
apiVersion: pharos/v1
kind: Key
metadata: {{namespace: {namespace}, name: slow}}
spec: {{models: [northern, southern], limits: {{requestsPerMinute: 1}}}}
---
apiVersion: pharos/v1
kind: Budget
metadata: {{namespace: {namespace}, name: nothing}}
spec: {{limit: "0.00", currency: USD, window: month}}
---
apiVersion: pharos/v1
kind: Key
metadata: {{namespace: {namespace}, name: poor}}
spec: {{models: [northern, southern], budgets: [nothing]}}
"""


@dataclass(frozen=True)
class CityUnderTest:
    """A city that serves, shared by the tests of a process; each test has a namespace of its own in it."""

    url: str
    admin: str
    http: httpx2.AsyncClient
    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def operation(self, name: str, arguments: Json) -> Json:
        """Run an operation as the admin."""
        headers = {"authorization": f"Bearer {self.admin}"}
        response = await self.http.post(f"{self.url}/api/{name}", json=arguments, headers=headers)
        assert response.status_code == 200, response.text
        return response.json()


@asynccontextmanager
async def open_for_tests(home: Path) -> AsyncIterator[CityUnderTest]:
    """A real city: a real store in ``home``, a real server on a port of loopback."""
    os.environ.update(SDK_TEST_NORTH=NORTH_KEY, SDK_TEST_SOUTH=SOUTH_KEY)
    async with open_city(home) as city, serving(city.app) as served, httpx2.AsyncClient(timeout=60) as http:
        # What a user changes: the base URL, and the key.
        chat = openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="-", max_retries=0)
        messages = anthropic.AsyncAnthropic(base_url=served.url, api_key="-", max_retries=0)
        async with chat, messages:
            admin = (home / "admin.key").read_text().strip()
            yield CityUnderTest(served.url, admin, http, chat, messages)


@dataclass
class Town:
    """One test's part of the city, and its two providers."""

    city: CityUnderTest
    namespace: str
    north: Simulator
    south: Simulator
    urls: dict[str, str]
    """Of the providers."""
    _running: dict[str, AsyncExitStack]
    secret: str = ""
    """Of the key ``sdk``."""

    @property
    def url(self) -> str:
        """Of the city."""
        return self.city.url

    @property
    def http(self) -> httpx2.AsyncClient:
        """A client for what no SDK would send."""
        return self.city.http

    def provider(self, model: str) -> Simulator:
        """The simulator behind a model with one target."""
        return {"northern": self.north, "southern": self.south}[model]

    async def kill(self, name: str) -> None:
        """Stop a provider as a crash would: its connections are reset, its port is closed."""
        await self._running[name].aclose()

    def openai(self, secret: str | None = None, **options: Any) -> openai.AsyncOpenAI:
        """The official client with a key of this test."""
        return self.city.openai.with_options(api_key=secret or self.secret, **options)

    def anthropic(self, secret: str | None = None, **options: Any) -> anthropic.AsyncAnthropic:
        """The official client with a key of this test."""
        return self.city.anthropic.with_options(api_key=secret or self.secret, **options)

    async def issue(self, key: str) -> str:
        """A new secret of a key."""
        return str((await self.city.operation("keys.issue", {"key": key, "namespace": self.namespace}))["secret"])

    async def apply(self, manifest: str) -> None:
        """Change this test's resources; ``{namespace}``, ``{north}`` and ``{south}`` are filled in."""
        filled = manifest.format(namespace=self.namespace, **self.urls)
        await self.city.operation("catalog.apply", {"manifest": filled})

    async def ledger(self) -> list[Json]:
        """This test's rows, oldest first."""
        page = await self.city.operation("ledger.list", {"namespace": self.namespace})
        return list(reversed(page["items"]))

    async def journeys(self) -> list[Json]:
        """This test's journeys."""
        return (await self.city.operation("journeys.list", {"namespace": self.namespace}))["items"]

    async def purse(self) -> Json:
        """The budget of the key ``sdk``."""
        budgets = (await self.city.operation("budgets.list", {"namespace": self.namespace}))["items"]
        return next(budget for budget in budgets if budget["name"] == "purse")


@asynccontextmanager
async def found_town(
    city: CityUnderTest, script: str = "{}", *, north: str | None = None, south: str | None = None
) -> AsyncIterator[Town]:
    """A namespace with two providers. ``script`` is what both play, unless ``north`` or ``south`` is given."""
    async with AsyncExitStack() as stack:
        running: dict[str, AsyncExitStack] = {}
        urls: dict[str, str] = {}
        simulators: dict[str, Simulator] = {}
        for name, key, own in (("north", NORTH_KEY, north), ("south", SOUTH_KEY, south)):
            parsed = parse_script(own if own is not None else script, name)
            # A provider is as strict as the service it stands for: our credential, our models, known members only.
            strict = {"keys": [key], "models": ["sim-small", "sim-large"], "refuse_unknown": True}
            simulators[name] = Simulator(parsed.model_copy(update=strict))
            running[name] = await stack.enter_async_context(AsyncExitStack())
            urls[name] = await running[name].enter_async_context(serve(simulators[name]))
        town = Town(city, f"t{next(city.numbers)}", simulators["north"], simulators["south"], urls, running)
        await town.apply(MANIFEST)
        town.secret = await town.issue("sdk")
        yield town
