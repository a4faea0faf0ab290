"""Random models, tuples and questions, answered by another engine of the same language: ours agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.client import Question, Refused
from tests.conformance.data import files, load_json, needs_data, with_ids
from tests.conformance.judge import Judge
from tests.conformance.stages import confirm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _pytest.mark import ParameterSet

    from tests.conformance.client import Json, RemoteStore
    from tests.conformance.conftest import NewStore

pytestmark = needs_data

_UNSURE = frozenset({"divergent", "list-error", "check-error"})
"""Flags of questions that the other engine does not answer reliably."""


def _cases() -> list[ParameterSet]:
    return with_ids((file.stem, file) for file in files("fuzz/*.json"))


@pytest.mark.parametrize("file", _cases())
@pytest.mark.parametrize("mode", ["written", "contextual"])
def test_case(file: Any, mode: str, new_store: NewStore) -> None:
    """Every question is answered alike, whether the tuples are written or come along."""
    case = load_json(file)
    store = new_store()
    store.write_model(case["dsl"])
    extra: list[Json] = []
    if mode == "written":
        store.write(case["tuples"])
    else:
        extra = case["tuples"]
    judge = Judge(f"fuzz/{file.stem}")
    for number, query in enumerate(case["queries"]):
        _ask(store, judge, number, query, Question(extra, query.get("context")))
    _ask_as_batch(store, judge, case["queries"], extra)
    judge.verdict()


def _ask(store: RemoteStore, judge: Judge, number: int, query: Json, asked: Question) -> None:
    relation = query["relation"]
    label = f"{number} {query['kind']} {' '.join(_words(query))}"
    match query["kind"]:
        case "check":
            _compare(judge, label, query, store.check(query, asked))
        case "list_objects":
            request = {"user": query["user"], "relation": relation, "type": query["type"]}
            found = store.list_objects(request, asked)
            _compare(judge, label, query, found)
            judge.same(f"{label}, streamed", found, store.streamed_list_objects(request, asked))
            keys = [{**request, "object": name} for name in ([] if isinstance(found, Refused) else found)]
            confirm(store, judge, label, keys, asked)
        case "list_users":
            (filter_,) = query["filters"]
            found = store.list_users(query["object"], relation, filter_, asked)
            _compare(judge, label, query, found)
            users = [] if isinstance(found, Refused) else found
            keys = [{"user": name, "relation": relation, "object": query["object"]} for name in users]
            confirm(store, judge, label, keys, asked)


def _ask_as_batch(store: RemoteStore, judge: Judge, queries: Sequence[Json], extra: Sequence[Json]) -> None:
    checks = [(number, query) for number, query in enumerate(queries) if query["kind"] == "check"]
    asked = [Question(extra, query.get("context")) for _, query in checks]
    answers = store.batch_check([query for _, query in checks], asked)
    for (number, query), answer in zip(checks, answers, strict=True):
        _compare(judge, f"{number} batch check {' '.join(_words(query))}", query, answer)


def _words(query: Json) -> list[str]:
    return [str(query[name]) for name in ("user", "relation", "object", "type", "filters") if name in query]


def _compare(judge: Judge, label: str, query: Json, answer: object) -> None:
    expected = query["answer"]
    if _UNSURE & set(query.get("flags") or ()):
        judge.healthy(label, answer)
    elif "ok" in expected:
        judge.same(label, expected["ok"], answer)
    else:
        judge.refused(label, expected["code"], answer)
