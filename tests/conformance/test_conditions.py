"""Conditions compile and evaluate over the wire as written down; tests/conditions asks the library itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.client import Json, Question, refused
from tests.conformance.data import load_yaml, needs_data, with_ids
from tests.conformance.judge import Judge

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

    from tests.conformance.conftest import NewStore

import grpc

pytestmark = needs_data

VALIDATION_ERROR, INVALID_MODEL = 2000, 2056
_KEY = {"user": "user:anne", "relation": "viewer", "object": "document:1"}


def _cases() -> list[ParameterSet]:
    return with_ids((case["id"], case) for case in load_yaml("conditions").get("cases", []))


@pytest.mark.parametrize("case", _cases())
def test_case(case: Json, new_store: NewStore) -> None:
    """A bad condition refuses its model; a good one decides a check, or says that it cannot."""
    store = new_store()
    judge = Judge(f"conditions/{case['id']}")
    try:
        store.write_model(_model(case["condition"]))
        answer: object = "OK"
    except grpc.RpcError as error:
        answer = refused(error)
    if case.get("compile") == "error":
        judge.refused("write the model", INVALID_MODEL, answer)
    else:
        judge.same("write the model", "OK", answer)
    if answer == "OK" and "context" in case:
        store.write([{**_KEY, "condition": {"name": case["condition"]["name"]}}])
        decision = store.check(_KEY, Question(context=case["context"] or {}))
        if case.get("eval") == "error" or case.get("missing"):
            judge.refused("check", VALIDATION_ERROR, decision)
        else:
            judge.same("check", case["met"], decision)
    judge.verdict()


def _model(condition: Json) -> Json:
    """A model whose only relation depends on the condition."""
    users = [{"type": "user", "condition": condition["name"]}]
    return {
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "user"},
            {
                "type": "document",
                "relations": {"viewer": {"this": {}}},
                "metadata": {"relations": {"viewer": {"directly_related_user_types": users}}},
            },
        ],
        "conditions": {condition["name"]: condition},
    }
