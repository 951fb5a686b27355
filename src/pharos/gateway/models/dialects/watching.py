"""What the watchers of all dialects tell of a stream that passes as it is."""

from __future__ import annotations

from pharos.mesh.facts import Usage


class Watched:
    """The read side of a :class:`~pharos.gateway.models.dialects.dialect.Watcher`; each dialect sees its own frames."""

    __slots__ = ("_complete", "_failed", "_model", "_output", "_usage")

    def __init__(self) -> None:
        self._usage: Usage | None = None
        self._model = ""
        self._complete = False
        self._failed = False
        self._output = 0

    @property
    def usage(self) -> Usage | None:
        """What the provider has told of it so far."""
        return self._usage

    @property
    def model(self) -> str:
        """The model that the provider names."""
        return self._model

    @property
    def complete(self) -> bool:
        """The answer has come to its proper end."""
        return self._complete

    @property
    def output_bytes(self) -> int:
        """Bytes of content that have passed."""
        return self._output
