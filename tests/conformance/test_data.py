"""The conformance data is there, and read as it demands."""

from __future__ import annotations

import pytest

from tests.conformance import data
from tests.conformance.differences import DIFFERENCES

FILES = (*data.QUERY_FILES, "api_cases", "conditions", "errors")


@pytest.mark.parametrize("name", FILES)
def test_file_is_there(name: str) -> None:
    """Every file has cases: without the data on a laptop this skips, in CI it fails."""
    _demand(bool(data.load_yaml(name)), f"{name}.yaml")


@pytest.mark.parametrize("pattern", ["fuzz/*.json", "stores/**/*.fga.yaml"])
def test_folder_is_there(pattern: str) -> None:
    """Every folder has cases."""
    _demand(bool(data.files(pattern)), pattern)


def _demand(found: object, name: str) -> None:
    if not found and not data.MUST_BE_THERE:
        pytest.skip(f"{data.REASON} ({name})")
    assert found, f"{data.REASON} ({name})"


def test_scalars() -> None:
    """Timestamps and numbers beyond a double stay text, other scalars are those of YAML 1.1."""
    text = "{a: 2024-07-21T00:00:00Z, b: 2024-07-21, c: 1.79e+309, d: 1.5, e: 010, f: yes, g: .inf}"
    expected = {"a": "2024-07-21T00:00:00Z", "b": "2024-07-21", "c": "1.79e+309", "d": 1.5, "e": 8, "f": True}
    assert data.read_yaml(text) == {**expected, "g": float("inf")}


@data.needs_data
def test_differences_name_cases() -> None:
    """Each difference is of a case that is there, and is listed once; the case itself tests that it still differs."""
    keys = [(difference.case, difference.question) for difference in DIFFERENCES]
    assert len(keys) == len(set(keys))
    assert {case for case, _ in keys} <= _case_ids()


def _case_ids() -> set[str]:
    queries = {f"{name}/{test['name']}" for name in data.QUERY_FILES for test in data.load_yaml(name).get("tests", [])}
    listed = ("api_cases", "conditions")
    calls = {f"{name}/{case['id']}" for name in listed for case in data.load_yaml(name).get("cases", [])}
    return queries | calls | {f"fuzz/{file.stem}" for file in data.files("fuzz/*.json")}
