"""Every detector by name, and the groups they stand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pharos.trust.guard.credentials import CREDENTIALS
from pharos.trust.guard.detector import Detector
from pharos.trust.guard.personal import PERSONAL, phones
from pharos.trust.guard.signals import SIGNALS

BUILT_IN: Mapping[str, Detector] = MappingProxyType(
    {detector.name: detector for detector in (*PERSONAL, phones(()), *CREDENTIALS, *SIGNALS)}
)

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        group: tuple(detector.name for detector in BUILT_IN.values() if detector.group == group)
        for group in ("pii", "credentials", "unicode", "injection")
    }
)


def named(names: Sequence[str], regions: Sequence[str]) -> list[Detector]:
    """The detectors that ``names`` (of detectors or groups) mean, each once; telephone numbers as in ``regions``.

    Raises ``KeyError`` for a name there is not.
    """
    found: dict[str, Detector] = {}
    for name in names:
        for member in GROUPS.get(name, (name,)):
            found[member] = phones(tuple(regions)) if member == "phone" else BUILT_IN[member]
    return list(found.values())
