"""Bring what is to be measured into the state in which it is measured: loaded, started, warm. Used by `run`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from authz._proto.openfga.v1.openfga_service_pb2 import CheckResponse
from benchmarks.driver.items import SERVICE, Place, check_item
from benchmarks.extras import BenchmarkError
from benchmarks.target.credentials import Credentials, credentials
from benchmarks.target.databases import Databases
from benchmarks.target.loading import BULK_FROM, delete_store, insert, load_over_wire
from benchmarks.target.server import Server, start
from benchmarks.target.usage import Family
from benchmarks.target.variant import Database, Variant
from benchmarks.workloads.world import World

FIRST_ANSWER_SECONDS = 600.0
_FIRST_CALL_SECONDS = 60.0
LEVEL_SECONDS = 600.0
_LOOK_SECONDS = 0.05

Tell = Callable[[str], None]


class Start(NamedTuple):
    """How long it took until questions were answered."""

    loaded: str
    """The way in which the tuples came in: `write api`, `insert` or `attached, write api`."""
    load_seconds: float
    ready_seconds: float | None = None
    """From the start of the process until it said that it is ready."""
    answer_seconds: float | None = None
    """From then until the first right answer."""
    level_seconds: float | None = None
    """From when it was ready until all of its processes had all tuples in memory; None if they may not have them."""


class Opened(NamedTuple):
    """Something that answers a world's questions."""

    variant: Variant
    address: str
    place: Place
    token: str
    start: Start
    server: Family | None
    database: Family | None


class Seeded(NamedTuple):
    """A database that holds a world, to be copied."""

    uri: str
    place: Place
    loaded: str
    seconds: float


class Opener:
    """Opens variants for one world after the other; keeps one loaded database of each kind."""

    def __init__(self, folder: Path, databases: Databases, world: World, tell: Tell) -> None:
        self._folder = folder
        self._databases = databases
        self._world = world
        self._tell = tell
        self._seeded: dict[Database, Seeded] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, *raised: object) -> None:
        self._closing.close()

    def open(self, variant: Variant) -> Opened:
        """Load and start, or attach.

        Raises:
            BenchmarkError: it cannot be loaded, does not start, or answers wrongly.

        """
        return self._attach(variant) if variant.target else self._serve(variant)

    def _attach(self, variant: Variant) -> Opened:
        begun = time.monotonic()
        place = load_over_wire(self._world, variant.target, "", self._counting(f"loading {variant.name}"))
        self._closing.callback(delete_store, variant.target, "", place)
        seconds = time.monotonic() - begun
        answered = _until_answered(self._world, variant.target, place, "")
        beginning = Start("attached, write api", seconds, None, answered)
        return Opened(variant, variant.target, place, "", beginning, None, None)

    def _serve(self, variant: Variant) -> Opened:
        proof = credentials(variant.auth, self._folder)
        seeded = self._seeded.get(variant.database) or self._seed(variant.database)
        uri = self._databases.copy(seeded.uri)
        self._closing.callback(self._databases.drop, uri)
        self._tell(f"starting {variant.name}")
        server = start(self._folder, uri, dict(variant.settings), proof)
        self._closing.callback(server.stop)
        server.wait_until_ready()
        answered = _until_answered(self._world, server.address, seeded.place, proof.token)
        level = None if variant.is_bounded else self._until_level(server, seeded.place, proof.token)
        beginning = Start(seeded.loaded, seeded.seconds, server.ready_seconds, answered, level)
        database = self._databases.process_id if variant.database == "postgresql" else None
        return Opened(
            variant,
            server.http_address if variant.wire == "http" else server.address,
            seeded.place,
            proof.token,
            beginning,
            Family(server.process_id),
            Family(database) if database else None,
        )

    def _until_level(self, server: Server, place: Place, token: str) -> float:
        """Seconds until no process of a server has anything left to load; each begins when it is first asked."""
        begun = time.monotonic() - server.seconds_ready
        while not server.is_level():
            if time.monotonic() - begun > LEVEL_SECONDS:
                raise BenchmarkError(f"the server did not load the store within {LEVEL_SECONDS:g} s")
            time.sleep(_LOOK_SECONDS)
            _until_answered(self._world, server.address, place, token)
        return time.monotonic() - begun

    def _seed(self, kind: Database) -> Seeded:
        uri = self._databases.create(kind)
        self._closing.callback(self._databases.drop, uri)
        begun, tell = time.monotonic(), self._counting(f"loading {kind}")
        if self._world.sizes["tuples"] >= BULK_FROM:
            place, loaded = insert(self._world, uri, tell), "insert"
        else:
            place, loaded = self._write(uri, tell), "write api"
        found = self._seeded[kind] = Seeded(uri, place, loaded, time.monotonic() - begun)
        return found

    def _write(self, uri: str, tell: Callable[[int], None]) -> Place:
        from authz.store.sql import migrate_datastore

        migrate_datastore(uri)
        server = start(self._folder, uri, {}, Credentials())
        try:
            server.wait_until_ready()
            return load_over_wire(self._world, server.address, "", tell)
        finally:
            server.stop()

    def _counting(self, what: str) -> Callable[[int], None]:
        whole = self._world.sizes["tuples"]
        return lambda count: self._tell(f"{what}: {count:,} of {whole:,} tuples")


def _until_answered(world: World, address: str, place: Place, token: str) -> float:
    """Seconds until the first question that is allowed is answered so; refusals for want of time are asked again."""
    question = next((each for each in world.questions if each.allowed), world.questions[0])
    payload = check_item(question, place).payload
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    begun = time.monotonic()
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        ask: Any = channel.unary_unary(f"{SERVICE}Check")
        while True:
            try:
                answer = ask(payload, timeout=_FIRST_CALL_SECONDS, metadata=metadata, wait_for_ready=True)
                break
            except grpc.RpcError as error:
                _give_up(error, begun)
                time.sleep(0.02)
    if CheckResponse.FromString(answer).allowed is not question.allowed:
        raise BenchmarkError(f"the first answer of {address} is wrong: `{question.object}#{question.relation}`")
    return time.monotonic() - begun


def _give_up(error: grpc.RpcError, begun: float) -> None:
    code = error.code() if isinstance(error, grpc.Call) else None
    is_passing = code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
    if not is_passing or time.monotonic() - begun > FIRST_ANSWER_SECONDS:
        details = error.details() if isinstance(error, grpc.Call) else error
        raise BenchmarkError(f"the first question was not answered: {code.name if code else ''}: {details}") from None
