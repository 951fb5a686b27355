"""What should be: declared, typed, versioned things.

A room that understands a kind of thing owns a ``Spec`` type for it and registers a ``Kind``. References between
resources are part of the spec's *types* (``Annotated[str, Ref("Model")]``), so the graph of the city is computed from
the resources and never drawn by hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, StringConstraints

from pharos.core.fault import Fault
from pharos.core.forms import form
from pharos.core.principal import Principal
from pharos.core.wire import Wire

API_VERSION: Literal["pharos/v1"] = "pharos/v1"

NAME_PATTERN = form(
    r"^[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?$",
    "a name: lower-case letters, digits, '.', '_' and '-', a letter or digit at each end, at most 128 long",
)

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=128)]
"""Lower-case letters, digits, ``.``, ``_`` and ``-``; begins and ends with a letter or digit; at most 128."""


class Spec(Wire):
    """Base of every kind's desired state."""


class ResourceId(NamedTuple):
    """The identity of a resource. Its text form is ``Kind/namespace/name``."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ResourceId:
        """Read ``Kind/namespace/name`` or ``Kind/name``. Raises ``ValueError`` for anything else."""
        match text.split("/"):
            case [kind, namespace, name] if kind and namespace and name:
                return cls(kind, namespace, name)
            case [kind, name] if kind and name:
                return cls(kind, "default", name)
        raise ValueError(f"not a resource id: {text!r}; expected Kind/name or Kind/namespace/name")


@dataclass(frozen=True, slots=True)
class Ref:
    """Marks a spec field as a reference: ``provider: Annotated[str, Ref("Provider")]``.

    The value is a name in the same namespace, or ``namespace/name``. Where a spec lets ``*`` stand for all of the kind,
    that is a pattern and no reference.
    """

    kind: str

    def resolve(self, value: str, namespace: str) -> ResourceId:
        """The identity that ``value`` means when it is written in ``namespace``."""
        other, slash, name = value.rpartition("/")
        return ResourceId(self.kind, other if slash else namespace, name)


class Condition(Wire):
    """One observed aspect of a resource, after the Kubernetes convention."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class Status(Wire):
    """What was observed of a resource. Written by the city, never by ``apply``; not versioned and never undone."""

    model_config = ConfigDict(extra="allow")

    conditions: list[Condition] = Field(default_factory=list)


class Metadata(Wire):
    """Identity, labels and version of a resource."""

    name: Name
    namespace: Name = "default"
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    uid: str = ""
    """UUIDv7 given at creation: a resource deleted and created again has the same name and another uid."""
    revision: int = 0
    """Grows by one with each change of spec, labels or annotations; 0 before the first."""
    created_at: datetime | None = None
    updated_at: datetime | None = None


S = TypeVar("S", bound=Spec)


class Resource(Wire, Generic[S]):
    """A declared thing."""

    api_version: Literal["pharos/v1"] = API_VERSION
    kind: str
    metadata: Metadata
    spec: S
    status: SerializeAsAny[Status] = Field(default_factory=Status)

    @property
    def id(self) -> ResourceId:
        """The resource's identity."""
        return ResourceId(self.kind, self.metadata.namespace, self.metadata.name)


AnyResource = Resource[Any]


class Reference(NamedTuple):
    """A reference found in a spec: where it stands (JSON pointer from the resource's root) and what it names."""

    pointer: str
    target: ResourceId


def references(resource: Resource[S]) -> Iterator[Reference]:
    """Yield every typed reference of a resource's spec, in the order of the fields."""
    yield from _walk(resource.spec, "/spec", resource.metadata.namespace)


def _walk(value: BaseModel, pointer: str, namespace: str) -> Iterator[Reference]:
    for name, info in type(value).model_fields.items():
        here = f"{pointer}/{info.alias or name}"
        yield from _walk_value(getattr(value, name), info.annotation, info.metadata, here, namespace)


def _walk_value(
    value: object, annotation: object, metadata: Sequence[object], pointer: str, namespace: str
) -> Iterator[Reference]:
    ref = next((m for m in metadata if isinstance(m, Ref)), None)
    if isinstance(value, BaseModel):
        yield from _walk(value, pointer, namespace)
    elif isinstance(value, str):
        ref = ref or _ref_in(annotation)
        if ref is not None and value != "*":
            yield Reference(pointer, ref.resolve(value, namespace))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _walk_value(item, annotation, metadata, f"{pointer}/{index}", namespace)
    elif isinstance(value, dict):
        for key, item in value.items():
            escaped = str(key).replace("~", "~0").replace("/", "~1")
            yield from _walk_value(item, annotation, metadata, f"{pointer}/{escaped}", namespace)


def _ref_in(annotation: object) -> Ref | None:
    """The ``Ref`` mark inside a nested annotation such as ``list[Annotated[str, Ref("Model")]]``."""
    for mark in getattr(annotation, "__metadata__", ()):
        if isinstance(mark, Ref):
            return mark
    for inner in getattr(annotation, "__args__", ()):
        if (found := _ref_in(inner)) is not None:
            return found
    return None


@dataclass(frozen=True, slots=True)
class Kind(Generic[S]):
    """A registered kind of resource.

    ``check`` returns the problems of a well-typed spec that its types cannot express, as ``(pointer, message)`` pairs
    with pointers relative to the spec. ``joined`` returns those that a resource has only together with others, which it
    looks up as they are after the change; what does not exist yet is no problem. ``guard`` says why ``principal`` may
    not turn ``before`` into ``after`` (``None``: the resource does not exist before, or after); the invoker asks it
    about every change that any operation decides on, undo and redo included, so that no way leads around it. ``advise``
    says what is probably not meant, in the form of ``check``: whoever applies the resource is told, and it is applied.
    ``warn`` says what ``principal`` may not see coming where they delete the resource.
    """

    name: str
    spec: type[S]
    summary: str
    plural: str = ""
    check: Callable[[S], Sequence[tuple[str, str]]] = field(default=lambda _: ())
    private_status: frozenset[str] = frozenset()
    """Names of status fields that no face ever shows (digests of credentials)."""
    guard: Callable[[Principal, Resource[S] | None, Resource[S] | None], Fault | None] = field(
        default=lambda _principal, _before, _after: None
    )
    joined: Callable[[Resource[S], Callable[[ResourceId], AnyResource | None]], Sequence[tuple[str, str]]] = field(
        default=lambda _resource, _find: ()
    )
    advise: Callable[[Resource[S]], Awaitable[Sequence[tuple[str, str]]]] | None = None
    warn: Callable[[Principal, Resource[S]], Sequence[str]] = field(default=lambda _principal, _resource: ())

    def __post_init__(self) -> None:
        if not self.plural:
            object.__setattr__(self, "plural", f"{self.name.lower()}s")


AnyKind = Kind[Any]
