"""What is measured side by side: configurations of our server, foreign addresses, peers. Named on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeVar, get_args

from benchmarks.extras import BenchmarkError

Database = Literal["sqlite", "postgresql"]
Auth = Literal["none", "key", "jwt"]
Wire = Literal["grpc", "http"]
DATABASES: tuple[Database, ...] = get_args(Database)
AUTHS: tuple[Auth, ...] = get_args(Auth)
WIRES: tuple[Wire, ...] = get_args(Wire)
Choice = TypeVar("Choice", bound=str)


class Variant(NamedTuple):
    """One configuration. With a `target` or a `peer` nothing is started, and the rest says nothing."""

    name: str
    database: Database = "sqlite"
    auth: Auth = "none"
    wire: Wire = "grpc"
    """How the driver asks it."""
    settings: tuple[tuple[str, str], ...] = ()
    """Settings of `authz serve` by name, as `transport`, `workers`, `index-budget` or `audit.sinks`."""
    target: str = ""
    peer: str = ""

    @property
    def is_bounded(self) -> bool:
        """Whether the server may not be able to hold all tuples."""
        return any(name in {"index-budget", "index_budget", "index.budget"} for name, _ in self.settings)

    @property
    def workers(self) -> int:
        """How many processes serve."""
        return int(dict(self.settings).get("workers", "1"))


def parse_variant(text: str, base: Variant) -> Variant:
    """Read `NAME:key=value,key=value`; what is not named is as in `base`.

    Raises:
        BenchmarkError: it is malformed.

    """
    name, colon, rest = text.partition(":")
    if not colon or not name:
        raise BenchmarkError(f"a variant is `NAME:key=value,…`, got `{text}`")
    found = base._replace(name=name)
    for part in rest.split(",") if rest else ():
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise BenchmarkError(f"variant `{name}`: expected key=value, got `{part}`")
        found = with_setting(found, key, value)
    return found


def with_setting(variant: Variant, key: str, value: str) -> Variant:
    """A variant with one thing changed.

    Raises:
        BenchmarkError: the value is none that the key may have.

    """
    name = key.replace("_", "-")
    if name == "database":
        return variant._replace(database=_one_of(DATABASES, "database", value))
    if name == "auth":
        return variant._replace(auth=_one_of(AUTHS, "authentication", value))
    if name == "wire":
        return variant._replace(wire=_one_of(WIRES, "wire", value))
    if name == "workers" and (not value.isdecimal() or not 1 <= int(value) <= 64):
        raise BenchmarkError(f"workers are a number from 1 to 64, got `{value}`")
    return variant._replace(settings=tuple({**dict(variant.settings), name: value}.items()))


def check_settings(variants: Iterable[Variant]) -> None:
    """Notice settings that `authz serve` does not have before anything is loaded.

    Raises:
        BenchmarkError: there are such.

    """
    from authz.cli.serving import leaves

    known = {_variable(name) for name, _ in leaves()}
    for variant in variants:
        for name, _ in variant.settings:
            if _variable(name) not in known:
                raise BenchmarkError(f"the server has no setting `{name}`")


def _variable(name: str) -> str:
    return name.replace("-", "_").replace(".", "_")


def _one_of(choices: tuple[Choice, ...], what: str, value: str) -> Choice:
    for choice in choices:
        if choice == value:
            return choice
    raise BenchmarkError(f"there is no {what} `{value}`: there are {', '.join(choices)}")


def attached(address: str) -> Variant:
    """A server that somebody else has started.

    Raises:
        BenchmarkError: it is no address.

    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) <= 65_535:
        raise BenchmarkError(f"a target is HOST:PORT, got `{address}`")
    return Variant(f"target {address}", target=address)
