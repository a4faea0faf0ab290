"""Settings that contradict each other or name what is not there: refused before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from authz.app.sensible import check_sensible
from authz.rpc.methods import METHODS
from authz.settings import InvalidSettings, Settings, load_settings

ISSUER = {"name": "corp", "issuer": "https://login.example.com", "audiences": ["authz"]}


def checked(**flags: Any) -> Settings:
    """The settings, held to what exists."""
    settings = load_settings({name.replace("__", "."): value for name, value in flags.items()})
    check_sensible(settings, METHODS)
    return settings


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A file of preshared keys."""
    path = tmp_path / "keys"
    path.write_text("")
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token_key_file", "absent"),
        ("access.keys_file", "absent"),
        ("access.issuers.0.jwks_file", [ISSUER | {"jwks_file": "absent"}]),
        ("access.issuers.0.ca_file", [ISSUER | {"ca_file": "absent"}]),
        ("audit.key_file", "absent"),
        ("limits.shared_url_file", "absent"),
        ("alerts.webhooks.0.secret_file", [{"url": "https://a.example.com/", "secret_file": "absent"}]),
        ("telemetry.otlp_headers_file", "absent"),
        ("telemetry.otlp_ca_file", "absent"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(name: str, value: object) -> None:
    """By the name of its setting, wherever it stands, and although nobody would read it before an alert is due."""
    setting = name.partition(".0.")[0]
    with pytest.raises(InvalidSettings, match=f"^setting `{name}`: cannot read `absent`: no such file or directory$"):
        checked(**{setting: value})


def test_a_folder_and_a_file_without_authorities_are_refused(tmp_path: Path) -> None:
    """A file must be what its setting says."""
    with pytest.raises(InvalidSettings, match=r"^setting `token_key_file`: .*: is a directory$"):
        checked(token_key_file=tmp_path)
    path = tmp_path / "ca.pem"
    path.write_bytes(b"nonsense")
    with pytest.raises(InvalidSettings, match=r"^setting `access.issuers.0.ca_file`: .* holds no certificates"):
        checked(access__issuers=[ISSUER | {"ca_file": path}])


def test_a_key_comes_from_one_place(keys: Path) -> None:
    """Of two keys of tokens one would silently not count."""
    with pytest.raises(InvalidSettings, match=r"^setting `token_key`"):
        checked(token_key="k" * 20, token_key_file=keys)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("admins", ["key/root"]),
        ("strong", [{"scopes": ["model"], "amr": ["mfa"]}]),
        ("certificates", [{"pattern": "*"}]),
    ],
)
def test_rules_for_callers_need_callers_that_are_known(name: str, value: object) -> None:
    """Whoever names administrators and forgets the means to prove to be one would serve everybody."""
    with pytest.raises(InvalidSettings, match=f"^setting `access.{name}`: nobody is asked"):
        checked(**{f"access.{name}": value})


@pytest.mark.parametrize("principal", ["root", "key/", "other/root", "corp/"])
def test_an_administrator_that_nobody_can_be_is_refused(principal: str, keys: Path) -> None:
    """A name that no proof leads to is a slip."""
    with pytest.raises(InvalidSettings, match=f"^setting `access.admins`: nobody can be `{principal}`"):
        checked(access__keys_file=keys, access__issuers=[ISSUER], access__admins=[principal])


def test_administrators_that_somebody_can_be_are_taken(keys: Path) -> None:
    """Of keys, of certificates, of configured issuers, and those that a rule for certificates names."""
    names = ["key/root", "cert/spiffe://a/b", "corp/x/y", "ops"]
    rule = {"pattern": "operator", "principal": "ops"}
    found = checked(access__keys_file=keys, access__issuers=[ISSUER], access__admins=names, access__certificates=[rule])
    assert found.access.admins == tuple(names)


def test_strong_authentication_is_demanded_of_calls_that_exist(keys: Path) -> None:
    """A misspelt call would need no strong authentication."""
    for method in ("DeleteStore", "/openfga.v1.OpenFGAService/DeleteStore"):
        checked(access__keys_file=keys, access__strong=[{"methods": [method], "amr": ["mfa"]}])
    with pytest.raises(InvalidSettings, match=r"^setting `access.strong.0.methods`: there is no call `DeletStore`"):
        checked(access__keys_file=keys, access__strong=[{"methods": ["DeletStore"], "amr": ["mfa"]}])


@pytest.mark.parametrize(
    "endpoint", ["nonsense", "http://127.0.0.1:4318", "ftp://127.0.0.1/v1/logs", "http://[/v1/logs"]
)
def test_records_are_not_sent_to_nowhere(endpoint: str) -> None:
    """Otherwise the first record fails, and with it every call."""
    with pytest.raises(InvalidSettings, match=r"^setting `audit.otlp_endpoint`: expected http"):
        checked(audit__sinks=["otlp"], audit__otlp_endpoint=endpoint)


def test_records_are_not_sent_in_the_clear() -> None:
    """They tell who asks about whom; a receiver on this machine, TLS or an insistent operator are another matter."""
    remote = "http://logs.example.com:4318/v1/logs"
    with pytest.raises(InvalidSettings, match="in the clear"):
        checked(audit__sinks=["otlp"], audit__otlp_endpoint=remote)
    checked(audit__sinks=["otlp"], audit__otlp_endpoint=remote, insecure=True)
    checked(audit__sinks=["otlp"], audit__otlp_endpoint=remote.replace("http:", "https:"))
    checked(audit__sinks=["otlp"], audit__otlp_endpoint="http://127.0.0.1:4318/v1/logs")
    checked(audit__sinks=["otlp"], audit__otlp_protocol="grpc", audit__otlp_endpoint="logs.example.com:4317")
