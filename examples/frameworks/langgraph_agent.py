"""A graph of LangGraph, as it would be written for OpenAI, in a Pharos city.

The model is the city's entrance at /v1, the tools are the city's operations at /mcp. Both are governed by the key.
"""

import asyncio
import os
from typing import Any

import httpx2
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

URL, KEY = os.environ["PHAROS_URL"], os.environ["PHAROS_KEY"]

model = ChatOpenAI(model="fast", base_url=f"{URL}/v1", api_key=KEY)


def tool_of(city: Client, listed: Any) -> StructuredTool:
    """A tool of the MCP server as one of LangChain."""

    async def call(**arguments: Any) -> str:
        result = await city.call_tool(listed.name, arguments)
        return "\n".join(part.text for part in result.content if part.type == "text")

    return StructuredTool(
        name=listed.name, description=listed.description or "", args_schema=listed.input_schema, coroutine=call
    )


async def main() -> None:
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {KEY}"}, timeout=60) as http,
        Client(streamable_http_client(f"{URL}/mcp", http_client=http)) as city,
    ):
        tools = [tool_of(city, listed) for listed in (await city.list_tools()).tools]
        thinking = model.bind_tools(tools)

        async def think(state: MessagesState) -> Any:
            return {"messages": [await thinking.ainvoke(state["messages"])]}

        graph = StateGraph(MessagesState)
        graph.add_node("think", think)
        graph.add_node("tools", ToolNode(tools))
        graph.add_edge(START, "think")
        graph.add_conditional_edges("think", tools_condition)
        graph.add_edge("tools", "think")
        ended = await graph.compile().ainvoke({"messages": [("user", "How much of the budget is left?")]})
    print(ended["messages"][-1].content)
    print(f"{len(ended['messages'])} messages")


if __name__ == "__main__":
    asyncio.run(main())
