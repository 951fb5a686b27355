"""Every way to people that plugins bring, as one: a question is put on all of them, and the first answer counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pharos.mesh.connectors import Errand, PersonConnector


class Everywhere:
    """Implements :class:`~pharos.mesh.connectors.PersonConnector` over others, each known by a name.

    ``who`` may begin with the name of one and a colon (``mail:ops``): then the question is put there alone. Each knows
    a question by the errand's key, also where it is withdrawn.
    """

    def __init__(self, ways: Mapping[str, PersonConnector]) -> None:
        self._ways = dict(ways)

    async def ask(self, errand: Errand, question: str, choices: Sequence[str], who: str) -> str:
        """Ask once per key; the key. What one raises is raised: whoever asks again with the key asks nobody twice."""
        name, colon, whom = who.partition(":")
        if colon and name in self._ways:
            await self._ways[name].ask(errand, question, choices, whom)
        else:
            for way in self._ways.values():
                await way.ask(errand, question, choices, who)
        return errand.key

    async def withdraw(self, errand: Errand, id: str) -> None:
        """The answer is not needed any more, wherever it was asked for."""
        for way in self._ways.values():
            await way.withdraw(errand, id)
