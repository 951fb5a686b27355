"""Operations on the secrets the city keeps: set one, see how they are, change the master key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field, SecretStr, ValidationError

from pharos.control.index import Index
from pharos.core.fault import INVALID, Fault, Problem
from pharos.core.operation import Decision, Invocation, Put, Reversibility, SetStatus, Written, read, write
from pharos.core.principal import Principal
from pharos.core.resource import Metadata, Name, Resource, ResourceId
from pharos.core.wire import Page, Wire
from pharos.trust.faults import MASTER_KEYS_DAMAGED
from pharos.trust.granting import may_grant
from pharos.trust.sealed.envelope import SealBroken
from pharos.trust.sealed.vault import SECRET, SecretSpec, SecretStatus, Vault, secret_status
from pharos.trust.signers.kinds import SIGNER

ENTRUST = "providers.entrust"
"""Permission to say which secret is sent where: also to say what the secret is. Who replaces a provider's credential by
one of theirs reads in their own account what the city asks."""

LONGEST = 8_192


class SetSecret(Wire):
    """Input of ``secrets.set``."""

    name: Name
    namespace: Name = "default"
    value: SecretStr
    """The secret: one line of printable ASCII. It is sealed before it is stored, and never shown again."""


class SecretSet(Written):
    """The secret is sealed."""

    name: str
    namespace: str
    key: str
    """Id of the master key it is sealed under."""
    created: bool
    """Whether there was no secret of this name before."""


class ListSecrets(Wire):
    """Input of ``secrets.list``."""

    namespace: Name | None = None
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=300)


class SecretItem(Wire):
    """A secret, as far as anyone may see it."""

    name: str
    namespace: str
    state: Literal["ready", "broken", "unset"]
    problem: str = ""
    """Why it cannot be used."""
    purpose: str = ""
    key: str | None = None
    """Id of the master key it is sealed under."""
    set_at: datetime | None = None
    set_by: str | None = None
    used_by: list[str] = Field(default_factory=list)
    """Resources that refer to it."""


class Rotate(Wire):
    """Input of ``secrets.rotate``."""


class Rotated(Written):
    """The master key was changed."""

    key: str
    """Id of the key that seals from now on; empty in a plan."""
    rewrapped: int
    """Secrets that are now sealed under it."""
    broken: list[str]
    """Secrets that do not open, and so are as they were; the keys they name are kept."""


class SecretOperations:
    """See the methods."""

    def __init__(self, index: Index, vault: Vault) -> None:
        self._index = index
        self._vault = vault
        self._turn = asyncio.Lock()
        """Of those who make a master key."""

    @write(
        "secrets.set",
        permission=ENTRUST,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(INVALID, MASTER_KEYS_DAMAGED),
    )
    async def set_secret(self, invocation: Invocation, input: SetSecret) -> Decision[SecretSet]:
        """Set a secret that the city keeps, such as a credential with a provider.

        It is sealed (AES-256-GCM) under a key of its own, which is wrapped by the master key in `HOME/master.keys`. No
        operation shows it again, no event, log or history has it. A `Provider` uses it with `apiKey: {secret: NAME}`,
        from its next call on. Setting it again replaces it; it cannot be undone, because what was replaced is gone.
        """
        value = _checked(input.value.get_secret_value())
        id = ResourceId(SECRET.name, input.namespace, input.name)
        secret = self._index.get(SECRET, input.name, input.namespace)
        if (refused := self._guarded(invocation.principal, id)) is not None:
            raise refused
        ring = self._vault.ring
        if not invocation.dry_run:
            async with self._turn:
                await asyncio.to_thread(ring.ensure)
        output = SecretSet(
            operation=invocation.operation_id,
            name=input.name,
            namespace=input.namespace,
            key=ring.active,
            created=secret is None,
        )
        sealed = ring.seal(value, str(id)) if ring.active else None
        made = {"sealed": sealed, "set_at": invocation.time, "set_by": invocation.principal.id}
        if secret is None:
            metadata = Metadata(name=input.name, namespace=input.namespace)
            fresh = Resource[SecretSpec](
                kind=SECRET.name, metadata=metadata, spec=SecretSpec(), status=SecretStatus.model_validate(made)
            )
            return Decision(output, changes=(Put(fresh, expected=0),))
        # What stands there may be of no use: it is replaced, and only what it must have been is compared.
        after = SecretStatus(conditions=secret.status.conditions).model_copy(update=made)
        return Decision(output, changes=(SetStatus(id, after, expected=secret.status),))

    @read("secrets.list", permission="secrets.read")
    async def list_secrets(self, invocation: Invocation, input: ListSecrets) -> Page[SecretItem]:
        """List the secrets the city keeps, and whether each can be used. What they are is not part of it."""
        found = sorted(
            (
                secret
                for secret in self._index.all(SECRET)
                if (input.namespace is None or secret.metadata.namespace == input.namespace)
                and (input.cursor is None or _cursor(secret) > input.cursor)
            ),
            key=_cursor,
        )
        page = found[: input.limit]
        return Page[SecretItem](
            items=[self._item(secret) for secret in page], next=_cursor(page[-1]) if len(found) > len(page) else None
        )

    @write(
        "secrets.rotate",
        permission="secrets.rotate",
        reversibility=Reversibility.NONE,
        inverse=None,
        typical_ms=100,
        faults=(MASTER_KEYS_DAMAGED,),
    )
    async def rotate(self, invocation: Invocation, input: Rotate) -> Decision[Rotated]:
        """Change the master key under which the city's secrets are sealed.

        The new key is in `HOME/master.keys` before anything depends on it; then all secrets are wrapped anew in one
        transaction, while calls go on. The old key is dropped some minutes later, once nothing names it; a crash
        anywhere in between loses nothing, and the next start, or rotation, goes on. Back up the file with the database.
        """
        ring = self._vault.ring
        sealed = self._all_sealed()
        if invocation.dry_run:
            broken = [str(id) for id, _ in self._vault.broken()]
            held = sum(status is not None for _, status in sealed)
            output = Rotated(operation=invocation.operation_id, key="", rewrapped=held - len(broken), broken=broken)
            return Decision(output)
        async with self._turn:
            # A key that seals nothing yet was made by an attempt that came no further: it is as new as another.
            if not ring.active or any(
                status and status.sealed and status.sealed.key == ring.active for _, status in sealed
            ):
                await asyncio.to_thread(ring.add)
        # Read again: while the key was written to the disk secrets may have been set.
        changes, broken = self._rewrapped(self._all_sealed())
        output = Rotated(operation=invocation.operation_id, key=ring.active, rewrapped=len(changes), broken=broken)
        return Decision(output, changes=tuple(changes))

    def _all_sealed(self) -> list[tuple[Resource[SecretSpec], SecretStatus | None]]:
        return [(secret, self._sealed(secret)) for secret in self._index.all(SECRET)]

    def _guarded(self, principal: Principal, id: ResourceId) -> Fault | None:
        """Who knows the secret of a signer acts as its key: it is set by who could declare the signer."""
        for referrer in self._index.referrers(id):
            signer = self._index.find(referrer) if referrer.kind == SIGNER.name else None
            refused = None if signer is None else may_grant(self._index, principal, signer, [("", signer.spec.key)])
            if refused is not None:
                return refused
        return None

    def _rewrapped(
        self, sealed: Sequence[tuple[Resource[SecretSpec], SecretStatus | None]]
    ) -> tuple[list[SetStatus], list[str]]:
        """The change of every secret that opens, and the names of those that do not."""
        changes: list[SetStatus] = []
        broken: list[str] = []
        for secret, status in sealed:
            if status is None or status.sealed is None:
                continue
            try:
                self._vault.ring.open(status.sealed, str(secret.id))  # All of it: to wrap what is spoilt would hide it.
                fresh = self._vault.ring.rewrap(status.sealed, str(secret.id))
            except SealBroken:
                broken.append(str(secret.id))
                continue
            after = status.model_copy(update={"sealed": fresh})
            changes.append(SetStatus(secret.id, after, expected=secret.status))
        return changes, broken

    @staticmethod
    def _sealed(secret: Resource[SecretSpec]) -> SecretStatus | None:
        """The status, if there is something sealed in it."""
        try:
            status = secret_status(secret)
        except ValidationError:
            return None
        return status if status.sealed is not None else None

    def _item(self, secret: Resource[SecretSpec]) -> SecretItem:
        status = self._sealed(secret)
        problem = ""
        try:
            self._vault.reveal(secret.id)
        except SealBroken as error:
            problem = str(error)
        return SecretItem(
            name=secret.metadata.name,
            namespace=secret.metadata.namespace,
            state="ready" if not problem else "broken" if status is not None else "unset",
            problem=problem,
            purpose=secret.spec.purpose,
            key=status.sealed.key if status is not None and status.sealed is not None else None,
            set_at=status.set_at if status is not None else None,
            set_by=status.set_by if status is not None else None,
            used_by=sorted(str(id) for id in self._index.referrers(secret.id)),
        )


def _checked(value: str) -> str:
    if 0 < len(value) <= LONGEST and value.isascii() and value.isprintable() and value.strip() == value:
        return value
    message = f"must be one line of 1 to {LONGEST} printable ASCII characters, without spaces around it"
    raise INVALID("The secret has not the form of one.", problems=[Problem(pointer="/value", message=message)])


def _cursor(secret: Resource[SecretSpec]) -> str:
    return f"{secret.metadata.namespace}/{secret.metadata.name}"
