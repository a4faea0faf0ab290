"""Settings from flags, environment, file and defaults. Called by `cli` and by tests."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError

from authz.settings.tree import PREFIX, Settings
from authz.settings.types import InvalidSettings, Section

_SAYINGS = {
    "extra_forbidden": "there is no such setting",
    "model_type": "expected a table",
    "dict_type": "expected a table",
    "tuple_type": "expected a list",
    "missing": "it is required",
    "path_type": "expected a path",
}
"""What is said of some errors by their type, in the words of an operator."""
_SHOWING = ("_parsing", "literal_error", "enum", "greater_than", "less_than", "finite_number", "_equal")
"""Types of errors, or their ends, whose input is a number or a word to choose, and so never a secret."""


def load_settings(flags: Mapping[str, object] | None = None, config: Path | None = None) -> Settings:
    """The settings from flags (those not None), environment, TOML file and defaults.

    Args:
        flags: by name; a setting of a section is named `section.name`.
        config: the TOML file.

    Raises:
        InvalidSettings: a bad or unknown setting, or a file that cannot be read.

    """
    # pydantic puts arguments above the environment, where flags belong; of the file only what the environment lacks
    given = {} if config is None else _without_environment(_read_file(config))
    for name, value in (flags or {}).items():
        if value is not None:
            _put(given, name, value)
    try:
        return Settings(**given)
    except ValidationError as error:
        raise InvalidSettings("; ".join(map(_complaint, _causes(error)))) from None
    except SettingsError as error:
        # Its text is ours to find out: what it quotes may be a secret.
        name = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "")
        raise InvalidSettings(f"setting `{name}`: a variable of it is not the JSON that it takes") from None


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section that a field of the tree is, if it is one."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def _without_environment(given: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in given.items():
        field = Settings.model_fields.get(name)
        if field is not None and section_of(field) and isinstance(value, dict):
            kept[name] = {inner: entry for inner, entry in value.items() if not _in_env(f"{name}_{inner}")}
        elif not _in_env(name):
            kept[name] = value
    return kept


def _put(given: dict[str, Any], name: str, value: object) -> None:
    section, dot, inner = name.partition(".")
    if dot:
        given.setdefault(section, {})[inner] = value
    else:
        given[name] = value


def _in_env(name: str) -> bool:
    variable = f"{PREFIX}{name}".upper()
    return any(given.upper() == variable for given in os.environ)


def _causes(error: ValidationError) -> list[Any]:
    """Its errors, without those that only follow from one within."""
    entries: list[Any] = list(error.errors(include_url=False))
    places = [entry["loc"] for entry in entries]
    return [
        entry
        for entry in entries
        if not any(len(place) > len(entry["loc"]) and place[: len(entry["loc"])] == entry["loc"] for place in places)
    ]


def _complaint(entry: Any) -> str:
    # What stands in brackets is pydantic's own name for a key or a part of a choice.
    name = ".".join(str(part) for part in entry["loc"] if "[" not in str(part))
    kind, message = entry["type"], entry["msg"].removeprefix("Value error, ")
    said = _SAYINGS.get(kind, message[:1].lower() + message[1:])
    if kind.endswith("too_short"):
        said = f"too short: expected at least {entry['ctx']['min_length']}, got {entry['ctx']['actual_length']}"
    is_shown = kind.endswith(_SHOWING) or kind.startswith(_SHOWING)
    return f"setting `{name}`: {said}" + (f", got `{entry['input']}`" if is_shown else "")


def _read_file(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSettings(f"cannot read `{config}`: {(error.strerror or 'unreadable').lower()}") from None
    except ValueError as error:  # of TOML or of UTF-8
        raise InvalidSettings(f"`{config}` is not TOML: {error}") from None
