"""Read and write whole files, with errors that an operator understands. Used by every command that takes a file."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from authz.cli.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 32 * 1024 * 1024
"""Largest file that is read as a whole; imports stream and have no such limit."""


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        UsageProblem: the file is missing, unreadable, too large or not UTF-8.

    """
    with reading(path):
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise UsageProblem(f"`{path}` has {path.stat().st_size} bytes: at most {MAX_BYTES} are read here")
        raw = path.read_bytes()
    return decoded(raw, path)


def decoded(raw: bytes, path: Path) -> str:
    """The text of bytes in UTF-8.

    Raises:
        UsageProblem: other bytes; the message names the first.

    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageProblem(f"`{path}` is not UTF-8: line {line}, byte {error.start}") from None


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into an error for the operator.

    Raises:
        UsageProblem: the file cannot be used.

    """
    try:
        yield
    except OSError as error:
        raise UsageProblem(f"cannot use `{path}`: {_said(error)}") from None
    except ValueError as error:  # a NUL in the path
        raise UsageProblem(f"cannot use `{str(path)!r}`: {error}") from None


@contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """A file that takes the place of `path` when the block ends well, and vanishes when it does not.

    Raises:
        UsageProblem: the folder cannot be written to.

    """
    with reading(path):
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
            yield file
        draft.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        with reading(path):
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _said(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
