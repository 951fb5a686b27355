"""The assembler as workers use it: with a memory to recall from, and a model to summarise with."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, cast

from pharos.core.fault import Fault
from pharos.core.wire import Json, JsonObject
from pharos.mesh.connectors import Errand, MemoryConnector, ModelConnector, ModelReply, ModelRequest, Tool
from pharos.mesh.money import nanos_of
from pharos.runtime.context.assembly import Context, Old, assemble
from pharos.runtime.context.compaction import Plan
from pharos.runtime.context.parts import Compaction
from pharos.runtime.context.reading import budget_of, parts_of
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.session.state import Item, State
from pharos.runtime.worker.ports import Prepared, Shortened

SESSIONS: Final = 256
"""Sessions whose contexts are kept from step to step."""
RECALL_SECONDS: Final = 5.0
"""A memory that does not answer in this time is done without."""
SUMMARY_SECONDS: Final = 60.0
"""A summary that takes longer is made without a model."""

_log = logging.getLogger(__name__)

MemoryOf = Callable[[str], MemoryConnector | None]
"""The memory of this name."""


class Assembler:
    """Prepares the calls of a session's model. A :class:`~pharos.runtime.worker.ports.Contexts`."""

    def __init__(self, models: ModelConnector, memory: MemoryOf = lambda _: None) -> None:
        self._models = models
        self._memory = memory
        self._old: OrderedDict[str, Old] = OrderedDict()

    async def prepare(
        self, state: State, profile: Profile, tools: Sequence[Tool], errand: Errand, id: str
    ) -> Prepared | Shortened:
        """The request for model call ``id``, or the compaction that must be noted first.

        Raises ``CONTEXT_TOO_LARGE``. Neither a memory nor a summary that fails stops a session: it goes on without.
        """
        recalled = await self._recalled(state, profile, errand)
        parts = parts_of(state, profile, tools)
        if recalled is not None:
            last = parts.steps[-1]
            parts = replace(parts, steps=[*parts.steps[:-1], last._replace(items=(*last.items, recalled))])
        context = assemble(parts, budget_of(profile), self._kept(errand.session))
        if context.compact is not None:
            return await self._short(context, context.compact, profile, errand)
        record = context.record(id)
        if recalled is not None and recalled.data is not None:
            record["recalled"] = cast("list[JsonObject]", recalled.data["items"])
        return Prepared(_request(profile, context.messages, context.tools), record)

    def _kept(self, session: str) -> Old:
        """What the session's step before left."""
        old = self._old.pop(session, None) or Old()
        self._old[session] = old
        if len(self._old) > SESSIONS:
            self._old.popitem(last=False)
        return old

    async def _recalled(self, state: State, profile: Profile, errand: Errand) -> Item | None:
        """What memory has to say to new input: asked once in a step."""
        use = profile.spec.memory
        if use is None or not use.recall or not state.steps or (memory := self._memory(use.name)) is None:
            return None
        step = state.steps[-1]
        if step.reply is not None or any(item.kind == "recalled" for item in step.items):
            return None
        query = "\n".join(item.text for item in step.items if item.kind == "input")
        if not query:
            return None
        asked = replace(errand, key=f"{errand.key}/recall")
        try:
            async with asyncio.timeout(RECALL_SECONDS):
                found = await memory.recall(asked, query, use.recall)
        except (Fault, TimeoutError) as error:
            _log.warning("memory %s did not answer session %s: %s", use.name, errand.session, type(error).__name__)
            return None
        items: list[Json] = [
            {"id": one.id, "text": one.text, "score": one.score, "reason": one.reason} for one in found[: use.recall]
        ]
        return Item("recalled", state.sequence + 1, "", {"items": items}) if items else None

    async def _short(self, context: Context, plan: Plan, profile: Profile, errand: Errand) -> Shortened:
        """The compaction, and what its summary cost."""
        request = _request(profile, plan.request(), context.tools)
        options: JsonObject = {name: value for name, value in request.options.items() if name != "response_format"}
        if context.tools:
            options["tool_choice"] = "none"
        asked = replace(errand, key=f"{errand.key}/summary")
        request = replace(request, options=options, max_output=plan.most, stream=False)
        reply: ModelReply | None = None
        try:
            async with asyncio.timeout(SUMMARY_SECONDS):
                async for piece in self._models.call(asked, request):
                    if isinstance(piece, ModelReply):
                        reply = piece
        except (Fault, TimeoutError) as error:
            _log.warning("no summary for session %s: %s", errand.session, type(error).__name__)
        if reply is None:
            return _shortened(plan.fallback())
        content = reply.message.get("content")
        cost = None if reply.cost is None else nanos_of(reply.cost)
        return _shortened(plan.done(content if isinstance(content, str) else ""), cost, reply.call)


def _shortened(compaction: Compaction, cost: int | None = None, call: str = "") -> Shortened:
    return Shortened(compaction.steps, compaction.data(), cost, call)


def _request(profile: Profile, messages: Sequence[JsonObject], tools: Sequence[JsonObject]) -> ModelRequest:
    spec = profile.spec
    options = dict(spec.options)
    if spec.output is not None:
        schema: JsonObject = {"name": "answer", "schema": spec.output}
        options["response_format"] = {"type": "json_schema", "json_schema": schema}
    return ModelRequest(profile.model, messages, tools, spec.context.output_tokens, options)
