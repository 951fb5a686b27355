"""The kinds of resources the city knows, and the two ways between a resource and its document.

A kind cannot hold a secret: a spec type with a secret member is refused at registration, so that no secret value can
reach the catalog, its history, an event or a plan (docs/decisions: secrets are referenced, never stored). What a status
must hide (``Kind.private_status``) leaves through :meth:`Kinds.shown` only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast, get_args

from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

from pharos.control.faults import UNKNOWN_KIND
from pharos.control.problems import validate
from pharos.control.wording import nearest, quoted
from pharos.core.call import Call
from pharos.core.fault import Applicability, Fault, Fix
from pharos.core.resource import AnyKind, AnyResource, Metadata, Resource, Spec, Status
from pharos.core.wire import JsonObject


class Opaque(Spec):
    """The spec of a stored resource that no registered kind understands any more: kept as it is."""

    model_config = ConfigDict(extra="allow")


class Kinds(Mapping[str, AnyKind]):
    """All registered kinds, by name."""

    def __init__(self) -> None:
        self._kinds: dict[str, AnyKind] = {}
        self._spoken: dict[str, AnyKind] = {}
        self._hidden: dict[str, frozenset[str]] = {}
        self._schemas: dict[str, JsonObject] = {}

    def add(self, kind: AnyKind) -> None:
        """Register a kind. Raises ``ValueError`` if its name is taken, ``TypeError`` if its spec can hold a secret."""
        if kind.name in self._kinds:
            raise ValueError(f"kind {kind.name} is registered twice")
        if holds_secret(kind.spec):
            raise TypeError(
                f"kind {kind.name}: a spec refers to secrets (by environment variable or file), it has none"
            )
        self._kinds[kind.name] = kind
        self._hidden[kind.name] = kind.private_status | {to_camel(name) for name in kind.private_status}
        for spoken in (kind.name, kind.name.lower(), kind.plural.lower()):
            self._spoken.setdefault(spoken, kind)

    def __getitem__(self, name: str) -> AnyKind:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._kinds))

    def __len__(self) -> int:
        return len(self._kinds)

    def named(self, name: str) -> AnyKind:
        """The kind that a caller means: its name in any case, or its plural. Raises ``UNKNOWN_KIND``."""
        kind = self._kinds.get(name) or self._spoken.get(name.lower())
        if kind is None:
            raise self.unknown(name)
        return kind

    def unknown(self, name: str) -> Fault:
        """``UNKNOWN_KIND`` for ``name``, with the nearest name that exists."""
        close = nearest(name, self._kinds)
        hint = f" Did you mean {close}?" if close else ""
        fix = Fix(
            id="list-kinds",
            title="See the kinds that exist",
            applicability=Applicability.LIKELY,
            call=Call(operation="kinds.list"),
        )
        facts: JsonObject = {"nearest": close} if close else {}
        return UNKNOWN_KIND(f"There is no kind {quoted(name)}.{hint}", pointer="/kind", facts=facts, fixes=[fix])

    def schema(self, name: str) -> JsonObject:
        """The JSON Schema of a kind's spec."""
        if name not in self._schemas:
            self._schemas[name] = self._kinds[name].spec.model_json_schema(by_alias=True)
        return self._schemas[name]

    def typed(self, document: JsonObject) -> AnyResource:
        """A stored document as a resource.

        Of an unregistered kind, or no longer valid as its kind: with an :class:`Opaque` spec, so that nothing stored is
        ever lost from sight.
        """
        kind = self._kinds.get(str(document["kind"]))
        if kind is not None:
            try:
                return resource_type(kind).model_validate(document)
            except ValidationError:
                pass
        return Resource[Opaque].model_validate(document)

    def strict(self, document: JsonObject) -> AnyResource:
        """A document of the history as a resource that can be put back, without status. Raises ``UNKNOWN_KIND`` or
        ``INVALID`` if the city no longer accepts it."""
        kind = self._kinds.get(str(document["kind"]))
        if kind is None:
            raise self.unknown(str(document["kind"]))
        return validate(resource_type(kind), {name: part for name, part in document.items() if name != "status"})

    def shown(self, resource: AnyResource) -> JsonObject:
        """The resource as a face may show it: without what its status must hide."""
        document = resource.to_json()
        hidden = self._hidden.get(resource.kind)
        status = document.get("status")
        if hidden and isinstance(status, dict):
            document["status"] = {name: value for name, value in status.items() if name not in hidden}
        return document


def resource_type(kind: AnyKind) -> type[AnyResource]:
    """The envelope with the kind's spec; pydantic keeps one class per spec."""
    return cast("type[AnyResource]", Resource.__class_getitem__(kind.spec))


def content(document: JsonObject) -> JsonObject:
    """The part of a document that a declaration determines, and a revision is about: labels, annotations and spec."""
    metadata = cast("JsonObject", document["metadata"])
    kept: JsonObject = {name: metadata[name] for name in ("labels", "annotations") if metadata.get(name)}
    return {**({"metadata": kept} if kept else {}), "spec": document["spec"]}


def declared(resource: AnyResource) -> JsonObject:
    """:func:`content` of a typed resource."""
    return content(resource.to_json())


def bare(resource: AnyResource) -> AnyResource:
    """The resource as someone would declare it: without a status, and without what the city writes into metadata."""
    mine: Metadata = resource.metadata
    metadata = Metadata(name=mine.name, namespace=mine.namespace, labels=mine.labels, annotations=mine.annotations)
    return resource.model_copy(update={"metadata": metadata, "status": Status()})


def holds_secret(model: type[BaseModel]) -> bool:
    """Whether a value of this type can hold a pydantic secret, at any depth."""
    return _holds_secret(model, set())


def _holds_secret(annotation: Any, seen: set[object]) -> bool:
    if isinstance(annotation, type):
        if issubclass(annotation, SecretStr | SecretBytes):
            return True
        if issubclass(annotation, BaseModel):
            if annotation in seen:
                return False
            seen.add(annotation)
            return any(_holds_secret(info.annotation, seen) for info in annotation.model_fields.values())
    return any(_holds_secret(inner, seen) for inner in get_args(annotation))
