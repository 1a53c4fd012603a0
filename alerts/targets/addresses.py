"""Where a webhook may go: never to the inside of our own network unless the owner has said so."""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], list[str]]

NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressRefused(ValueError):
    """An address to which nothing is sent; says why, without the address's secrets."""


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, as the system knows them. Raises OSError where there is none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def check_url(url: str, *, allow_insecure_loopback: bool = False) -> SplitResult:
    """The parts of an https URL. Raises AddressRefused for anything else, for user names in it, and for no host."""
    try:
        parts = urlsplit(url)
        named_port = parts.port
    except ValueError:
        raise AddressRefused("a webhook URL has a port between 1 and 65535, and a well-formed host") from None
    if named_port == 0 or not parts.hostname or parts.username is not None or parts.password is not None:
        raise AddressRefused("a webhook URL needs a host, and no user name or password in it")
    if parts.scheme == "https":
        return parts
    if parts.scheme == "http" and allow_insecure_loopback and _is_loopback(parts.hostname):
        return parts
    raise AddressRefused("a webhook URL must begin with https:// (allow_insecure_loopback allows http://127.0.0.1)")


def pinned(host: str, port: int, *, allowed: Sequence[Network], loopback: bool, resolve: Resolve = resolve) -> Address:
    """One address of the host, once every one of them has been found allowed. Raises AddressRefused or OSError."""
    addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in resolve(host, port)]
    if not addresses:
        raise OSError("the host has no address")
    for address in addresses:
        if not _is_allowed(_unwrapped(address), allowed, loopback):
            raise AddressRefused("the webhook's host has an address that is not public; list its network as allowed")
    return addresses[0]


def _is_allowed(address: Address, allowed: Sequence[Network], loopback: bool) -> bool:
    if any(address in network for network in allowed):
        return True
    return (loopback and address.is_loopback) or (address.is_global and not address.is_multicast)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one, where there is one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
