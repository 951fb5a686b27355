"""The research of `make demo`: a planner, and three scholars whose one tool goes to the shelves of a library.

The library notes each visit in a file, so that anyone can see how often it was really visited, whatever happened to the
city meanwhile. The key of a visit stays the same however often it is tried: a visit that was noted is not noted again.
"""

import asyncio
import os
from pathlib import Path

import pharos

SHELVES = {
    "tides": "the harbour is deep enough two hours before noon",
    "stars": "Canopus is seen from the mole until the end of the month",
    "grain": "nine ships with grain wait for the north wind",
}


@pharos.agent(
    model="scholar",
    key="library",
    name="planner",
    delegates=["tide-keeper", "star-gazer", "grain-measurer"],
    limits={"steps": 6, "cost": "0.50"},
)
def planner() -> None:
    """You plan research. Give each question to the scholar who knows the shelf, all at once, then write the report."""


async def read_shelf(shelf: str, errand: pharos.Errand) -> str:
    """Go to a shelf of the library and read what stands there."""
    await asyncio.sleep(0.2)  # it is a large library
    visit = Path(os.environ["DEMO_LIBRARY"]) / errand.key.replace("/", "-")
    if not visit.exists():
        visit.write_text(shelf)
    return SHELVES[shelf]


def scholar(name: str, shelf: str) -> object:
    """A specialist of one shelf."""

    @pharos.agent(model="scholar", key="library", name=name, limits={"steps": 4})
    def agent() -> str:
        return f"You know the shelf of {shelf}. You go and look before you answer."

    agent.tool(effect="idempotent")(read_shelf)
    return agent


tide_keeper = scholar("tide-keeper", "tides")
star_gazer = scholar("star-gazer", "stars")
grain_measurer = scholar("grain-measurer", "grain")
