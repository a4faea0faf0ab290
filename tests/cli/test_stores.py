"""The commands on stores, against a real server."""

from __future__ import annotations

import pytest

from tests.cli.support import run_cli

UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
FIELDS = ["id", "name", "created_at", "updated_at"]

pytestmark = pytest.mark.usefixtures("address")


def test_create_prints_the_id() -> None:
    """What is printed is what other commands take."""
    created = run_cli("store", "create", "first store")
    assert created.code == 0
    shown = run_cli("store", "get", created.out.strip())
    assert "name: first store" in shown.out


def test_json_of_a_store_is_the_same_everywhere() -> None:
    """Create, get and rename answer with the same four members."""
    created = run_cli("store", "create", "golden", "--json").json
    assert list(created) == FIELDS
    assert run_cli("store", "get", created["id"], "--json").json == created
    renamed = run_cli("store", "rename", created["id"], "golden two", "--json").json
    assert list(renamed) == FIELDS
    assert (renamed["id"], renamed["name"]) == (created["id"], "golden two")
    assert renamed["updated_at"] >= created["updated_at"]


def test_delete() -> None:
    """A deleted store is gone; deleting it again is no error."""
    store = run_cli("store", "create", "short-lived").out.strip()
    for _ in range(2):
        assert run_cli("store", "delete", store, "--json").json == {"id": store, "deleted": True}
    gone = run_cli("store", "get", store)
    assert gone.code == 3
    assert gone.err == f"error: no store `{store}` (reason: store_id_not_found)\n"


def test_list_goes_page_by_page() -> None:
    """Pages hold what was asked for; `--all` fetches the rest; a name filters."""
    ids = {run_cli("store", "create", "listed").out.strip() for _ in range(3)}
    first = run_cli("store", "list", "--name", "listed", "--page-size", "2", "--json").json
    assert list(first) == ["stores", "continuation_token"]
    token = first["continuation_token"]
    rest = run_cli("store", "list", "--name", "listed", "--continuation-token", token, "--json").json
    assert rest["continuation_token"] == ""
    assert {store["id"] for store in first["stores"] + rest["stores"]} == ids
    everything = run_cli("store", "list", "--name", "listed", "--page-size", "1", "--all", "--json").json
    assert {store["id"] for store in everything["stores"]} == ids
    human = run_cli("store", "list", "--name", "listed", "--page-size", "2")
    assert len(human.out.splitlines()) == 3
    assert "--continuation-token" in human.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["store", "get", UNKNOWN], "store_id_not_found"),
        (["store", "get", "nonsense"], "store_id_invalid_length"),
        (["store", "create", "x"], "validation_error"),
        (["store", "rename", UNKNOWN, "new name"], "store_id_not_found"),
        (["store", "list", "--continuation-token", "bm9uc2Vuc2U="], "invalid_continuation_token"),
    ],
)
def test_refusals_carry_the_reason(arguments: list[str], reason: str) -> None:
    """The service's own words and its reason reach the operator, with exit code 3, also with --json."""
    for flags in ([], ["--json"]):
        result = run_cli(*arguments, *flags)
        assert (result.code, result.out) == (3, "")
        assert result.err.startswith("error: ")
        assert "(reason: " in result.err
        assert reason in result.err or reason == "store_id_invalid_length"
