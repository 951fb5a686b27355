"""A simulator on an ephemeral port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import anthropic
import openai
import pytest
from tests.release.simulated import Running, Simulate

from pharos.release.simulator import Simulator, parse_script, serve


@pytest.fixture
async def simulate() -> AsyncIterator[Simulate]:
    """``await simulate(yaml)`` starts a simulator that is stopped at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(script: str = "{}") -> Running:
            simulator = Simulator(parse_script(script))
            url = await stack.enter_async_context(serve(simulator))
            chat = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-test-openai", max_retries=0)
            messages = anthropic.AsyncAnthropic(base_url=url, api_key="sk-test-anthropic", max_retries=0)
            await stack.enter_async_context(chat)
            await stack.enter_async_context(messages)
            return Running(simulator, url, chat, messages)

        yield start
