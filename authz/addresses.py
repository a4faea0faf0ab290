"""Whether an address is reached from this machine alone. Asked before anything is served or sent in clear text."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback_host(host: str) -> bool:
    """Whether a name or IP address, without brackets, is of this machine alone. Other names are not looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_loopback(address: str) -> bool:
    """The same for HOST:PORT."""
    return is_loopback_host(address.rpartition(":")[0].strip("[]"))
