"""The commands on who may call, against a real server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime

import pytest

from authz.access.authentication import new_key
from tests.cli.support import run_cli
from tests.support.server import RunningServer, running_server

STORE = "01HYYYYYYYYYYYYYYYYYYYYYYY"

on_server = pytest.mark.usefixtures("secured")


@pytest.fixture(scope="module")
def secured_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, str]]:
    """A server that demands proof, and the key of its administrator."""
    folder = tmp_path_factory.mktemp("secured")
    secret, line = new_key("root")
    (folder / "keys.txt").write_text(line + "\n")
    settings = {"access_keys_file": folder / "keys.txt", "access_admins": '["key/root"]'}
    with running_server(folder, settings) as server:
        yield server, secret


@pytest.fixture
def secured(secured_server: tuple[RunningServer, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The server and the key, known to commands by the environment."""
    monkeypatch.setenv("AUTHZ_ADDR", secured_server[0].address)
    monkeypatch.setenv("AUTHZ_TOKEN", secured_server[1])


@pytest.mark.usefixtures("address")
def test_rights_are_not_given_while_nobody_proves_who_he_is() -> None:
    """What anybody could give would hold once authentication is on."""
    for command in (["grant", "corp/anne", "admin"], ["suspend", "corp/anne"], ["revoke", "--principal", "corp/anne"]):
        done = run_cli("access", *command)
        assert done.code == 3
        assert "configure `access`" in done.err


@on_server
def test_grant_list_withdraw() -> None:
    """What was granted is listed in the same words, and gone after it was withdrawn; both may be said twice."""
    wanted = {"principal": "corp/anne%smith", "role": "reader", "store_id": STORE}
    for _ in range(2):
        assert run_cli("access", "grant", "corp/anne%smith", "reader", "--store", STORE, "--json").json == wanted
    found = run_cli("access", "list", "--principal", "corp/anne%smith", "--json").json
    assert found == {"grants": [wanted], "continuation_token": ""}
    shown = run_cli("access", "list", "--store", STORE)
    assert "corp/anne%smith" in shown.out
    assert STORE in shown.out
    for _ in range(2):
        taken = run_cli("access", "withdraw", "corp/anne%smith", "reader", "--store", STORE)
        assert (taken.code, taken.out) == (0, f"withdrew corp/anne%smith reader on store {STORE}\n")
    assert run_cli("access", "list", "--principal", "corp/anne%smith", "--json").json["grants"] == []


@on_server
def test_roles_on_modules_the_service_and_in_groups() -> None:
    """Each place has its option."""
    module = run_cli("access", "grant", "group:corp/wiki", "writer", "--store", STORE, "--module", "wiki")
    assert module.out == f"granted group:corp/wiki writer on module wiki of store {STORE}\n"
    service = run_cli("access", "grant", "corp/bob", "auditor", "--json")
    assert service.json == {"principal": "corp/bob", "role": "auditor"}
    group = run_cli("access", "grant", "key/cron", "member", "--group", "ops/night", "--json")
    assert group.json == {"principal": "key/cron", "role": "member", "group": "ops/night"}
    everything = run_cli("access", "list", "--all", "--page-size", "1", "--json").json
    assert {"principal": "corp/bob", "role": "auditor"} in everything["grants"]
    assert {"principal": "key/cron", "role": "member", "group": "ops/night"} in everything["grants"]
    assert len(everything["grants"]) >= 3


@on_server
def test_revoke_takes_a_role_away_too() -> None:
    """`revoke PRINCIPAL ROLE` is the other spelling of `withdraw`."""
    run_cli("access", "grant", "corp/carl", "checker", "--store", STORE)
    assert run_cli("access", "revoke", "corp/carl", "checker", "--store", STORE).code == 0
    assert run_cli("access", "list", "--principal", "corp/carl", "--json").json["grants"] == []


@on_server
@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["--token-id", "j1", "--issuer", "corp"], {"token_id": "j1", "issuer": "corp"}),
        (
            ["--principal", "corp/anne", "--issued-before", "2026-01-02T03:04:05"],
            {"principal": "corp/anne", "issued_before": "2026-01-02T03:04:05Z"},
        ),
        (
            ["--client", "app", "--issuer", "corp", "--issued-before", "2026-01-02"],
            {"client": "app", "issuer": "corp", "issued_before": "2026-01-02T00:00:00Z"},
        ),
    ],
    ids=["token", "principal", "client"],
)
def test_revoke_tokens(arguments: list[str], body: dict[str, object]) -> None:
    """The order is shown, listed, and can be lifted by its id."""
    made = run_cli("access", "revoke", *arguments, "--reason", "lost", "--json").json
    assert (made["kind"], made["body"], made["reason"]) == ("revocation", body, "lost")
    assert made in run_cli("access", "list", "--json").json["directives"]
    shown = run_cli("access", "list").out
    assert made["id"] in shown
    assert " ".join(f"{name}={value}" for name, value in body.items()) in shown
    lifted = run_cli("access", "lift", made["id"], "--json").json
    assert lifted == made | {"lifted_at": lifted["lifted_at"]}
    assert made not in run_cli("access", "list", "--json").json["directives"]
    assert run_cli("access", "lift", made["id"]).code == 3


@on_server
def test_suspend_until() -> None:
    """The end is in UTC, as typed."""
    made = run_cli("access", "suspend", "corp/eve", "--until", "2099-01-01T00:00:00", "--reason", "odd", "--json").json
    assert (made["kind"], made["body"]) == ("suspension", {"principal": "corp/eve"})
    assert made["expires_at"] == "2099-01-01T00:00:00Z"
    for typed in ("2099-01-01T01:00:00+01:00", "2099-01-01"):
        again = run_cli("access", "suspend", "corp/eve", "--until", typed, "--json").json
        assert again["expires_at"] == made["expires_at"]
    soon = run_cli("access", "suspend", "corp/eve", "--until", "8h", "--json").json
    left = datetime.fromisoformat(soon["expires_at"]) - datetime.fromisoformat(soon["created_at"])
    assert abs(left.total_seconds() - 8 * 3600) < 60
    told = run_cli("access", "lift", made["id"])
    assert told.out == f"lifted principal=corp/eve: order {made['id']}\n"
    assert run_cli("access", "suspend", "corp/eve", "--until", "2001-01-01").code == 3


@on_server
def test_a_name_without_an_issuer_is_doubted() -> None:
    """It can be somebody by a rule for certificates; more often it is a slip."""
    made = run_cli("access", "grant", "shop", "checker", "--store", STORE)
    assert (made.code, made.out) == (0, f"granted shop checker on store {STORE}\n")
    assert made.err.startswith("warning: `shop` is not of the form ISSUER/SUBJECT")


@on_server
@pytest.mark.parametrize(
    "arguments",
    [
        ["grant", "corp/anne", "root"],
        ["grant", "corp/anne", "writer"],
        ["grant", "corp/anne", "writer", "--module", "wiki"],
        ["grant", "corp/anne", "reader", "--store", "nonsense"],
        ["grant", "corp/anne", "admin", "--store", "00000000000000000000SYSTEM"],
        ["grant", "corp/anne smith", "reader"],
        ["grant", "key/cron", "member", "--group", "night"],
        ["suspend", "group:corp/staff"],
        ["suspend", "corp/eve "],
        ["revoke", "--principal", "group:corp/staff"],
        ["revoke", "--token-id", "j1"],
        ["lift", "nonsense"],
    ],
    ids=" ".join,
)
def test_refusals_of_the_service(arguments: list[str]) -> None:
    """They end with exit code 3 and a reason."""
    result = run_cli("access", *arguments)
    assert (result.code, result.out) == (3, "")
    assert "(reason: " in result.err


@on_server
@pytest.mark.parametrize(
    "arguments",
    [
        ["revoke"],
        ["revoke", "corp/anne"],
        ["revoke", "corp/anne", "reader", "--token-id", "j1"],
        ["revoke", "--token-id", "j1", "--principal", "corp/anne"],
        ["revoke", "--principal", "corp/anne", "--store", STORE],
        ["suspend", "corp/anne", "--until", "tomorrow"],
        ["key", "two words"],
        ["grant", "corp/anne"],
    ],
    ids=" ".join,
)
def test_misuse(arguments: list[str]) -> None:
    """What cannot be understood is told before any server is asked."""
    result = run_cli("access", *arguments)
    assert (result.code, result.out) == (2, "")


def test_a_new_key_is_shown_once() -> None:
    """The key goes to stdout alone; the line for the file holds its hash, not the key; no server is needed."""
    made = run_cli("access", "key", "cron")
    secret = made.out.strip()
    digest = hashlib.sha256(secret.encode()).hexdigest()
    assert made.code == 0
    assert re.fullmatch(r"\S{40,}", secret)
    assert f"cron sha256:{digest}" in made.err
    assert secret not in made.err
    both = run_cli("access", "key", "cron", "--json").json
    assert both["line"] == f"cron sha256:{hashlib.sha256(both['key'].encode()).hexdigest()}"
    assert both["key"] != secret
