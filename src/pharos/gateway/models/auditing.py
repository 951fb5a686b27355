"""What is taken down of a call for its audit record, and the command that commits it with the call.

Content is taken inside the guards: a prompt as it goes on its way, an answer as it came, before what was masked is put
back for the caller. A call that nobody records costs one look at its key's plan.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from pharos.core.event import BlobRef, Event
from pharos.core.fault import Fault
from pharos.core.wire import JsonObject
from pharos.mesh.auditing import RECORDED, AuditRecorded, AuditRule, Content, chain_of, digest_of, packed, salted
from pharos.store.ports import Append, Blobs, Command

if TYPE_CHECKING:
    from pharos.gateway.models.call import Call

_log = logging.getLogger(__name__)

MOST_ANSWER = 16 * 1024 * 1024
"""Bytes of a streamed answer that are kept; of a longer one, the beginning."""

SMALL = 64 * 1024
"""Bytes that are hashed where they are: a thread would take longer to be asked."""

MAX_NAME = 256

Redact = Callable[["Call", bytes], bytes | None]
"""What may be kept of an answer as it came from below the guards: with what they mask in it masked, and what they put
back for the caller not put back. ``None``: they do not let it pass, or could not examine it."""


def unchanged(_: Call, answer: bytes) -> bytes:
    """No guard looks at answers."""
    return answer


class Trail:
    """The record of one call, while it is made."""

    __slots__ = (
        "_blobs",
        "_grew",
        "_kept",
        "_lost",
        "_pieces",
        "_prompt",
        "_redact",
        "_room",
        "_rule",
        "_truncated",
        "digest",
    )

    def __init__(
        self, rule: AuditRule, prompt: bytes, blobs: Blobs, grew: Callable[[str], None], redact: Redact
    ) -> None:
        self._redact = redact
        self._rule = rule
        self._prompt = prompt
        self._blobs = blobs
        self._grew = grew
        self._pieces: list[bytes] = []
        self._room = MOST_ANSWER
        self._truncated = False
        self._lost: Fault | None = None
        self._kept: tuple[BlobRef, ...] = ()
        self.digest = ""
        """Of the record, once it is made."""

    def whole(self, answer: bytes) -> None:
        """The answer, not streamed. It was held in memory anyway."""
        self._pieces = [answer]

    def see(self, chunk: bytes) -> None:
        """A piece of a streamed answer."""
        if len(chunk) > self._room:
            chunk, self._truncated = chunk[: self._room], True
        self._room -= len(chunk)
        self._pieces.append(chunk)

    async def into(self, commands: list[Command], call: Call) -> None:
        """Store the content and add the record to the commit of the call. Where the content cannot be stored nothing is
        added, and :meth:`done` raises if a record is required."""
        try:
            record = await self._record(call)
        except Fault as fault:
            _log.error("no audit record of call %s: %s", call.id, fault.code)
            self._lost = fault
            return
        data = cast("JsonObject", record)
        self.digest = digest_of(data)
        key = call.identity.key.metadata
        event = Event(
            topic=chain_of(key.namespace),
            type=RECORDED,
            data=data,
            principal=call.key.principal,
            subject=f"Key/{key.namespace}/{key.name}",
            causation=call.id,
            correlation=call.correlation,
            refs=self._kept,
        )
        commands.append(Append(event))

    def done(self, namespace: str) -> None:
        """The commit came about. Raises the fault for which there is no record, where one is required."""
        if self._lost is None:
            self._grew(namespace)
        elif self._rule.required:
            raise self._lost

    async def _record(self, call: Call) -> AuditRecorded:
        rule, prompt = self._rule, self._prompt
        answer = self._redact(call, b"".join(self._pieces))
        passed = answer is not None
        answer = answer or b""
        content: Content = {
            "digest": "",
            "prompt": len(prompt),
            "answer": len(answer),
            "promptDigest": "",
            "answerDigest": "",
        }
        if len(prompt) + len(answer) < SMALL:
            blob = _digest(content, call.id, prompt, answer)
        else:
            blob = await asyncio.to_thread(_digest, content, call.id, prompt, answer)
        if self._truncated:
            content["truncated"] = True
        if not passed:
            content["guarded"] = True
        if not rule.content:
            content["withheld"] = "policy"
        elif rule.withhold and call.body.get("store") is False:
            content["withheld"] = "store-false"
        else:
            content["digest"] = await self._blobs.put(blob)
            self._kept = (BlobRef(content["digest"], len(blob)),)
        key = call.identity.key.metadata
        served = call.attempts[-1].target.label if call.attempts else ""
        return {
            "call": call.id,
            "policy": rule.policy,
            "key": key.name,
            "namespace": key.namespace,
            "team": call.key.team,
            "labels": dict(call.key.labels),
            "user": (call.identity.user or call.ask.user)[:MAX_NAME],
            "dialect": call.dialect.name,
            "model": call.ask.model[:MAX_NAME],
            "served": served,
            "stream": call.ask.stream,
            "outcome": call.outcome,
            "fault": call.fault,
            "startedAt": call.started_at.isoformat(),
            "days": rule.days,
            "content": content,
        }


def _digest(content: Content, call: str, prompt: bytes, answer: bytes) -> bytes:
    """Note the digests; returns the blob."""
    content["promptDigest"], content["answerDigest"] = salted(call, prompt), salted(call, answer)
    return packed(call, prompt, answer)
