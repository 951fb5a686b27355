"""What the city consists of: the kinds, operations and fault codes that its planes brought.

The composition root adds each plane once, before the first call; from then on the directory only answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from pharos.control.kinds import Kinds, holds_secret
from pharos.core.fault import COMMON, FaultCode
from pharos.core.operation import Registry
from pharos.core.plane import Plane


@dataclass(frozen=True, slots=True)
class Listed:
    """A fault code and the plane that declares it (``core`` for the common ones)."""

    code: FaultCode
    plane: str


class Directory:
    """Everything that is registered, by name."""

    def __init__(self) -> None:
        self.kinds = Kinds()
        self.planes: dict[str, Plane] = {}
        self.operations = Registry(())
        self.faults: dict[str, Listed] = {code.code: Listed(code, "core") for code in COMMON}
        self.owners: dict[str, str] = {}
        """The plane of each kind."""
        self.with_secrets: set[str] = set()
        """Operations whose input can hold a secret: their arguments are not repeated in any fault."""

    def add(self, plane: Plane) -> None:
        """Register what a plane brings. Raises ``ValueError`` for a name that is taken."""
        if plane.name in self.planes:
            raise ValueError(f"plane {plane.name} is registered twice")
        self.planes[plane.name] = plane
        for kind in plane.kinds:
            self.kinds.add(kind)
            self.owners[kind.name] = plane.name
        self.operations = Registry([*self.operations.values(), *plane.operations])
        self.with_secrets.update(operation.name for operation in plane.operations if holds_secret(operation.input))
        self.add_faults(plane.name, plane.faults)

    def plane_of(self, operation: str) -> str:
        """The plane that brought an operation."""
        return next(name for name, plane in self.planes.items() if any(o.name == operation for o in plane.operations))

    def add_faults(self, owner: str, codes: tuple[FaultCode, ...]) -> None:
        """Register the fault codes of a floor that is no plane, such as the store."""
        for code in codes:
            known = self.faults.setdefault(code.code, Listed(code, owner))
            if known.code is not code:
                raise ValueError(f"fault code {code.code} is registered twice")
