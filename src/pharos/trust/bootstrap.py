"""The first key: how the owner of a home directory gets in.

At every start, ``HOME/admin.key`` holds a secret that opens the city as the key ``admin``. If it does not (the first
start; the file was removed, or belongs to another database; its secret was revoked or the pepper lost), a new secret is
issued and the city's earlier ones for that key are revoked. Whoever can read the file owns the database beside it, so
this gives nobody anything; and a crash at any point leaves nothing that the next start does not mend.

What ``admin`` may do is declared by the key like any other: an owner who wants no such key narrows it, and that stays.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from pharos.control.index import Index
from pharos.core.call import Invoke
from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM
from pharos.core.resource import API_VERSION
from pharos.core.wire import JsonObject
from pharos.trust.authenticator import Authenticator, key_status
from pharos.trust.faults import KEY_EXPIRED
from pharos.trust.kinds import KEY
from pharos.trust.private_files import read_private, write_private

_log = logging.getLogger(__name__)

ADMIN = "admin"
ADMIN_FILE = "admin.key"


async def ensure_admin(home: Path, index: Index, invoke: Invoke, authenticator: Authenticator) -> bool:
    """Make sure that ``home/admin.key`` opens the city; whether a new secret had to be issued.

    Called at start-up, before anything is served. Raises ``OSError`` where the file cannot be read or written.
    """
    path = home / ADMIN_FILE
    held = _credential(await asyncio.to_thread(read_private, path), authenticator)
    issued = held is None
    if held is None:
        if index.get(KEY, ADMIN) is None:
            await invoke("catalog.apply", {"documents": [_ADMIN_KEY]}, SYSTEM)
        try:
            answer = await invoke("keys.issue", {"key": ADMIN}, SYSTEM)
        except Fault as fault:
            if fault.code != KEY_EXPIRED.code:
                raise
            _log.warning("the key %s has expired; no secret was written to %s", ADMIN, path.name)
            return False
        await asyncio.to_thread(write_private, path, f"{answer['secret']}\n".encode())
        held = str(answer["credential"])
        # Whoever started the city is told by its greeting.
        _log.debug("wrote the secret of the key %s to %s", ADMIN, path.name)
    for credential in _abandoned(index, held):
        await invoke("keys.revoke", {"key": ADMIN, "credential": credential}, SYSTEM)
    return issued


def _credential(content: bytes | None, authenticator: Authenticator) -> str | None:
    """The credential of the file's secret, if it opens the city as ``admin``."""
    if content is None:
        return None
    try:
        identity = authenticator.authenticate(content.decode("ascii").strip())
    except (Fault, UnicodeDecodeError):
        return None
    metadata = identity.key.metadata
    return identity.credential if (metadata.namespace, metadata.name) == ("default", ADMIN) else None


def _abandoned(index: Index, held: str) -> list[str]:
    """Live credentials that a start issued and that are not in the file (any more)."""
    key = index.get(KEY, ADMIN)
    if key is None:
        return []
    return [
        credential.id
        for credential in key_status(key).credentials
        if credential.issued_by == SYSTEM.id and credential.revoked_at is None and credential.id != held
    ]


_ADMIN_KEY: JsonObject = {
    "apiVersion": API_VERSION,
    "kind": KEY.name,
    "metadata": {"name": ADMIN},
    "spec": {"models": ["*"], "scopes": ["*"]},
}
