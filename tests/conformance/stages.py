"""Run the stages of a query test against a store of a real server. Used by test_queries.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.client import Json, Listed, Question, Refused
from tests.conformance.judge import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.client import RemoteStore
    from tests.conformance.judge import Judge

MOST_CONTEXTUAL_TUPLES = 100


def run_stage(store: RemoteStore, judge: Judge, number: int, stage: Json, extra: Sequence[Json] = ()) -> None:
    """Ask everything that a stage asserts; `extra` tuples go along with each question."""
    checks = stage.get("checkAssertions") or []
    answers = []
    for position, assertion in enumerate(checks):
        answer = store.check(assertion["tuple"], _asked(assertion, extra))
        answers.append(answer)
        label = f"stage {number} check {position}: {_name(assertion['tuple'])}"
        _judge(judge, label, assertion, answer, nothing=False)
    asked = [_asked(assertion, extra) for assertion in checks]
    judge.same(
        f"stage {number} batch check",
        [f"{position} {shown(answer)}" for position, answer in enumerate(answers)],
        [f"{position} {shown(answer)}" for position, answer in enumerate(_batch(store, checks, asked))],
    )
    for position, assertion in enumerate(stage.get("listObjectsAssertions") or []):
        _list_objects(store, judge, f"stage {number} list objects {position}", assertion, _asked(assertion, extra))
    for position, assertion in enumerate(stage.get("listUsersAssertions") or []):
        _list_users(store, judge, f"stage {number} list users {position}", assertion, _asked(assertion, extra))


def fits_contextual(stage: Json) -> bool:
    """Whether the stage's tuples fit into each of its requests."""
    tuples = len(stage.get("tuples") or [])
    own = [len(assertion.get("contextualTuples") or []) for assertion in _assertions(stage)]
    return tuples + max(own, default=0) <= MOST_CONTEXTUAL_TUPLES


def _assertions(stage: Json) -> list[Json]:
    kinds = ("checkAssertions", "listObjectsAssertions", "listUsersAssertions")
    return [assertion for kind in kinds for assertion in stage.get(kind) or []]


def _asked(assertion: Json, extra: Sequence[Json]) -> Question:
    return Question([*(assertion.get("contextualTuples") or []), *extra], assertion.get("context"))


def _batch(store: RemoteStore, checks: Sequence[Json], asked: Sequence[Question]) -> list[Any]:
    return list(store.batch_check([assertion["tuple"] for assertion in checks], asked))


def _list_objects(store: RemoteStore, judge: Judge, label: str, assertion: Json, asked: Question) -> None:
    request = assertion["request"]
    label = f"{label}: {request['user']} {request['relation']} {request['type']}"
    answer = store.list_objects(request, asked)
    _judge(judge, label, assertion, answer, nothing=[])
    judge.same(f"{label}, streamed", answer, store.streamed_list_objects(request, asked))
    keys = [{"user": request["user"], "relation": request["relation"], "object": name} for name in _listed(answer)]
    confirm(store, judge, label, keys, asked)


def _list_users(store: RemoteStore, judge: Judge, label: str, assertion: Json, asked: Question) -> None:
    request = assertion["request"]
    (filter_,) = request["filters"]
    label = f"{label}: {request['object']} {request['relation']} {filter_}"
    answer = store.list_users(request["object"], request["relation"], filter_, asked)
    _judge(judge, label, assertion, answer, nothing=[])
    keys = [{"user": name, "relation": request["relation"], "object": request["object"]} for name in _listed(answer)]
    confirm(store, judge, label, keys, asked)


def confirm(store: RemoteStore, judge: Judge, label: str, keys: Sequence[Json], asked: Question) -> None:
    """Everything that was listed must pass Check."""
    for key in keys:
        judge.same(f"{label}, check of listed {_name(key)}", expected=True, answer=store.check(key, asked))


def _judge(judge: Judge, label: str, assertion: Json, answer: object, *, nothing: object) -> None:
    if "errorCode" in assertion:
        judge.refused(label, assertion["errorCode"], answer)
    elif assertion.get("anyError"):
        judge.refused_somehow(label, answer)
    elif assertion.get("noError"):
        judge.answered(label, answer)
    elif "contains" in assertion or "notContains" in assertion:
        judge.lists(label, answer, assertion.get("contains") or [], assertion.get("notContains") or [])
    else:
        expected = assertion.get("expectation")
        judge.same(label, nothing if expected is None else expected, answer)


def _listed(answer: Listed) -> list[str]:
    return [] if isinstance(answer, Refused) else answer


def _name(key: Json) -> str:
    return f"{key['user']} {key['relation']} {key['object']}"
