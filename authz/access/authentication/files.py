"""Files that the settings name, read again when they change. Opened by `authenticator` and `sources`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from authz.clock import Clock
from authz.settings.types import InvalidSettings
from authz.watched import WatchedFile

T = TypeVar("T")


def watched(path: Path, parse: Callable[[bytes], T], clock: Clock) -> WatchedFile[T]:
    """A file whose present contents are good.

    Raises:
        InvalidSettings: it cannot be read, or `parse` raises ValueError.

    """
    try:
        return WatchedFile(path, parse, clock.monotonic)
    except OSError as error:
        raise InvalidSettings(f"cannot read `{path}`: {(error.strerror or 'unreadable').lower()}") from None
    except ValueError as error:
        raise InvalidSettings(f"`{path}` cannot be used: {error}") from None
