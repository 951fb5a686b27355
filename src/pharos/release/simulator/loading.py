"""Reading a script: YAML in, a typed :class:`Script` or one fault that lists everything that is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from pharos.control.problems import problems_of
from pharos.control.reading import MAX_BYTES, read_documents
from pharos.core.fault import INVALID, NOT_FOUND, TOO_LARGE, Fault, FaultDocument, Problem
from pharos.core.wire import Json
from pharos.release.simulator.script import Script


def load_script(path: Path) -> Script:
    """Read a script from a file; its default name is the file's.

    Raises ``NOT_FOUND``, ``TOO_LARGE``, or ``INVALID`` with every problem and its JSON pointer.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TOO_LARGE(f"The script {path} is too long.", subject=str(path), facts={"limitBytes": MAX_BYTES})
        text = path.read_text("utf-8")
    except OSError as error:
        raise NOT_FOUND(f"The script {path} cannot be read: {error.strerror}.", subject=str(path)) from error
    except UnicodeDecodeError as error:
        raise _invalid([Problem(pointer="", message="It is not UTF-8 text.")], str(path)) from error
    name = re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("._-")[:64].strip("._-")
    return parse_script(text, name or "script", subject=str(path))


def parse_script(text: str, name: str = "script", *, subject: str = "script") -> Script:
    """Read a script from YAML (or JSON) text. ``name`` is used where the script gives none, ``subject`` in the fault.

    Raises ``TOO_LARGE``, or ``INVALID`` with every problem and its JSON pointer.
    """
    try:
        documents = read_documents(text)
    except Fault as fault:
        raise fault.amended(lambda document: _about(document, subject)) from fault.__cause__
    if len(documents) > 1:
        raise _invalid([Problem(pointer="", message="A script is one document.")], subject)
    document: Json = documents[0] if documents else {}
    if isinstance(document, dict):
        document = {"name": name, **document}
    try:
        return Script.model_validate(document)
    except ValidationError as error:
        problems = problems_of(error, Script, document)
    raise _invalid(problems, subject)


def _invalid(problems: list[Problem], subject: str) -> Fault:
    first = problems[0].message
    detail = first if len(problems) == 1 else f"{len(problems)} problems; the first: {first}"
    return INVALID(f"{subject}: {detail}", problems=problems, subject=subject)


def _about(document: FaultDocument, subject: str) -> FaultDocument:
    return document.model_copy(update={"subject": subject, "detail": f"{subject}: {document.detail}"})
