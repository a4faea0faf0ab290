"""Our own server in a process of its own, asked like any other of its interface. Opened by `peer`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.extras import BenchmarkError
from benchmarks.peers.arguments import parse_choices, parse_in_flight
from benchmarks.peers.openfga import OpenFga, in_words
from benchmarks.peers.peer import Failed
from benchmarks.peers.processes import cpu_of
from benchmarks.target.credentials import Credentials
from benchmarks.target.loading import insert
from benchmarks.target.server import start
from benchmarks.workloads.world import ListQuestion, Question, World


class OwnServer:
    """`authz serve` over SQLite, with the choices given as settings."""

    is_server = True
    is_apart = True

    def __init__(self, choices: dict[str, str]) -> None:
        shown = ",".join(f"{name}={value}" for name, value in choices.items())
        self.name = f"authz-server={shown}" if shown else "authz-server"
        self._in_flight = parse_in_flight(choices)
        self._settings = choices
        self.note = (
            f"this project's server over gRPC from this machine, {in_words(self._in_flight)}: the whole service with "
            "audit and limits, authentication off, over SQLite, loaded at once"
            + "".join(f", {name} {value}" for name, value in choices.items())
        )
        self._closing = ExitStack()
        self._process: psutil.Process | None = None
        self._client: OpenFga | None = None

    @classmethod
    def open(cls, argument: str) -> OwnServer:
        """Takes `in_flight=N` and any setting of `authz serve`: `transport=native,workers=2`."""
        first, choices = parse_choices(argument)
        if first:
            raise ValueError(f"`authz-server` takes choices such as workers=2: got `{first}`")
        return cls(choices)

    def load(self, world: World) -> None:
        """Insert the world into a database, and start a server over it."""
        folder = Path(self._closing.enter_context(TemporaryDirectory(prefix="authz-peer-")))
        uri = f"sqlite:///{folder}/peer.db"
        place = insert(world, uri, _ignored)
        server = start(folder, uri, self._settings, Credentials())
        self._closing.callback(server.stop)
        try:
            server.wait_until_ready()
        except BenchmarkError as error:
            raise Failed(str(error)) from error
        self._process = psutil.Process(server.process_id)
        self._client = OpenFga(server.address, self._in_flight, self.name)
        self._closing.callback(self._client.close)
        self._client.use(place)

    def ask(self, questions: Sequence[Question]) -> list[bool]:
        """Check each."""
        return self._asking().ask(questions)

    def list_objects(self, question: ListQuestion) -> set[str]:
        """List."""
        return self._asking().list_objects(question)

    def cpu_seconds(self) -> float | None:
        """What the server and its workers have spent."""
        return cpu_of(self._process) if self._process else 0.0

    def close(self) -> None:
        """End the server and remove its database."""
        try:
            self._closing.close()
        except BenchmarkError as error:
            raise Failed(str(error)) from error

    def _asking(self) -> OpenFga:
        assert self._client is not None
        return self._client


def _ignored(_count: int) -> None:
    """How many tuples are inserted is told when all are."""
