"""A full-code agent: a function that is the agent, and functions that are its tools.

``pharos up -f city.yaml -f forecaster.py`` opens a city with it. It is declared like any other agent (see it with
``pharos get Agent forecaster``), and its tools are its own.
"""

from typing import Literal

from pydantic import BaseModel

import pharos


class Forecast(BaseModel):
    """What a tool answers is checked against its type, and the model is told the type's schema."""

    city: str
    sky: Literal["clear", "cloudy", "rain"]
    degrees: float


@pharos.agent(model="fast", key="harbour", limits={"steps": 8, "cost": "0.05"})
def forecaster() -> None:
    """You tell ships about the weather. You look it up, you never guess."""


# Nothing happens when it is called: it may be called again whenever nobody knows what came of it.
@forecaster.tool(effect="pure")
async def forecast(city: str, day: Literal["today", "tomorrow"] = "today") -> Forecast:
    """The weather in a city."""
    if city == "Atlantis":
        raise pharos.ToolError("Nobody knows where Atlantis is.")
    return Forecast(city=city, sky="clear" if day == "today" else "rain", degrees=21.5)


SIGNALS: dict[str, str] = {}


# The same key is the same signal, so it may be called again, too. Where a service honours keys, hand the key on to it.
@forecaster.tool(effect="idempotent")
def hoist_signal(signal: Literal["storm", "calm"], errand: pharos.Errand) -> str:
    """Hoist a signal at the harbour."""
    SIGNALS.setdefault(errand.key, signal)
    return f"The signal {SIGNALS[errand.key]} is up."
