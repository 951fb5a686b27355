"""Where the city itself sends requests to on somebody else's word: public addresses, and networks it was allowed.

A name is resolved once; all its addresses must be allowed, and the connection goes to one of those, so that a name that
leads elsewhere a moment later leads nowhere (DNS rebinding). Redirects are answers like any other and are not followed;
proxies of the environment are not asked, for they would resolve the name themselves.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from pharos.gateway.federation.faults import DESTINATION_FORBIDDEN, REMOTE_UNREACHABLE

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host. Raises ``OSError``."""

RESOLVE_SECONDS = 5.0

_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


async def resolved(host: str, port: int) -> Sequence[str]:
    """As the system resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def embedded(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 address stands for, where it stands for one; else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def public(address: IpAddress) -> bool:
    """Whether it is a unicast address of the public Internet."""
    # Tunnels lead to who knows whom; 6to4 is given up (RFC 7526).
    if isinstance(address, ipaddress.IPv6Address) and (
        address.is_site_local or address.teredo is not None or address.sixtofour is not None
    ):
        return False
    real = embedded(address)
    return real.is_global and not (real.is_multicast or real.is_reserved or real.is_unspecified or real.is_loopback)


@dataclass(frozen=True, slots=True)
class Destinations:
    """What may be reached. ``allowed`` are networks beside the public Internet."""

    allowed: tuple[Network, ...] = ()
    resolve: Resolve = resolved

    @classmethod
    def of(cls, networks: Sequence[str], resolve: Resolve = resolved) -> Destinations:
        """From the networks a resource names."""
        return cls(tuple(ipaddress.ip_network(text) for text in networks), resolve)

    def permits(self, text: str) -> bool:
        """Whether an address may be connected to."""
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False
        return public(address) or any(embedded(address) in network for network in self.allowed)

    async def address(self, url: str) -> str:
        """The address to connect to for a URL. Raises ``DESTINATION_FORBIDDEN``, ``REMOTE_UNREACHABLE``.

        Plain http is for allowed networks: over the Internet nobody reads along.
        """
        try:
            httpx.URL(url).host  # noqa: B018 - what the client cannot ask is told to who names it
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except (ValueError, httpx.InvalidURL):
            host, port = None, None
        if host is None or parts.scheme not in ("http", "https") or parts.username is not None:
            raise DESTINATION_FORBIDDEN("The URL must be an http or https URL without credentials.")
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self.resolve(host, port or (443 if parts.scheme == "https" else 80))
        except (OSError, UnicodeError, TimeoutError):
            raise REMOTE_UNREACHABLE(f"The name {host[:255]} cannot be resolved.") from None
        if not found or not all(self.permits(address) for address in found):
            raise DESTINATION_FORBIDDEN(f"{host[:255]} is not an address of the public Internet.")
        if parts.scheme == "http" and any(public(ipaddress.ip_address(a.partition("%")[0])) for a in found):
            raise DESTINATION_FORBIDDEN(f"{host[:255]} is reached over https alone.")
        return found[0]


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to the address that was checked, under the name that was asked for (``Host``, TLS).

    Each request has a connection of its own: a pool would hand one that was opened under another name to a host that
    shares its address.
    """

    def __init__(self, destinations: Callable[[], Destinations]) -> None:
        self._destinations = destinations
        self._inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See :class:`httpx.AsyncBaseTransport`. Raises ``DESTINATION_FORBIDDEN``, ``REMOTE_UNREACHABLE``."""
        address = await self._destinations().address(str(request.url))
        host = request.url.host
        request.headers.setdefault("host", request.url.netloc.decode("ascii"))
        request.url = request.url.copy_with(host=address)
        request.extensions = {**request.extensions, "sni_hostname": host}
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()


def guarded_client(destinations: Callable[[], Destinations], seconds: float) -> httpx.AsyncClient:
    """An HTTP client that goes nowhere else. ``seconds`` bounds each of connecting, writing and reading."""
    return httpx.AsyncClient(
        transport=GuardedTransport(destinations), timeout=seconds, follow_redirects=False, trust_env=False
    )
