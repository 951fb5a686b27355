"""Manifest files on a command line: files, directories, standard input; and which document came from where."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pharos.core.fault import Fault
    from pharos.core.wire import Json

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Document:
    """A document, and the place it was read from: ``city.yaml`` or, one of several, ``city.yaml#2``."""

    place: str
    content: Json


def files_in(directory: Path) -> list[Path]:
    """The manifest files of a directory and those below it, sorted. Hidden ones are passed over."""
    found = sorted(path for path in directory.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(directory).parts)]


def read_files(paths: Iterable[Path]) -> list[Document]:
    """All documents of the given files and directories; ``-`` is standard input.

    Raises ``click.UsageError`` where a file cannot be read, and the fault of a text that is no manifest.
    """
    return [document for path in paths for document in _read(path)]


def _read(path: Path) -> list[Document]:
    from pharos.control.reading import read_documents
    from pharos.core.fault import Fault

    if path.is_dir():
        files = files_in(path)
        if not files:
            raise click.UsageError(f"{path}: no file here ends in {', '.join(SUFFIXES)}.")
        return read_files(files)
    name = "standard input" if str(path) == "-" else str(path)
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    except OSError as error:
        raise click.UsageError(f"{name}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{name}: not UTF-8 text.") from None
    try:
        documents = read_documents(text)
    except Fault as fault:
        raise fault.amended(
            lambda document: document.model_copy(update={"detail": f"{name}: {document.detail}"})
        ) from None
    several = len(documents) > 1
    return [
        Document(f"{name}#{number}" if several else name, content) for number, content in enumerate(documents, start=1)
    ]


def placed(fault: Fault, documents: list[Document]) -> Fault:
    """The fault with the pointers of its problems led back to the files they are about."""
    if len(documents) == 1:
        places = {"": documents[0].place}
    else:
        places = {f"/{index}": document.place for index, document in enumerate(documents)}

    def place(pointer: str) -> str:
        if listed := re.match(
            r"/documents/(\d+)(?=/|$)", pointer
        ):  # It was no object, so it was not read as a resource.
            number = int(listed[1])
            return (
                f"{documents[number].place}: {pointer[listed.end() :] or '/'}" if number < len(documents) else pointer
            )
        head = "" if len(documents) == 1 else "/" + pointer.removeprefix("/").partition("/")[0]
        return f"{places[head]}: {pointer.removeprefix(head) or '/'}" if head in places else pointer

    problems = [problem.model_copy(update={"pointer": place(problem.pointer)}) for problem in fault.document.problems]
    return fault.amended(lambda document: document.model_copy(update={"problems": problems}))
