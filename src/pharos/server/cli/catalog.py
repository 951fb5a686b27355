"""The verbs of the catalog as people type them: ``apply -f``, ``get KIND NAME``, ``list KIND -l team=a``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from pharos.client.description import descriptions
from pharos.server.cli.operations import perform, with_write_options
from pharos.server.cli.session import Session, pass_session, with_common_options
from pharos.server.cli.types import KindType

if TYPE_CHECKING:
    from collections.abc import Callable

    from pharos.server.manifests import Document

MANY = 20
"""From so many documents on, a person is shown that something goes on."""


class NameType(click.ParamType[str]):
    """The name of a resource of the kind given before it."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from pharos.server.cli.completion import resource_names

        kind = ctx.params.get("kind")
        return resource_names(kind, incomplete) if isinstance(kind, str) else []


def _resource_arguments(command: Any) -> Any:
    """``KIND NAME`` (or ``KIND/NAME``) and the namespace."""
    command = click.option("-n", "--namespace", help="Namespace. Default: default.", metavar="TEXT")(command)
    command = click.argument("name", type=NameType(), required=False)(command)
    return click.argument("kind", type=KindType())(command)


def _named(kind: str, name: str | None, namespace: str | None) -> dict[str, Any]:
    """The input that names one resource, also for ``Kind/name`` and ``Kind/namespace/name``."""
    match (kind.split("/"), name):
        case ([only], str()):
            pass
        case ([only, name], None):
            pass
        case ([only, namespace, name], None):
            pass
        case _:
            raise click.UsageError(
                "Name one resource: KIND NAME, KIND/NAME or KIND/NAMESPACE/NAME. See them with `pharos list KIND`."
            )
    return {"kind": only, "name": name, **({"namespace": namespace} if namespace else {})}


_FILES = click.option(
    "-f",
    "--file",
    "files",
    type=click.Path(path_type=Path, allow_dash=True),
    multiple=True,
    help="Manifest file, directory of such files, or - for standard input. Repeatable.",
)


@with_common_options
@with_write_options
@click.command()
@_FILES
@click.option("--expected-revision", type=int, help="For a single document: the revision it must have now; 0: none.")
@pass_session
def apply(
    session: Session,
    files: tuple[Path, ...],
    expected_revision: int | None,
    dry_run: bool,
    idempotency_key: str | None,
) -> None:
    """Bring resources about as manifests say: create or update them, all or none.

    --dry-run shows the plan with every difference and changes nothing. Undo with `pharos undo OPERATION`.

    \b
    Examples:
      pharos apply -f city.yaml
      pharos apply -f manifests/ --dry-run
      cat city.yaml | pharos apply -f -
    """
    documents = _read(files)
    given: dict[str, Any] = {"documents": [document.content for document in documents]}
    if expected_revision is not None:
        given["expectedRevision"] = expected_revision
    session.spoken = {"expectedRevision": "--expected-revision"}

    def send() -> None:
        output = session.call(
            "catalog.apply",
            given,
            write=True,
            dry_run=dry_run,
            idempotency_key=idempotency_key,
            waiting=f"Applying {len(documents)} documents" if len(documents) >= MANY else "",
        )
        session.show(output, "plan" if dry_run else "catalog.apply")

    _with_places(documents, send)


@with_common_options
@click.command()
@_resource_arguments
@click.option("--revision", type=int, help="An earlier revision.")
@pass_session
def get(session: Session, kind: str, name: str | None, namespace: str | None, revision: int | None) -> None:
    """Show one resource, as YAML. It can be edited and applied again.

    \b
    Examples:
      pharos get model fast
      pharos get Key/ci-bot --json
    """
    given = _named(kind, name, namespace)
    if revision is not None:
        given["revision"] = revision
    perform(session, descriptions()["catalog.get"], given)


@with_common_options
@click.command("list")
@click.argument("kind", type=KindType(), required=False)
@click.option(
    "-l", "--selector", metavar="SELECTOR", help="Labels that must match: team=a,tier!=free,owner,!temporary."
)
@click.option("-n", "--namespace", metavar="TEXT", help="Only this namespace.")
@click.option("--limit", type=int, help="Most items of the page. Default: 100.")
@click.option("--cursor", metavar="TEXT", help="Where to continue: `next` of the page before.")
@pass_session
def list_(session: Session, /, **given: Any) -> None:
    """List resources, of one kind or of all.

    \b
    Examples:
      pharos list
      pharos list keys -l team=a
    """
    found = {name: value for name, value in given.items() if value is not None}
    perform(session, descriptions()["catalog.list"], found)


@with_common_options
@with_write_options
@click.command()
@_resource_arguments
@click.option("--expected-revision", type=int, help="The revision it must have now.")
@pass_session
def delete(
    session: Session,
    kind: str,
    name: str | None,
    namespace: str | None,
    expected_revision: int | None,
    dry_run: bool,
    idempotency_key: str | None,
) -> None:
    """Delete a resource. Refused while something refers to it. It can be undone.

    \b
    Examples:
      pharos delete model fast --dry-run
      pharos delete Budget/team-a
    """
    given = _named(kind, name, namespace)
    if expected_revision is not None:
        given["expectedRevision"] = expected_revision
    perform(session, descriptions()["catalog.delete"], given, dry_run=dry_run, idempotency_key=idempotency_key)


@with_common_options
@click.command()
@click.argument("kind", type=KindType(), required=False)
@click.argument("name", type=NameType(), required=False)
@click.option("-n", "--namespace", metavar="TEXT", help="Namespace. Default: default.")
@click.option("--before", type=int, metavar="REVISION", help="A revision. Default: the one before --after.")
@click.option("--after", type=int, metavar="REVISION", help="A later revision. Default: the present one.")
@_FILES
@pass_session
def diff(
    session: Session,
    kind: str | None,
    name: str | None,
    namespace: str | None,
    before: int | None,
    after: int | None,
    files: tuple[Path, ...],
) -> None:
    """Show how a resource changed, or how manifests differ from what is.

    \b
    Examples:
      pharos diff budget team-a
      pharos diff model fast --before 3 --after 5
      pharos diff -f city.yaml
    """
    operation = descriptions()["catalog.diff"]
    if files:
        if kind is not None or before is not None or after is not None:
            raise click.UsageError("Give either a resource or files.")
        documents = _read(files)
        given: dict[str, Any] = {"documents": [document.content for document in documents]}
        _with_places(documents, lambda: perform(session, operation, given))
        return
    if kind is None:
        raise click.UsageError("Name a resource (KIND NAME), or give files with -f.")
    revisions = {"before": before, "after": after}
    given = {**_named(kind, name, namespace), **{name: value for name, value in revisions.items() if value is not None}}
    perform(session, operation, given)


def _read(files: tuple[Path, ...]) -> list[Document]:
    from pharos.server.cli.manifests import read_files

    if not files:
        raise click.UsageError("Give a manifest with -f FILE; - is standard input.")
    documents = read_files(files)
    if not documents:
        raise click.UsageError("The files have no documents.")
    return documents


def _with_places(documents: list[Document], send: Callable[[], None]) -> None:
    """Run ``send``; in what it refuses, the documents are named by the files they came from."""
    from pharos.core.fault import Fault
    from pharos.server.manifests import placed

    try:
        send()
    except Fault as fault:
        raise placed(fault, documents) from fault.__cause__
