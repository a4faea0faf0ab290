"""Settings of who may call: what is refused, and how it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from authz.settings import InvalidSettings, load_settings
from authz.settings.access import IssuerSettings

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {"name": "main", "issuer": "https://issuer.example", "audiences": ["authz"]}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"audiences": []}, "at least 1"),
        ({"audiences": [""]}, "at least 1"),
        ({"algorithms": []}, "at least 1"),
        ({"algorithms": ["HS256"]}, "'RS256'"),
        ({"algorithms": ["none"]}, "'RS256'"),
        ({"algorithms": ["ES256K"]}, "'RS256'"),
        ({"types": []}, "at least 1"),
        ({"name": "cert"}, "reserved"),
        ({"name": "key"}, "reserved"),
        ({"name": "group"}, "reserved"),
        ({"name": "a/b"}, "pattern"),
        ({"issuer": "http://issuer.example"}, "https URL"),
        ({"issuer": "issuer"}, "https URL"),
        ({"issuer": "https://issuer.example?x=1"}, "https URL"),
        ({"issuer": "https://user@issuer.example"}, "https URL"),
        ({"jwks_url": "http://issuer.example/keys"}, "https URL"),
        ({"jwks_url": "http://127.0.0.1.nip.example/keys"}, "https URL"),
        ({"jwks_url": "file:///keys"}, "https URL"),
        ({"jwks_url": "https://[::1/keys"}, "https URL"),
        ({"jwks_url": "https://issuer.example/\nkeys"}, "https URL"),
        ({"jwks_url": "https://issuer.example/k", "jwks_file": "/k"}, "not both"),
        ({"leeway": 301}, "300"),
        ({"leeway": -1}, "0"),
        ({"max_lifetime": 0}, "0"),
        ({"cooldown": 0}, "0"),
        ({"scopes": {"x": "everything"}}, "'check'"),
        ({"certificate_bound": "never"}, "required"),
        ({"verify": False}, "not permitted"),
    ],
)
def test_unsafe_issuers(changes: dict[str, Any], why: str) -> None:
    """
    What would accept too much, or is a slip of the pen, is refused with its reason.
    """
    with pytest.raises(ValueError, match=why):
        IssuerSettings.model_validate(GOOD | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"issuer": "http://127.0.0.1:9000"},
        {"issuer": "http://localhost:9000/realms/a"},
        {"jwks_url": "http://[::1]:9000/keys"},
        {"issuer": "kubernetes/serviceaccount", "jwks_file": "/keys"},
        {"types": [""]},
    ],
)
def test_safe_issuers(changes: dict[str, Any]) -> None:
    """
    Plain http is good on this machine only; an issuer with keys in a file need not be a URL.
    """
    assert IssuerSettings.model_validate(GOOD | changes).name == "main"


def test_from_a_file(tmp_path: Path) -> None:
    """
    Tables of the configuration file become issuers and rules; mistakes are named by their place.
    """
    path = tmp_path / "authz.toml"
    text = """
        [access]
        admins = ["main/root", "key/break-glass"]
        [[access.issuers]]
        name = "main"
        issuer = "https://issuer.example"
        audiences = ["authz"]
        scopes = { "svc:check" = "check" }
        [[access.certificates]]
        pattern = "spiffe://example.org/*"
        scopes = ["check"]
        [[access.strong]]
        scopes = ["model", "admin"]
        amr = ["mfa"]
    """
    path.write_text(text)
    access = load_settings({}, path).access
    assert access.issuers[0].scopes == {"svc:check": "check"}
    assert access.strong[0].amr == ("mfa",)
    path.write_text(text.replace("https:", "http:"))
    with pytest.raises(InvalidSettings, match=r"`access\.issuers\.0`: keys can only be discovered"):
        load_settings({}, path)
    path.write_text(text.replace('"main/root"', '"main root"'))
    with pytest.raises(InvalidSettings, match=r"`access\.admins\.0`: expected 1 to 400 bytes"):
        load_settings({}, path)


@pytest.mark.parametrize("name", ["anonymous", "group:main/ops"])
def test_administrators_can_prove_who_they_are(name: str) -> None:
    """
    A name that no caller can prove to have would leave the service without its administrator, silently.
    """
    with pytest.raises(InvalidSettings, match=f"`{name}`"):
        load_settings({"access.admins": [name]})


@pytest.mark.parametrize("member", ["name", "issuer"])
def test_issuers_are_distinct(member: str) -> None:
    """
    Two issuers of one name or one `iss` could speak for each other.
    """
    second = {"name": "other", "issuer": "https://other.example", "audiences": ["authz"]} | {member: GOOD[member]}
    with pytest.raises(InvalidSettings, match=f"several issuers have the {member}"):
        load_settings({"access.issuers": [GOOD, second]})


def test_longest_lifetime() -> None:
    """
    An order against tokens may end when none of them can be accepted any more, whatever the clocks say.
    """
    second = {"name": "other", "issuer": "https://other.example", "audiences": ["authz"], "max_lifetime": 60}
    assert load_settings({"access.issuers": [GOOD, second]}).access.longest_lifetime == 3660
    assert load_settings().access.longest_lifetime == 0
