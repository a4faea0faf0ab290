"""The questions, against a real server with the sample of orders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.support import RunningServer, run_cli, start_cli

if TYPE_CHECKING:
    from pathlib import Path

BESIDE = ["authorization_model_id", "consistency_token"]

pytestmark = pytest.mark.usefixtures("orders")


def test_check_says_allowed_or_denied() -> None:
    """The exit code is the answer; the output says which model and revision it holds for."""
    allowed = run_cli("query", "check", "user:alice", "can_edit", "order:1001")
    assert (allowed.code, allowed.out.splitlines()[0]) == (0, "allowed")
    denied = run_cli("query", "check", "user:alice", "can_edit", "order:2001")
    assert (denied.code, denied.out.splitlines()[0]) == (1, "denied")


def test_check_as_json() -> None:
    """JSON is the same in form for both answers."""
    for object_, expected in (("order:1001", True), ("order:2001", False)):
        result = run_cli("query", "check", "user:alice", "can_edit", object_, "--json")
        assert list(result.json) == ["allowed", *BESIDE]
        assert result.json["allowed"] is expected
        assert all(result.json[name] for name in BESIDE)


def test_contextual_tuples_hold_for_one_question() -> None:
    """A contextual tuple changes the answer, and nothing else."""
    question = ("query", "check", "user:zoe", "can_view", "order:2001")
    with_tuple = run_cli(*question, "--contextual-tuple", "user:zoe member organization:globex")
    assert (with_tuple.code, run_cli(*question).code) == (0, 1)


def test_the_chosen_model_answers(orders: str, tmp_path: Path) -> None:
    """An older model can be asked by its id."""
    old = run_cli("model", "list", "--json").json["models"][0]["id"]
    newer = tmp_path / "newer.fga"
    newer.write_text("model\n  schema 1.1\n\ntype user\n\ntype order\n  relations\n    define can_edit: [user]\n")
    assert run_cli("model", "write", newer, "--store", orders).code == 0
    question = ("query", "check", "user:alice", "can_edit", "order:1001")
    assert run_cli(*question).code == 1
    assert run_cli(*question, "--model", old).code == 0


def test_consistency_modes() -> None:
    """A token of an earlier answer is accepted, a damaged one is refused by the service."""
    question = ("query", "check", "user:alice", "can_edit", "order:1001", "--json")
    token = run_cli(*question).json["consistency_token"]
    for mode in ("minimize-latency", "fully-consistent", f"at-least-as-fresh={token}", f"at-exact-snapshot={token}"):
        assert run_cli(*question, "--consistency", mode).code == 0, mode
    damaged = run_cli(*question, "--consistency", f"at-least-as-fresh={token[:-4]}AAAA")
    assert damaged.code == 3
    assert "reason: validation_error" in damaged.err


def test_exact_snapshot_looks_back() -> None:
    """An answer as of an earlier revision does not see later tuples."""
    question = ("query", "check", "user:new", "member", "organization:acme", "--json")
    before = run_cli(*question).json["consistency_token"]
    assert run_cli("tuple", "write", "user:new", "member", "organization:acme").code == 0
    assert run_cli(*question).code == 0
    assert run_cli(*question, "--consistency", f"at-exact-snapshot={before}").code == 1


def test_batch_check(tmp_path: Path) -> None:
    """Each check of the file gets its own answer, in order; the worst one decides the exit code."""
    good = {"user": "user:alice", "relation": "can_edit", "object": "order:1001", "correlation_id": "good"}
    bad = {"user": "user:alice", "relation": "can_edit", "object": "order:2001"}
    broken = {"user": "user:alice", "relation": "nothing", "object": "order:1001"}
    joined = [{"user": "user:alice", "relation": "admin", "object": "organization:globex"}]
    checks = tmp_path / "checks.json"
    for content, code in (
        ([good], 0),
        ([good, bad], 1),
        ([good, bad, broken], 3),
        ([good, bad | {"contextual_tuples": joined}], 0),
    ):
        checks.write_text(json.dumps(content))
        result = run_cli("query", "batch-check", checks, "--json")
        assert result.code == code
        assert list(result.json) == ["results", *BESIDE]
    checks.write_text(json.dumps([good, bad, broken]))
    results = run_cli("query", "batch-check", checks, "--json").json["results"]
    assert [one["correlation_id"] for one in results] == ["good", "2", "3"]
    assert [one.get("allowed") for one in results] == [True, False, None]
    assert results[2]["error"]["reason"] == "validation_error"
    human = run_cli("query", "batch-check", checks).out
    assert "user:alice can_edit order:2001" in human
    assert "denied" in human


def test_batch_check_refuses_malformed_files(tmp_path: Path) -> None:
    """What is wrong with the file is said with its place, and nothing is asked."""
    checks = tmp_path / "checks.yaml"
    checks.write_text("- user: user:a\n  relation: r\n- usr: user:a\n  relation: r\n  object: o:1\n")
    result = run_cli("query", "batch-check", checks)
    assert result.code == 2
    assert f"{checks}:1:3: `object` is missing" in result.err
    assert f"{checks}:3:3: unknown key `usr`" in result.err
    checks.write_text("[]")
    assert run_cli("query", "batch-check", checks).code == 2


def test_list_objects() -> None:
    """Objects come sorted; JSON says that nothing was cut."""
    question = ("query", "list-objects", "service_account:acme-billing", "can_view", "order")
    assert run_cli(*question).out.split() == ["order:1001", "order:1002", "order:1003"]
    answer = run_cli(*question, "--json").json
    assert list(answer) == ["objects", "truncated", *BESIDE]
    assert (answer["objects"], answer["truncated"]) == (["order:1001", "order:1002", "order:1003"], "")


def test_list_objects_streams() -> None:
    """A stream is one object a line, and as JSON ends with what holds for the whole."""
    question = ("query", "list-objects", "user:alice", "can_edit", "order", "--stream")
    assert sorted(run_cli(*question).out.split()) == ["order:1001", "order:1002", "order:1003"]
    *objects, last = [json.loads(line) for line in run_cli(*question, "--json").out.splitlines()]
    assert sorted(one["object"] for one in objects) == ["order:1001", "order:1002", "order:1003"]
    assert list(last) == ["truncated", *BESIDE]
    assert last["truncated"] == ""
    assert last["consistency_token"]
    refused = run_cli("query", "list-objects", "user:alice", "nothing", "order", "--stream")
    assert (refused.code, "relation_not_found" in refused.err) == (3, True)


def test_list_users() -> None:
    """Users of the wanted kind, sorted."""
    question = ("query", "list-users", "order:2001", "can_view")
    assert run_cli(*question, "user").out.split() == ["user:gina", "user:hank"]
    answer = run_cli(*question, "service_account", "--json").json
    assert list(answer) == ["users", "truncated", *BESIDE]
    assert answer["users"] == ["service_account:globex-fulfilment"]
    assert run_cli(*question, "organization#member").out.split() == ["organization:globex#member"]
    assert run_cli("query", "list-users", "order", "can_view", "user").code == 2


def test_expand() -> None:
    """The tree shows one level of the definition."""
    human = run_cli("query", "expand", "can_cancel", "order:1001")
    assert human.code == 0
    assert human.out.splitlines()[0] == "order:1001#can_cancel"
    assert "computed order:1001#creator" in human.out
    tree = run_cli("query", "expand", "creator", "order:1001", "--json").json
    assert list(tree) == ["tree", *BESIDE]
    assert tree["tree"]["root"]["leaf"]["users"]["users"] == ["user:bob"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["check", "user:a", "can_view", "order:1", "--context", "{"], "not JSON"),
        (["check", "user:a", "can_view", "order:1", "--context", "[]"], "not a JSON object"),
        (["check", "user:a", "can_view", "order:1", "--context", '{"a": NaN}'], "not JSON"),
        (["check", "user:a", "can_view", "order:1", "--context", '{"a": 1e999}'], "finite"),
        (["check", "user:a", "can_view", "order:1", "--context", "[" * 100_000], "nested"),
        (["check", "user:a", "can_view", "order:1", "--contextual-tuple", "user:a member"], "user relation object"),
        (["batch-check", "/nowhere/checks.json"], "/nowhere/checks.json"),
    ],
    ids=lambda value: value[-1][:20] if isinstance(value, list) else value,
)
def test_malformed_input_is_a_usage_error(arguments: list[str], word: str) -> None:
    """Bad input is refused before the service is asked, and named."""
    result = run_cli("query", *arguments)
    assert (result.code, result.out) == (2, "")
    assert word in result.err


def test_a_store_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a store the command says how to name one."""
    monkeypatch.delenv("AUTHZ_STORE")
    result = run_cli("query", "check", "user:a", "can_view", "order:1")
    assert result.code == 2
    assert "--store" in result.err


def test_an_unknown_store_has_no_model() -> None:
    """A store that was never made answers nothing."""
    result = run_cli("query", "check", "user:a", "can_view", "order:1", "--store", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert result.code == 3
    assert "reason: latest_authorization_model_not_found" in result.err


def test_output_of_a_process_is_json_alone(address: str, orders: str) -> None:
    """As a process the program prints JSON on stdout and nothing on stderr, so that scripts can trust it."""
    flags = ("--addr", address, "--store", orders, "--json")
    process = start_cli("query", "check", "user:alice", "can_edit", "order:2001", *flags)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "")
    assert json.loads(out)["allowed"] is False


@pytest.mark.ops
def test_a_list_cut_short_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A truncated list is warned about on stderr, and named in JSON."""
    server = RunningServer(f"sqlite:///{tmp_path}/authz.db", "127.0.0.1:0", "--list-objects-max-results", "2")
    try:
        monkeypatch.setenv("AUTHZ_ADDR", server.address)
        monkeypatch.setenv("AUTHZ_STORE", run_cli("store", "create", "cut").out.strip())
        model = tmp_path / "model.fga"
        model.write_text("model\n  schema 1.1\n\ntype user\n\ntype doc\n  relations\n    define owner: [user]\n")
        run_cli("model", "write", model)
        for number in range(3):
            run_cli("tuple", "write", "user:a", "owner", f"doc:{number}")
        question = ("query", "list-objects", "user:a", "owner", "doc")
        human = run_cli(*question)
        assert len(human.out.split()) == 2
        assert human.err.startswith("warning: the list is not complete")
        assert run_cli(*question, "--json").json["truncated"] == "max-results"
    finally:
        server.stop()
