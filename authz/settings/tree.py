"""The whole tree of settings. Read by `app`; its flags are made by `cli.serving`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from authz.settings.access import AccessSettings
from authz.settings.alerts import AlertsSettings
from authz.settings.audit import AuditSettings
from authz.settings.authzen import AuthzenSettings
from authz.settings.datastore import ReplicaSettings
from authz.settings.deprecations import Deprecations
from authz.settings.detection import DetectionSettings
from authz.settings.ext_authz import ExtAuthzSettings
from authz.settings.index import IndexSettings
from authz.settings.limits import LimitsSettings
from authz.settings.telemetry import TelemetrySettings
from authz.settings.tls import TlsSettings
from authz.settings.types import Address, Count, OptionalAddress, Seconds
from authz.settings.web import WebSettings

PREFIX = "AUTHZ_"


class Settings(BaseSettings):
    """What an operator may choose."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    grpc_addr: Address = "127.0.0.1:8081"
    """Where gRPC is served; port 0 picks a free one."""
    http_addr: OptionalAddress = "127.0.0.1:8080"
    """Where HTTP/JSON is served; port 0 picks a free one; empty: nowhere. When nothing is said and the port is taken,
    the service does without and says so: `ready … http=off`."""
    datastore_uri: str = Field(default="sqlite:///authz.db", repr=False)
    """Which database holds stores, models and tuples: `sqlite:///FILE` or `postgresql://USER@HOST/NAME`."""
    poll_interval: Seconds = 1.0
    """How many seconds a write through another node may stay unseen by calls that ask for no freshness, when the
    database's notification of it is lost, or the database has none (CockroachDB, YugabyteDB)."""
    workers: Count = 1
    """How many processes serve on the one port (Linux). Each holds an index of its own, and allows its share of the
    rates; the system spreads connections over them, not calls."""
    transport: Literal["grpcio", "native"] = "grpcio"
    """What takes calls off the wire: `native` (`pip install "authz-service[native]"`) needs far less of a processor for
    each, yet has no TLS and few bounds against hostile callers: for loopback, behind a proxy that has them."""
    insecure: bool = False
    """Listen beyond loopback although there is neither TLS nor authentication."""
    token_key: SecretStr | None = Field(default=None, min_length=16)
    """Secret that signs consistency and continuation tokens, the same on all nodes of one datastore. Without it or a
    file of keys a random key is made once and kept in the datastore."""
    token_key_file: Path | None = None
    """File with that secret: the first line signs, further lines are former keys that still open tokens. Read again
    when it changes."""
    history_window: Seconds = 86_400.0
    """For how many seconds deleted tuples stay readable by exact-snapshot tokens and continuation tokens."""
    collection_interval: Seconds = 600.0
    """Every how many seconds tuples beyond that window are removed."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """How log lines look; `auto` is `console` on a terminal, else `json`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """From which level on log lines are written; checks and list calls are logged at `debug`."""
    shutdown_grace: Seconds = 10.0
    """How many seconds running calls may take to end after SIGTERM."""
    max_message_bytes: Count = 616_448
    """Largest request in bytes."""
    request_timeout: Seconds = 3.0
    """How many seconds a call may take, unless its caller allows less."""
    list_objects_deadline: Seconds = 3.0
    """After how many seconds ListObjects and StreamedListObjects answer with what they have."""
    list_objects_max_results: int = Field(default=1000, ge=0)
    """How many objects ListObjects answers with at most; 0 for all."""
    list_users_deadline: Seconds = 3.0
    """After how many seconds ListUsers answers with what it has."""
    list_users_max_results: int = Field(default=1000, ge=0)
    """How many users ListUsers answers with at most; 0 for all."""
    max_tuples_per_write: Count = 100
    """How many tuples one Write may name."""
    max_types_per_authorization_model: Count = 100
    """How many types a model may have."""
    max_authorization_model_size_in_bytes: Count = 262_144
    """How large a model may be."""
    max_checks_per_batch_check: Count = 50
    """How many checks one BatchCheck may hold."""
    max_condition_context_bytes: Count = 32_768
    """How large the context stored with a tuple's condition may be."""
    changelog_horizon: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Changes younger than this many seconds are not shown by ReadChanges."""
    changelog_retention: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """After how many seconds changes are removed from the changelog, if at all (0 keeps them): never before
    `history_window`, and never the newest of a store. Older places to go on from are refused."""
    reflection: Literal["auto", "on", "off"] = "auto"
    """Whether callers may ask for the interface; `auto` is `on` only while authentication is off."""
    raise_bugs: bool = False
    """Let broken invariants end the call with their traceback instead of an internal error; for tests."""
    replica: ReplicaSettings = ReplicaSettings()
    """A second database server, to read from."""
    index: IndexSettings = IndexSettings()
    """How much memory tuples may take."""
    tls: TlsSettings = TlsSettings()
    """TLS of the listeners and identity from client certificates."""
    access: AccessSettings = AccessSettings()
    """Who may call."""
    limits: LimitsSettings = LimitsSettings()
    """How much one caller may ask."""
    audit: AuditSettings = AuditSettings()
    """What is recorded, and where to."""
    detection: DetectionSettings = DetectionSettings()
    """Which behaviour is unusual, and what follows from it."""
    alerts: AlertsSettings = AlertsSettings()
    """Where alerts go."""
    deprecations: Deprecations = Field(default_factory=dict)
    """Which parts of the API are going away, and when."""
    web: WebSettings = WebSettings()
    """HTTP/JSON: who may call it from a browser, and how long its clients may take."""
    authzen: AuthzenSettings = AuthzenSettings()
    """The Authorization API of AuthZEN: which store it is about, and how much one request may ask."""
    ext_authz: ExtAuthzSettings = ExtAuthzSettings()
    """What gateways are told that ask before they forward a request."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """Metrics, traces and health."""
