"""The checks behind ``system.doctor``: each looks at one thing and says how to mend it.

A check never changes anything that lasts, and never takes longer than :data:`DEADLINE`.
"""

from __future__ import annotations

import asyncio
import os
import resource as limits
import shutil
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel

from pharos.control.health import State
from pharos.control.index import Index
from pharos.core.call import Call
from pharos.core.fault import TIMEOUT, Applicability, Fault, Fix
from pharos.core.ids import uuid7
from pharos.core.resource import ResourceId
from pharos.core.wire import JsonObject
from pharos.gateway.models.kinds import SecretSource
from pharos.gateway.models.upstream.conditions import CREDENTIAL_READY
from pharos.mesh.runner import ProjectionRunner
from pharos.server.outside import EXTRA, lacking
from pharos.store.ports import Remember, Store
from pharos.trust.sealed.upkeep import READABLE
from pharos.trust.sealed.vault import Vault

DEADLINE = 5.0
"""Seconds a check may take."""

LOW_DISK, NO_DISK = 1024**3, 100 * 1024**2
"""Free bytes below which the disk is a warning, and an error."""

FEW_FILES = 4096
"""Open files below which many connections are a risk."""

STALE = timedelta(hours=1)
"""Age from which a reservation that is still open belongs to no living call: no call may take so long."""

_PAST = datetime(1970, 1, 1, tzinfo=UTC)
_BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock that shows less was never set."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    check: str
    state: State
    message: str
    fix: Fix | None = None


Check = Callable[[], Awaitable[Sequence[Finding]]]


class Doctor:
    """Examines a city."""

    def __init__(self, home: Path, store: Store, index: Index, runner: ProjectionRunner, vault: Vault) -> None:
        self._home = home
        self._store = store
        self._index = index
        self._runner = runner
        self._vault = vault

    async def examine(self) -> AsyncIterator[Finding]:
        """Run every check, one after the other."""
        checks: Sequence[tuple[str, Check]] = (
            ("storage", self._storage),
            ("views", self._views),
            ("secrets", self._secrets),
            ("references", self._references),
            ("conditions", self._conditions),
            ("reservations", self._reservations),
            ("clock", self._clock),
            ("disk", self._disk),
            ("permissions", self._permissions),
            ("open-files", self._open_files),
            ("federation", self._federation),
        )
        for name, check in checks:
            try:
                async with asyncio.timeout(DEADLINE):
                    found = await check()
            except TimeoutError:
                found = [Finding(name, "error", f"The check did not end within {DEADLINE:g} seconds.")]
            except (Fault, OSError) as error:
                text = error.document.detail if isinstance(error, Fault) else f"{error.strerror or error}."
                found = [Finding(name, "error", text)]
            for finding in found or [Finding(name, "ok", _WELL[name])]:
                yield finding

    async def missing(self) -> Sequence[Finding]:
        """What resources name and what is not there: secrets, other resources."""
        return [*await self._secrets(), *await self._references()]

    async def _storage(self) -> Sequence[Finding]:
        """The writer takes a commit, and the disk takes bytes."""
        # A command that leaves nothing to write would prove nothing; this record is forgotten as soon as it is made.
        record = Remember("pharos/doctor", uuid7(), fingerprint="", operation_id="", answer=None, expires_at=_PAST)
        await self._store.commit(record)
        # Bytes that nobody else has.
        digest = await self._store.blobs.put(uuid7().encode())
        await self._store.blobs.delete(digest)
        return []

    async def _views(self) -> Sequence[Finding]:
        """Every view folds, and reaches what is the head of the log now."""
        behind: list[Finding] = []
        for name in self._runner.positions():
            try:
                await self._runner.caught_up(name, timeout=1.0)
            except Fault as fault:
                if fault.code != TIMEOUT.code:
                    raise
                failing = self._runner.condition(name).status == "False"
                reason = "; ".join(cause.message for cause in fault.document.causes) or "it is behind the log"
                call = Call(operation="views.rebuild", arguments={"name": name})
                fix = Fix(id="rebuild", title=f"Rebuild the view {name}", applicability=Applicability.LIKELY, call=call)
                behind.append(Finding("views", "error" if failing else "warning", f"The view {name}: {reason}.", fix))
        return behind

    async def _secrets(self) -> Sequence[Finding]:
        def missing() -> list[Finding]:
            return [
                Finding("secrets", "error", f"{id} needs {lack}.", _by_hand("set-secret", f"Provide {lack}"))
                for id, source in sources
                if (lack := _lacking(source)) is not None
            ]

        sources = [
            (str(found.id), source) for found in self._index.everything() for source in secret_sources(found.spec)
        ]
        return [*await asyncio.to_thread(missing), *self._broken()]

    def _broken(self) -> Sequence[Finding]:
        """Secrets the city keeps and cannot open."""
        return [
            Finding(
                "secrets",
                "error",
                f"{id} cannot be used: {problem}.",
                _by_hand("set-secret", f"Set it with `pharos secrets set {id.name}`, or restore HOME/master.keys"),
            )
            for id, problem in self._vault.broken()
        ]

    async def _references(self) -> Sequence[Finding]:
        users: dict[ResourceId, list[ResourceId]] = {}
        for found in self._index.everything():
            for reference in self._index.references(found.id):
                if self._index.find(reference.target) is None:
                    users.setdefault(reference.target, []).append(found.id)
        return [_dangling(target, sources) for target, sources in users.items()]

    async def _conditions(self) -> Sequence[Finding]:
        """What resources say of themselves. A secret that is missing is told of by a check of its own."""
        return [
            Finding("conditions", "warning", f"{found.id} is not well: {condition.message or condition.reason}")
            for found in self._index.everything()
            for condition in found.status.conditions
            if condition.status == "False" and condition.type not in (CREDENTIAL_READY, READABLE)
        ]

    async def _reservations(self) -> Sequence[Finding]:
        stale = await self._store.counters.open_reservations(before=datetime.now(UTC) - STALE)
        if not stale:
            return []
        message = f"{len(stale)} reservations are open for over an hour; they hold amounts of budgets."
        return [Finding("reservations", "warning", message, _by_hand("restart", "Restart the city: it settles them"))]

    async def _clock(self) -> Sequence[Finding]:
        now = datetime.now(UTC)
        times = (found.metadata.updated_at for found in self._index.everything())
        latest = max((time for time in times if time is not None), default=_BUILT)
        if now >= max(_BUILT, latest - timedelta(minutes=1)):
            return []
        message = f"The clock shows {now:%Y-%m-%d %H:%M}, but the catalog was changed at {latest:%Y-%m-%d %H:%M}."
        return [Finding("clock", "error", message, _by_hand("set-clock", "Set the machine's clock"))]

    async def _disk(self) -> Sequence[Finding]:
        free = (await asyncio.to_thread(shutil.disk_usage, self._home)).free
        if free >= LOW_DISK:
            return []
        message = f"{free // 1024**2} MiB are free where the city lives."
        return [
            Finding("disk", "warning" if free >= NO_DISK else "error", message, _by_hand("free-disk", "Free space"))
        ]

    async def _permissions(self) -> Sequence[Finding]:
        def exposed() -> list[Path]:
            files = (path for path in self._home.iterdir() if path.is_file())
            return [path for path in files if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH)] if open_home else []

        open_home = (await asyncio.to_thread(os.stat, self._home)).st_mode & stat.S_IXOTH
        return [
            Finding(
                "permissions",
                "error" if path.suffix in ("", ".key", ".keys") else "warning",
                f"Every user of this machine can read {path.name}.",
                _by_hand("chmod", f"chmod 600 {path.name}"),
            )
            for path in await asyncio.to_thread(exposed)
        ]

    async def _federation(self) -> Sequence[Finding]:
        if not (missing := lacking()):
            return []
        message = f"A2A and AG-UI are not there: {', '.join(missing)} is not installed; `pharos-ai[{EXTRA}]` brings it."
        return [Finding("federation", "ok", message)]

    async def _open_files(self) -> Sequence[Finding]:
        soft, _ = limits.getrlimit(limits.RLIMIT_NOFILE)
        if soft == limits.RLIM_INFINITY or soft >= FEW_FILES:
            return []
        message = f"The process may open {soft} files; each connection is one."
        return [
            Finding("open-files", "warning", message, _by_hand("ulimit", f"Start it with ulimit -n {FEW_FILES * 4}"))
        ]


_WELL = {
    "storage": "Commits and blobs are written.",
    "views": "Every view is up to date.",
    "secrets": "Every secret that resources name is there.",
    "references": "Every reference leads to a resource.",
    "conditions": "Everything that reports how it is, is well.",
    "reservations": "No reservation is left over.",
    "clock": "The clock agrees with the log.",
    "disk": "There is room.",
    "permissions": "Other users of the machine read nothing.",
    "open-files": "Enough files may be open.",
    "federation": "Agents elsewhere are reached, and reach in, over A2A.",
}


def secret_sources(value: object) -> Iterator[SecretSource]:
    """Every place in a spec that says where a secret is read from, whatever the kind."""
    if isinstance(value, SecretSource):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secret_sources(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from secret_sources(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from secret_sources(item)


def _lacking(source: SecretSource) -> str | None:
    if source.secret is not None:
        return None  # a reference: that it is there, and that it opens, are checks of their own
    if source.env is not None:
        return None if os.environ.get(source.env) else f"the environment variable {source.env}"
    path = Path(source.file or "")
    try:
        return None if path.read_text().strip() else f"a secret in the file {path}"
    except (OSError, UnicodeDecodeError):
        return f"the file {path}"


def _dangling(target: ResourceId, sources: Sequence[ResourceId]) -> Finding:
    named: JsonObject = {"kind": target.kind, "namespace": target.namespace, "name": target.name}
    fix = Fix(
        id="see-impact",
        title=f"See what needs {target}; then apply it, or change what refers to it",
        applicability=Applicability.MANUAL,
        call=Call(operation="system.impact", arguments=named),
    )
    who = ", ".join(dict.fromkeys(str(source) for source in sources))
    return Finding("references", "warning", f"{target} does not exist, but is referred to by {who}.", fix)


def _by_hand(id: str, title: str) -> Fix:
    return Fix(id=id, title=title, applicability=Applicability.MANUAL)
