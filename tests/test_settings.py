"""Settings: which source wins, and what is said about bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from authz.app import check_servable
from authz.settings import InvalidSettings, Settings, load_settings


def toml(folder: Path, text: str) -> Path:
    """A configuration file."""
    path = folder / "authz.toml"
    path.write_text(text)
    return path


def test_flags_win_over_environment_over_file_over_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Each source covers those below it, and a flag that is not given covers nothing.
    """
    file = toml(tmp_path, 'log_level = "error"\nmax_tuples_per_write = 7\nrequest_timeout = 5\n')
    monkeypatch.setenv("AUTHZ_LOG_LEVEL", "warning")
    monkeypatch.setenv("AUTHZ_MAX_TUPLES_PER_WRITE", "8")
    found = load_settings({"log_level": "debug", "request_timeout": None}, file)
    assert (
        found.log_level,
        found.max_tuples_per_write,
        found.request_timeout,
        found.list_objects_max_results,
    ) == ("debug", 8, 5.0, 1000)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"log_level": "loud"}, "log_level"),
        ({"workers": 0}, "workers"),
        ({"workrs": 1}, "workrs"),
        ({"grpc_addr": "localhost"}, "expected HOST:PORT, got `localhost`"),
        ({"grpc_addr": ":1"}, "grpc_addr"),
        ({"grpc_addr": "a:99999"}, "grpc_addr"),
        ({"request_timeout": "nan"}, "request_timeout"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"token_key": "short"}, "token_key"),
        ({"telemetry.metrics_addr": "here"}, "^setting `telemetry.metrics_addr`: expected HOST:PORT, got `here`$"),
        ({"limits": 3}, "^setting `limits`: expected a table$"),
        ({"limits.nonsense": 3}, "^setting `limits.nonsense`: there is no such setting$"),
        ({"limits.max_tracked": "many"}, "^setting `limits.max_tracked`: .*, got `many`$"),
        ({"audit.redact": ["a b"]}, r"A-Za-z"),
        ({"detection.responses": {"rate": {"dire": []}}}, "^setting `detection.responses.rate.dire`: .*got `dire`$"),
    ],
)
def test_a_bad_setting_is_named(flags: dict[str, object], text: str) -> None:
    """
    The error names the setting.
    """
    with pytest.raises(InvalidSettings, match=text):
        load_settings(flags)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("AUTHZ_LIMITS", "nonsense"),
        ("AUTHZ_LIMITS_TIERS", "{nonsense"),
        ("AUTHZ_DEPRECATIONS", "nonsense"),
        ("AUTHZ_ALERTS_WEBHOOKS", '[{"url": "https://a/", "secret": "nonsense"'),
    ],
)
def test_a_variable_that_is_not_json_is_named(variable: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is a bad setting like any other, and what it holds is not shown.
    """
    monkeypatch.setenv(variable, text)
    with pytest.raises(InvalidSettings, match=f"^setting `{variable.split('_')[1].lower()}`") as caught:
        load_settings()
    assert "nonsense" not in str(caught.value)


def test_only_what_is_wrong_is_told(tmp_path: Path) -> None:
    """
    A list whose only item is bad is not called empty as well.
    """
    file = toml(tmp_path, "[[access.issuers]]\nname='a'\nissuer='https://a'\naudiences=['a']\nalgorithms=['none']\n")
    with pytest.raises(InvalidSettings, match=r"^setting `access.issuers.0.algorithms.0`: [^;]*, got `none`$"):
        load_settings({}, file)


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """
    Neither the settings as text nor an error about them shows a secret.
    """
    shown = repr(load_settings({"token_key": "k" * 20, "datastore_uri": "postgresql://u:pass-word@h/d"}))
    assert "k" * 20 not in shown
    assert "pass-word" not in shown
    with pytest.raises(InvalidSettings) as caught:
        load_settings({"token_key": "tiny-secret"})
    assert "tiny-secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["log_level = ", 'log_levl = "info"\n', "[server]\nworkers = 1\n", "\xff"])
def test_a_bad_file_is_refused(tmp_path: Path, text: str) -> None:
    """
    A file that is no TOML, or has settings that do not exist, is an error.
    """
    path = tmp_path / "authz.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidSettings):
        load_settings({}, path)
    with pytest.raises(InvalidSettings, match="no such file"):
        load_settings({}, tmp_path / "missing.toml")


def test_every_setting_is_documented() -> None:
    """
    Each setting says what it means.
    """
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
def test_loopback_is_served(host: str) -> None:
    """
    Every loopback address is safe to listen on.
    """
    check_servable(load_settings({"grpc_addr": f"{host}:0"}))


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "10.0.0.1", "example.org", "*"])
def test_beyond_loopback_is_refused_unless_insisted(host: str) -> None:
    """
    Without TLS and authentication nobody else may reach the service, unless the operator says so.
    """
    with pytest.raises(InvalidSettings, match="beyond loopback"):
        check_servable(load_settings({"grpc_addr": f"{host}:0"}))
    check_servable(load_settings({"grpc_addr": f"{host}:0", "insecure": True}))


def test_workers_are_refused_where_they_cannot_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Elsewhere than on Linux several workers are refused, with a word about what to do; one is not.
    """
    monkeypatch.setattr("sys.platform", "darwin")
    check_servable(load_settings({"workers": 1}))
    with pytest.raises(InvalidSettings, match="`workers`: 2 workers would share a port by SO_REUSEPORT"):
        check_servable(load_settings({"workers": 2}))
