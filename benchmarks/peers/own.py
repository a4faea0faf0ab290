"""Our own service in this process, without its edge: the commands, over SQLite. Opened by `peer`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from tempfile import TemporaryDirectory

import uvloop

from authz.app.services import build_services, open_migrated
from authz.call import Call
from authz.commands.check import CheckQuery, check
from authz.commands.list_objects import ListObjectsQuery, list_objects
from authz.commands.services import Services
from authz.errors import AuthzError
from authz.logs import configure_logs
from authz.settings import load_settings
from benchmarks.driver.items import Place
from benchmarks.peers.peer import Failed
from benchmarks.target.loading import insert
from benchmarks.workloads.world import ListQuestion, Question, World

_LONG = 600.0
"""Seconds that a list may take, so that none is cut short."""


class OwnService:
    """The commands that the servicers call."""

    name = "authz"
    is_server = False
    is_apart = False
    note = (
        "this project in the asking process: names checked against the model, revision chosen, engine over the index "
        "in memory, SQLite behind it, loaded at once; no transport, no edge"
    )

    def __init__(self) -> None:
        configure_logs("json", "warning")
        self._closing = ExitStack()
        folder = self._closing.enter_context(TemporaryDirectory(prefix="authz-peer-"))
        self._uri = f"sqlite:///{folder}/peer.db"
        self._runner = self._closing.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        self._services: Services | None = None
        self._place = Place("", "")

    @classmethod
    def open(cls, argument: str) -> OwnService:
        """Takes no argument."""
        if argument:
            raise ValueError(f"`{cls.name}` takes no argument, got `{argument}`")
        return cls()

    def load(self, world: World) -> None:
        """Insert the world, and build the service over it."""
        self._place = insert(world, self._uri, _ignored)
        self._runner.run(self._build())

    async def _build(self) -> None:
        chosen = {"datastore_uri": self._uri, "list_objects_max_results": 0, "list_objects_deadline": _LONG}
        settings = load_settings(chosen)
        datastore = await asyncio.to_thread(open_migrated, settings)
        self._closing.callback(lambda: self._runner.run(datastore.close()))
        self._services = await build_services(settings, datastore)

    def ask(self, questions: Sequence[Question]) -> list[bool]:
        """Check each, in one task of the event loop."""
        try:
            return self._runner.run(self._ask(questions))
        except AuthzError as error:
            raise Failed(error.message) from error

    async def _ask(self, questions: Sequence[Question]) -> list[bool]:
        services, call, (store, model) = self._built(), Call(), self._place
        answers = []
        for _, object_, relation, user, _, contextual, context in questions:
            query = CheckQuery(store, model, object_, relation, user, contextual, context)
            answers.append((await check(services, call, query)).allowed)
        return answers

    def list_objects(self, question: ListQuestion) -> set[str]:
        """List."""
        query = ListObjectsQuery(*self._place, question.object_type, question.relation, question.user)
        try:
            return set(self._runner.run(list_objects(self._built(), Call(), query)).objects)
        except AuthzError as error:
            raise Failed(error.message) from error

    def cpu_seconds(self) -> float | None:
        """Nothing runs elsewhere."""
        return 0.0

    def close(self) -> None:
        """Close the database and remove it."""
        self._closing.close()

    def _built(self) -> Services:
        assert self._services is not None
        return self._services


def _ignored(_count: int) -> None:
    """How many tuples are inserted is told when all are."""
