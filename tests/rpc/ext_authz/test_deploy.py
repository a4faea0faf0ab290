"""The examples for gateways: what must never be loosened in them, and that the service takes them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from authz.rpc.ext_authz import check_gateway
from authz.settings import Settings

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"


def documents(path: str) -> list[Any]:
    """All documents of a YAML file."""
    return list(yaml.safe_load_all((DEPLOY / path).read_text(encoding="utf-8")))


def members(value: Any) -> Iterator[tuple[str, Any]]:
    """Every member of every table within."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from members(inner)


@pytest.mark.parametrize("folder", ["envoy", "istio"])
def test_settings_are_taken(folder: str) -> None:
    """Each file is a whole configuration, but for the files that it names."""
    settings = Settings.model_validate(tomllib.loads((DEPLOY / folder / "authz.toml").read_text(encoding="utf-8")))
    check_gateway(settings)
    assert settings.ext_authz.store is not None
    gateways = {rule.principal for rule in settings.access.certificates} - set(settings.access.admins)
    assert gateways <= set(settings.detection.exempt)
    assert not settings.ext_authz.trusted_headers


def test_envoy_never_lets_pass_for_want_of_an_answer() -> None:
    """Nor is a client's certificate optional, nor a path left as odd as it came."""
    (plan,) = documents("envoy/envoy.yaml")
    found = dict(members(plan))
    assert found["failure_mode_allow"] is False
    assert found["require_client_certificate"] is True
    assert found["normalize_path"] is True
    assert found["path_with_escaped_slashes_action"] == "REJECT_REQUEST"
    assert found["headers_with_underscores_action"] == "REJECT_REQUEST"
    assert "trust_chain_verification" not in found
    filters = [each["name"].rpartition(".")[2] for each in found["http_filters"]]
    assert filters == ["jwt_authn", "ext_authz", "router"]


def test_nor_does_istio() -> None:
    """And every request to the workload is asked about."""
    (mesh,) = documents("istio/mesh.yaml")
    (provider,) = mesh["extensionProviders"]
    assert provider["envoyExtAuthzGrpc"]["failOpen"] is False
    policy, peers, _ = documents("istio/policy.yaml")
    assert (policy["spec"]["action"], policy["spec"]["rules"]) == ("CUSTOM", [{}])
    assert policy["spec"]["provider"]["name"] == provider["name"]
    assert peers["spec"]["mtls"]["mode"] == "STRICT"


def test_kong_asks_after_it_knows_who_calls() -> None:
    """By the plugin that comes last, in the phase in which a request can still be refused."""
    (plan,) = documents("kong/kong.yaml")
    (service,) = plan["services"]
    known, asked = service["plugins"]
    assert (known["name"], asked["name"]) == ("jwt", "post-function")
    assert set(asked["config"]) == {"access"}
