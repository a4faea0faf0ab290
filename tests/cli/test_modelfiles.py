"""The commands on model files, which need no server."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from authz.cli import files
from schema_dsl import dsl_to_json
from tests.cli.support import EXAMPLE, run_cli

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "model\n  schema 1.1\n\ntype user\n\ntype doc\n  relations\n    define owner: [user]\n"


def test_validate_a_good_model(tmp_path: Path) -> None:
    """A valid model is valid in each form."""
    model = tmp_path / "model.fga"
    model.write_text(GOOD)
    as_json = tmp_path / "model.json"
    as_json.write_text(run_cli("model", "transform", model, "--to", "json").out)
    for file in (model, as_json, EXAMPLE / "model.fga"):
        assert run_cli("model", "validate", file).code == 0
        assert run_cli("model", "validate", file, "--json").json == {"valid": True, "errors": []}


def test_syntax_errors_show_the_place(tmp_path: Path) -> None:
    """A syntax error shows line, column and a caret."""
    model = tmp_path / "model.fga"
    model.write_text(GOOD.replace("owner:", "owner"))
    result = run_cli("model", "validate", model)
    assert (result.code, result.out) == (1, "")
    assert f"{model}:8:" in result.err
    assert "^" in result.err
    (error, *_) = run_cli("model", "validate", model, "--json").json["errors"]
    assert list(error) == ["message", "file", "line", "column", "metadata"]


def test_semantic_errors_are_all_listed(tmp_path: Path) -> None:
    """Every semantic error is listed with its position and kind."""
    model = tmp_path / "model.fga"
    model.write_text(GOOD + "    define a: nothing\n    define b: [ghost]\n")
    result = run_cli("model", "validate", model)
    assert result.code == 1
    assert f"{model}:9:" in result.err
    assert f"{model}:10:" in result.err
    found = run_cli("model", "validate", model, "--json")
    assert (found.code, found.json["valid"], len(found.json["errors"])) == (1, False, 2)
    assert found.json["errors"][0]["line"] == {"start": 8, "end": 8}
    assert all(error["metadata"]["errorType"] for error in found.json["errors"])


def test_rules_of_the_service_count_too(tmp_path: Path) -> None:
    """What only the service checks, such as the type of a condition, is found without it."""
    model = tmp_path / "model.fga"
    model.write_text(GOOD.replace("[user]", "[user with c]") + "\ncondition c(a: int) {\n  a + 1\n}\n")
    result = run_cli("model", "validate", model)
    assert result.code == 1
    assert "condition `c`" in result.err


def test_modules_name_their_file(tmp_path: Path) -> None:
    """An error in a module is said of its file and line."""
    (tmp_path / "fga.mod").write_text("schema: '1.2'\ncontents:\n  - core.fga\n")
    core = tmp_path / "core.fga"
    core.write_text("module core\n\ntype user\n\ntype doc\n  relations\n    define a: nothing\n")
    result = run_cli("model", "validate", tmp_path / "fga.mod")
    assert result.code == 1
    assert f"{core}:7:" in result.err
    core.write_text("module core\n\ntype user\n\ntype doc\n  relations\n    define a: [user]\n")
    assert run_cli("model", "validate", tmp_path / "fga.mod").code == 0
    combined = run_cli("model", "transform", tmp_path / "fga.mod", "--to", "fga")
    assert "type doc # module: core, file: core.fga" in combined.out
    assert (
        json.loads(run_cli("model", "transform", tmp_path / "fga.mod", "--to", "json").out)["schema_version"] == "1.2"
    )


@pytest.mark.parametrize(
    ("manifest", "code", "word"),
    [
        ("schema: '1.2'\ncontents:\n  - missing.fga\n", 2, "missing.fga"),
        ("schema: '1.2'\ncontents:\n  - ../outside.fga\n", 1, "leads out"),
        ("schema: '1.2'\ncontents: [\n", 1, "not valid YAML"),
        ("schema: 1.2\n", 1, "fga.mod:1:"),
    ],
)
def test_bad_manifests(tmp_path: Path, manifest: str, code: int, word: str) -> None:
    """An fga.mod that cannot be used is said with its place."""
    (tmp_path / "fga.mod").write_text(manifest)
    result = run_cli("model", "validate", tmp_path / "fga.mod")
    assert (result.code, word in result.err) == (code, True), result.err


def test_format_prints_checks_and_writes(tmp_path: Path) -> None:
    """The canonical layout is printed, demanded or written; comments stay."""
    ugly, tidy = tmp_path / "ugly.fga", tmp_path / "tidy.fga"
    ugly.write_text("# why\n" + GOOD.replace("define owner: [user]", "define owner:   [ user ]"))
    tidy.write_text("# why\n" + GOOD)
    assert run_cli("model", "format", ugly).out == tidy.read_text()
    checked = run_cli("model", "format", "--check", ugly, tidy, "--json")
    assert (checked.code, checked.json) == (1, {"changed": [str(ugly)], "rewritten": False})
    assert run_cli("model", "format", "--write", ugly, tidy).code == 0
    assert ugly.read_text() == tidy.read_text()
    assert run_cli("model", "format", "--check", ugly, tidy).code == 0
    assert sorted(tmp_path.iterdir()) == [tidy, ugly]


def test_format_leaves_broken_files_alone(tmp_path: Path) -> None:
    """A file that is not in the language is named, and stays as it is."""
    model = tmp_path / "model.fga"
    model.write_text("nonsense")
    result = run_cli("model", "format", "--write", model)
    assert (result.code, f"{model}:1:1:" in result.err) == (1, True)
    assert model.read_text() == "nonsense"
    assert run_cli("model", "format", "--write", "--check", model).code == 2
    assert run_cli("model", "format", tmp_path / "fga.mod").code == 2


def test_transform_there_and_back(tmp_path: Path) -> None:
    """JSON and language are two forms of one model."""
    as_json, again = tmp_path / "model.json", tmp_path / "again.fga"
    as_json.write_text(run_cli("model", "transform", EXAMPLE / "model.fga", "--to", "json").out)
    again.write_text(run_cli("model", "transform", as_json, "--to", "fga").out)
    assert dsl_to_json(again.read_text()) == json.loads(as_json.read_text())


@pytest.mark.parametrize("command", [["validate"], ["format"], ["transform", "--to", "json"], ["test"]])
def test_files_that_cannot_be_read(tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, binary, foreign and huge files and folders are each named, with exit code 2."""
    folder = tmp_path / "folder.fga"
    folder.mkdir()
    binary, foreign, huge = tmp_path / "binary.fga", tmp_path / "model.doc", tmp_path / "huge.fga"
    binary.write_bytes(b"model\n  schema \xff")
    foreign.write_text(GOOD)
    huge.write_text(GOOD)
    os.truncate(huge, files.MAX_BYTES + 1)
    places = [tmp_path / "missing.fga", folder, binary, huge]
    for file in places if command == ["test"] else [*places, foreign]:
        result = run_cli("model", command[0], file, *command[1:])
        assert (result.code, result.out) == (2, ""), file
        assert str(file) in result.err
    assert "line 2" in run_cli("model", command[0], binary, *command[1:]).err


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "null", '{"schema_version": 1}', "[" * 100_000, '{"a": 1' + "0" * 5000]
)
def test_json_that_is_no_model(tmp_path: Path, content: str) -> None:
    """Whatever the JSON is, the answer is a message."""
    model = tmp_path / "model.json"
    model.write_text(content)
    result = run_cli("model", "validate", model)
    assert result.code == 1
    assert result.err.startswith("error: ")
    assert run_cli("model", "validate", model, "--json").json["valid"] is False
