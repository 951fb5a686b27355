"""One city for all tests of a process, and a namespace in it for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.sdk.clients import AnthropicClient, Client, OpenAIClient
from tests.sdk.town import CityUnderTest, Town, found_town, open_for_tests

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this directory run on the loop that the city runs on."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def city(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CityUnderTest]:
    """A city that serves."""
    async with open_for_tests(tmp_path_factory.mktemp("sdk") / "home") as opened:
        yield opened


Found = Callable[..., Awaitable[Town]]


@pytest_asyncio.fixture(loop_scope="session")
async def found(city: CityUnderTest) -> AsyncIterator[Found]:
    """``await found(script)`` founds a town; its providers are gone at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(script: str = "{}", **options: Any) -> Town:
            return await stack.enter_async_context(found_town(city, script, **options))

        yield start


@pytest.fixture(params=["openai", "anthropic"])
def client(request: pytest.FixtureRequest) -> Callable[..., Client]:
    """``client(town)``: each SDK in turn."""

    def make(town: Town, secret: str | None = None, **options: Any) -> Client:
        if request.param == "openai":
            return OpenAIClient(town.openai(secret, **options))
        return AnthropicClient(town.anthropic(secret, **options))

    make.dialect = request.param  # type: ignore[attr-defined]
    return make


@pytest.fixture(params=["northern", "southern"])
def model(request: pytest.FixtureRequest) -> str:
    """A model at each provider in turn: OpenAI's dialect in the north, Anthropic's in the south."""
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    """Unstreamed, then streamed."""
    return bool(request.param)
