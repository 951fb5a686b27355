"""What an agent's card says (A2A 1.0, section 4.4), and the signature under it (section 8.4).

A card is made from the ``Agent`` resource and the address that others reach the city by; the same two always make the
same card. It says what the agent is for and how to call it; what it thinks with, on whose account and with which tools
is the city's own business, of which callers with a key see the part that helps them (the extended card).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from email.utils import format_datetime

import orjson
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict

from pharos.core.resource import Ref, Resource
from pharos.core.wire import JsonObject
from pharos.gateway.federation.addresses import KEY_SET, PROTOCOL, Reach, path_of
from pharos.gateway.federation.bindings.extensions import declared
from pharos.gateway.federation.cards.canonical import canonical, without_empty
from pharos.gateway.federation.cards.keys import CardKeys
from pharos.runtime.profiles.kinds import AgentSpec

FRESH_SECONDS = 300
"""For which a card may be kept before it is asked for again."""

TEXT, JSON, ANY_TEXT = "text/plain", "application/json", "text/*"
INPUT_MODES = (TEXT, "text/markdown", JSON)

_AGENT = Ref("Agent")


@dataclass(frozen=True, slots=True)
class Served:
    """A card as it is sent."""

    body: bytes
    etag: str
    modified: str


def card_of(agent: Resource[AgentSpec], reach: Reach, *, extended: bool = False) -> pb.AgentCard:
    """The card, not yet signed."""
    spec, metadata = agent.spec, agent.metadata
    description = spec.description or f"The agent {metadata.name}."
    url = f"{reach.base}{path_of(agent)}"
    card = pb.AgentCard(
        name=metadata.name,
        description=description,
        version=str(metadata.revision),
        capabilities=pb.AgentCapabilities(streaming=True, push_notifications=True, extended_agent_card=True),
        default_input_modes=INPUT_MODES,
        default_output_modes=[JSON, TEXT] if spec.output is not None else [TEXT],
    )
    card.supported_interfaces.add(url=url, protocol_binding="JSONRPC", protocol_version=PROTOCOL)
    card.supported_interfaces.add(url=url, protocol_binding="HTTP+JSON", protocol_version=PROTOCOL)
    if reach.grpc:
        tenant = f"{metadata.namespace}/{metadata.name}"
        card.supported_interfaces.add(url=reach.grpc, protocol_binding="GRPC", protocol_version=PROTOCOL, tenant=tenant)
    if reach.organization:
        card.provider.organization, card.provider.url = reach.organization, reach.base
    card.capabilities.extensions.extend(declared())
    card.security_schemes["bearer"].http_auth_security_scheme.scheme = "Bearer"
    card.security_schemes["bearer"].http_auth_security_scheme.description = "A key of the city, or a token it accepts."
    card.security_schemes["apiKey"].api_key_security_scheme.location = "header"
    card.security_schemes["apiKey"].api_key_security_scheme.name = "x-api-key"
    for scheme in ("bearer", "apiKey"):
        card.security_requirements.add().schemes[scheme].SetInParent()
    card.skills.add(id=metadata.name, name=metadata.name, description=description, tags=_tags(agent))
    if extended:
        _extend(card, agent)
    return card


def _extend(card: pb.AgentCard, agent: Resource[AgentSpec]) -> None:
    """What only callers with a key see: the form of the answer, and with whom the agent works."""
    spec = agent.spec
    if spec.output is not None:
        skill = card.skills[0]
        skill.output_modes.append(JSON)
        form = orjson.dumps(spec.output, option=orjson.OPT_SORT_KEYS).decode()
        skill.description = f"{skill.description}\n\nIts answer is an object of this JSON Schema: {form}"
    for name in spec.delegates:
        other = _AGENT.resolve(name, agent.metadata.namespace)
        card.skills.add(
            id=f"delegate-{other.namespace}-{other.name}",
            name=f"{card.name} with {other.name}",
            description=f"May pass work on to the agent {other.namespace}/{other.name}.",
            tags=["delegation"],
        )


def _tags(agent: Resource[AgentSpec]) -> list[str]:
    labels = [f"{name}={value}" if value else name for name, value in sorted(agent.metadata.labels.items())]
    return labels or ["agent"]


def payload_of(card: JsonObject) -> bytes:
    """The bytes that a card's signatures are over. Raises :class:`~.canonical.NotCanonical`."""
    return canonical(without_empty({name: value for name, value in card.items() if name != "signatures"}))


def signed(card: pb.AgentCard, keys: CardKeys, where: str) -> pb.AgentCard:
    """The card with the city's signature; ``where`` is the URL of its key set."""
    protected, signature = keys.sign(payload_of(MessageToDict(card)), where)
    card.signatures.add(protected=protected, signature=signature)
    return card


class Cards:
    """The cards of the city's agents, signed once for each revision and address."""

    MOST = 10_000

    def __init__(self, keys: CardKeys) -> None:
        self.keys = keys
        self._made: dict[tuple[object, ...], tuple[pb.AgentCard, Served]] = {}

    def card(self, agent: Resource[AgentSpec], reach: Reach, *, extended: bool = False) -> pb.AgentCard:
        """The signed card."""
        return self._signed(agent, reach, extended)[0]

    def document(self, agent: Resource[AgentSpec], reach: Reach) -> JsonObject:
        """The signed card as JSON."""
        document: JsonObject = MessageToDict(self.card(agent, reach))
        return document

    def served(self, agent: Resource[AgentSpec], reach: Reach) -> Served:
        """The signed public card with what caches ask."""
        return self._signed(agent, reach, extended=False)[1]

    def _signed(self, agent: Resource[AgentSpec], reach: Reach, extended: bool) -> tuple[pb.AgentCard, Served]:
        metadata = agent.metadata
        key = (metadata.uid, metadata.revision, reach, extended, self.keys.active)
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= self.MOST:
                self._made.pop(next(iter(self._made)))
            card = card_of(agent, reach, extended=extended)
            tag = hashlib.sha256(payload_of(MessageToDict(card)) + self.keys.active.encode()).hexdigest()[:32]
            signed(card, self.keys, f"{reach.base}{KEY_SET}")
            modified = format_datetime(metadata.updated_at, usegmt=True) if metadata.updated_at is not None else ""
            made = self._made[key] = card, Served(orjson.dumps(MessageToDict(card)), f'"{tag}"', modified)
        return made
