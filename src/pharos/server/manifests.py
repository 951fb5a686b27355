"""Manifest text as documents that know where they were read, so that a mistake is shown at its place in a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pharos.control.reading import read_documents
from pharos.core.fault import Fault
from pharos.core.wire import Json


@dataclass(frozen=True, slots=True)
class Document:
    """A document, and the place it was read from: ``city.yaml`` or, one of several, ``city.yaml#2``."""

    place: str
    content: Json


def documents_in(text: str, name: str) -> list[Document]:
    """The documents of a manifest called ``name``. Raises the fault of a text that is no manifest."""
    try:
        contents = read_documents(text)
    except Fault as fault:
        raise fault.amended(
            lambda document: document.model_copy(update={"detail": f"{name}: {document.detail}"})
        ) from None
    several = len(contents) > 1
    return [Document(f"{name}#{number}" if several else name, content) for number, content in enumerate(contents, 1)]


def placed(fault: Fault, documents: Sequence[Document]) -> Fault:
    """The fault with the pointers of its problems led back to the files they are about."""

    def place(pointer: str) -> str:
        # A document that was no object was refused as a part of the call's input, before it was read as a resource.
        found = re.match(r"/documents/(\d+)(?=/|$)", pointer) or (
            re.match(r"/(\d+)(?=/|$)", pointer) if len(documents) > 1 else re.match("()", pointer)
        )
        number = int(found[1] or 0) if found else len(documents)
        if found is None or number >= len(documents):
            return pointer
        return f"{documents[number].place}: {pointer[found.end() :] or '/'}"

    problems = [problem.model_copy(update={"pointer": place(problem.pointer)}) for problem in fault.document.problems]
    return fault.amended(lambda document: document.model_copy(update={"problems": problems}))
