"""Operations: one declaration carries everything the faces need."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pharos.core.call import operation_name, tool_name
from pharos.core.operation import (
    Decision,
    Effect,
    Invocation,
    Registry,
    Reversibility,
    Written,
    operations_of,
    read,
    write,
)
from pharos.core.wire import Wire


class Ask(Wire):
    word: str


class Said(Written):
    word: str


class Parrot:
    """A room with three operations."""

    @read("parrot.hear", permission="parrot.read")
    async def hear(self, invocation: Invocation, ask: Ask) -> Ask:
        """Hear a word.

        And nothing else.
        """
        return ask

    @write("parrot.say", permission="parrot.write", destroys=True)
    async def say(self, invocation: Invocation, ask: Ask) -> Decision[Said]:
        """Say a word."""
        return Decision(Said(operation=invocation.operation_id, word=ask.word))

    @read("parrot.follow", permission=None)
    async def follow(self, invocation: Invocation, ask: Ask) -> AsyncIterator[Ask]:
        """Follow the words."""
        yield ask


def test_types_and_texts_come_from_the_handler() -> None:
    hear, say, follow = operations_of(Parrot())
    assert (hear.summary, hear.description) == ("Hear a word.", "And nothing else.")
    assert (hear.input, hear.output, hear.effect) == (Ask, Ask, Effect.READ)
    assert (say.output, say.effect, say.reversibility) == (Said, Effect.DESTROY, Reversibility.EXACT)
    assert say.inverse == "operations.undo"
    assert (follow.output, follow.streaming) == (Ask, True)
    assert (say.noun, say.verb) == ("parrot", "say")


def test_a_name_is_registered_once() -> None:
    operations = operations_of(Parrot())
    assert list(Registry(operations)) == ["parrot.follow", "parrot.hear", "parrot.say"]
    with pytest.raises(ValueError, match="registered twice"):
        Registry([*operations, operations[0]])


def test_tool_names_are_reversible() -> None:
    assert tool_name("ledger.list") == "ledger_list"
    assert operation_name("ledger_list") == "ledger.list"


def test_an_operation_must_be_described() -> None:
    class Silent:
        @read("silent.op", permission=None)
        async def op(self, invocation: Invocation, ask: Ask) -> Ask:
            return ask

    with pytest.raises(TypeError, match="docstring"):
        operations_of(Silent())
