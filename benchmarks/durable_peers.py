"""Durable execution elsewhere, driven as its documentation says: one JSON line with seconds and a resume.

    python durable_peers.py dbos|dbos-dies|dbos-resumes|langgraph-sync|langgraph-async STEPS FLOWS DIRECTORY

Run by ``sessions.py`` in an environment of its own. A step returns 200 bytes and waits for nothing.
"""

from __future__ import annotations

import asyncio
import json
import operator
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any, TypedDict

RESULT = "x" * 200


def dbos(what: str, steps: int, flows: int, directory: Path) -> dict[str, float]:
    """A workflow of recorded steps on SQLite. ``dbos-dies`` ends the process in the last step; ``dbos-resumes`` takes
    that up and waits for its end."""
    from dbos import DBOS, DBOSConfig, SetWorkflowID

    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": f"sqlite:///{directory}/dbos.sqlite",
        "log_level": "ERROR",
    }
    DBOS(config=config)

    @DBOS.step()
    async def step(number: int) -> str:
        if what == "dbos-dies" and number == steps - 1:
            os._exit(0)
        return RESULT

    @DBOS.workflow()
    async def flow(count: int) -> int:
        total = 0
        for number in range(count):
            total += len(await step(number))
        return total

    launched = time.perf_counter()
    DBOS.launch()

    async def run() -> float:
        if what == "dbos-dies":
            with SetWorkflowID("mortal"):
                await (await DBOS.start_workflow_async(flow, steps)).get_result()
        if what == "dbos-resumes":
            handle = await DBOS.retrieve_workflow_async("mortal")
            assert await handle.get_result() == steps * len(RESULT)
            return time.perf_counter() - launched
        handle = await DBOS.start_workflow_async(flow, 3)
        await handle.get_result()
        began = time.perf_counter()
        handles = [await DBOS.start_workflow_async(flow, steps) for _ in range(flows)]
        for handle in handles:
            assert await handle.get_result() == steps * len(RESULT)
        return time.perf_counter() - began

    seconds = asyncio.run(run())
    DBOS.destroy()
    return {"seconds": seconds}


class Grown(TypedDict):
    outputs: Annotated[list[str], operator.add]
    left: int


async def langgraph(steps: int, flows: int, directory: Path, durability: Any) -> dict[str, float]:
    """A graph of one node that loops, with the SQLite checkpointer."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.graph import END, START, StateGraph

    async def node(state: Grown) -> dict[str, Any]:
        return {"outputs": [RESULT], "left": state["left"] - 1}

    graph = StateGraph(Grown)
    graph.add_node("step", node)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if state["left"] else END)
    async with AsyncSqliteSaver.from_conn_string(f"{directory}/langgraph.sqlite") as saver:
        compiled = graph.compile(checkpointer=saver)

        async def flow(name: str, count: int) -> None:
            config: Any = {"configurable": {"thread_id": name}, "recursion_limit": count + 10}
            begin: Any = {"outputs": [], "left": count}
            end = await compiled.ainvoke(begin, config, durability=durability)
            assert len(end["outputs"]) == count

        await flow("warm", 3)
        began = time.perf_counter()
        await asyncio.gather(*(flow(f"flow-{number}", steps) for number in range(flows)))
        seconds = time.perf_counter() - began
    resumes = []
    for _ in range(5):
        began = time.perf_counter()
        async with AsyncSqliteSaver.from_conn_string(f"{directory}/langgraph.sqlite") as saver:
            compiled = graph.compile(checkpointer=saver)
            state = await compiled.aget_state({"configurable": {"thread_id": "flow-0"}})
            assert len(state.values["outputs"]) == steps
        resumes.append(time.perf_counter() - began)
    return {"seconds": seconds, "resume": sorted(resumes)[2]}


def main() -> None:
    name, steps, flows, directory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    if name.startswith("dbos"):
        result = dbos(name, steps, flows, directory)
    else:
        result = asyncio.run(langgraph(steps, flows, directory, name.removeprefix("langgraph-")))
    result["bytes"] = sum(file.stat().st_size for file in directory.iterdir() if file.is_file())
    print(json.dumps(result))


if __name__ == "__main__":
    main()
