"""Sessions by the city's own operations: whoever calls from elsewhere has the rights and limits of any other caller,
and each call is recorded like theirs."""

from __future__ import annotations

from typing import Any

from pharos.core.call import Invoke
from pharos.core.wire import JsonObject
from pharos.gateway.federation.tasks.delegation import Delegation
from pharos.gateway.federation.tasks.work import Asked, Beginning, Saying
from pharos.runtime.session.address import Address

TREE, DEPTH = "a2a.tree", "a2a.depth"
"""Labels of a session: what its caller says about the tree of tasks that it belongs to."""

_MOST_LABEL = 256


class OperatedSessions:
    """Implements :class:`~pharos.gateway.federation.tasks.work.Work`."""

    def __init__(self, invoke: Invoke) -> None:
        self._invoke = invoke

    async def start(self, asked: Asked, beginning: Beginning) -> Address:
        """``sessions.start``. What the caller may spend is the least of what it says and what the agent allows."""
        arguments: JsonObject = {
            "agent": f"{beginning.namespace}/{beginning.agent}",
            "text": beginning.text,
            "data": beginning.data,
            "interactive": beginning.interactive,
            "labels": {**beginning.labels, **_labels(beginning.delegation)},
        }
        if beginning.tools:
            arguments["tools"] = [*beginning.tools]
        if beginning.id:
            arguments["session"] = beginning.id
        if beginning.delegation.budget is not None:
            arguments["budget"] = beginning.delegation.budget
        answer: Any = await self._call("sessions.start", asked, arguments)
        session = answer["session"]
        return Address(session["namespace"], session["session"])

    async def send(self, asked: Asked, address: Address, saying: Saying) -> None:
        """``sessions.send``."""
        arguments: JsonObject = {**_which(address), "text": saying.text, "data": saying.data}
        if saying.results:
            arguments["results"] = [
                {"answers": one.answers, "text": one.text, "data": one.data, "failed": one.failed}
                for one in saying.results
            ]
        if saying.tools is not None:
            arguments["tools"] = [*saying.tools]
        await self._call("sessions.send", asked, arguments)

    async def cancel(self, asked: Asked, address: Address, reason: str) -> None:
        """``sessions.cancel``."""
        await self._call("sessions.cancel", asked, {**_which(address), "reason": reason})

    async def decide(
        self, asked: Asked, address: Address, approval: str, digest: str, agreed: bool, reason: str
    ) -> None:
        """``sessions.approve`` or ``sessions.deny``."""
        arguments: JsonObject = {**_which(address), "approval": approval, "digest": digest, "reason": reason}
        await self._call("sessions.approve" if agreed else "sessions.deny", asked, arguments)

    async def _call(self, name: str, asked: Asked, arguments: JsonObject) -> JsonObject:
        return await self._invoke(
            name,
            arguments,
            asked.principal,
            idempotency_key=asked.key,
            correlation=asked.correlation,
            traceparent=asked.traceparent,
        )


def _which(address: Address) -> JsonObject:
    return {"session": address.id, "namespace": address.namespace}


def _labels(delegation: Delegation) -> dict[str, str]:
    if not delegation.tree:
        return {}
    return {TREE: delegation.tree[:_MOST_LABEL], DEPTH: str(delegation.depth)}
