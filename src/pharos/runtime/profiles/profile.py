"""A resolved agent: all that a session must know of it, as one value that never changes.

A session keeps its profile in its first event and goes by that one: what is applied to the agent, its template or its
key's name later is another *version*. The version is a digest of the profile's content, so that the same declaration
has the same version wherever and whenever it is resolved, and a change that changes nothing makes none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import orjson

from pharos.control.expressions import Variables
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.wire import Json, JsonObject
from pharos.mesh.connectors import EffectClass, Tool
from pharos.runtime.profiles.conditions import holds
from pharos.runtime.profiles.kinds import AgentSpec, matches

VERSION = "sha256:"


@dataclass(frozen=True, slots=True)
class Profile:
    """An agent as a session runs it. Names of resources are ``namespace/name``.

    ``instructions`` are rendered; ``spec`` is the agent's declaration without them, for what needs no resolving.
    ``sources`` are the revisions that it was made from, for people (``Agent/default/a``: 3); they are no part of
    ``version``.
    """

    agent: str
    version: str
    account: str
    """The ``Key`` that pays and whose limits hold."""
    model: str
    """As the account's key calls it."""
    instructions: str
    delegates: tuple[str, ...]
    pool: str
    """Empty for the city's own."""
    spec: AgentSpec
    sources: Mapping[str, int]

    def allows(self, tool: str) -> bool:
        """Whether the agent may be offered a tool of this name."""
        return matches(self.spec.tools, tool)

    def asks(self, tool: Tool, call: Variables | None = None) -> tuple[bool, str]:
        """Whether somebody must agree to a call of ``tool``, and who. ``call``: which one (see ``conditions.py``); left
        out: the one that is asked about the soonest."""
        for rule in self.spec.approvals:
            if matches(rule.tools, tool.name):
                if rule.when is not None and call is not None and not holds(rule.when, call):
                    continue
                due = rule.ask == "always" or (rule.ask == "unsafe" and tool.effect is EffectClass.UNSAFE)
                return due or tool.approval, rule.who
        return tool.approval, ""

    def to_json(self) -> JsonObject:
        """The profile for the event that pins it."""
        return {**_content(self), "version": self.version, "sources": dict(self.sources)}

    @classmethod
    def from_json(cls, data: JsonObject) -> Profile:
        """The pinned profile. Raises ``ValueError`` for one that is not whole, or was altered."""
        try:
            profile = cls(
                agent=str(data["agent"]),
                version=str(data["version"]),
                account=str(data["account"]),
                model=str(data["model"]),
                instructions=str(data["instructions"]),
                delegates=tuple(map(str, cast("list[Json]", data["delegates"]))),
                pool=str(data["pool"]),
                spec=AgentSpec.model_validate(data["spec"]),
                sources={name: int(str(n)) for name, n in cast("JsonObject", data["sources"]).items()},
            )
        except (KeyError, TypeError) as error:
            raise ValueError("not a profile") from error
        if version_of({name: value for name, value in data.items() if name not in ("version", "sources")}) != (
            profile.version
        ):
            raise ValueError(f"the profile of {profile.agent} is not the one of its version")
        return profile


def profile_of(
    agent: str,
    account: str,
    model: str,
    instructions: str,
    delegates: tuple[str, ...],
    pool: str,
    spec: AgentSpec,
    sources: Mapping[str, int],
) -> Profile:
    """The profile with the version that follows from the rest."""
    made = Profile(agent, "", account, model, instructions, delegates, pool, spec, sources)
    version = version_of(_content(made))
    return Profile(agent, version, account, model, instructions, delegates, pool, spec, sources)


def version_of(content: Mapping[str, Json]) -> str:
    """Digest of a profile's content: SHA-256 of its JSON with sorted keys."""
    written = orjson.dumps(dict(content), option=orjson.OPT_SORT_KEYS)
    return VERSION + hashlib.sha256(written).hexdigest()


def _content(profile: Profile) -> JsonObject:
    return {
        "agent": profile.agent,
        "account": profile.account,
        "model": profile.model,
        "instructions": profile.instructions,
        "delegates": [*profile.delegates],
        "pool": profile.pool,
        "spec": profile.spec.to_json(),
    }


def acting(agent: str, principal: Principal) -> Principal:
    """The agent (``namespace/name``) as one that acts for ``principal``, with its rights and no others."""
    namespace, _, name = agent.rpartition("/")
    return replace(principal.delegate(PrincipalKind.AGENT, name, principal.permissions), namespace=namespace)
