"""An agent of pydantic-ai, as it would be written for OpenAI, in a Pharos city.

The model is the city's entrance at /v1, the tools are the city's operations at /mcp. Both are governed by the key.
"""

import asyncio
import os

from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

URL, KEY = os.environ["PHAROS_URL"], os.environ["PHAROS_KEY"]

agent = Agent(
    OpenAIChatModel("fast", provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY)),
    instructions="You keep an eye on the money of the team.",
    toolsets=[MCPToolset(f"{URL}/mcp", headers={"authorization": f"Bearer {KEY}"}, init_timeout=60)],
)


async def main() -> None:
    async with agent:
        result = await agent.run("How much of the budget is left?")
    print(result.output)
    print(f"{result.usage.requests} requests, {result.usage.tool_calls} tool call")


if __name__ == "__main__":
    asyncio.run(main())
