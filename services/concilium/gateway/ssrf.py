"""Where a callback may go: public addresses, and private ones only when the owner listed them.

A URL is checked twice: when a task is submitted and when the callback is delivered. At delivery the resolver itself is
the guard: the name is resolved once, every address is judged, and the connection goes to a judged address, so a name
that changes its mind between check and use (DNS rebinding) reaches nothing.

Special-purpose addresses follow the IANA registries for IPv4 and IPv6.
"""

import asyncio
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from concilium.contracts.errors import Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

RESOLVE_TIMEOUT_S = 5.0
_HOSTNAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label like this makes a host an IPv4 address for lenient parsers (WHATWG URL, "ends in a number")."""

_REFUSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_GLOBAL_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)


class CallbackRefused(Invalid):
    type, title = "callback-refused", "The callback URL cannot be used"


@dataclass(frozen=True, slots=True)
class Target:
    """A callback URL taken apart and put together again in one spelling."""

    scheme: str
    host: str
    """A lower-case ASCII host name, or an IP address without brackets."""
    port: int
    path: str
    """Path and query, byte for byte as given; only what is not ASCII is percent-encoded."""
    address: Address | None
    """Set when the host is an address literal."""

    @property
    def url(self) -> URL:
        """The canonical URL to connect to."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return URL(f"{self.scheme}://{host}:{self.port}{self.path}", encoded=True)


class Guard:
    """Judges callback targets by an allow-list of networks and of ``host:port`` pairs, with or without a path.

    ``host:port/path/`` permits only what lies below that path, so that a program with more than one door (n8n) can be
    called back without opening the others.
    """

    def __init__(self, allow: Sequence[str]) -> None:
        self._networks: list[Network] = []
        self._pairs: dict[tuple[str, int], list[str]] = {}
        for entry in allow:
            self._add(entry)

    def _add(self, entry: str) -> None:
        try:
            self._networks.append(ip_network(entry))
            return
        except ValueError:
            place, slash, path = entry.partition("/")
            host, _, port = place.rpartition(":")
        if not host or not port.isascii() or not port.isdigit():
            raise Invalid(
                f"callbacks.allow: '{entry}' is neither a network (10.0.0.0/8) nor host:port (localhost:5678), "
                "with or without the beginning of a path (localhost:5678/webhook-waiting/)"
            )
        self._pairs.setdefault((host.strip("[]").lower(), int(port)), []).append(slash + path)

    def allows(self, host: str, port: int, address: Address, path: str | None = None) -> bool:
        """Whether a connection to ``address`` under that host and port is permitted.

        ``path`` is what is asked for there; None when it was judged before, as at the time of connecting.
        """
        prefixes = self._pairs.get((host, port), [])
        return (
            is_public(address)
            or any(path is None or _below(path, prefix) for prefix in prefixes)
            or any(address.version == net.version and address in net for net in self._networks)
        )

    async def check(self, url: str) -> Target:
        """Return the target of a callback URL whose every address may be reached.

        Raises:
            CallbackRefused: the URL is malformed or not http(s), or its host has no address or one that is refused.
        """
        target = parse(url)
        addresses = [target.address] if target.address else await lookup(target.host, target.port)
        self.judge(target.host, target.port, addresses, target.path)
        return target

    def judge(self, host: str, port: int, addresses: Sequence[Address], path: str | None = None) -> None:
        """Raise `CallbackRefused` unless every address is permitted; a name with one bad address is refused whole."""
        for address in addresses:
            if not self.allows(host, port, address, path):
                raise CallbackRefused(
                    f"callback host {host} is at {address}, which is not a public address; "
                    f"the owner can list it in callbacks.allow (as a network or as {host}:{port})"
                )


class GuardedResolver(AbstractResolver):
    """aiohttp's resolver that hands out judged addresses alone: what was checked is what is connected to."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - the interface's; both families are judged
    ) -> list[ResolveResult]:
        """Resolve and judge. Raises `CallbackRefused`."""
        addresses = await lookup(host, port)
        self._guard.judge(host, port, addresses)
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held open."""


async def lookup(host: str, port: int) -> list[Address]:
    """Return the addresses of a host name. Raises `CallbackRefused` when there is none."""
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise CallbackRefused(f"callback host {host} cannot be resolved") from error
    # dict: the resolver's order of preference without repetitions; a zone ("%eth0") is never public.
    return [ip_address(text) for text in dict.fromkeys(str(entry[4][0]) for entry in found)]


def is_public(address: Address) -> bool:
    """Whether an address is globally reachable unicast that embeds no other address."""
    if isinstance(address, IPv4Address):
        return not any(address in net for net in _REFUSED_V4)
    return address in _GLOBAL_V6 and not any(address in net for net in _REFUSED_V6)


def parse(url: str) -> Target:
    """Return the target of a URL in one spelling. Raises `CallbackRefused` for what a lenient parser might misread."""
    if not url.isprintable() or any(char in url for char in ' \\"<>^`{|}'):
        raise CallbackRefused("the callback URL holds a character that a URL cannot hold; percent-encode it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise CallbackRefused(f"the callback URL is malformed: {error}") from error
    if parts.scheme not in ("http", "https"):
        raise CallbackRefused("the callback URL must start with http:// or https://")
    if "@" in parts.netloc:
        raise CallbackRefused("the callback URL must not hold a user name or password; use a token in its query")
    if port == 0:
        raise CallbackRefused("port 0 cannot be reached")
    host, address = _host(parts.hostname or "")
    return Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), _path(url), address)


def _host(raw: str) -> tuple[str, Address | None]:
    if ":" in raw:
        try:
            v6 = IPv6Address(raw.replace("%", "/"))  # a zone ("fe80::1%eth0") names a link here: never a public place
        except ValueError as error:
            raise CallbackRefused(f"'{raw}' is not an IPv6 address") from error
        return str(v6), v6
    host = _ascii(raw).removesuffix(".")
    if not _HOSTNAME.fullmatch(host) or len(host) > 253:
        raise CallbackRefused("the callback URL has no usable host name")
    if not _NUMERIC.fullmatch(host.rsplit(".", 1)[-1]):
        return host, None
    try:
        v4 = IPv4Address(host)
    except ValueError as error:
        raise CallbackRefused(f"'{host}' is not an address in plain dotted form (like 203.0.113.7)") from error
    return str(v4), v4


def _ascii(host: str) -> str:
    if host.isascii():
        return host.lower()
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise CallbackRefused(f"'{host}' is not a host name") from error


def _path(url: str) -> str:
    rest = url.partition("://")[2]
    path = rest[len(re.split(r"[/?#]", rest, maxsplit=1)[0]) :].partition("#")[0]
    return quote(path if path.startswith("/") else f"/{path}", safe="%/?:@!$&'()*+,;=~[]")


def _below(path: str, prefix: str) -> bool:
    """Whether a path lies below another, read literally: nothing that a receiver might resolve to a place beside it."""
    plain = path.partition("?")[0]
    return not prefix or (plain.startswith(prefix) and "%" not in plain and ".." not in plain)


def redacted(url: str) -> str:
    """Return the URL for logs: without credentials, query and fragment, where tokens live."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" + ("?…" if parts.query else "")
    except ValueError:
        return "(malformed URL)"
