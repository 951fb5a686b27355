"""Manifest files on a command line: files, directories, standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pharos.server.manifests import Document

SUFFIXES = (".yaml", ".yml", ".json")


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
    from pharos.server.manifests import documents_in

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
    return documents_in(text, name)
