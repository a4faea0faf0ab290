"""How calls travel: one of two ways, asked alike. Used by `client`; `grpc_wire` and `http_wire` are the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from benchmarks.extras import BenchmarkError

CONNECT_SECONDS = 30.0


class Called(NamedTuple):
    """What came back: the answer as protobuf bytes, or the name of a status; and what travelled beside it."""

    answer: bytes = b""
    error: str = ""
    beside: Mapping[str, str] = {}


class Wire(Protocol):
    """Some connections to one server, used in turn."""

    def prepare(self, calls: Iterable[tuple[str, bytes]]) -> None:
        """Do beforehand what the form of these requests (a method, its message) costs, so that it is not measured."""

    async def connect(self) -> None:
        """Return when all are connected; raises OSError or TimeoutError when they are not."""

    async def call(self, method: str, payload: bytes, demand: tuple[str, str] | None = None) -> Called:
        """Call a method, with a further header if one is given."""

    async def close(self) -> None:
        """Let go of the connections."""


def unreachable(address: str) -> BenchmarkError:
    """The error when there is no connection in time."""
    return BenchmarkError(f"no connection to {address} within {CONNECT_SECONDS:g} s")
