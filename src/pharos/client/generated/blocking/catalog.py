"""The operations of the noun ``catalog``, blocking.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from typing import Literal

    from pharos.control.catalog import Applied, Deleted, Doomed
    from pharos.control.catalog_reads import Differences, RevisionItem
    from pharos.control.documents import Document
    from pharos.control.plan import Plan
    from pharos.control.watch import WatchItem
    from pharos.core.wire import Json, Page


class Catalog(Namespace):
    """Operations on ``catalog``."""

    @overload
    def apply(
        self,
        *,
        documents: Sequence[Mapping[str, Json]] | None = None,
        manifest: str = "",
        expected_revision: int | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Applied: ...
    @overload
    def apply(
        self,
        *,
        documents: Sequence[Mapping[str, Json]] | None = None,
        manifest: str = "",
        expected_revision: int | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    def apply(
        self,
        *,
        documents: Sequence[Mapping[str, Json]] | None = None,
        manifest: str = "",
        expected_revision: int | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Applied | Plan:
        """Create or update resources, all or none.

        A document that says what already is changes nothing and makes no revision. A reference may point at what does
        not exist yet; a warning says so. A revision given in a document is the one its author has seen: if it is no
        longer the present one, the call is refused with what changed since, and with the merged document where both
        changes fit together.

        Args:
            documents: Resources as JSON objects.
            manifest: Resources as text: a YAML stream, a JSON object, or a JSON array of objects.
            expected_revision: For a single document: the revision its resource must have now, 0 if it must not exist.
                The same can be said in each document as ``metadata.revision``.

        Needs the permission ``catalog.write``. Reversibility: exact. With ``dry_run`` nothing changes. Raises a
        fault with code INVALID, CONFLICT, TOO_LARGE.
        """
        from pharos.control.catalog import Applied

        input_: dict[str, object] = {
            "documents": documents,
            "manifest": manifest,
            "expectedRevision": expected_revision,
        }
        if dry_run:
            return self._caller.plan("catalog.apply", input_)
        return self._caller.typed("catalog.apply", input_, Applied, write=True, idempotency_key=idempotency_key)

    @overload
    def delete(
        self,
        *,
        kind: str | None = None,
        name: str | None = None,
        namespace: str = "default",
        expected_revision: int | None = None,
        resources: Sequence[Doomed] | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Deleted: ...
    @overload
    def delete(
        self,
        *,
        kind: str | None = None,
        name: str | None = None,
        namespace: str = "default",
        expected_revision: int | None = None,
        resources: Sequence[Doomed] | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    def delete(
        self,
        *,
        kind: str | None = None,
        name: str | None = None,
        namespace: str = "default",
        expected_revision: int | None = None,
        resources: Sequence[Doomed] | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Deleted | Plan:
        """Remove resources, all or none.

        Refused while other resources refer to one of them; the fault names those and the call that removes them too.
        The history stays, and undo brings everything back.

        Args:
            kind: Name of the kind in any case, or its plural.
            name: Name of the resource.
            namespace: Namespace.
            expected_revision: The revision it must have now.
            resources: Several resources, removed together; they may refer to each other.

        Needs the permission ``catalog.write``. Reversibility: exact. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, CONFLICT, REFERENCED, UNKNOWN_KIND.
        """
        from pharos.control.catalog import Deleted

        input_: dict[str, object] = {
            "kind": kind,
            "name": name,
            "namespace": namespace,
            "expectedRevision": expected_revision,
            "resources": resources,
        }
        if dry_run:
            return self._caller.plan("catalog.delete", input_)
        return self._caller.typed("catalog.delete", input_, Deleted, write=True, idempotency_key=idempotency_key)

    def diff(
        self,
        *,
        kind: str | None = None,
        name: str | None = None,
        namespace: str = "default",
        before: int | None = None,
        after: int | None = None,
        documents: Sequence[Mapping[str, Json]] | None = None,
        manifest: str = "",
    ) -> Differences:
        """Compare two revisions of a resource, or the present state with documents.

        Only what a declaration determines is compared: labels, annotations and spec.

        Args:
            kind: Name of the kind in any case, or its plural.
            name: Name of the resource.
            namespace: Namespace.
            before: A revision; left out: the one before ``after``.
            after: A later revision; left out: the present one.
            documents: Compare the present state with these instead.
            manifest: The same as YAML or JSON text.

        Needs the permission ``catalog.read``. Raises a fault with code NOT_FOUND, UNKNOWN_KIND, INVALID, TOO_LARGE.
        """
        from pharos.control.catalog_reads import Differences

        return self._caller.typed(
            "catalog.diff",
            {
                "kind": kind,
                "name": name,
                "namespace": namespace,
                "before": before,
                "after": after,
                "documents": documents,
                "manifest": manifest,
            },
            Differences,
        )

    def get(self, *, kind: str, name: str, namespace: str = "default", revision: int | None = None) -> Document:
        """Read one resource, as it is or as it was at a revision.

        What is returned can be edited and applied again: its revision then guards against changes made meanwhile.

        Args:
            kind: Name of the kind in any case, or its plural.
            namespace: Namespace.
            revision: An earlier revision; left out: the resource as it is now.

        Needs the permission ``catalog.read``. Raises a fault with code NOT_FOUND, UNKNOWN_KIND.
        """
        from pharos.control.documents import Document

        return self._caller.typed(
            "catalog.get", {"kind": kind, "name": name, "namespace": namespace, "revision": revision}, Document
        )

    def history(
        self, *, kind: str, name: str, namespace: str = "default", limit: int = 100, cursor: str | None = None
    ) -> Page[RevisionItem]:
        """List the revisions of a resource, newest first, also of a deleted one.

        Args:
            kind: Name of the kind in any case, or its plural.
            namespace: Namespace.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``catalog.read``. Raises a fault with code NOT_FOUND, UNKNOWN_KIND.
        """
        from pharos.control.catalog_reads import RevisionItem
        from pharos.core.wire import Page

        return self._caller.typed(
            "catalog.history",
            {"kind": kind, "name": name, "namespace": namespace, "limit": limit, "cursor": cursor},
            Page[RevisionItem],
        )

    def list(
        self,
        *,
        kind: str | None = None,
        namespace: str | None = None,
        selector: str = "",
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Document]:
        """List resources by kind, namespace and labels, in the order of kind, namespace and name.

        Args:
            kind: Name of the kind in any case, or its plural; left out: all kinds.
            namespace: Namespace.
            selector: Labels that must match, such as ``team=a,tier!=free,owner,!temporary``.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``catalog.read``. Raises a fault with code UNKNOWN_KIND.
        """
        from pharos.control.documents import Document
        from pharos.core.wire import Page

        return self._caller.typed(
            "catalog.list",
            {"kind": kind, "namespace": namespace, "selector": selector, "limit": limit, "cursor": cursor},
            Page[Document],
        )

    def watch(
        self, *, kind: str | None = None, namespace: str | None = None, selector: str = "", after: str | None = None
    ) -> Generator[WatchItem, None, None]:
        """Follow the changes of resources.

        A stream without end. It can be resumed at the position of its last item; when that is too old, the fault `GONE`
        says to begin again with a list.

        Args:
            kind: Name of the kind in any case, or its plural; left out: all kinds.
            namespace: Namespace.
            selector: Labels that must match, as for ``catalog.list``.
            after: Position of the last item seen; left out: begin with a list of what is there.

        Needs the permission ``catalog.read``. Raises a fault with code GONE, UNKNOWN_KIND.
        """
        from pharos.control.watch import WatchItem

        return self._caller.typed_stream(
            "catalog.watch", {"kind": kind, "namespace": namespace, "selector": selector, "after": after}, WatchItem
        )
