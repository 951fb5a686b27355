"""Counters against a model: random reservations, settlements, refused commits and restarts."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from tests.contracts.conftest import ENGINES
from tests.contracts.samples import event

from pharos.core.fault import Fault
from pharos.store.faults import COUNTER_EXHAUSTED, POSITION_CONFLICT
from pharos.store.ports import Append, Command, Forget, Hold, Reserve, Settle, Store

COUNTERS = ("a", "b", "c")
WINDOWS = ("day", "month")
LIMIT = 50

holds = st.lists(
    st.builds(Hold, st.sampled_from(COUNTERS), st.sampled_from(WINDOWS), st.integers(0, 30), st.just(LIMIT)), max_size=3
)

keys = st.tuples(st.sampled_from(COUNTERS), st.sampled_from(WINDOWS))


class Counters(RuleBasedStateMachine):
    """The model: settled totals and open holds, in two dictionaries."""

    engine = ""
    reservations: Bundle[str] = Bundle("reservations")

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.open = ENGINES[self.engine](Path(self.directory.name))
        self.store: Store = self.runner.run(self.open())
        self.settled: dict[tuple[str, str], int] = {}
        self.held: dict[str, tuple[Hold, ...]] = {}
        self.made = 0

    def reserved(self, key: tuple[str, str]) -> int:
        return sum(h.amount for held in self.held.values() for h in held if (h.counter, h.window) == key)

    def commit(self, *commands: Command) -> list[object] | str:
        """The results, or the code of the refusal."""
        try:
            return list(self.runner.run(self._commit(commands)))
        except Fault as fault:
            return fault.code

    async def _commit(self, commands: tuple[Command, ...]) -> list[object]:
        return list(await self.store.commit(*commands))

    @rule(target=reservations, wanted=holds)
    def reserve(self, wanted: list[Hold]) -> object:
        self.made += 1
        id = f"r{self.made}"
        asked: dict[tuple[str, str], int] = {}
        for hold in wanted:
            asked[hold.counter, hold.window] = asked.get((hold.counter, hold.window), 0) + hold.amount
        fits = all(self.settled.get(k, 0) + self.reserved(k) + amount <= LIMIT for k, amount in asked.items())
        outcome = self.commit(Reserve(id, tuple(wanted), {}))
        assert outcome == ([None] if fits else COUNTER_EXHAUSTED.code)
        if not fits:
            return multiple()
        self.held[id] = tuple(wanted)
        return id

    @rule(id=reservations, used=st.dictionaries(st.sampled_from(COUNTERS), st.integers(0, 30)), fail=st.booleans())
    def settle(self, id: str, used: dict[str, int], fail: bool) -> None:
        """Sometimes in a commit that another command ruins: then nothing may have happened."""
        held = self.held.get(id, ())
        actual = {counter: used.get(counter, 0) for counter in {hold.counter for hold in held}}
        if fail:
            ruined = self.commit(Settle(id, actual), Append(event("log"), expected_sequence=99))
            assert ruined == POSITION_CONFLICT.code
            return
        assert self.commit(Settle(id, actual)) == [id in self.held]
        if self.held.pop(id, None) is not None:
            for key in {(hold.counter, hold.window) for hold in held}:
                self.settled[key] = self.settled.get(key, 0) + actual[key[0]]

    @rule(pairs=st.lists(keys, max_size=4), fail=st.booleans())
    def forget(self, pairs: list[tuple[str, str]], fail: bool) -> None:
        """What nothing is held on begins anew."""
        if fail:
            ruined = self.commit(Forget(tuple(pairs)), Append(event("log"), expected_sequence=99))
            assert ruined == POSITION_CONFLICT.code
            return
        held = {(hold.counter, hold.window) for holds in self.held.values() for hold in holds}
        gone = {pair for pair in pairs if self.settled.get(pair) and pair not in held}
        assert self.commit(Forget(tuple(pairs))) == [len(gone)]
        for pair in gone:
            del self.settled[pair]

    @rule()
    def restart(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.runner.run(self.open())

    @invariant()
    def counters_are_the_models(self) -> None:
        keys = [(counter, window) for counter in COUNTERS for window in WINDOWS]
        found = self.runner.run(self._read(keys))
        assert [c.settled for c in found] == [self.settled.get(key, 0) for key in keys]
        assert [c.reserved for c in found] == [self.reserved(key) for key in keys]

    async def _read(self, keys: list[tuple[str, str]]) -> list[object]:
        return list(await self.store.counters.read(keys))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.runner.run(self.store.close())
            self.runner.close()
            self.directory.cleanup()


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_counters_against_a_model(engine: str) -> None:
    machine = type("Counters", (Counters,), {"engine": engine})
    health = [HealthCheck.too_slow]
    few = settings(max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=health)
    run_state_machine_as_test(machine, settings=few)  # type: ignore[no-untyped-call]
