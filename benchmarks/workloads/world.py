"""What a workload is made of: a model, tuples, and questions with known answers. Built by the workloads beside it.

Read by the driver, the peers and the micro-benchmarks. Everything is made from a seed: the same name, size and seed
give the same world, tuple by tuple and question by question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from authz.tuples import JsonValue, RelationshipTuple

NO_CONTEXT: Mapping[str, JsonValue] = MappingProxyType({})


class Question(NamedTuple):
    """A check: does `user` have `relation` to `object`, and the answer. `kind` names its share of the mix."""

    kind: str
    object: str
    relation: str
    user: str
    allowed: bool
    contextual: tuple[RelationshipTuple, ...] = ()
    context: Mapping[str, JsonValue] = NO_CONTEXT


class BatchQuestion(NamedTuple):
    """Checks that are asked in one call."""

    kind: str
    checks: tuple[Question, ...]


class ListQuestion(NamedTuple):
    """Which objects of a type does `user` have `relation` to, and all of them."""

    kind: str
    object_type: str
    relation: str
    user: str
    objects: frozenset[str]


class Toggle(NamedTuple):
    """A tuple that is written and deleted beside the checks; no other question depends on it.

    `question` is answered by `question.allowed` while the tuple is there, and by its opposite while it is not.
    """

    tuple: RelationshipTuple
    question: Question


class World(NamedTuple):
    """One workload at one size."""

    name: str
    seed: int
    sizes: Mapping[str, int]
    """What was asked for and what came of it, by name: `tuples`, `users`, `depth`, …"""
    model: str
    """The authorization model in the modelling language; `schema_dsl.dsl_to_json` gives its JSON form."""
    tuples: Callable[[], Iterable[RelationshipTuple]]
    """Makes the tuples, the same ones in the same order each time; they may be millions."""
    questions: Sequence[Question]
    """Checks in the order of asking, all different."""
    batches: Sequence[BatchQuestion] = ()
    listings: Sequence[ListQuestion] = ()
    toggles: Sequence[Toggle] = ()
