"""pemba, an embedded engine in Rust, by its package. Opened by `peer`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from tempfile import TemporaryDirectory

from authz.model.compile import compile_model
from authz.tuples import RelationshipTuple
from benchmarks.peers.batches import batches_of
from benchmarks.peers.peer import Absent, Failed, Unsupported
from benchmarks.peers.translation import MODEL_ID, Schema, original_id, translate
from benchmarks.workloads.world import ListQuestion, Question, World
from schema_dsl import dsl_to_json

try:
    import pemba
except ImportError as error:
    raise Absent("the package `pemba` is not installed") from error

_PER_WRITE = 1_000
_MAX_DEPTH = 1_000
"""Levels of data that a question may pass; the package's own 50 would refuse deep chains."""
_STORES = {"": "memory", "memory": "memory", "sqlite": "sqlite"}


class Pemba:
    """The engine over its store in memory, or over SQLite."""

    is_server = False
    is_apart = False

    def __init__(self, store: str) -> None:
        self.name = f"pemba={store}"
        kept = "in memory" if store == "memory" else "in a SQLite file, read for every question"
        self.note = f"pemba, an engine in Rust in the asking process, called from Python; tuples {kept}"
        self._closing = ExitStack()
        if store == "memory":
            self._engine = pemba.Engine.memory(max_depth=_MAX_DEPTH)
        else:
            folder = self._closing.enter_context(TemporaryDirectory(prefix="pemba-peer-"))
            self._engine = pemba.Engine.sqlite(f"{folder}/peer.db", max_depth=_MAX_DEPTH)
        self._schema: Schema | None = None

    @classmethod
    def open(cls, argument: str) -> Pemba:
        """Takes `memory` (also when empty) or `sqlite`."""
        if argument not in _STORES:
            raise ValueError(f"`pemba` keeps its tuples in `memory` or `sqlite`, not in `{argument}`")
        return cls(_STORES[argument])

    def load(self, world: World) -> None:
        """Write the schema and the relationships."""
        body = dsl_to_json(world.model)
        if body.get("conditions"):
            raise Unsupported("pemba has no conditions")
        if any(question.contextual for question in world.questions):
            raise Unsupported("pemba has no contextual tuples")
        schema = self._schema = translate(compile_model(MODEL_ID, body), body)
        try:
            self._engine.write_schema(schema.text)
            for batch in batches_of(world.tuples(), _PER_WRITE):
                self._engine.write(touch=[_relationship(schema, tuple_) for tuple_ in batch])
        except pemba.PembaError as error:
            raise Failed(str(error)) from error

    def ask(self, questions: Sequence[Question]) -> list[bool]:
        """Check each. Names are translated beforehand: that is not part of the peer's work."""
        schema = self._loaded()
        asked = [
            (str(schema.object(each.object)), schema.asked_of(each.object, each.relation), str(schema.user(each.user)))
            for each in questions
        ]
        check = self._engine.check
        try:
            return [check(object_, relation, user) for object_, relation, user in asked]
        except pemba.PembaError as error:
            raise Failed(str(error)) from error

    def list_objects(self, question: ListQuestion) -> set[str]:
        """List, page by page."""
        schema = self._loaded()
        type_ = question.object_type
        asked = schema.asked[type_, question.relation]
        try:
            found = self._engine.iter_resources(schema.types[type_], asked, str(schema.user(question.user)))
            return {f"{type_}:{original_id(id_)}" for id_ in found}
        except pemba.PembaError as error:
            raise Failed(str(error)) from error

    def cpu_seconds(self) -> float | None:
        """Nothing runs elsewhere."""
        return 0.0

    def close(self) -> None:
        """Remove the database."""
        self._closing.close()

    def _loaded(self) -> Schema:
        assert self._schema is not None
        return self._schema


def _relationship(schema: Schema, tuple_: RelationshipTuple) -> pemba.Relationship:
    object_, user = schema.object(tuple_.object), schema.user(tuple_.user)
    relation = schema.stored_in(tuple_.object, tuple_.relation)
    return pemba.Relationship(object_.type, object_.id, relation, user.type, user.id, user.relation or None)
