"""The commands on tuples, against a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.support import EXAMPLE, run_cli

if TYPE_CHECKING:
    from pathlib import Path

TUPLE = ("user:zoe", "member", "organization:acme")
CONDITIONAL = """\
model
  schema 1.1

type user

type doc
  relations
    define viewer: [user, user with recent]

condition recent(age: int) {
  age < 10
}
"""

pytestmark = pytest.mark.usefixtures("orders")


def test_write_and_delete_one() -> None:
    """A tuple comes and goes; each answer tells the count and the token."""
    written = run_cli("tuple", "write", *TUPLE, "--json")
    assert (written.code, list(written.json)) == (0, ["written", "authorization_model_id", "consistency_token"])
    assert written.json["written"] == 1
    assert run_cli("query", "check", *TUPLE).code == 0
    deleted = run_cli("tuple", "delete", *TUPLE, "--json")
    assert (deleted.code, list(deleted.json)) == (0, ["deleted", "authorization_model_id", "consistency_token"])
    assert run_cli("query", "check", *TUPLE).code == 1


def test_existing_and_missing_tuples() -> None:
    """Errors by default; ignored when told."""
    assert run_cli("tuple", "write", *TUPLE).code == 0
    again = run_cli("tuple", "write", *TUPLE)
    assert (again.code, "write_failed_due_to_invalid_input" in again.err) == (3, True)
    assert run_cli("tuple", "write", *TUPLE, "--on-duplicate", "ignore").code == 0
    assert run_cli("tuple", "delete", *TUPLE).code == 0
    assert run_cli("tuple", "delete", *TUPLE).code == 3
    assert run_cli("tuple", "delete", *TUPLE, "--on-missing", "ignore").code == 0


def test_a_file_is_one_transaction(tmp_path: Path) -> None:
    """All tuples of a file are written, or none."""
    assert run_cli("tuple", "delete", "--file", EXAMPLE / "tuples.yaml", "--json").json["deleted"] == 14
    file = tmp_path / "tuples.csv"
    header = "user_type,user_id,relation,object_type,object_id\n"
    file.write_text(header + "user,a,member,organization,acme\nuser,b,nothing,organization,acme\n")
    refused = run_cli("tuple", "write", "--file", file)
    assert (refused.code, "organization#nothing" in refused.err) == (3, True)
    assert run_cli("tuple", "read", "--json").json["tuples"] == []


def test_conditions_with_context(tmp_path: Path) -> None:
    """Condition and context are written, read and shown in the changelog."""
    model = tmp_path / "model.fga"
    model.write_text(CONDITIONAL)
    run_cli("model", "write", model)
    flags = ("--condition-name", "recent", "--condition-context", '{"age": 3}')
    assert run_cli("tuple", "write", "user:a", "viewer", "doc:1", *flags).code == 0
    (read,) = run_cli("tuple", "read", "--object", "doc:1", "--json").json["tuples"]
    assert list(read) == ["user", "relation", "object", "condition", "timestamp"]
    assert read["condition"] == {"name": "recent", "context": {"age": 3}}
    assert 'recent {"age":3}' in run_cli("tuple", "read", "--object", "doc:1").out
    (change,) = run_cli("tuple", "changes", "--type", "doc", "--json").json["changes"]
    assert change["condition"] == read["condition"]
    assert run_cli("query", "check", "user:a", "viewer", "doc:1").code == 0


def test_read_filters_and_pages() -> None:
    """Filters narrow what is read; pages go on where they ended."""
    answer = run_cli("tuple", "read", "--page-size", "5", "--json").json
    assert list(answer) == ["tuples", "continuation_token", "consistency_token"]
    assert list(answer["tuples"][0]) == ["user", "relation", "object", "timestamp"]
    rest = run_cli("tuple", "read", "--continuation-token", answer["continuation_token"], "--json").json
    assert (len(answer["tuples"]), len(rest["tuples"])) == (5, 9)
    assert len(run_cli("tuple", "read", "--all", "--page-size", "3", "--json").json["tuples"]) == 14
    of_order = run_cli("tuple", "read", "--object", "order:1001", "--json").json["tuples"]
    assert {one["relation"] for one in of_order} == {"organization", "creator"}
    of_user = run_cli("tuple", "read", "--user", "user:bob", "--object", "order:", "--json").json["tuples"]
    assert [one["object"] for one in of_user] == ["order:1001"]
    assert run_cli("tuple", "read", "--user", "user:bob").code == 3


def test_changes_can_be_followed() -> None:
    """The token leads to what happens later."""
    answer = run_cli("tuple", "changes", "--all", "--json").json
    assert list(answer) == ["changes", "continuation_token"]
    assert len(answer["changes"]) == 14
    assert list(answer["changes"][0]) == ["operation", "user", "relation", "object", "timestamp"]
    run_cli("tuple", "write", *TUPLE)
    run_cli("tuple", "delete", *TUPLE)
    token = answer["continuation_token"]
    later = run_cli("tuple", "changes", "--continuation-token", token, "--json").json["changes"]
    assert [one["operation"] for one in later] == ["write", "delete"]
    assert run_cli("tuple", "changes", "--start-time", "2020-01-01", "--page-size", "1").code == 0
    assert run_cli("tuple", "changes", "--start-time", "yesterday").code == 2
    assert run_cli("tuple", "changes", "--start-time", "2999-01-01T00:00:00Z").code == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["write"],
        ["write", "user:a", "member"],
        ["write", *TUPLE, "--file", "x.csv"],
        ["write", *TUPLE, "--condition-context", "{}"],
        ["write", *TUPLE, "--condition-name", "c", "--condition-context", "nonsense"],
        ["write", "--file", "/nowhere/tuples.csv"],
        ["delete", "--file", "tuples.doc"],
        ["delete", *TUPLE, "--on-missing", "maybe"],
    ],
    ids=" ".join,
)
def test_usage_errors(arguments: list[str]) -> None:
    """What cannot be meant is refused before anything is sent."""
    result = run_cli("tuple", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")


def test_a_malformed_file_names_every_line(tmp_path: Path) -> None:
    """All wrong lines are named, and nothing is written."""
    file = tmp_path / "tuples.jsonl"
    good = {"user": "user:a", "relation": "member", "object": "organization:acme"}
    file.write_text(f"{json.dumps(good)}\nnonsense\n{json.dumps(good | {'more': 1})}\n")
    result = run_cli("tuple", "write", "--file", file)
    assert result.code == 2
    assert "line 2: not JSON" in result.err
    assert "line 3: unknown key `more`" in result.err
