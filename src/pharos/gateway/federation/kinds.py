"""The kinds of federation: how this city is reached by agents elsewhere, and which agents elsewhere it reaches."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints

from pharos.core.fault import FORBIDDEN, Fault
from pharos.core.principal import Principal
from pharos.core.resource import Kind, Ref, Resource, Spec
from pharos.core.wire import JsonObject, Wire
from pharos.trust.issuers.keys import UnusableKeys, public_keys

MANAGE = "federation.manage"
"""Permission to say under which address the city's cards are signed, and into which networks it sends notifications."""

ENTRUST = "providers.entrust"
"""Permission to say which secret is sent where, as for providers of models."""

THE = "default"
"""Name (and namespace) of the one ``Federation`` that counts."""

Url = Annotated[str, StringConstraints(min_length=8, max_length=2048)]
Binding = Literal["JSONRPC", "HTTP+JSON"]
Network = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class GrpcDoor(Wire):
    """Where the gRPC binding listens: it needs HTTP/2, so it has a port of its own. It has TLS where the city has."""

    host: Annotated[str, StringConstraints(min_length=1, max_length=255)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)]
    """0 takes any free one; it is in the cards."""
    url: Annotated[str, StringConstraints(min_length=3, max_length=2048)] | None = None
    """``host:port`` that cards name, where a proxy (which also ends TLS) stands in front; left out: where it is."""


class Push(Wire):
    """Where notifications may go."""

    allow: Annotated[list[Network], Field(max_length=64)] = Field(default_factory=list)
    """Networks (CIDR) beside the public Internet, such as ``10.1.0.0/16``. Left out: none."""
    attempts: Annotated[int, Field(ge=1, le=50)] = 8
    """How often a notification is tried, with growing pauses, before it is put aside."""


class FederationSpec(Spec):
    """How agents elsewhere reach this city's."""

    url: Url | None = None
    """What cards say the city is reached by, such as ``https://agents.example``. Left out: its own address, or the one
    that a request came to, which serves this machine alone."""
    agent: Annotated[str, Ref("Agent")] | None = None
    """Whose card stands at the root's well-known path. Left out: that of the only agent, where there is but one."""
    organization: Annotated[str, Field(max_length=200)] = ""
    """Who provides the agents, for their cards."""
    grpc: GrpcDoor | None = None
    """The gRPC binding; left out: there is none."""
    push: Push = Field(default_factory=Push)


class Pin(Wire):
    """Which keys a remote agent's card must be signed with."""

    keys: JsonObject
    """A JSON Web Key Set (RFC 7517) of public keys, as it was handed over by the agent's owner."""


class RemoteAgentSpec(Spec):
    """An agent elsewhere, reached over A2A."""

    card: Url
    """Its card, such as ``https://agents.example/a2a/default/helper/.well-known/agent-card.json``."""
    description: Annotated[str, Field(max_length=4_000)] = ""
    """What it is good for, for agents that may delegate to it; left out: as its card says."""
    credential: Annotated[str, Ref("Secret")] | None = None
    """What it is sent as ``Authorization: Bearer``."""
    pin: Pin | None = None
    """The card must be signed with one of these keys. Left out: with one of those that the card's own host publishes
    now, so that a key that is revoked there counts no more."""
    unsigned: bool = False
    """Take a card without a signature: whoever answers under its address is believed."""
    hosts: Annotated[list[Annotated[str, StringConstraints(max_length=255)]], Field(max_length=16)] = Field(
        default_factory=list
    )
    """Hosts, as ``name`` or ``name:port``, beside the card's own to which its interfaces may lead."""
    networks: Annotated[list[Network], Field(max_length=16)] = Field(default_factory=list)
    """Networks (CIDR) beside the public Internet in which it may be. Left out: none."""
    bindings: Annotated[list[Binding], Field(min_length=1, max_length=2)] = Field(
        default_factory=lambda: list[Binding](("JSONRPC", "HTTP+JSON"))
    )
    """Which interfaces of the card may be used; the card's order decides."""
    seconds: Annotated[float, Field(gt=0, le=3_600)] = 60
    """Most that one request may take. The task itself may take longer."""


def check_federation(spec: FederationSpec) -> Sequence[tuple[str, str]]:
    """What the types of the spec cannot say."""
    problems = []
    if spec.url is not None and (wrong := url_problem(spec.url)):
        problems.append(("/url", wrong))
    return [*problems, *network_problems(spec.push.allow, "/push/allow")]


def check_remote(spec: RemoteAgentSpec) -> Sequence[tuple[str, str]]:
    """What the types of the spec cannot say."""
    problems = list(network_problems(spec.networks, "/networks"))
    if wrong := url_problem(spec.card):
        problems.append(("/card", wrong))
    if spec.pin is not None:
        try:
            public_keys(spec.pin.keys)
        except UnusableKeys as error:
            problems.append(("/pin/keys", str(error)))
        if spec.unsigned:
            problems.append(("/unsigned", "a card that must be signed with a pinned key cannot go unsigned"))
    return problems


def url_problem(text: str) -> str:
    """Why ``text`` is no URL that may be used; empty if it is one. Plain http is for loopback and networks that a
    resource names: that is judged when the address is known."""
    try:
        url = urlsplit(text)
        good = url.scheme in ("https", "http") and bool(url.hostname) and url.username is None and url.port != 0
    except ValueError:
        good = False
    if good and text.isascii() and text.isprintable() and " " not in text and "#" not in text:
        return ""
    return "must be an http or https URL without credentials and fragment"


def network_problems(networks: Sequence[str], at: str) -> Sequence[tuple[str, str]]:
    """Places of texts that are no networks."""
    problems = []
    for index, text in enumerate(networks):
        try:
            ipaddress.ip_network(text)
        except ValueError:
            problems.append((f"{at}/{index}", f"{text!r} is not a network such as 10.1.0.0/16 or 127.0.0.1/32"))
    return problems


def _only_one(resource: Resource[FederationSpec], find: object) -> Sequence[tuple[str, str]]:
    """A second one would say things that nobody heeds."""
    metadata = resource.metadata
    if (metadata.namespace, metadata.name) == (THE, THE):
        return ()
    return [("", f"only the Federation {THE} in the namespace {THE} counts; give it this name")]


def _guard_federation(
    principal: Principal, before: Resource[FederationSpec] | None, after: Resource[FederationSpec] | None
) -> Fault | None:
    """Cards are signed for the address that stands here, and notifications go where it allows."""
    if principal.may(MANAGE) or (before is not None and after is not None and before.spec == after.spec):
        return None
    resource = after or before
    return FORBIDDEN(
        f"How others reach the city is declared with the permission {MANAGE}.",
        rule="federation/manage",
        subject=None if resource is None else str(resource.id),
        required_permission=MANAGE,
    )


def _guard_remote(
    principal: Principal, before: Resource[RemoteAgentSpec] | None, after: Resource[RemoteAgentSpec] | None
) -> Fault | None:
    """Which secret goes to which address, and which networks are reached, is decided by who holds :data:`ENTRUST`."""
    if after is None or principal.may(ENTRUST):
        return None
    if before is not None and _entrusted(before.spec) == _entrusted(after.spec):
        return None
    if after.spec.credential is None and not after.spec.networks:
        return None
    return FORBIDDEN(
        f"A remote agent is given a secret, another address or a network with the permission {ENTRUST}.",
        rule="federation/entrust",
        subject=str(after.id),
        pointer="/spec/credential",
        required_permission=ENTRUST,
    )


def _entrusted(spec: RemoteAgentSpec) -> tuple[object, ...]:
    return spec.card, spec.credential, spec.pin, spec.unsigned, spec.hosts, spec.networks


FEDERATION: Kind[FederationSpec] = Kind(
    name="Federation",
    spec=FederationSpec,
    summary="How agents elsewhere reach this city's over A2A: the address in their cards, gRPC, notifications.",
    check=check_federation,
    joined=_only_one,
    guard=_guard_federation,
)

REMOTE_AGENT: Kind[RemoteAgentSpec] = Kind(
    name="RemoteAgent",
    spec=RemoteAgentSpec,
    summary="An agent elsewhere, reached over A2A: its card, whose signature counts, and the credential it is sent.",
    check=check_remote,
    guard=_guard_remote,
)

KINDS = (FEDERATION, REMOTE_AGENT)
