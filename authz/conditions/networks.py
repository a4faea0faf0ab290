"""IP addresses and networks: the CEL type with `ipaddress(…)` and `in_cidr(…)`. Called by types and compile.

An address is a protobuf message, the only kind of foreign value that CEL can bind. The names of its package and field
are keywords of CEL, so no expression can build one or look inside other than through the functions here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from cel_expr_python import cel
from google.protobuf import any_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

ADDRESS_TYPE_NAME = "in.IPAddress"
MALFORMED_ADDRESS = "malformed ip address"
MALFORMED_NETWORK = "malformed cidr"

_FIELD = "in"
_LONGEST_TEXT = 256  # no address or network is longer, zones included
_PREFIX_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}")


class Network(NamedTuple):
    """The addresses of `size` bytes whose bits under `mask` equal `bits`."""

    size: int
    mask: int
    bits: int


def _build_pool() -> DescriptorPool:
    """A pool of our own: expressions see the well-known types and the address, not the messages of the service."""
    pool = DescriptorPool()
    for module in (any_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    package, _, name = ADDRESS_TYPE_NAME.partition(".")
    file = FileDescriptorProto(name="authz/conditions/ipaddress.proto", package=package, syntax="proto3")
    file.message_type.add(name=name).field.add(
        name=_FIELD, number=1, type=FieldDescriptorProto.TYPE_BYTES, label=FieldDescriptorProto.LABEL_OPTIONAL
    )
    pool.AddSerializedFile(file.SerializeToString())
    return pool


DESCRIPTOR_POOL = _build_pool()
_Address = GetMessageClass(DESCRIPTOR_POOL.FindMessageTypeByName(ADDRESS_TYPE_NAME))


@lru_cache(maxsize=4096)
def _address(text: str) -> Message | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    packed = address.packed
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            packed = address.ipv4_mapped.packed
        elif address.scope_id is not None:
            packed += b"%" + address.scope_id.encode("utf-8", "surrogatepass")
    return _Address(**{_FIELD: packed})


def parse_address(text: str) -> Message | None:
    """The address of a string, or None when malformed; IPv4-mapped IPv6 becomes IPv4 (RFC 4291, section 2.5.5.2)."""
    return _address(text) if len(text) <= _LONGEST_TEXT else None


@lru_cache(maxsize=4096)
def _network(text: str) -> Network | None:
    base, slash, length = text.rpartition("/")
    if not slash or "%" in base or not _PREFIX_LENGTH.fullmatch(length):
        return None
    try:
        address = ip_address(base)
    except ValueError:
        return None
    packed, prefix = address.packed, int(length)
    if prefix > len(packed) * 8:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None and prefix >= 96:
        packed, prefix = address.ipv4_mapped.packed, prefix - 96
    host_bits = len(packed) * 8 - prefix
    mask = (1 << len(packed) * 8) - (1 << host_bits)
    return Network(len(packed), mask, int.from_bytes(packed, "big") & mask)


def parse_network(text: str) -> Network | None:
    """The network of an `address/length` string, or None when malformed; host bits may be set."""
    return _network(text) if len(text) <= _LONGEST_TEXT else None


def contains(network: Network, address: Message) -> bool:
    """Whether the network holds the address; one with a zone lies in no network, as in Go's `netip.Prefix.Contains`."""
    packed: bytes = getattr(address, _FIELD)
    return len(packed) == network.size and int.from_bytes(packed, "big") & network.mask == network.bits


# INVARIANT: what these two raise is fixed ASCII text; the library hands it on, and a lone surrogate would crash it.


def _ipaddress_function(text: str) -> Message:
    address = parse_address(text)
    if address is None:
        raise ValueError(MALFORMED_ADDRESS)
    return address


def _in_cidr_function(address: object, cidr: str) -> bool:
    network = parse_network(cidr)
    if network is None:
        raise ValueError(MALFORMED_NETWORK)
    if not isinstance(address, _Address):
        raise TypeError(MALFORMED_ADDRESS)
    return contains(network, address)


ADDRESS_TYPE = cel.Type(ADDRESS_TYPE_NAME)

FUNCTIONS = (
    cel.FunctionDecl(
        "ipaddress",
        [
            cel.Overload(
                "string_to_ipaddress", return_type=ADDRESS_TYPE, parameters=[cel.Type.STRING], impl=_ipaddress_function
            )
        ],
    ),
    cel.FunctionDecl(
        "in_cidr",
        [
            cel.Overload(
                "ipaddress_in_cidr",
                return_type=cel.Type.BOOL,
                parameters=[ADDRESS_TYPE, cel.Type.STRING],
                is_member=True,
                impl=_in_cidr_function,
            )
        ],
    ),
)
