"""Text to plain documents, within bounds: nothing a text can say makes reading it expensive.

YAML is read as its JSON-like core: mappings with text keys, lists, text, numbers, true, false, null. What YAML 1.1 adds
(dates, ``yes``, octal, sexagesimal, sets, binary, language tags) is text or refused, so that a document means the same
as YAML and as JSON. Anchors and merge keys work; what they expand to counts against the bound before it is built.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from pharos.control.problems import escape, invalid
from pharos.control.wording import quoted
from pharos.core.fault import TOO_LARGE, Problem
from pharos.core.wire import Json

MAX_BYTES = 4 * 1024 * 1024
"""Longest text, in bytes of UTF-8."""
MAX_NODES = 100_000
"""Most values in all documents together, aliases counted as often as they are used."""
MAX_DEPTH = 64
"""Deepest nesting."""
MAX_DOCUMENTS = 1_000


def read_documents(text: str) -> list[Json]:
    """The documents of a YAML stream, a JSON value, or a JSON array of documents; empty documents are left out.

    Raises ``INVALID`` for what cannot be read, and ``TOO_LARGE`` beyond the bounds.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise TOO_LARGE("The manifest is too long.", facts={"limitBytes": MAX_BYTES, "bytes": size})
    documents = _read_json(text) if text.lstrip()[:1] in ("{", "[") else None
    if documents is None:
        documents = _read_yaml(text)
    documents = [document for document in documents if document is not None]
    check_plain(documents)
    return documents


def check_plain(documents: list[Json]) -> None:
    """Refuse what JSON cannot carry to everyone: lone surrogates, infinite numbers, integers beyond 64 bits, and
    documents that are too many, too deep or too large. Raises ``INVALID`` or ``TOO_LARGE``."""
    if len(documents) > MAX_DOCUMENTS:
        raise TOO_LARGE("Too many documents.", facts={"limitDocuments": MAX_DOCUMENTS, "documents": len(documents)})
    found = _Unplain()
    for index, document in enumerate(documents):
        found.look(document, [index] if len(documents) > 1 else [])
    if found.problems:
        raise invalid(found.problems)


class _Unplain:
    """What is not plain JSON in some documents. Pointers are only written for that."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._values = 0
        self._depth = 0

    def look(self, value: Any, path: list[str | int]) -> None:
        """Look through a value at a place. Raises ``TOO_LARGE`` when there are too many values in all."""
        self._values += 1
        if self._values > MAX_NODES:
            raise _too_many_nodes()
        if self._depth > MAX_DEPTH:
            self._note(path, f"Nested deeper than {MAX_DEPTH} levels.")
            return
        match value:
            case str():
                if not _is_unicode(value):
                    self._note(path, "Not valid Unicode text.")
            case bool() | None:
                pass
            case int():
                if not -(2**63) <= value < 2**63:
                    self._note(path, "An integer beyond 64 bits.")
            case float():
                if not math.isfinite(value):
                    self._note(path, "Not a finite number.")
            case dict():
                self._look_inside(value.items(), path, keyed=True)
            case list():
                self._look_inside(enumerate(value), path, keyed=False)
            case _:
                self._note(path, f"A {type(value).__name__} is not a JSON value.")

    def _look_inside(self, items: Iterable[tuple[Any, Any]], path: list[str | int], *, keyed: bool) -> None:
        self._depth += 1
        for key, inner in items:
            if keyed and not isinstance(key, str):
                self._note([*path, str(key)], "A key must be text: quote it.")
            elif keyed and not _is_unicode(key):
                self._note(path, "A key is not valid Unicode text.")
            else:
                path.append(key)
                self.look(inner, path)
                path.pop()
        self._depth -= 1

    def _note(self, path: list[str | int], message: str) -> None:
        pointer = "".join(f"/{escape(segment)}" for segment in path)
        self.problems.append(Problem(pointer=pointer, message=message))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_many_nodes() -> Exception:
    return TOO_LARGE("The manifest has too many values.", facts={"limitValues": MAX_NODES})


def _unreadable(message: str, pointer: str = "") -> Exception:
    return invalid([Problem(pointer=pointer, message=message)])


# JSON


def _read_json(text: str) -> list[Json] | None:
    """The documents, or ``None`` if the text is not JSON (it may be YAML's flow style)."""
    try:
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except RecursionError as deep:
        raise _unreadable(f"Nested deeper than {MAX_DEPTH} levels.") from deep
    except ValueError:
        return None
    return value if isinstance(value, list) else [value]


def _without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise _unreadable(f"The key {quoted(twice)} occurs twice in one object.")
    return value


def _refuse_constant(name: str) -> Json:
    raise _unreadable(f"{name} is not a JSON number.")


# YAML


@dataclass(slots=True)
class _Frame:
    """A collection that is being read."""

    pointer: str
    anchor: str | None
    is_map: bool
    nodes: int = 1
    children: int = 0
    keys: set[str] = field(default_factory=set)
    key: str = ""

    def at_key(self) -> bool:
        return self.is_map and self.children % 2 == 0

    def place(self) -> str:
        """The pointer of the child that comes next."""
        segment: object = self.key if self.is_map else self.children
        return f"{self.pointer}/{escape(segment)}"


def _read_yaml(text: str) -> list[Json]:
    try:
        _scan(text)
        return cast("list[Json]", list(yaml.load_all(text, Loader=_CoreLoader)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise _unreadable(f"Not readable as YAML: {_cause(error)}{where}.") from None
    except (yaml.YAMLError, UnicodeEncodeError):
        raise _unreadable("Not readable as YAML: it has a character that is not allowed.") from None
    except ValueError:
        raise _unreadable("Not readable as YAML: it has a number that is too long.") from None


def _cause(error: yaml.MarkedYAMLError) -> str:
    # Constructor errors quote tags and keys of the text; the scanner's are its own words.
    if isinstance(error, yaml.constructor.ConstructorError):
        return "a tag, key or merge that is not allowed"
    return re.sub(r"'[^']{3,}'|\"[^\"]{3,}\"", "…", error.problem or "syntax error")


_DOCUMENT_START = re.compile(r"^---(?=\s|$)", re.MULTILINE)


def _scan(text: str) -> None:
    """Walk the events once, without recursion: depth, duplicate keys, and the size after aliases are expanded."""
    stack: list[_Frame] = []
    sizes: dict[str, int] = {}
    total = 0
    document = 0
    several = len(_DOCUMENT_START.findall(text)) > text.lstrip().startswith("---")

    def count(nodes: int, anchor: str | None = None) -> None:
        nonlocal total
        if anchor is not None:
            sizes[anchor] = nodes
        if stack:
            stack[-1].nodes += nodes
            stack[-1].children += 1
        if (stack[-1].nodes if stack else total) > MAX_NODES:
            raise _too_many_nodes()

    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        match event:
            case yaml.DocumentStartEvent():
                sizes.clear()
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                if stack and stack[-1].at_key():
                    raise _unreadable("A key must be text.", stack[-1].pointer)
                if len(stack) >= MAX_DEPTH:
                    raise _unreadable(f"Nested deeper than {MAX_DEPTH} levels.", stack[-1].pointer)
                pointer = stack[-1].place() if stack else f"/{document}" if several else ""
                stack.append(_Frame(pointer, event.anchor, isinstance(event, yaml.MappingStartEvent)))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = stack.pop()
                if not stack:
                    total += done.nodes
                    document += 1
                count(done.nodes, done.anchor)
            case yaml.ScalarEvent():
                if stack and stack[-1].at_key():
                    _note_key(stack[-1], event.value)
                count(1, event.anchor)
            case yaml.AliasEvent():
                if stack and stack[-1].at_key():
                    raise _unreadable("A key must be text.", stack[-1].pointer)
                if event.anchor not in sizes:
                    where = stack[-1].place() if stack else ""
                    raise _unreadable(f"The alias {quoted(event.anchor)} stands before or inside its anchor.", where)
                count(sizes[event.anchor])


def _note_key(frame: _Frame, key: str) -> None:
    if key in frame.keys:
        raise _unreadable(f"The key {quoted(key)} occurs twice in one mapping.", f"{frame.pointer}/{escape(key)}")
    frame.keys.add(key)
    frame.key = key


class _CoreLoader(yaml.CSafeLoader):
    """The safe loader with the scalars of JSON only."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own way)


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    ("float", r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", list("-+0123456789")),
    ("merge", r"^<<$", ["<"]),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
