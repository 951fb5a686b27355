"""Operations that change the catalog: apply and delete."""

from __future__ import annotations

import asyncio
from typing import Literal

from pydantic import Field, model_validator

from pharos.control.diff import diff, merge
from pharos.control.documents import Named, dangling, identity, missing
from pharos.control.faults import REFERENCED, UNKNOWN_KIND
from pharos.control.index import Index
from pharos.control.kinds import Kinds, content, declared
from pharos.control.manifest import Declared, Manifest, parse_documents, parse_manifest
from pharos.control.problems import invalid
from pharos.core.call import Call
from pharos.core.fault import CONFLICT, INVALID, NOT_FOUND, TOO_LARGE, Applicability, Fault, Fix, Problem
from pharos.core.operation import Change, Decision, Delete, Invocation, Put, Written, write
from pharos.core.resource import AnyResource, Name, ResourceId
from pharos.core.wire import Json, JsonObject, Wire
from pharos.store.ports import Catalog

_LONG = 64 * 1024
"""Manifests beyond this many characters are read on another thread."""


class Apply(Wire):
    """Input of ``catalog.apply``: what should be, either as documents or as text."""

    documents: list[JsonObject] = Field(default_factory=list)
    """Resources as JSON objects."""
    manifest: str = ""
    """Resources as text: a YAML stream, a JSON object, or a JSON array of objects."""
    expected_revision: int | None = Field(default=None, ge=0)
    """For a single document: the revision its resource must have now, 0 if it must not exist. The same can be said in
    each document as ``metadata.revision``."""


class AppliedResource(Wire):
    """What became of one document."""

    resource: str
    action: Literal["created", "updated", "unchanged"]
    revision: int
    warnings: list[str]


class Applied(Written):
    """What became of all of them, in their order."""

    resources: list[AppliedResource]
    warnings: list[str]


class Doomed(Wire):
    """A resource to delete."""

    resource: str = Field(max_length=400)
    """``Kind/name`` or ``Kind/namespace/name``."""
    revision: int | None = Field(default=None, gt=0)
    """The revision it must have now."""


class DeleteInput(Wire):
    """Input of ``catalog.delete``: one resource by kind and name, or several at once."""

    kind: str | None = Field(default=None, min_length=1, max_length=128)
    """Name of the kind in any case, or its plural."""
    name: Name | None = None
    """Name of the resource."""
    namespace: Name = "default"
    expected_revision: int | None = Field(default=None, gt=0)
    """The revision it must have now."""
    resources: list[Doomed] = Field(default_factory=list, max_length=1_000)
    """Several resources, removed together; they may refer to each other."""

    @model_validator(mode="after")
    def _either(self) -> DeleteInput:
        if bool(self.resources) == (self.kind is not None or self.name is not None):
            raise ValueError("Give either kind and name, or resources")
        if not self.resources and (self.kind is None or self.name is None):
            raise ValueError("Give both kind and name")
        return self


class DeletedResource(Wire):
    """A resource that is gone."""

    resource: str
    revision: int
    """The last revision it had."""


class Deleted(Written):
    """What was deleted."""

    resources: list[DeletedResource]
    warnings: list[str]
    """What the caller may not have seen coming."""


class CatalogWrites:
    """The operations that declare and remove resources."""

    def __init__(self, index: Index, kinds: Kinds, catalog: Catalog) -> None:
        self._index = index
        self._kinds = kinds
        self._catalog = catalog

    @write("catalog.apply", permission="catalog.write", faults=(INVALID, CONFLICT, TOO_LARGE))
    async def apply(self, invocation: Invocation, input: Apply) -> Decision[Applied]:
        """Create or update resources, all or none.

        A document that says what already is changes nothing and makes no revision. A reference may point at what does
        not exist yet; a warning says so. A revision given in a document is the one its author has seen: if it is no
        longer the present one, the call is refused with what changed since, and with the merged document where both
        changes fit together.
        """
        manifest = await self.read(input.documents, input.manifest)
        if input.expected_revision is not None and len(manifest.declared) != 1:
            problem = "Only for a single document; name the revisions in the documents' metadata."
            raise invalid([Problem(pointer="/expectedRevision", message=problem)])
        arriving = {document.resource.id: document for document in manifest.declared}
        warned: dict[ResourceId, list[str]] = {}
        for id, warning in dangling((d.resource for d in manifest.declared), self._index, arriving):
            warned.setdefault(id, []).append(warning)
        for document in manifest.declared:
            for warning in await self._advice(document.resource):
                warned.setdefault(document.resource.id, []).append(warning)
        changes: list[Change] = []
        resources: list[AppliedResource] = []
        for document in manifest.declared:
            expected = document.expected if input.expected_revision is None else input.expected_revision
            action, revision, change = await self._compare(document, expected)
            if change is not None:
                changes.append(change)
            warnings = warned.get(document.resource.id, [])
            resources.append(
                AppliedResource(resource=str(document.resource.id), action=action, revision=revision, warnings=warnings)
            )
        return Decision(
            output=Applied(
                operation=invocation.operation_id,
                resources=resources,
                warnings=[*manifest.warnings, *(warning for each in warned.values() for warning in each)],
            ),
            changes=tuple(changes),
        )

    async def _advice(self, resource: AnyResource) -> list[str]:
        advise = self._kinds[resource.kind].advise
        return [] if advise is None else [f"{resource.id}: /spec{at} {said}" for at, said in await advise(resource)]

    @write(
        "catalog.delete",
        permission="catalog.write",
        destroys=True,
        faults=(NOT_FOUND, CONFLICT, REFERENCED, UNKNOWN_KIND),
    )
    async def delete(self, invocation: Invocation, input: DeleteInput) -> Decision[Deleted]:
        """Remove resources, all or none.

        Refused while other resources refer to one of them; the fault names those and the call that removes them too.
        The history stays, and undo brings everything back.
        """
        wanted = self._named(input)
        changes: list[Change] = []
        deleted: list[DeletedResource] = []
        warnings: list[str] = []
        for id, expected in wanted.items():
            present = self._index.find(id)
            if present is None:
                raise missing(id, self._index)
            revision = present.metadata.revision
            if expected is not None and expected != revision:
                raise CONFLICT(
                    f"{id} has revision {revision}, not {expected}.",
                    subject=str(id),
                    facts={"expected": expected, "revision": revision},
                    fixes=[_look(id)],
                )
            changes.append(Delete(id, revision))
            deleted.append(DeletedResource(resource=str(id), revision=revision))
            if (kind := self._kinds.get(id.kind)) is not None:
                warnings += [f"{id}: {warning}" for warning in kind.warn(invocation.principal, present)]
        output = Deleted(operation=invocation.operation_id, resources=deleted, warnings=warnings)
        return Decision(output=output, changes=tuple(changes))

    async def read(self, documents: list[JsonObject], manifest: str) -> Manifest:
        """The resources that documents and text declare together. Raises ``INVALID`` and ``TOO_LARGE``."""
        if not documents and not manifest.strip():
            raise invalid([Problem(pointer="", message="Give documents or a manifest.")])
        if documents and manifest.strip():
            problem = "Give either documents or a manifest: the places of problems are counted in one of them."
            raise invalid([Problem(pointer="/manifest", message=problem)])
        if documents:
            return parse_documents(documents, self._kinds)
        if len(manifest) > _LONG:
            read = await asyncio.to_thread(parse_manifest, manifest, self._kinds)
        else:
            read = parse_manifest(manifest, self._kinds)
        if not read.declared:
            raise invalid([Problem(pointer="/manifest", message="The manifest has no documents.")])
        return read

    def _named(self, input: DeleteInput) -> dict[ResourceId, int | None]:
        if input.kind is not None and input.name is not None:
            named = Named(kind=input.kind, name=input.name, namespace=input.namespace)
            return {identity(named, self._index, self._kinds): input.expected_revision}
        wanted: dict[ResourceId, int | None] = {}
        problems: list[Problem] = []
        for number, doomed in enumerate(input.resources):
            try:
                id = ResourceId.parse(doomed.resource)
            except ValueError:
                message = "Not a resource id; write Kind/name or Kind/namespace/name."
                problems.append(Problem(pointer=f"/resources/{number}/resource", message=message))
                continue
            if id in wanted:
                problems.append(Problem(pointer=f"/resources/{number}/resource", message="Named twice."))
            wanted[id] = doomed.revision
        if problems:
            raise invalid(problems)
        return wanted

    async def _compare(
        self, document: Declared, expected: int | None
    ) -> tuple[Literal["created", "updated", "unchanged"], int, Change | None]:
        resource = document.resource
        present = self._index.find(resource.id)
        revision = present.metadata.revision if present is not None else 0
        if expected is not None and expected != revision:
            raise await self._stale(document, expected, revision)
        if present is None:
            history, _ = await self._catalog.history(resource.id, limit=1)
            return "created", history[0].revision + 1 if history else 1, Put(resource, 0)
        if declared(present) == declared(resource):
            return "unchanged", revision, None
        return "updated", revision + 1, Put(resource, revision)

    async def _stale(self, document: Declared, expected: int, revision: int) -> Fault:
        """``CONFLICT``, with what others changed since the author looked, and the merge of both changes."""
        id = document.resource.id
        seen = await self._catalog.revision(id, expected)
        present = self._index.find(id)
        facts: JsonObject = {"expected": expected, "revision": revision}
        fixes = []
        if present is not None and seen is not None and seen.document is not None:
            base, mine, theirs = content(seen.document), declared(document.resource), declared(present)
            changed: list[Json] = [edit.to_json() for edit in diff(base, theirs)]
            facts["changed"] = changed
            merged = merge(base, mine, theirs)
            if merged is not None:
                fixes.append(_rebased(id, merged, revision))
        has = f"has revision {revision}" if present is not None else "does not exist"
        return CONFLICT(
            f"{id} {has}; revision {expected} was expected.",
            subject=str(id),
            pointer=f"{document.pointer}/metadata/revision",
            facts=facts,
            fixes=[*fixes, _look(id)],
        )


def _look(id: ResourceId) -> Fix:
    return Fix(
        id="look",
        title="Read it as it is now, and decide anew",
        applicability=Applicability.LIKELY,
        call=Call(operation="catalog.get", arguments={"kind": id.kind, "name": id.name, "namespace": id.namespace}),
    )


def _rebased(id: ResourceId, merged: JsonObject, revision: int) -> Fix:
    labels = merged.get("metadata")
    given = labels if isinstance(labels, dict) else {}
    metadata: JsonObject = {**given, "name": id.name, "namespace": id.namespace, "revision": revision}
    document: JsonObject = {"kind": id.kind, "metadata": metadata, "spec": merged["spec"]}
    return Fix(
        id="rebase",
        title="Make the same change on the present revision",
        applicability=Applicability.LIKELY,
        call=Call(operation="catalog.apply", arguments={"documents": [document]}),
        effect="Both changes hold: they touch different places.",
    )
