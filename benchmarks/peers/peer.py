"""What a peer is: an engine that takes a world and answers its questions. Opened by name, by `worker` and by tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from benchmarks.workloads.world import ListQuestion, Question, World


class Absent(Exception):
    """A peer is not to be had here; the message says what is missing."""


class Unsupported(Exception):
    """A peer has no words for something that a world needs; the message names it."""


class Failed(Exception):
    """A peer gave no answer; the message is its own."""


class Peer(Protocol):
    """An engine that holds one world at a time."""

    name: str
    note: str
    """What of it is measured, in a sentence."""
    is_server: bool
    """Whether it is asked over a network, if only that of this machine."""
    is_apart: bool
    """Whether it answers from another process, whose processor time is then its cost."""

    def load(self, world: World) -> None:
        """Take in the model and all tuples.

        Raises:
            Unsupported: the world needs something that the peer does not have.
            Failed: the peer refuses it.

        """
        ...

    def ask(self, questions: Sequence[Question]) -> list[bool]:
        """Answer checks one after another.

        Raises:
            Failed: the peer gives no answer.

        """
        ...

    def list_objects(self, question: ListQuestion) -> set[str]:
        """The objects that a user has a relation to.

        Raises:
            Failed: the peer gives no answer.

        """
        ...

    def cpu_seconds(self) -> float | None:
        """Processor time spent so far by processes that answer, besides this one; None when they cannot be seen."""
        ...

    def close(self) -> None:
        """End whatever was started, and remove what was written."""
        ...


Opener = Callable[[str], Peer]
"""Opens a peer with its argument, which is what follows `=` in its name."""


def _authz(argument: str) -> Peer:
    from benchmarks.peers.own import OwnService

    return OwnService.open(argument)


def _authz_engine(argument: str) -> Peer:
    from benchmarks.peers.engine import OwnEngine

    return OwnEngine.open(argument)


def _authz_server(argument: str) -> Peer:
    from benchmarks.peers.server import OwnServer

    return OwnServer.open(argument)


def _openfga(argument: str) -> Peer:
    from benchmarks.peers.openfga import OpenFga

    return OpenFga.open(argument)


def _pemba(argument: str) -> Peer:
    from benchmarks.peers.pemba import Pemba

    return Pemba.open(argument)


def _spicedb(argument: str) -> Peer:
    from benchmarks.peers.spicedb import SpiceDb

    return SpiceDb.open(argument)


PEERS: Mapping[str, Opener] = MappingProxyType(
    {
        "authz-engine": _authz_engine,
        "authz": _authz,
        "authz-server": _authz_server,
        "openfga": _openfga,
        "pemba": _pemba,
        "spicedb": _spicedb,
    }
)
"""Every peer by name. Their packages are imported when one is opened: no run needs all of them."""


def open_peer(name: str) -> Peer:
    """Open a peer by its name, with what it needs to be told after a `=`: `openfga=127.0.0.1:8081`, `pemba=sqlite`.

    Raises:
        ValueError: there is no such peer, or its argument is malformed.
        Absent: it is not to be had here.

    """
    kind, _, argument = name.partition("=")
    opener = PEERS.get(kind)
    if opener is None:
        raise ValueError(f"there is no peer `{kind}`: there are {', '.join(PEERS)}")
    return opener(argument)
