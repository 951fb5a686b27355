"""Agents in Python: a decorated function is the agent, its further functions are its tools.

::

    @pharos.agent(model="fast", key="forecaster", limits={"steps": 8})
    def forecaster() -> None:
        \"\"\"You tell people about the weather. You look it up, you never guess.\"\"\"

    @forecaster.tool(effect="pure")
    async def weather(city: str) -> str:
        \"\"\"The weather of a city now.\"\"\"
        return …

It is an ``Agent`` like one from a manifest: resolved, pinned, limited, asked about and stepped by the same decider.
Code adds tools that no other agent sees. It runs in the process of the city.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar, overload

from pharos.control.problems import validate
from pharos.core.fault import Fault, Problem
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.resource import API_VERSION, Name, ResourceId
from pharos.core.wire import Json, JsonObject, Wire
from pharos.mesh.connectors import EffectClass
from pharos.runtime.profiles.kinds import AgentSpec
from pharos.runtime.tools.faults import AGENT_CODE_BROKEN
from pharos.runtime.tools.functions import Function, FunctionTools, Lookup
from pharos.runtime.tools.plugins import Installed

GROUP: Final = "pharos.code"
"""Entry point group of agents in installed packages: each entry is a :class:`CodeAgent`, or a module that has some."""

SOURCE: Final = "pharos/code"
"""Annotation of an agent that code declares: where the code is."""

_PREFIX: Final = "pharos_code_"

F = TypeVar("F", bound=Function)


class _Named(Wire):
    name: Name
    namespace: Name


class CodeAgent:
    """An agent that is declared in code. Made by :func:`agent`."""

    def __init__(self, name: str, namespace: str, spec: JsonObject, origin: str) -> None:
        named = validate(_Named, {"name": name, "namespace": namespace})
        self.id = ResourceId("Agent", named.namespace, named.name)
        self.tools = FunctionTools(self._is)
        """Its functions, which only it may call."""
        self.origin = origin
        """Where the code is: ``module:function``."""
        self._spec = spec
        validate(AgentSpec, spec)

    @overload
    def tool(self, function: F) -> F: ...

    @overload
    def tool(
        self,
        *,
        effect: EffectClass | str = EffectClass.UNSAFE,
        name: str = "",
        description: str = "",
        approval: bool = False,
        lookup: Lookup | None = None,
    ) -> Callable[[F], F]: ...

    def tool(
        self,
        function: F | None = None,
        *,
        effect: EffectClass | str = EffectClass.UNSAFE,
        name: str = "",
        description: str = "",
        approval: bool = False,
        lookup: Lookup | None = None,
    ) -> F | Callable[[F], F]:
        """Make a function a tool of this agent; see :meth:`FunctionTools.add`. Who says nothing of its ``effect`` is
        asked where nobody knows whether a call happened."""

        def add(function: F) -> F:
            self.tools.add(
                function, name=name, description=description, effect=effect, approval=approval, lookup=lookup
            )
            return function

        return add if function is None else add(function)

    def document(self) -> JsonObject:
        """The resource that it declares."""
        listed = self._spec.get("tools")
        patterns: list[Json] = listed if isinstance(listed, list) else []
        own: list[Json] = [name for name in self.tools.names if name not in patterns]
        return {
            "apiVersion": API_VERSION,
            "kind": self.id.kind,
            "metadata": {
                "name": self.id.name,
                "namespace": self.id.namespace,
                "annotations": {SOURCE: self.origin},
            },
            "spec": {**self._spec, "tools": [*patterns, *own]},
        }

    def _is(self, principal: Principal) -> bool:
        return (principal.kind, principal.namespace, principal.name) == (
            PrincipalKind.AGENT,
            self.id.namespace,
            self.id.name,
        )


def agent(
    *, model: str, key: str, name: str = "", namespace: str = "default", **spec: Any
) -> Callable[[Callable[[], str | None]], CodeAgent]:
    """Make a function an agent: its name is the agent's, its docstring the instructions, or the text that it returns.

    ``model``, ``key`` and ``spec`` are the fields of the kind ``Agent``, in Python's spelling or the wire's. Raises
    ``INVALID`` for a spec that is none.
    """

    def make(function: Callable[[], str | None]) -> CodeAgent:
        instructions = function() or inspect.cleandoc(function.__doc__ or "")
        given: JsonObject = {**spec, "model": model, "key": key}
        if instructions and "prompt" not in given:
            given["instructions"] = instructions
        origin = f"{function.__module__.removeprefix(_PREFIX)}:{function.__qualname__}"
        return CodeAgent(name or function.__name__.replace("_", "-"), namespace, given, origin)

    return make


def load_code(target: str) -> Sequence[CodeAgent]:
    """The agents of a module (``package.module``) or of a file (``path/to/file.py``). Raises ``AGENT_CODE_BROKEN``."""
    path = Path(target)
    try:
        module = _of_file(path) if path.suffix == ".py" else importlib.import_module(target)
    except Exception as error:  # a user's code: whatever it raises
        raise _broken_by(target, error) from error
    return _agents_in(module, target)


def installed_code(installed: Installed | None = None) -> Sequence[CodeAgent]:
    """The agents of installed packages; ``installed`` as for plugins. Raises ``AGENT_CODE_BROKEN``."""
    found: list[CodeAgent] = []
    for entry in (entry_points() if installed is None else installed).select(group=GROUP):
        try:
            loaded = entry.load()
        except Exception as error:  # a stranger's code: whatever it raises
            raise _broken_by(entry.value, error) from error
        found += [loaded] if isinstance(loaded, CodeAgent) else _agents_in(loaded, entry.value)
    return found


def distinct(agents: Iterable[CodeAgent]) -> Sequence[CodeAgent]:
    """The agents, each object once. Raises ``AGENT_CODE_BROKEN`` where two have one name."""
    known: dict[ResourceId, CodeAgent] = {}
    for each in agents:
        if known.setdefault(each.id, each) is not each:
            raise _broken(str(each.id), "two agents have this name")
    return [*known.values()]


def _agents_in(module: object, target: str) -> Sequence[CodeAgent]:
    agents = distinct(value for value in vars(module).values() if isinstance(value, CodeAgent))
    if not agents:
        raise _broken(target, "it has no agent; one is made with @pharos.agent")
    return agents


def _of_file(path: Path) -> ModuleType:
    name = _PREFIX + path.stem  # a file may be called like any module
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # types that its functions name are looked up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _broken(target: str, why: str, problems: Sequence[Problem] = ()) -> Fault:
    return AGENT_CODE_BROKEN(f"{target}: {why[:500]}", subject=target, problems=problems)


def _broken_by(target: str, error: Exception) -> Fault:
    """``AGENT_CODE_BROKEN`` with the line, where it is one of the file ``target``, and what a fault says is wrong."""
    file = Path(target).absolute()
    lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if Path(each.filename) == file]
    place = f"line {lines[-1]}: " if lines else ""
    if isinstance(error, Fault):
        return _broken(target, f"{place}{error.document.detail}", error.document.problems)
    return _broken(target, f"{place}{type(error).__name__}: {error}")
