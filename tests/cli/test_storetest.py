"""Store tests: everything that the conformance stores use passes, and what is wrong is said with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.support import EXAMPLE, Result, run_cli
from tests.support.conformance import conformance_dir

MODEL = """\
model: |
  model
    schema 1.1

  type user

  type doc
    relations
      define viewer: [user, user:*, user with recent]
      define can_view: viewer

  condition recent(age: int) {
    age < 10
  }
"""
TUPLES = """\
tuples:
  - user: user:a
    relation: viewer
    object: doc:1
"""


def store_files() -> list[Path]:
    """The handed-out store tests."""
    folder = conformance_dir()
    return sorted((folder / "stores").rglob("*.fga.yaml")) if folder else []


def run_tests(folder: Path, text: str, *flags: str) -> Result:
    """Run a store test file of the given text."""
    file = folder / "store.fga.yaml"
    file.write_text(text)
    return run_cli("model", "test", file, *flags)


@pytest.mark.skipif(not store_files(), reason="no conformance data: set AUTHZ_CONFORMANCE_DIR")
@pytest.mark.parametrize(
    ("name", "problems"),
    [
        ("00-valid-model", []),
        ("01-valid-model-file", []),
        ("02-missing-model", ["`model` or `model_file` is missing"]),
        ("03-additional-properties", ["unknown key `unexpected_field`", "unknown key `unexpected_field2`"]),
    ],
)
def test_conformance_forms(name: str, problems: list[str]) -> None:
    """What the field's schema of store files allows is run, and what it refuses is named."""
    folder = conformance_dir()
    assert folder is not None
    result = run_cli("model", "test", folder / "dsl" / "stores" / name / "store.fga.yaml", "--json")
    errors = "\n".join(result.json["files"][0]["errors"])
    assert (result.code, bool(errors)) == (int(bool(problems)), bool(problems))
    for problem in problems:
        assert problem in errors


@pytest.mark.skipif(not store_files(), reason="no conformance data: set AUTHZ_CONFORMANCE_DIR")
@pytest.mark.parametrize("file", store_files(), ids=lambda file: f"{file.parent.name}/{file.name}")
def test_conformance_stores_pass(file: Path) -> None:
    """Every store of the field's samples behaves as its tests say."""
    result = run_cli("model", "test", file, "--json")
    assert (result.code, result.json["failed"]) == (0, 0)
    assert result.json["passed"] > 0


def test_the_sample_passes() -> None:
    """The sample of orders keeps its own promises."""
    result = run_cli("model", "test", EXAMPLE / "orders.fga.yaml")
    assert result.code == 0
    assert result.out.splitlines()[-1].endswith(" passed, 0 failed")


def test_differences_are_shown(tmp_path: Path) -> None:
    """A wrong expectation shows what was expected and what came, and where it stands."""
    tests = """\
tests:
  - name: wrong
    check:
      - user: user:b
        object: doc:1
        assertions:
          can_view: true
          viewer: false
    list_objects:
      - user: user:a
        type: doc
        assertions:
          can_view: [doc:2]
    list_users:
      - object: doc:1
        user_filter: [{type: user}]
        assertions:
          can_view:
            users: []
"""
    result = run_tests(tmp_path, MODEL + TUPLES + tests)
    assert result.code == 1
    lines = [line.strip() for line in result.out.splitlines()]
    assert f"check user:b can_view doc:1 ({tmp_path}/store.fga.yaml:25)" in lines
    assert "expected allowed" in lines
    assert "got      denied" in lines
    assert "missing  doc:2" in lines
    assert "too many doc:1" in lines
    assert "too many user:a" in lines
    assert lines[-1] == "1 passed, 3 failed"


def test_json_holds_every_case(tmp_path: Path) -> None:
    """The JSON form is the same for passed and failed cases."""
    tests = (
        "tests:\n  - check:\n      - {user: 'user:a', object: 'doc:1', assertions: {can_view: true, nothing: true}}\n"
    )
    result = run_tests(tmp_path, MODEL + TUPLES + tests, "--json")
    assert result.code == 1
    assert list(result.json) == ["passed", "failed", "files"]
    (file,) = result.json["files"]
    assert list(file) == ["file", "passed", "failed", "errors", "tests"]
    good, bad = file["tests"][0]["cases"]
    assert good == {"case": "check user:a can_view doc:1", "line": 21, "passed": True, "expected": True, "got": True}
    assert bad["error"] == "relation `doc#nothing` is not defined"
    assert file["tests"][0]["name"] == "test 1"


def test_many_users_and_objects(tmp_path: Path) -> None:
    """`users` and `objects` stand for every pair."""
    tests = """\
tests:
  - tuples:
      - {user: "user:b", relation: viewer, object: "doc:1"}
    check:
      - users: [user:a, user:b]
        objects: [doc:1, doc:2]
        assertions: {can_view: true}
"""
    result = run_tests(tmp_path, MODEL + TUPLES + tests)
    assert result.out.splitlines()[-1] == "2 passed, 2 failed"


def test_context_and_conditions(tmp_path: Path) -> None:
    """Context decides a condition; without it the case fails with the reason."""
    tests = """\
tests:
  - tuples:
      - {user: "user:c", relation: viewer, object: "doc:1", condition: {name: recent}}
    check:
      - {user: "user:c", object: "doc:1", context: {age: 5}, assertions: {can_view: true}}
      - {user: "user:c", object: "doc:1", context: {age: 50}, assertions: {can_view: false}}
      - {user: "user:c", object: "doc:1", assertions: {can_view: false}}
    list_objects:
      - {user: "user:c", type: doc, context: {age: 5}, assertions: {can_view: [doc:1]}}
    list_users:
      - object: doc:1
        user_filter: [{type: user}]
        context: {age: 5}
        assertions: {can_view: {users: [user:a, user:c]}}
"""
    result = run_tests(tmp_path, MODEL + TUPLES + tests)
    assert result.out.splitlines()[-1] == "4 passed, 1 failed"
    assert "got      error: condition `recent` needs parameters" in result.out


def test_tuple_files_of_each_form(tmp_path: Path) -> None:
    """Tuples come from YAML, JSON, JSONL and CSV files beside the test file, however it is reached."""
    (tmp_path / "a.yaml").write_text("- {user: 'user:y', relation: viewer, object: 'doc:1'}\n")
    (tmp_path / "b.json").write_text('[{"user": "user:j", "relation": "viewer", "object": "doc:1"}]')
    (tmp_path / "c.jsonl").write_text('{"user": "user:l", "relation": "viewer", "object": "doc:1"}\n')
    (tmp_path / "d.csv").write_text("user_type,user_id,relation,object_type,object_id\nuser,c,viewer,doc,1\n")
    tests = """\
tuple_file: a.yaml
tuple_files: [b.json, ./c.jsonl]
tests:
  - tuple_file: d.csv
    check:
      - users: [user:a, user:y, user:j, user:l, user:c]
        object: doc:1
        assertions: {can_view: true}
"""
    assert run_tests(tmp_path, MODEL + TUPLES + tests).code == 0


def test_model_errors_point_into_the_file(tmp_path: Path) -> None:
    """An error in a model that stands in the test file has the line and column of that file."""
    text = MODEL.replace("define can_view: viewer", "define can_view: nothing") + "tests: []\n"
    result = run_tests(tmp_path, text)
    assert result.code == 1
    assert f"{tmp_path}/store.fga.yaml:10:24:" in result.out


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ("name: x\ntests: []\n", ":1:1:", "`model` or `model_file` is missing"),
        (MODEL, ":1:1:", "`tests` is missing"),
        (MODEL + "tests: []\nextra: 1\n", ":16:1:", "unknown key `extra`"),
        (MODEL + "tests:\n  - checks: []\n", ":16:5:", "unknown key `checks`"),
        (
            MODEL + "tests:\n  - check:\n      - user: user:a\n        assertions: {}\n",
            ":17:9:",
            "`object` or `objects`",
        ),
        (MODEL + "tests: {}\n", ":15:8:", "expected a list"),
        (
            MODEL + "tests:\n  - check: [{user: 'user:a', object: 'doc:1', assertions: {v: maybe}}]\n",
            ":16:",
            "true or false",
        ),
        (MODEL + "tests: []\ntests: []\n", ":16:1:", "given twice"),
        (MODEL + "tests: [\n", ":16:1:", "not YAML"),
        (MODEL + TUPLES.replace("viewer", "nothing") + "tests: []\n", ":16:5:", "`doc#nothing` is not defined"),
        (MODEL + TUPLES + "    condition: {}\ntests: []\n", ":19:16:", "`name` is missing"),
        (MODEL + "model_file: 5.fga\ntuple_file: no.csv\ntests: []\n", ":16:13:", "no.csv"),
        ("model_file: missing.fga\ntests: []\n", ":1:13:", "missing.fga"),
        ("- a\n- b\n", ":1:1:", "expected a mapping"),
        ("<<: 5\ntests: []\n", ":1:1:", "`<<` must name a mapping"),
        ("tests: " + "[" * 100_000, ":1:", "not YAML"),
        (MODEL + "tests:\n  - check: [{user: u, object: o, context: {a: !!int x}, assertions: {}}]\n", ":16:", "x"),
        (MODEL + "tests:\n  - check: [{user: u, object: o, context: {<<: 5}, assertions: {}}]\n", ":16:", "mapping"),
        (MODEL + "tests:\n  - check: [{user: u, object: o, context: &a {b: *a}, assertions: {}}]\n", ":16:", "nested"),
        ("", ":1:1:", ""),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path: Path, text: str, place: str, word: str) -> None:
    """A file that cannot be run fails, and says why and where."""
    result = run_tests(tmp_path, text)
    assert result.code == 1
    assert word in result.out
    assert f"store.fga.yaml{place}" in result.out or not text
    assert result.out.splitlines()[-1] == "0 passed, 1 failed"


def test_tuples_that_contradict_each_other(tmp_path: Path) -> None:
    """One key with two conditions is an error; the same tuple twice is not."""
    again = "  - {user: 'user:a', relation: viewer, object: 'doc:1'}\n"
    assert run_tests(tmp_path, MODEL + TUPLES + again + "tests: []\n").code == 0
    other = "  - {user: 'user:a', relation: viewer, object: 'doc:1', condition: {name: recent}}\n"
    result = run_tests(tmp_path, MODEL + TUPLES + other + "tests: []\n")
    assert "given twice with different conditions" in result.out


def test_several_files_and_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and patterns may be mixed; a pattern that matches nothing is a usage error."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.fga.yaml").write_text(MODEL + "tests: []\n")
    monkeypatch.chdir(tmp_path)
    result = run_cli("model", "test", "*.fga.yaml", "a.fga.yaml", f"{tmp_path}/*.fga.yaml", "--json")
    assert [file["file"] for file in result.json["files"]][:2] == ["a.fga.yaml", "b.fga.yaml"]
    assert run_cli("model", "test", "none*.yaml").code == 2


def test_endless_aliases_end(tmp_path: Path) -> None:
    """YAML that expands without end is refused quickly."""
    bomb = "context: {a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"
    for number, (this, before) in enumerate(zip("bcdefgh", "abcdefg", strict=True)):
        bomb += f", {this}{number}: &{this} [{', '.join([f'*{before}'] * 10)}]"
    case = f"      - {{user: 'user:a', object: 'doc:1', {bomb}}}, assertions: {{can_view: true}}}}\n"
    result = run_tests(tmp_path, MODEL + TUPLES + "tests:\n  - check:\n" + case)
    assert "too large" in result.out
