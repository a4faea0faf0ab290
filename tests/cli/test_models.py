"""The commands on models of a store, against a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from schema_dsl import dsl_to_json
from tests.cli.support import EXAMPLE, run_cli

if TYPE_CHECKING:
    from pathlib import Path

MODEL = EXAMPLE / "model.fga"

pytestmark = pytest.mark.usefixtures("store")


def test_write_get_list(tmp_path: Path) -> None:
    """A model can be written in each form, and comes back as what it was."""
    as_json = tmp_path / "model.json"
    as_json.write_text(run_cli("model", "transform", MODEL, "--to", "json").out)
    ids = [run_cli("model", "write", file).out.strip() for file in (MODEL, as_json)]
    listed = run_cli("model", "list", "--json").json
    assert [model["id"] for model in listed["models"]] == ids[::-1]
    assert list(listed["models"][0]) == ["id", "created_at", "schema_version", "types", "conditions"]
    for model_id in ids:
        shown = run_cli("model", "get", model_id)
        assert dsl_to_json(shown.out) == dsl_to_json(MODEL.read_text())
    assert run_cli("model", "get").out == run_cli("model", "get", ids[1]).out


def test_json_forms() -> None:
    """The JSON of a model is that of the API, with its id first."""
    written = run_cli("model", "write", MODEL, "--json").json
    assert list(written) == ["authorization_model_id"]
    model = run_cli("model", "get", "--json").json["authorization_model"]
    assert model == json.loads(run_cli("model", "get", "--format", "json").out)
    assert list(model)[:2] == ["id", "schema_version"]
    assert [one["type"] for one in model["type_definitions"]] == ["user", "service_account", "organization", "order"]


def test_a_model_read_as_json_can_be_written_again(tmp_path: Path) -> None:
    """What `get` prints, `write` and `validate` take."""
    run_cli("model", "write", MODEL)
    copy = tmp_path / "copy.json"
    copy.write_text(run_cli("model", "get", "--format", "json").out)
    assert run_cli("model", "validate", copy).code == 0
    assert run_cli("model", "write", copy).code == 0


def test_modular_models_keep_their_origin(tmp_path: Path) -> None:
    """An fga.mod is written as one model, which names module and file of each part."""
    (tmp_path / "core.fga").write_text("module core\n\ntype user\n")
    (tmp_path / "wiki.fga").write_text("module wiki\n\ntype page\n  relations\n    define owner: [user]\n")
    manifest = tmp_path / "fga.mod"
    manifest.write_text("schema: '1.2'\ncontents:\n  - core.fga\n  - wiki.fga\n")
    assert run_cli("model", "write", manifest).code == 0
    assert "type page # module: wiki, file: wiki.fga" in run_cli("model", "get").out


def test_an_invalid_model_is_not_sent(tmp_path: Path) -> None:
    """The errors are those of `validate`, and the store keeps its newest model."""
    wrong = tmp_path / "wrong.fga"
    wrong.write_text("model\n  schema 1.1\n\ntype doc\n  relations\n    define owner: [nobody]\n")
    result = run_cli("model", "write", wrong)
    assert result.code == 1
    assert f"{wrong}:6:" in result.err
    assert run_cli("model", "list", "--json").json["models"] == []
    assert run_cli("model", "get").code == 3


def test_an_unknown_model() -> None:
    """An id that names no model is refused by the service."""
    result = run_cli("model", "get", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert result.code == 3
    assert "reason: authorization_model_not_found" in result.err
