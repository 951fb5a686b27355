"""From declarations to a profile: what an agent's manifest means now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from pharos.control.documents import missing
from pharos.control.index import Index
from pharos.control.wording import nearest, quoted
from pharos.core.fault import FORBIDDEN, Cause, Fault, Problem
from pharos.core.resource import AnyResource, Ref, Resource, ResourceId, references
from pharos.core.wire import Json
from pharos.runtime.profiles.faults import AGENT_INCOMPLETE, DELEGATES_CYCLIC, look_at
from pharos.runtime.profiles.kinds import AGENT, PRIVATE, PROMPT_TEMPLATE, AgentSpec, cycle_of, is_private
from pharos.runtime.profiles.profile import Profile, profile_of
from pharos.runtime.profiles.templates import PromptTemplateSpec, absent, render, unfit, values_refused

_AGENT, _KEY, _MODEL, _POOL, _TEMPLATE = (Ref(k) for k in ("Agent", "Key", "Model", "Pool", "PromptTemplate"))
_REMOTE = Ref("RemoteAgent")


def agent_named(index: Index, name: str, namespace: str = "default") -> Resource[AgentSpec]:
    """The agent that ``name`` (``name`` or ``namespace/name``) means in ``namespace``. Raises ``NOT_FOUND``."""
    id = _AGENT.resolve(name, namespace)
    agent = index.get(AGENT, id.name, id.namespace)
    if agent is None:
        raise missing(id, index)
    return agent


def agent_for(index: Index, name: str, namespace: str) -> Resource[AgentSpec]:
    """The agent that ``name`` means in ``namespace``, for work there. Raises ``NOT_FOUND``, and ``FORBIDDEN`` for one
    that is private elsewhere."""
    agent = agent_named(index, name, namespace)
    home = agent.metadata.namespace
    if home != namespace and is_private(agent):
        label = "{}: {}".format(*PRIVATE)
        raise FORBIDDEN(
            f"{agent.id} is private: it works in the namespace {home!r} alone. Begin the session there, or take the "
            f"label `{label}` from the agent.",
            subject=str(agent.id),
            pointer="/agent",
            rule="profiles/private",
            fixes=[look_at(agent.id)],
        )
    return agent


def resolve(index: Index, agent: Resource[AgentSpec], values: Mapping[str, Json] | None = None) -> Profile:
    """The profile of ``agent`` as everything is declared now.

    ``values`` are those of its template that whoever starts the session gives. Raises ``AGENT_INCOMPLETE``,
    ``DELEGATES_CYCLIC``, and ``TEMPLATE_VALUES`` where it is ``values`` that do not fit.
    """
    spec, home = agent.spec, agent.metadata.namespace
    if absent := list(_absent(index, agent)):
        raise _incomplete(agent, absent)
    if (found := cycle_of(agent, index.find)) is not None:
        raise _cyclic(agent, found[0])
    sources: dict[str, int] = {str(agent.id): agent.metadata.revision}
    instructions = spec.instructions
    given = dict(values or {})
    if spec.prompt is not None:
        id = _TEMPLATE.resolve(spec.prompt.template, home)
        template = index.get(PROMPT_TEMPLATE, id.name, id.namespace)
        if template is None:  # a resource that is no longer valid as its kind
            raise _incomplete(agent, [Problem(pointer="/spec/prompt/template", message=f"{id} cannot be read.")])
        instructions = _instructions(agent, template, spec.prompt.values, given)
        sources[str(template.id)] = template.metadata.revision
    elif given:
        unknown = list(unfit(_NO_TEMPLATE, given, "/values", "session"))
        raise values_refused(_NO_TEMPLATE, given, unknown, agent.id)
    account = _KEY.resolve(spec.key, home)
    model = _MODEL.resolve(spec.model, home)
    return profile_of(
        agent=_short(agent.id),
        account=_short(account),
        model=model.name if model.namespace == account.namespace else _short(model),
        instructions=instructions,
        delegates=tuple(
            _short(kind.resolve(name, home))
            for kind, names in ((_AGENT, spec.delegates), (_REMOTE, spec.remote_delegates))
            for name in names
        ),
        pool=_short(_POOL.resolve(spec.pool, home)) if spec.pool is not None else "",
        # The text is said once; what it was made from is in ``sources``, for one text is one version.
        spec=spec.model_copy(update={"instructions": "", "prompt": None}),
        sources=sources,
    )


_NO_TEMPLATE = PromptTemplateSpec(text="-")


def _instructions(
    agent: Resource[AgentSpec],
    template: Resource[PromptTemplateSpec],
    fixed: Mapping[str, Json],
    given: dict[str, Json],
) -> str:
    text = template.spec
    here = "/spec/prompt/values"
    if wrong := [*unfit(text, fixed, here, "agent"), *absent(text, fixed, here, "agent")]:
        # The template has changed since the agent was declared.
        raise _incomplete(agent, wrong)
    problems = list(unfit(text, given, "/values", "session"))
    for name in given.keys() & fixed.keys():
        problems.append(Problem(pointer=f"/values/{name}", message=f"The agent gives {quoted(name)} itself."))
    if problems:
        raise values_refused(text, {**fixed, **given}, problems, agent.id)
    return render(text, {**fixed, **given}, agent.id)


def _absent(index: Index, agent: AnyResource) -> Iterator[Problem]:
    """Every reference to what does not exist."""
    for pointer, target in references(agent):
        if index.find(target) is None:
            peers = [other.metadata.name for other in index.of_kind(target.kind)]
            message = f"There is no {target.kind} {quoted(target.name)} in namespace {quoted(target.namespace)}."
            yield Problem(pointer=pointer, message=message, suggestion=nearest(target.name, peers))


def _incomplete(agent: AnyResource, problems: list[Problem]) -> Fault:
    first = problems[0].message
    return AGENT_INCOMPLETE(
        f"{agent.id}: {first}" if len(problems) == 1 else f"{agent.id} has {len(problems)} problems; first: {first}",
        subject=str(agent.id),
        pointer=problems[0].pointer,
        problems=problems,
        fixes=[look_at(agent.id)],
    )


def _cyclic(agent: AnyResource, circle: tuple[ResourceId, ...]) -> Fault:
    names: list[Json] = [_short(id) for id in circle]
    return DELEGATES_CYCLIC(
        f"{agent.id} would come to delegate to itself: {' -> '.join(map(str, names))}.",
        subject=str(agent.id),
        pointer="/spec/delegates",
        causes=[
            Cause(message=f"{_short(one)} delegates to {_short(other)}.", resource=str(one))
            for one, other in pairwise(circle)
        ],
        facts={"cycle": names},
        fixes=[look_at(id) for id in dict.fromkeys(circle)],
    )


def _short(id: ResourceId) -> str:
    return f"{id.namespace}/{id.name}"
