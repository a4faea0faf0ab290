"""Settings from flags, environment, file and defaults. Called by `cli` and by tests."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from authz.settings.tree import PREFIX, Settings
from authz.settings.types import InvalidSettings, Section


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
        raise InvalidSettings("; ".join(_complaint(entry) for entry in error.errors(include_input=False))) from None


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
