"""Resources as operations speak of them: named in inputs, shown in outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, cast

from pydantic import Field

from pharos.control.index import Index
from pharos.control.kinds import Kinds
from pharos.control.wording import nearest, quoted
from pharos.core.call import Call
from pharos.core.fault import NOT_FOUND, Applicability, Fault, Fix
from pharos.core.resource import API_VERSION, AnyResource, Metadata, Name, ResourceId, references
from pharos.core.wire import JsonObject, Wire

MOST_HINTS = 20
"""Most warnings of one call that name the nearest name: it is sought among all names."""

KindName = Field(min_length=1, max_length=128, description="Name of the kind in any case, or its plural.")


class Named(Wire):
    """Names one resource."""

    kind: str = KindName
    name: Name
    namespace: Name = "default"


class Document(Wire):
    """A resource as it can be seen."""

    api_version: Literal["pharos/v1"] = API_VERSION
    kind: str
    metadata: Metadata
    spec: JsonObject
    status: JsonObject = Field(default_factory=dict)


def shown(resource: AnyResource, kinds: Kinds) -> Document:
    """The public form of a resource."""
    document = kinds.shown(resource)
    # The parts are valid: they come from a resource.
    return Document.model_construct(
        kind=resource.kind,
        metadata=resource.metadata,
        spec=cast("JsonObject", document["spec"]),
        status=cast("JsonObject", document.get("status", {})),
    )


def shown_revision(document: JsonObject) -> Document:
    """The public form of a document of the history. A status is not part of any revision."""
    return Document.model_validate({name: part for name, part in document.items() if name != "status"})


def identity(named: Named, index: Index, kinds: Kinds) -> ResourceId:
    """The identity a caller means. Raises ``UNKNOWN_KIND``, unless a resource of a lost kind is meant."""
    id = ResourceId(named.kind, named.namespace, named.name)
    return id if index.find(id) is not None else id._replace(kind=kinds.named(named.kind).name)


def missing(id: ResourceId, index: Index) -> Fault:
    """``NOT_FOUND``, with the nearest name of the same kind."""
    peers = [r.metadata.name for r in index.of_kind(id.kind) if r.metadata.namespace == id.namespace]
    close = nearest(id.name, peers)
    arguments: JsonObject = {"kind": id.kind}
    fix = Fix(
        id="list",
        title=f"See the resources of kind {id.kind}",
        applicability=Applicability.LIKELY,
        call=Call(operation="catalog.list", arguments=arguments),
    )
    hint = f" Did you mean {close}?" if close else ""
    where = "" if id.namespace == "default" else f" in namespace {quoted(id.namespace)}"
    facts: JsonObject = {"nearest": close} if close else {}
    return NOT_FOUND(
        f"There is no {id.kind} {quoted(id.name)}{where}.{hint}", subject=str(id), facts=facts, fixes=[fix]
    )


def dangling(
    resources: Iterable[AnyResource], index: Index, arriving: Mapping[ResourceId, object]
) -> Iterator[tuple[ResourceId, str]]:
    """A warning for each reference to what neither exists nor is ``arriving``, the first ones with the nearest name."""
    hints = MOST_HINTS
    for resource in resources:
        for pointer, target in references(resource):
            if index.find(target) is not None or target in arriving:
                continue
            close = None
            if hints > 0:
                hints -= 1
                peers = {r.id for r in index.of_kind(target.kind)} | {id for id in arriving if id.kind == target.kind}
                close = nearest(target.name, [id.name for id in sorted(peers - {resource.id})])
            hint = f" Did you mean {close}?" if close else ""
            yield resource.id, f"{resource.id}: {pointer} refers to {quoted(target)}, which does not exist.{hint}"
