"""Headers that a collector asks for, read from settings or from a file that rotates. Used by `otlp` and `checking`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from authz.watched import WatchedFile

if TYPE_CHECKING:
    from pydantic import SecretStr

Headers = dict[str, str]

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def parse_headers(text: str) -> Headers:
    """Read `NAME=VALUE,NAME=VALUE`; lines separate as commas do; values may be percent-encoded.

    Raises:
        ValueError: something else. The message shows nothing of it.

    """
    found: Headers = {}
    entries = [entry.strip() for line in text.splitlines() for entry in line.split(",")]
    for number, entry in enumerate(filter(None, entries), 1):
        name, equals, value = entry.partition("=")
        value = unquote(value.strip())
        if not equals or not _NAME.fullmatch(name.strip()) or not value.isascii() or not value.isprintable():
            raise ValueError(f"header {number} is not NAME=VALUE")
        found[name.strip().lower()] = value
    return found


def header_source(inline: SecretStr | None, file: Path | None, monotonic: Callable[[], float]) -> Callable[[], Headers]:
    """How the headers are read, each time that something is sent.

    Raises:
        OSError: the file cannot be read.
        ValueError: the headers are malformed.

    """
    if file is not None:
        watched = WatchedFile(file, _parse_file, monotonic)
        return lambda: watched.value
    headers = parse_headers(inline.get_secret_value()) if inline is not None else {}
    return lambda: headers


def _parse_file(raw: bytes) -> Headers:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    return parse_headers(text)
