"""An agent of the OpenAI Agents SDK, as it would be written for OpenAI, in a Pharos city.

The model is the city's entrance at /v1, the tools are the city's operations at /mcp. Both are governed by the key.
"""

import asyncio
import os

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp
from openai import AsyncOpenAI

URL, KEY = os.environ["PHAROS_URL"], os.environ["PHAROS_KEY"]

set_tracing_disabled(True)  # its traces would go to OpenAI; the city has its own


async def main() -> None:
    client = AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY)
    city = MCPServerStreamableHttp(
        {"url": f"{URL}/mcp", "headers": {"authorization": f"Bearer {KEY}"}}, client_session_timeout_seconds=30
    )
    async with client, city:
        agent = Agent(
            name="treasurer",
            instructions="You keep an eye on the money of the team.",
            model=OpenAIChatCompletionsModel("fast", openai_client=client),
            mcp_servers=[city],
        )
        result = await Runner.run(agent, "How much of the budget is left?")
    print(result.final_output)
    print(f"{len(result.raw_responses)} requests")


if __name__ == "__main__":
    asyncio.run(main())
