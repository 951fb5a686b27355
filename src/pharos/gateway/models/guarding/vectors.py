"""Where the texts are of those who ask for vectors. The answer has none."""

from __future__ import annotations

from pharos.core.wire import JsonObject
from pharos.gateway.models.guarding.texts import Look, Path, Spot, Spots, objects

_TOP = frozenset({"model", "encoding_format", "requests", "taskType", "task_type"})


class EmbeddingTexts:
    """See :class:`~pharos.gateway.models.guarding.texts.Texts`. For both wires: what is not known is text."""

    def request(self, body: JsonObject) -> Spots:
        spots = Spots()
        spots.rest(body, (), "prompt", _TOP)
        for index, request in objects(body.get("requests")):
            spots.rest(request, ("requests", index), "prompt", _TOP)
        return spots

    def answer(self, body: JsonObject) -> tuple[list[Spot], list[Path]]:
        return [], []

    def stream(self) -> NoStream:
        return NoStream()


class NoStream:
    """Vectors are never streamed."""

    def see(self, event: JsonObject) -> Look:
        return Look()

    def more(self, channel: str, text: str) -> bytes:
        return b""

    def number(self, event: JsonObject) -> tuple[Path, int] | None:
        return None
