"""The conformance cases of conditions, and every condition that occurs in the other conformance files."""

from __future__ import annotations

import json
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from authz.conditions import State, compile_condition
from authz.errors import InvalidModel
from tests.support.conformance import conformance_dir

FOLDER = conformance_dir()
pytestmark = pytest.mark.skipif(FOLDER is None, reason="no conformance data: set AUTHZ_CONFORMANCE_DIR")


def _cases() -> list[Any]:
    if FOLDER is None:
        return []
    cases = yaml.safe_load((FOLDER / "conditions.yaml").read_text())["cases"]
    return [pytest.param(case, id=f"{number}-{case['id']}") for number, case in enumerate(cases)]


@pytest.mark.parametrize("case", _cases())
def test_case(case: dict[str, Any]) -> None:
    """Every case compiles, or evaluates, as written down."""
    definition = case["condition"]
    if case.get("compile") == "error":
        with pytest.raises(InvalidModel):
            compile_condition(definition["name"], definition)
        return
    compiled = compile_condition(definition["name"], definition)
    if "context" not in case:
        return
    outcome = compiled.evaluate({}, case["context"] or {})
    if case.get("eval") == "error":
        assert outcome.state is State.FAILED
    elif case.get("missing"):
        assert outcome == (State.MISSING, tuple(sorted(case["missing"])), "")
    else:
        assert outcome.state is (State.MET if case["met"] else State.NOT_MET)


def _model_files() -> list[Path]:
    return sorted(FOLDER.glob("dsl/**/authorization-model.json")) if FOLDER else []


def _is_known_bad(definition: dict[str, Any]) -> bool:
    """The data tests the language, not CEL: one of its conditions uses a name that it does not declare."""
    return "document_attributes" in definition["expression"]


def test_conditions_of_valid_models_compile() -> None:
    """Conditions in the models of the data compile, unless their expression names what they do not declare."""
    compiled = 0
    for file in _model_files():
        for name, definition in (json.loads(file.read_text()).get("conditions") or {}).items():
            with suppress(InvalidModel) if _is_known_bad(definition) else nullcontext():
                compile_condition(name, definition)
            compiled += 1
    assert compiled > 0


def test_conditions_of_fuzz_models_compile_and_evaluate() -> None:
    """Contexts of the fuzz cases either decide their conditions or leave parameters missing; none fails."""
    assert FOLDER is not None
    for file in sorted((FOLDER / "fuzz").glob("case-*.json"))[::6]:
        case = json.loads(file.read_text())
        conditions = [compile_condition(*item) for item in (case["model_json"].get("conditions") or {}).items()]
        stored = [entry["condition"].get("context") or {} for entry in case["tuples"] if entry.get("condition")]
        for query in case["queries"]:
            for compiled in conditions:
                for context in [{}, *stored]:
                    outcome = compiled.evaluate(context, query.get("context") or {})
                    assert outcome.state is not State.FAILED, (file, compiled.name, outcome)
