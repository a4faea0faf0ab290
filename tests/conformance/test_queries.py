"""Check, BatchCheck, ListObjects, StreamedListObjects and ListUsers answer the query tests as written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.data import QUERY_FILES, load_yaml, needs_data, with_ids
from tests.conformance.judge import Judge
from tests.conformance.stages import fits_contextual, run_stage

if TYPE_CHECKING:
    from tests.conformance.client import Json
    from tests.conformance.conftest import NewStore

pytestmark = needs_data


def _tests() -> list[tuple[str, Json]]:
    found = []
    for name in QUERY_FILES:
        content = load_yaml(name)
        for test in content.get("tests", []):
            case = f"{name}/{test['name']}"
            found.append((case, {**test, "case": case, "model": content.get("model")}))
    return found


def _contextual_tests() -> list[tuple[str, Json]]:
    """Tests whose tuples may come along: one stage, and as many tuples as one request holds."""
    return [
        (case, test)
        for case, test in _tests()
        if len(test["stages"]) == 1 and not test.get("writtenOnly") and fits_contextual(test["stages"][0])
    ]


@pytest.mark.parametrize("test", with_ids(_tests()))
def test_written(test: Json, new_store: NewStore) -> None:
    """Stages run one after another in one store; tuples of earlier stages stay."""
    store = new_store()
    judge = Judge(test["case"])
    for number, stage in enumerate(test["stages"]):
        store.write_model(stage.get("model") or test["model"])
        store.write(stage.get("tuples") or [])
        run_stage(store, judge, number, stage)
    judge.verdict()


@pytest.mark.parametrize("test", with_ids(_contextual_tests()))
def test_contextual(test: Json, new_store: NewStore) -> None:
    """Nothing is written; each question brings the tuples of the stage."""
    (stage,) = test["stages"]
    store = new_store()
    judge = Judge(test["case"])
    store.write_model(stage.get("model") or test["model"])
    run_stage(store, judge, 0, stage, stage.get("tuples") or [])
    judge.verdict()
