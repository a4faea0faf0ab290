"""Every setting of the service: name, meaning, default. Loaded by `cli` and by tests; used by `app`.

A flag wins over the environment (`AUTHZ_NAME`), which wins over the TOML file (`--config`), which wins over the
default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "AUTHZ_"


class InvalidSettings(Exception):
    """A setting that is unknown or has a bad value; the message names it. Ends the program with a usage error."""


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError("expected HOST:PORT")
    return text


Address = Annotated[str, AfterValidator(_address)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """What an operator may choose."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, use_attribute_docstrings=True)

    grpc_addr: Address = "127.0.0.1:8081"
    """Where gRPC is served; port 0 picks a free one."""
    http_addr: Address = "127.0.0.1:8080"
    """Where HTTP/JSON will be served; this version does not serve it yet and says so: `ready … http=off`."""
    datastore_uri: str = Field(default="sqlite:///authz.db", repr=False)
    """Which database holds stores, models and tuples: `sqlite:///FILE` or `postgresql://USER@HOST/NAME`."""
    workers: Count = 1
    """How many processes serve."""
    insecure: bool = False
    """Listen beyond loopback although there is neither TLS nor authentication."""
    token_key: SecretStr | None = Field(default=None, min_length=16)
    """Secret that signs consistency and continuation tokens, the same on all nodes of one datastore. Without it a
    random key is made once and kept in the datastore."""
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
    raise_bugs: bool = False
    """Let broken invariants end the call with their traceback instead of an internal error; for tests."""


def load_settings(flags: Mapping[str, object] | None = None, config: Path | None = None) -> Settings:
    """The settings from flags (those not None), environment, TOML file and defaults.

    Raises:
        InvalidSettings: a bad or unknown setting, or a file that cannot be read.

    """
    # pydantic puts arguments above the environment, where flags belong; of the file only what the environment lacks
    given = {} if config is None else {name: value for name, value in _read_file(config).items() if not _in_env(name)}
    given |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise InvalidSettings("; ".join(_complaint(entry) for entry in error.errors(include_input=False))) from None


def _in_env(name: str) -> bool:
    variable = f"{PREFIX}{name}".upper()
    return any(given.upper() == variable for given in os.environ)


def _complaint(entry: Any) -> str:
    name = ".".join(str(part) for part in entry["loc"])
    return f"setting `{name}`: {entry['msg'].lower().removeprefix('value error, ')}"


def _read_file(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSettings(f"cannot read `{config}`: {(error.strerror or 'unreadable').lower()}") from None
    except ValueError as error:  # of TOML or of UTF-8
        raise InvalidSettings(f"`{config}` is not TOML: {error}") from None
