"""Operations that show what agents and templates come to, without running them."""

from __future__ import annotations

from pydantic import Field

from pharos.control.documents import missing
from pharos.control.index import Index
from pharos.core.fault import NOT_FOUND
from pharos.core.forms import REFERENCE
from pharos.core.operation import Invocation, read
from pharos.core.resource import Ref
from pharos.core.wire import Json, JsonObject, Wire
from pharos.runtime.profiles.faults import AGENT_INCOMPLETE, DELEGATES_CYCLIC, TEMPLATE_VALUES
from pharos.runtime.profiles.kinds import PROMPT_TEMPLATE
from pharos.runtime.profiles.resolving import agent_named, resolve
from pharos.runtime.profiles.templates import render
from pharos.runtime.tools.faults import TOOL_NAME_TAKEN, TOOL_UNUSABLE
from pharos.runtime.tools.offering import OfferOf

Reference = Field(min_length=1, max_length=260, pattern=REFERENCE)


class ResolveInput(Wire):
    """Input of ``agents.resolve``."""

    agent: str = Reference
    """Name of the agent in the caller's namespace, or ``namespace/name``."""
    values: dict[str, Json] = Field(default_factory=dict, max_length=200)
    """Values for variables of its template that are given at the start of a session."""


class Resolved(Wire):
    """What a session of the agent would begin with now."""

    agent: str
    version: str
    """Digest of all that follows: two agents of the same version are the same agent."""
    account: str
    """The key that pays."""
    model: str
    instructions: str
    delegates: list[str]
    pool: str
    spec: JsonObject
    """All else that is declared, with every default written out."""
    sources: dict[str, int]
    """The resources it was made from, and their revisions."""


class MissingTool(Wire):
    """A tool that the agent names and would not be offered: there is none, or its key may not use it."""

    name: str
    nearest: str | None = None
    """One that may be meant."""


class ResolvedNow(Resolved):
    """What a session of the agent would begin with now, and which tools its model would be offered."""

    offered: list[str]
    missing: list[MissingTool]


class RenderInput(Wire):
    """Input of ``prompts.render``."""

    template: str = Reference
    """Name of the ``PromptTemplate`` in the caller's namespace, or ``namespace/name``."""
    values: dict[str, Json] = Field(default_factory=dict, max_length=200)
    """By the name of the variable."""


class Rendered(Wire):
    """A template with its values."""

    text: str
    revision: int
    """The template's."""


class ProfileOperations:
    """The operations over ``index``."""

    def __init__(self, index: Index, offer: OfferOf) -> None:
        self._index = index
        self._offer = offer

    @read(
        "agents.resolve",
        permission="catalog.read",
        faults=(NOT_FOUND, AGENT_INCOMPLETE, DELEGATES_CYCLIC, TEMPLATE_VALUES, TOOL_NAME_TAKEN, TOOL_UNUSABLE),
    )
    async def resolve(self, invocation: Invocation, input: ResolveInput) -> ResolvedNow:
        """Show what a session of an agent would begin with: instructions, version, defaults and tools.

        The instructions are rendered, and of the tools that the agent names it says which it would be offered.

        A session keeps what it began with. Where the version here is another one, the agent was changed since; a
        session only goes over to it when it is told to.
        """
        profile = resolve(
            self._index, agent_named(self._index, input.agent, invocation.principal.namespace), input.values
        )
        offer = await self._offer(profile, invocation.principal)
        return ResolvedNow.model_validate(
            {
                **profile.to_json(),
                "offered": sorted(offer.versions),
                "missing": [MissingTool(name=one.name, nearest=one.nearest) for one in offer.missing],
            }
        )

    @read("prompts.render", permission="catalog.read", faults=(NOT_FOUND, TEMPLATE_VALUES))
    async def render(self, invocation: Invocation, input: RenderInput) -> Rendered:
        """Show a template with values. Refused where one is missing or unknown, or does not fit its variable."""
        id = Ref("PromptTemplate").resolve(input.template, invocation.principal.namespace)
        template = self._index.get(PROMPT_TEMPLATE, id.name, id.namespace)
        if template is None:
            raise missing(id, self._index)
        text = render(template.spec, input.values, id)
        return Rendered(text=text, revision=template.metadata.revision)
