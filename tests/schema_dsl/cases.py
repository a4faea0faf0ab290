"""The handed-out cases of the modelling language, as parameters of tests. Used by `test_conformance`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from schema_dsl import DslError
from tests.support.conformance import conformance_dir

_ROOT = conformance_dir()
FOLDER = _ROOT / "dsl" if _ROOT else None
_MISSING = pytest.param(None, marks=pytest.mark.skip(reason="no conformance data: set AUTHZ_CONFORMANCE_DIR"))


def listed(file: str) -> list[Any]:
    """The cases of a YAML file, except those that the publisher skips."""
    if FOLDER is None:
        return [_MISSING]
    cases = yaml.safe_load((FOLDER / file).read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["name"]) for case in cases if not case.get("skip")]


def folders(name: str, needed: str) -> list[Any]:
    """The sub-folders of a folder that have a certain entry."""
    if FOLDER is None:
        return [_MISSING]
    found = (folder for folder in sorted((FOLDER / name).iterdir()) if (folder / needed).exists())
    return [pytest.param(folder, id=folder.name) for folder in found]


def module_files(folder: Path) -> dict[str, str]:
    """Name and text of the module files of a case, by name."""
    paths = sorted((folder / "module").rglob("*.fga"))
    return {path.relative_to(folder / "module").as_posix(): path.read_text(encoding="utf-8") for path in paths}


def read_json(path: Path) -> Any:
    """The value of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def without_empty(value: Any) -> Any:
    """A JSON value without null and empty members, which mean the same as absent ones."""
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    members = {key: without_empty(item) for key, item in value.items()}
    return {key: item for key, item in members.items() if item not in (None, [], {}) or key in ("this", "wildcard")}


def assert_errors(expected: list[dict[str, Any]] | None, errors: list[DslError]) -> None:
    """Assert number, order, places and metadata of errors; only what the case gives must match."""
    seen = [_as_case(error) for error in errors]
    wanted = [_wanted(case) for case in expected or []]
    assert [_part(case, error) for case, error in zip(wanted, seen, strict=False)] == wanted
    assert len(seen) == len(wanted), [str(error) for error in errors]


def _as_case(error: DslError) -> dict[str, Any]:
    case: dict[str, Any] = {"metadata": dict(error.metadata), "file": error.file}
    for key, value in (("line", error.line), ("column", error.column)):
        case[key] = {"start": value.start, "end": value.end} if value else None
    return case


def _wanted(case: dict[str, Any]) -> dict[str, Any]:
    return {key: case[key] for key in ("line", "column", "metadata", "file") if case.get(key) is not None}


def _part(wanted: dict[str, Any], error: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: error["metadata"].get(key) for key in wanted.get("metadata", {})}
    return {key: metadata if key == "metadata" else error[key] for key in wanted}
