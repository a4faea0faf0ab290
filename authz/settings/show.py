"""The configuration that is in force, as it may be shown: with every secret masked. Called by `app` and `cli`.

When in doubt a value is masked: a URI that cannot be told apart from its password is not shown at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

MASK = "***"
_HIDDEN_PATHS = frozenset({"alerts"})
"""Sections whose URLs are keys themselves: whoever knows the path of a webhook may post to it."""

Shown = None | bool | int | float | str | list["Shown"] | dict[str, "Shown"]


def effective(settings: BaseModel) -> dict[str, Shown]:
    """Every setting by name, sections and tables as nested dictionaries; fit for logs and for JSON."""
    return {
        name: _shown(getattr(settings, name), hides_path=name in _HIDDEN_PATHS) for name in type(settings).model_fields
    }


def mask_uri(uri: str, *, hides_path: bool = False) -> str:
    """A URI without user, password, values of its query and fragment.

    Args:
        uri: what is to be shown, well formed or not.
        hides_path: mask its path as well.

    """
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return uri
    rest, hash_, fragment = rest.partition("#")
    rest, question, query = rest.partition("?")
    if "@" in fragment or "@" in query:  # a password with one of these marks in it, or something as odd
        return f"{scheme}://{MASK}"
    credentials, at, place = rest.rpartition("@")
    host, slash, path = place.partition("/")
    if hides_path and path:
        path = MASK
    shown_query = "&".join(_masked_pair(pair) for pair in query.split("&")) if question else ""
    return f"{scheme}://{MASK + at if credentials or at else ''}{host}{slash}{path}{question}{shown_query}" + (
        f"{hash_}{MASK}" if hash_ else ""
    )


def _masked_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={MASK}" if equals else MASK


def _shown(value: Any, *, hides_path: bool) -> Shown:
    match value:
        case SecretStr() | SecretBytes() | bytes():
            return MASK
        case Enum():
            return _shown(value.value, hides_path=hides_path)
        case None | bool() | int() | float():
            return value
        case str():
            return mask_uri(value, hides_path=hides_path)
        case PurePath():
            return str(value)
        case BaseModel():
            return {name: _shown(getattr(value, name), hides_path=hides_path) for name in type(value).model_fields}
        case Mapping():
            return {str(key): _shown(entry, hides_path=hides_path) for key, entry in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_shown(entry, hides_path=hides_path) for entry in value]
    return str(value) if type(value).__module__ in {"datetime", "ipaddress", "re"} else MASK
