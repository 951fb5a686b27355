"""Secrets that the city keeps sealed, opened for who needs them.

A secret is opened once after it was set and then remembered, so that a call costs one dictionary access. What does not
open is broken, and says so wherever it is asked for; it is never passed over.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import AwareDatetime, Field, ValidationError

from pharos.control.index import Index
from pharos.core.resource import AnyResource, Kind, Resource, ResourceId, Spec, Status
from pharos.trust.sealed.envelope import SealBroken, Sealed
from pharos.trust.sealed.keyring import Keyring


class SecretSpec(Spec):
    """A secret the city keeps. What it is stands sealed in the status; nobody can read it back."""

    purpose: str = Field(default="", max_length=500)
    """What it is for, in a few words."""


class SecretStatus(Status):
    """The sealed secret. A status is never part of a revision: neither undo nor an old manifest brings back an earlier
    one, and no history keeps it."""

    sealed: Sealed | None = None
    set_at: AwareDatetime | None = None
    set_by: str | None = None
    """Id of the principal who set it."""


SECRET: Kind[SecretSpec] = Kind(
    name="Secret",
    spec=SecretSpec,
    summary="A secret the city keeps sealed, such as a credential with a provider; `secrets.set` says what it is.",
    private_status=frozenset({"sealed"}),
)


def secret_status(secret: Resource[SecretSpec]) -> SecretStatus:
    """The typed status. Raises ``ValidationError`` if it was not written by this room."""
    return SecretStatus.model_validate(secret.status.model_dump(by_alias=True))


class Vault:
    """Opens what is sealed in the index with the keys of the ring."""

    def __init__(self, index: Index, ring: Keyring) -> None:
        self.ring = ring
        self._index = index
        self._known: dict[ResourceId, str | SealBroken] = {}
        index.subscribe(self._follow)

    def reveal(self, id: ResourceId) -> str:
        """The secret with this id. Raises :class:`SealBroken`."""
        known = self._known.get(id)
        if known is None:
            known = self._known[id] = self._opened(id)
        if isinstance(known, str):
            return known
        raise SealBroken(str(known))

    def broken(self) -> Iterator[tuple[ResourceId, str]]:
        """Secrets that do not open, each with the reason."""
        for secret in self._index.all(SECRET):
            try:
                self.reveal(secret.id)
            except SealBroken as error:
                yield secret.id, str(error)

    def _opened(self, id: ResourceId) -> str | SealBroken:
        secret = self._index.get(SECRET, id.name, id.namespace)
        if secret is None:
            return SealBroken("there is no such secret")
        try:
            sealed = secret_status(secret).sealed
            if sealed is None:
                return SealBroken("it was never set")
            return self.ring.open(sealed, str(id))
        except SealBroken as error:
            return error
        except ValidationError:
            return SealBroken("its status is not what this city wrote")

    def _follow(self, id: ResourceId, resource: AnyResource | None) -> None:
        if id.kind == SECRET.name:
            self._known.pop(id, None)
