"""The handed-out cases of the modelling language: what they say is what the library does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from schema_dsl import (
    DslError,
    DslException,
    DslSyntaxError,
    combine_modules,
    dsl_to_json,
    format_dsl,
    is_object_id,
    json_to_dsl,
    module_names,
    parse_mod,
    render_error,
    validate,
    validate_json,
)
from tests.schema_dsl.cases import assert_errors, folders, listed, module_files, read_json, without_empty

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def errors_of(call: Callable[[], object]) -> list[DslError]:
    """The errors that a call raises."""
    try:
        call()
    except DslException as error:
        return error.errors
    return []


@pytest.mark.parametrize("folder", folders("transformer", "authorization-model.fga"))
def test_transformer(folder: Path) -> None:
    """A source gives the JSON model, that gives the source byte for byte, and the source is well formatted."""
    text = (folder / "authorization-model.fga").read_text(encoding="utf-8")
    model = read_json(folder / "authorization-model.json")
    assert without_empty(dsl_to_json(text)) == without_empty(model)
    assert json_to_dsl(model) == text
    assert format_dsl(text) == text


@pytest.mark.parametrize("case", listed("dsl-syntax-validation-cases.yaml"))
def test_syntax_errors(case: dict[str, Any]) -> None:
    """Syntax errors have the published number, order and places, and can be shown."""
    errors = errors_of(lambda: dsl_to_json(case["dsl"]))
    assert_errors(case.get("expected_errors"), errors)
    for error in errors:
        assert "^" in render_error(case["dsl"], error)


@pytest.mark.parametrize("case", listed("dsl-semantic-validation-cases.yaml"))
def test_semantic_errors(case: dict[str, Any]) -> None:
    """Validation finds errors of the published kinds at the published places."""
    assert_errors(case.get("expected_errors"), validate(case["dsl"]))


@pytest.mark.parametrize("case", listed("json-validation-cases.yaml"))
def test_json_validation(case: dict[str, Any]) -> None:
    """Validation of a JSON model finds errors of the published kinds."""
    assert_errors(case.get("expected_errors"), validate_json(json.loads(case["json"])))


@pytest.mark.parametrize("case", listed("json-syntax-transformer-validation-cases.yaml"))
def test_what_json_can_be_written(case: dict[str, Any]) -> None:
    """A JSON model becomes a source exactly when the language has a form for it."""
    errors = errors_of(lambda: json_to_dsl(json.loads(case["json"])))
    assert bool(errors) == bool(case.get("error_message"))


@pytest.mark.parametrize("folder", folders("transformer-module", "module"))
def test_modules(folder: Path) -> None:
    """Module files make the JSON model of the case, or its errors."""
    files = module_files(folder)
    if (folder / "expected_errors.json").exists():
        errors = errors_of(lambda: combine_modules(files, "1.2"))
        assert_errors(read_json(folder / "expected_errors.json"), errors)
    else:
        expected = without_empty(read_json(folder / "authorization-model.json"))
        assert without_empty(combine_modules(files, "1.2")) == expected


@pytest.mark.parametrize(("file", "source_info"), [("combined.fga", False), ("combined-sourceinfo.fga", True)])
@pytest.mark.parametrize("folder", folders("transformer-module", "combined.fga"))
def test_printed_modules(folder: Path, file: str, *, source_info: bool) -> None:
    """A modular model is printed byte for byte, with or without comments that name modules and files."""
    model = read_json(folder / "authorization-model.json")
    assert json_to_dsl(model, source_info=source_info) == (folder / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", folders("transformer-module", "expected_modules.json"))
def test_module_names(folder: Path) -> None:
    """The modules of a model are those of its types, relations and conditions, sorted."""
    assert module_names(read_json(folder / "authorization-model.json")) == read_json(folder / "expected_modules.json")


@pytest.mark.parametrize("case", listed("fga-mod-transformer-cases.yaml"))
def test_mod_files(case: dict[str, Any]) -> None:
    """fga.mod gives its values with places, or errors with places."""
    if "json" in case:
        assert parse_mod(case["modFile"]) == json.loads(case["json"])
    else:
        assert_errors(case["expected_errors"], errors_of(lambda: parse_mod(case["modFile"])))


@pytest.mark.parametrize("case", listed("object-id-validation-cases.yaml"))
def test_object_ids(case: dict[str, Any]) -> None:
    """An object id is accepted exactly when the case says so."""
    assert is_object_id(case["object_id"]) is case["valid"]


@pytest.mark.parametrize("folder", folders("stores", "store.fga.yaml"))
def test_models_of_store_files(folder: Path) -> None:
    """The models that store files hold or name are valid."""
    store = yaml.safe_load((folder / "store.fga.yaml").read_text(encoding="utf-8"))
    text = store.get("model") or (
        (folder / store["model_file"]).read_text(encoding="utf-8") if "model_file" in store else None
    )
    assert text is None or validate(text) == []


def test_a_syntax_error_is_raised_with_its_errors() -> None:
    """A text outside the language raises the one documented exception, which holds at least one error."""
    with pytest.raises(DslSyntaxError) as raised:
        dsl_to_json("type user")
    assert raised.value.errors
