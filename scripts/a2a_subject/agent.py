"""The agent that A2A's test kit talks to.

The kit says by the id of a message what is to become of it. Ids of messages are the protocol's own business, which a
model sees nothing of; so this agent has a tool that looks it up in the record of its session. Its model (script.yaml)
always asks that tool first.
"""

import os
from pathlib import Path

import pharos


@pharos.agent(model="scripted", key="agents", tools=["ask_person"], limits={"steps": 100, "repetitions": 100})
def subject() -> None:
    """You do what the id of the newest message says."""


@subject.tool(effect="pure")
def newest_message(errand: pharos.Errand) -> str:
    """The id of the newest message."""
    secret = Path(os.environ["SUBJECT_KEY_FILE"]).read_text().strip()
    with pharos.Client(os.environ["SUBJECT_URL"], secret) as city:
        page = city.topics.read(log=f"sessions/{errand.session}", limit=1000)
    causes = [event.causation or "" for event in page.items]
    return next((cause for cause in reversed(causes) if cause.startswith("a2a:")), "none")
