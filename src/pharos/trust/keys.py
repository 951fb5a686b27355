"""Operations on the secrets of keys: issue, revoke, list."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from pharos.control.documents import missing
from pharos.control.index import Index
from pharos.core.call import Call
from pharos.core.fault import NOT_FOUND, Applicability, Fix
from pharos.core.operation import Decision, Invocation, Reversibility, SetStatus, Written, read, write
from pharos.core.principal import Principal
from pharos.core.resource import Name, Resource, ResourceId
from pharos.core.wire import JsonObject, Page, Wire
from pharos.trust.authenticator import expiry, key_status
from pharos.trust.clock import SteadyClock
from pharos.trust.faults import CREDENTIAL_LIMIT, KEY_EXPIRED, RIGHTS_EXCEEDED
from pharos.trust.guards import opens_for, rights_exceeded
from pharos.trust.kinds import KEY, Credential, KeySpec, KeyStatus
from pharos.trust.secrets import Pepper, mint

LIVE_LIMIT = 32
"""Most credentials a key can have at a time; rotation needs two."""
DEAD_KEPT = 32
"""How many revoked or expired credentials stay on record in a key's status (the log keeps them all)."""
LONGEST = 10 * 365 * 24 * 3600
"""Longest expiry that can be asked for, in seconds."""


class Issue(Wire):
    """Input of ``keys.issue``."""

    key: Name
    """Name of the key."""
    namespace: Name = "default"
    expires_in_seconds: Annotated[int, Field(gt=0, le=LONGEST)] | None = None
    """How long the secret is good for; left out: as long as the key."""


class Issued(Written):
    """A new secret. It is shown this once and cannot be shown again."""

    key: str
    secret: str
    """Send it as ``Authorization: Bearer`` or ``x-api-key``. Empty in a dry run."""
    credential: str
    """Names the secret without giving it away: for ``keys.revoke`` and ``keys.list``."""
    namespace: str
    expires_at: datetime | None = None


class Revoke(Wire):
    """Input of ``keys.revoke``."""

    key: Name
    """Name of the key."""
    namespace: Name = "default"
    credential: str | None = Field(default=None, max_length=64)
    """Which one; left out: all of the key's credentials."""


class Revoked(Written):
    """The credentials that were live and are no more."""

    key: str
    namespace: str
    revoked: list[str]
    warnings: list[str]
    """What the caller may not have seen coming."""


class ListKeys(Wire):
    """Input of ``keys.list``."""

    key: Name | None = None
    """Only this key."""
    namespace: Name | None = None
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=512)


class CredentialItem(Wire):
    """What may be known of a credential."""

    id: str
    state: Literal["active", "expired", "revoked"]
    issued_at: datetime
    issued_by: str
    expires_at: datetime | None = None
    """Its own end or its key's, whichever is first."""
    revoked_at: datetime | None = None
    revoked_by: str | None = None


class KeyItem(Wire):
    """A key with its credentials."""

    key: str
    namespace: str
    principal: str
    """Id under which the acts of its holder are recorded."""
    state: Literal["active", "expired", "unissued"]
    """``unissued``: no credential is good now, and the key itself has not expired."""
    labels: dict[str, str]
    models: list[str]
    budgets: list[str]
    scopes: list[str]
    expires_at: datetime | None = None
    last_issued_at: datetime | None = None
    credentials: list[CredentialItem]


class KeyOperations:
    """The operations on keys. ``clock`` is the one by which the authenticator lets secrets expire."""

    def __init__(self, index: Index, pepper: Pepper, clock: SteadyClock) -> None:
        self._index = index
        self._pepper = pepper
        self._clock = clock

    @write(
        "keys.issue",
        permission="keys.issue",
        reversibility=Reversibility.COMPENSATING,
        inverse="keys.revoke",
        faults=(NOT_FOUND, RIGHTS_EXCEEDED, KEY_EXPIRED, CREDENTIAL_LIMIT),
    )
    async def issue(self, invocation: Invocation, input: Issue) -> Decision[Issued]:
        """Issue a secret for a key.

        The secret is shown once. A key may have several, so that one can be replaced without a gap: issue the new one,
        move to it, revoke the old one. A key that may do more than the caller cannot be issued by them.
        """
        key = self._key(input.key, input.namespace)
        if (fault := rights_exceeded(invocation.principal, key)) is not None:
            raise fault
        now = self._clock.now()
        if key.spec.expires_at is not None and key.spec.expires_at <= now:
            raise KEY_EXPIRED(f"{key.id} expired at {key.spec.expires_at.isoformat()}.", subject=str(key.id))
        status = key_status(key)
        live, dead = self._sorted(key, status, now)
        if len(live) >= LIVE_LIMIT:
            raise self._full(key, live)
        minted = mint(self._pepper)
        ends = now + timedelta(seconds=input.expires_in_seconds) if input.expires_in_seconds else None
        credential = Credential(id=minted.credential, issued_at=now, issued_by=invocation.principal.id, expires_at=ends)
        after = _status(status, [*dead, *live, credential], {minted.credential: minted.digest.hex()})
        address: JsonObject = {"key": input.key, "namespace": input.namespace}
        return Decision(
            output=Issued(
                operation=invocation.operation_id,
                key=input.key,
                namespace=input.namespace,
                secret="" if invocation.dry_run else minted.secret,
                credential=minted.credential,
                expires_at=expiry(key, credential),
            ),
            # Bound to the revision that was judged: a key that gets more rights meanwhile is judged anew.
            changes=(SetStatus(key.id, after, expected=key.status, revision=key.metadata.revision),),
            inverse=Call(operation="keys.revoke", arguments={**address, "credential": minted.credential}),
            replayable=False,
        )

    @write(
        "keys.revoke",
        permission="keys.revoke",
        reversibility=Reversibility.NONE,
        inverse=None,
        destroys=True,
        faults=(NOT_FOUND,),
    )
    async def revoke(self, invocation: Invocation, input: Revoke) -> Decision[Revoked]:
        """Revoke one credential of a key, or all of them.

        When the call returns, the secret opens nothing any more. It cannot be undone: issue a new secret instead.
        Revoking what is revoked already is no error.
        """
        key = self._key(input.key, input.namespace)
        now = self._clock.now()
        status = key_status(key)
        known = {credential.id for credential in status.credentials}
        if input.credential is not None and input.credential not in known:
            raise NOT_FOUND(f"{key.id} has no credential {input.credential!r} on record.", subject=str(key.id))
        ending = {
            c.id
            for c in status.credentials
            if c.revoked_at is None and (input.credential is None or c.id == input.credential)
        }
        update = {"revoked_at": now, "revoked_by": invocation.principal.id}
        credentials = [c.model_copy(update=update) if c.id in ending else c for c in status.credentials]
        output = Revoked(
            operation=invocation.operation_id,
            key=input.key,
            namespace=input.namespace,
            revoked=sorted(ending),
            warnings=self._lockout(invocation.principal, key, ending) if ending else [],
        )
        changes = (SetStatus(key.id, _status(status, credentials), expected=key.status),) if ending else ()
        return Decision(output=output, changes=changes)

    @read("keys.list", permission="keys.read")
    async def list_keys(self, invocation: Invocation, input: ListKeys) -> Page[KeyItem]:
        """List keys with their credentials: who was given what, when, and whether it is still good.

        Secrets and their digests are not part of it; nobody can read them.
        """
        now = self._clock.now()
        found = sorted(
            (
                key
                for key in self._index.all(KEY)
                if (input.key is None or key.metadata.name == input.key)
                and (input.namespace is None or key.metadata.namespace == input.namespace)
                and (input.cursor is None or _cursor(key) > input.cursor)
            ),
            key=_cursor,
        )
        page = found[: input.limit]
        return Page[KeyItem](
            items=[self._item(key, now) for key in page],
            next=_cursor(page[-1]) if len(found) > len(page) else None,
        )

    def _lockout(self, principal: Principal, key: Resource[KeySpec], ending: Collection[str]) -> list[str]:
        """That one takes away one's own access, or may: a call does not say with which of the key's secrets it came."""
        if not opens_for(principal, key):
            return []
        live, _ = self._sorted(key, key_status(key), self._clock.now())
        if all(credential.id in ending for credential in live):
            return [f"{key.id}: this is the key you call with: none of its secrets lets you in again."]
        return [f"{key.id}: this is the key you call with: if it is with this secret, it does not let you in again."]

    def _key(self, name: str, namespace: str) -> Resource[KeySpec]:
        key = self._index.get(KEY, name, namespace)
        if key is None:
            raise missing(ResourceId(KEY.name, namespace, name), self._index)
        return key

    @staticmethod
    def _sorted(
        key: Resource[KeySpec], status: KeyStatus, now: datetime
    ) -> tuple[Sequence[Credential], Sequence[Credential]]:
        """The live credentials, and the latest of the dead ones."""
        live: list[Credential] = []
        dead: list[Credential] = []
        for credential in status.credentials:
            (live if _state(key, credential, now) == "active" else dead).append(credential)
        return live, dead[-DEAD_KEPT:]

    @staticmethod
    def _full(key: Resource[KeySpec], live: Sequence[Credential]) -> Exception:
        oldest = min(live, key=lambda credential: credential.issued_at)
        address: JsonObject = {"key": key.metadata.name, "namespace": key.metadata.namespace}
        return CREDENTIAL_LIMIT(
            f"{key.id} has {len(live)} live credentials; {LIVE_LIMIT} is the most.",
            subject=str(key.id),
            facts={"live": len(live), "limit": LIVE_LIMIT},
            fixes=[
                Fix(
                    id="revoke-oldest",
                    title="Revoke the oldest credential, if nothing uses it any more",
                    applicability=Applicability.LIKELY,
                    call=Call(operation="keys.revoke", arguments={**address, "credential": oldest.id}),
                    effect="The key has room for one more credential; the oldest secret is refused.",
                )
            ],
        )

    def _item(self, key: Resource[KeySpec], now: datetime) -> KeyItem:
        status = key_status(key)
        items = [
            CredentialItem(
                id=credential.id,
                state=_state(key, credential, now),
                issued_at=credential.issued_at,
                issued_by=credential.issued_by,
                expires_at=expiry(key, credential),
                revoked_at=credential.revoked_at,
                revoked_by=credential.revoked_by,
            )
            for credential in reversed(status.credentials)
        ]
        spec = key.spec
        expired = spec.expires_at is not None and spec.expires_at <= now
        active = any(item.state == "active" for item in items)
        return KeyItem(
            key=key.metadata.name,
            namespace=key.metadata.namespace,
            principal=f"{spec.principal}/{key.metadata.namespace}/{key.metadata.name}",
            state="expired" if expired else "active" if active else "unissued",
            labels=key.metadata.labels,
            models=list(spec.models),
            budgets=list(spec.budgets),
            scopes=list(spec.scopes),
            expires_at=spec.expires_at,
            last_issued_at=max((item.issued_at for item in items), default=None),
            credentials=items,
        )


def _cursor(key: Resource[KeySpec]) -> str:
    return f"{key.metadata.namespace}/{key.metadata.name}"


def _state(key: Resource[KeySpec], credential: Credential, now: datetime) -> Literal["active", "expired", "revoked"]:
    if credential.revoked_at is not None:
        return "revoked"
    ends = expiry(key, credential)
    return "expired" if ends is not None and ends <= now else "active"


def _status(before: KeyStatus, credentials: Sequence[Credential], fresh: dict[str, str] | None = None) -> KeyStatus:
    """The status with these credentials; digests stay only with those that are not revoked."""
    digests = {**before.digests, **(fresh or {})}
    kept = {c.id: digests[c.id] for c in credentials if c.revoked_at is None and c.id in digests}
    return before.model_copy(update={"credentials": list(credentials), "digests": kept})
