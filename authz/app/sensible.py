"""Refuse settings that contradict each other, or that name what is not there. Called before anything is opened.

A demand that can never be met, or that holds for nobody, would be taken for protection.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from authz.addresses import is_loopback_host
from authz.app.servable import is_authenticated
from authz.rpc.exchange import Method
from authz.settings import InvalidSettings, Settings
from authz.settings.audit import AuditSettings

_KEY, _CERTIFICATE = "key", "cert"
_SCHEMES = ("http", "https")


def check_sensible(settings: Settings, methods: Iterable[Method]) -> None:
    """Hold the settings to what exists.

    Raises:
        InvalidSettings: naming the setting, saying why.

    """
    if settings.token_key is not None and settings.token_key_file is not None:
        raise InvalidSettings("setting `token_key`: the keys come from `token_key_file` already")
    for name, path in _files(settings):
        _check_readable(name, path)
    _check_access(settings, methods)
    if "otlp" in settings.audit.sinks and settings.audit.otlp_endpoint:
        _check_receiver(settings.audit, insecure=settings.insecure)


def _files(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Every file that is read, by the name of its setting."""
    for name in type(section).model_fields:
        value: Any = getattr(section, name)
        if isinstance(value, Path) and name.endswith("_file"):
            yield prefix + name, value
        for place, part in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(part, BaseModel):
                yield from _files(part, f"{prefix}{name}.{place}." if part is not value else f"{prefix}{name}.")


def _check_readable(name: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        why = (error.strerror or "unreadable").lower()
        raise InvalidSettings(f"setting `{name}`: cannot read `{path}`: {why}") from None
    if name.endswith("ca_file"):
        _check_authorities(name, path)


def _check_authorities(name: str, path: Path) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise InvalidSettings(f"setting `{name}`: `{path}` holds no certificates of authorities") from None


def _check_access(settings: Settings, methods: Iterable[Method]) -> None:
    access = settings.access
    if not is_authenticated(settings):
        for name in ("admins", "strong", "certificates"):
            if getattr(access, name):
                raise InvalidSettings(
                    f"setting `access.{name}`: nobody is asked who he is: configure `access.issuers`,"
                    " `access.keys_file`, or `tls.client_ca_file` and `tls.client_auth`"
                )
    origins = {_KEY, _CERTIFICATE, *(issuer.name for issuer in access.issuers)}
    own = {rule.principal for rule in access.certificates}
    for principal in access.admins:
        origin, slash, name = principal.partition("/")
        if principal not in own and not (slash and name and origin in origins):
            raise InvalidSettings(
                f"setting `access.admins`: nobody can be `{principal}`: expected `key/NAME`, `cert/NAME`, or"
                " `ISSUER/SUBJECT` with the name of a configured issuer"
            )
    known = {each for method in methods for each in (method.name, method.path)}
    for number, rule in enumerate(access.strong):
        for method in rule.methods:
            if method not in known:
                raise InvalidSettings(f"setting `access.strong.{number}.methods`: there is no call `{method}`")


def _check_receiver(settings: AuditSettings, *, insecure: bool) -> None:
    """Records tell who asks about whom: beyond this machine they are not sent in the clear."""
    endpoint = settings.otlp_endpoint
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    if settings.otlp_protocol == "http" and (parts.scheme not in _SCHEMES or not host or len(parts.path) <= 1):
        raise InvalidSettings("setting `audit.otlp_endpoint`: expected http://HOST:PORT/v1/logs, or https://…")
    if parts.scheme == "http" and not insecure and not is_loopback_host(host or ""):
        raise InvalidSettings(
            "setting `audit.otlp_endpoint`: refusing to send records in the clear: use https, or say `--insecure`"
        )
