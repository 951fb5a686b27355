"""What a session's pool is told of its model calls: what they used, and when a provider asked for patience."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from pharos.mesh.facts import Usage, tokens_of
from pharos.mesh.scheduling.grants import Grant
from pharos.runtime.session.commands import Command, Compact, ModelAnswered, ModelCharged, ModelFailed

_PATIENCE: Final = frozenset({"UPSTREAM_RATE_LIMITED", "UPSTREAM_OVERLOADED", "MODEL_UNAVAILABLE"})
"""Faults of the gateway that are about the provider. What an account has used up is about the account alone."""

_LONGEST: Final = 3600.0
"""Seconds for which a provider is believed at most: after them somebody asks again."""


def tell_pool(grant: Grant, commands: Sequence[Command]) -> None:
    """Settle what came of a model call with the pool that granted it, so that shares and rates in tokens and cost are
    of what was really used, and nobody else begins work that would wait for the same provider."""
    for command in commands:
        if isinstance(command, ModelAnswered):
            grant.use(tokens=tokens_of(cast("Usage", command.usage)), cost=command.cost or 0)
        elif isinstance(command, ModelCharged):
            grant.use(cost=command.cost)
        elif isinstance(command, Compact):
            grant.use(cost=command.cost or 0)
        elif isinstance(command, ModelFailed) and command.code in _PATIENCE and command.retry_after:
            grant.pause(min(command.retry_after, _LONGEST), command.code)
