"""Several ways to people as one."""

from __future__ import annotations

from collections.abc import Sequence

from pharos.core.principal import Principal, PrincipalKind
from pharos.mesh.connectors import Errand
from pharos.runtime.tools.people import Everywhere

ERRAND = Errand("default/s/e1", "default/s", Principal(PrincipalKind.AGENT, "a"))


class Way:
    def __init__(self) -> None:
        self.open: dict[str, tuple[str, str]] = {}

    async def ask(self, errand: Errand, question: str, choices: Sequence[str], who: str) -> str:
        self.open[errand.key] = (question, who)
        return errand.key

    async def withdraw(self, errand: Errand, id: str) -> None:
        self.open.pop(errand.key, None)


async def test_a_question_is_put_on_all_ways_or_on_the_one_that_is_named() -> None:
    mail, chat = Way(), Way()
    people = Everywhere({"mail": mail, "chat": chat})
    assert await people.ask(ERRAND, "May I?", ("yes",), "ops") == ERRAND.key
    assert mail.open == chat.open == {ERRAND.key: ("May I?", "ops")}
    await people.withdraw(ERRAND, "e1")
    assert mail.open == chat.open == {}
    await people.ask(ERRAND, "May I?", ("yes",), "mail:ops")
    assert (mail.open, chat.open) == ({ERRAND.key: ("May I?", "ops")}, {})
    await people.ask(ERRAND, "May I?", ("yes",), "other:ops")
    assert chat.open == {ERRAND.key: ("May I?", "other:ops")}
