from __future__ import annotations

from a2a.types import a2a_pb2 as pb

from pharos.gateway.federation.tasks.states import State


def test_states_have_the_numbers_of_the_protocol() -> None:
    ours = {f"TASK_STATE_{state.name}": state.value for state in State}
    assert ours == {name: number for name, number in pb.TaskState.items() if number}
