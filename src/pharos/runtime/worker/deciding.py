"""Where decisions are made: on the event loop, or beside it where one may take long."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from functools import partial

from pharos.runtime.session.commands import Command
from pharos.runtime.session.decide import decide
from pharos.runtime.session.deciding.draft import Decided
from pharos.runtime.session.deciding.ending import promised
from pharos.runtime.session.state import State


async def decided(state: State, *given: Command, advance: bool = True, threads: Executor | None = None) -> Decided:
    """What :func:`~pharos.runtime.session.decide.decide` comes to, without holding others up.

    An agent that promises what its answers are has its last one judged by a schema, which may take a second. That is
    done on one of ``threads`` (``None``: the event loop's own). The state must not be changed meanwhile; the decision
    is the same wherever it is made.
    """
    deciding = partial(decide, state, *given, advance=advance)
    if promised(state) is None:
        return deciding()
    return await asyncio.get_running_loop().run_in_executor(threads, deciding)
