"""Write the typed client and the description of the operations from the registry.

``python -m scripts.generate_client`` writes ``src/pharos/client/generated/`` (one module per noun, blocking and
awaited) and ``src/pharos/client/operations.json``. With ``--check`` it writes nothing and exits 1 where one is stale.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import textwrap
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path

from pydantic.fields import FieldInfo

from pharos.client.description import Parameter
from pharos.control.plan import Plan
from pharos.core.operation import AnyOperation, Effect
from pharos.core.resource import AnyKind
from pharos.core.wire import Page
from scripts.annotations import Imports, fields_of, model_source, parameter, safe, source
from scripts.output import finish, formatted

CLIENT = Path(__file__).parents[1] / "src" / "pharos" / "client"
GENERATED = CLIENT / "generated"

SLOW_MS = 200
"""From this typical duration on a person is shown that something goes on."""

_OPTIONS = {"dry_run", "idempotency_key"}
_HEADER = '"""{summary}\n\nGenerated from the operation registry by `make docs`; edits are overwritten.\n"""\n\n'


def files(operations: Iterable[AnyOperation], kinds: Iterable[AnyKind]) -> dict[Path, str]:
    """Every generated file with its content."""
    ordered = sorted(operations, key=lambda operation: operation.name)
    by_noun: dict[str, list[AnyOperation]] = {}
    for operation in ordered:
        by_noun.setdefault(operation.noun, []).append(operation)
    written = {GENERATED / "__init__.py": _HEADER.format(summary="The operations of a city as methods.")}
    for folder, awaited in (("blocking", False), ("awaited", True)):
        written[GENERATED / folder / "__init__.py"] = _index(by_noun, folder, awaited)
        for noun, group in by_noun.items():
            written[GENERATED / folder / f"{noun}.py"] = _module(noun, group, awaited)
    written = {path: formatted(path, text) for path, text in written.items()}
    written[CLIENT / "operations.json"] = _description(ordered, kinds)
    return written


# Python


def _module(noun: str, operations: list[AnyOperation], awaited: bool) -> str:
    imports = Imports()
    name, base = (f"Async{noun.capitalize()}", "AsyncNamespace") if awaited else (noun.capitalize(), "Namespace")
    body = f'class {name}({base}):\n    """Operations on ``{noun}``."""\n\n'
    body += "\n".join(_method(operation, imports, awaited) for operation in operations)
    text = _HEADER.format(summary=f"The operations of the noun ``{noun}``, {'awaited' if awaited else 'blocking'}.")
    text += "from __future__ import annotations\n\n"
    # What only annotations need is imported for the type checker alone; outputs are imported by the method that
    # returns them, so that a client loads no more of the city than it uses.
    always = Imports({"pharos.client.namespace": {base}, "typing": {"TYPE_CHECKING"}})
    if overloads := imports.names.get("typing", set()) & {"overload"}:
        always.names["typing"] |= overloads
        imports.names["typing"] -= overloads
    text += "\n".join(always.lines()) + "\n\nif TYPE_CHECKING:\n"
    imports.names = {module: names for module, names in imports.names.items() if names}
    return text + textwrap.indent("\n".join(imports.lines()), "    ") + "\n\n\n" + body


def _method(operation: AnyOperation, imports: Imports, awaited: bool) -> str:
    """One method. A write has two signatures: called, it answers its output; with ``dry_run``, the plan of it."""
    fields: Mapping[str, FieldInfo] = fields_of(operation.input)
    if clash := _OPTIONS & set(fields):
        raise ValueError(f"{operation.name}: an input may not be called {', '.join(clash)}")
    parameters = [
        *(f"{safe(name)}: {source(info.annotation, imports)}" for name, info in fields.items() if info.is_required()),
        *(_optional(name, info, imports) for name, info in fields.items() if not info.is_required()),
    ]
    local = Imports()
    output = model_source(operation.output, local)
    model_source(operation.output, imports)
    arguments = ", ".join(f'"{info.alias or name}": {safe(name)}' for name, info in fields.items())
    call = f'"{operation.name}", {{{arguments}}}'
    caller = f"{'await ' if awaited else ''}self._caller"
    head = "async def" if awaited else "def"
    name = safe(operation.verb)

    if operation.effect is not Effect.READ:
        overload, literal = imports.need("typing", "overload"), imports.need("typing", "Literal")
        plan = model_source(Plan, imports)
        key = "idempotency_key: str | None = None"
        called = _head(head, name, [*parameters, f"dry_run: {literal}[False] = False", key], output)
        planned = _head(head, name, [*parameters, f"dry_run: {literal}[True]", key], plan)
        text = f"@{overload}\n{called} ...\n@{overload}\n{planned} ...\n"
        text += _head(head, name, [*parameters, "dry_run: bool = False", key], f"{output} | {plan}")
        # Named once, because the plan and the call itself take the same.
        body = [
            f"input_: dict[str, object] = {{{arguments}}}",
            f'if dry_run:\n    return {caller}.plan("{operation.name}", input_)',
            f'return {caller}.typed("{operation.name}", input_, {output}, write=True, idempotency_key=idempotency_key)',
        ]
    elif operation.streaming:
        generator = imports.need("collections.abc", "AsyncGenerator" if awaited else "Generator")
        returns = f"{generator}[{output}, None]" if awaited else f"{generator}[{output}, None, None]"
        text, body = _head("def", name, parameters, returns), [f"return self._caller.typed_stream({call}, {output})"]
    else:
        text, body = _head(head, name, parameters, output), [f"return {caller}.typed({call}, {output})"]
    body = [*local.lines(), "", *body]
    text += "\n" + textwrap.indent(_docstring(operation, fields), "    ")
    return textwrap.indent(text + textwrap.indent("\n".join(body), "    ") + "\n", "    ")


def _head(keyword_: str, name: str, parameters: list[str], returns: str) -> str:
    return f"{keyword_} {name}({', '.join(['self', *(['*'] if parameters else []), *parameters])}) -> {returns}:"


def _optional(name: str, info: FieldInfo, imports: Imports) -> str:
    """A parameter that may be left out. ``None`` always means that it is."""
    written = source(info.annotation, imports)
    default = info.default.value if isinstance(info.default, Enum) else info.default
    if info.default_factory is not None or not isinstance(default, str | int | float | bool | None):
        default = None
    if default is None:
        written = written if "None" in written.split(" | ") else f"{written} | None"
    elif "None" in written.split(" | "):
        raise ValueError(f"{name}: null differs from its default {default!r}, which no call could say")
    literal = json.dumps(default) if isinstance(default, str) else repr(default)
    return f"{safe(name)}: {written} = {literal}"


def _docstring(operation: AnyOperation, fields: Mapping[str, FieldInfo]) -> str:
    paragraphs = [operation.summary]
    if operation.description:
        paragraphs.append(operation.description)
    helps = {name: parameter(name, info).help for name, info in fields.items()}
    lines = [f"{safe(name)}: {text}" for name, text in helps.items() if text]
    wrapped = [textwrap.fill(line, 108, subsequent_indent="    ") for line in lines]
    if wrapped:
        paragraphs.append("Args:\n" + textwrap.indent("\n".join(wrapped), "    "))
    facts = []
    if operation.permission:
        facts.append(f"Needs the permission ``{operation.permission}``.")
    if operation.effect is not Effect.READ:
        facts.append(f"Reversibility: {operation.reversibility.value}. With ``dry_run`` nothing changes.")
    if operation.faults:
        facts.append("Raises a fault with code " + ", ".join(fault.code for fault in operation.faults) + ".")
    if facts:
        paragraphs.append(textwrap.fill(" ".join(facts), 108))
    text = "\n\n".join(paragraphs).replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{text}"""\n' if len(paragraphs) == 1 else f'"""{text}\n"""\n'


def _index(nouns: Iterable[str], folder: str, awaited: bool) -> str:
    nouns = sorted(nouns)
    if clash := {"call", "stream", "close", "base_url", "with_options"} & set(nouns):
        raise ValueError(f"a noun may not be called {', '.join(clash)}")
    prefix = "Async" if awaited else ""
    text = _HEADER.format(summary=f"All namespaces of {'an AsyncClient' if awaited else 'a Client'}.")
    text += f"from __future__ import annotations\n\nfrom pharos.client.callers import {prefix}Caller\n"
    for noun in nouns:
        text += f"from pharos.client.generated.{folder}.{noun} import {prefix}{noun.capitalize()}\n"
    text += f'\n\nclass {prefix}Namespaces:\n    """Every operation of the city by noun and verb, {folder}."""\n\n'
    text += f"    def __init__(self, caller: {prefix}Caller) -> None:\n        self._caller = caller\n"
    return text + "".join(f"        self.{noun} = {prefix}{noun.capitalize()}(caller)\n" for noun in nouns)


# JSON


def _description(operations: list[AnyOperation], kinds: Iterable[AnyKind]) -> str:
    document = {
        "operations": [_entry(operation) for operation in operations],
        "kinds": [{"name": kind.name, "plural": kind.plural, "summary": kind.summary} for kind in kinds],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _entry(operation: AnyOperation) -> dict[str, object]:
    parameters = [parameter(name, info) for name, info in fields_of(operation.input).items()]
    return {
        "name": operation.name,
        "summary": operation.summary,
        "description": operation.description,
        "effect": operation.effect.value,
        "reversibility": operation.reversibility.value,
        "permission": operation.permission,
        "streaming": operation.streaming,
        "page": issubclass(operation.output, Page),
        "slow": operation.typical_ms >= SLOW_MS,
        "parameters": [_sparse(item) for item in parameters],
    }


def _sparse(item: Parameter) -> dict[str, object]:
    """A parameter without the members that have their default."""
    defaults = {f.name: f.default for f in dataclasses.fields(Parameter)}
    return {name: value for name, value in dataclasses.asdict(item).items() if value != defaults[name]}


if __name__ == "__main__":
    from scripts.survey import survey

    city = survey()
    sys.exit(finish(files(city.operations, city.kinds), [GENERATED], check="--check" in sys.argv))
