"""What of an import the service has acknowledged, on disk, so that an import can be continued. Used by `importing`.

A line of JSON for each batch, appended in one system call when the batch is acknowledged. It survives the death of the
process at any moment; a line that was cut short by the death of the machine is dropped.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from authz.cli.errors import CliError, UsageProblem
from authz.cli.files import reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_VERSION = 1
_CHUNK = 1024 * 1024


class Plan(NamedTuple):
    """What an import is: continuing it demands that nothing of this has changed."""

    input_digest: str
    store: str
    model: str
    batch_size: int


def digest(path: Path) -> str:
    """What tells one input file from another: the hash of its content.

    Raises:
        UsageProblem: the file cannot be read.

    """
    hashed = hashlib.sha256()
    with reading(path), path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()


class Journal:
    """The open journal of one import; no other process may open it meanwhile."""

    def __init__(self, path: Path, plan: Plan) -> None:
        """Open or begin a journal.

        Raises:
            UsageProblem: it belongs to another import, is in use, or cannot be written.

        """
        self.path = path
        self.done: set[int] = set()
        with reading(path):
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            self._lock()
            self._load(plan)
        except BaseException:
            os.close(self._file)
            raise

    @property
    def is_continued(self) -> bool:
        """Whether an earlier run has got somewhere."""
        return self._is_continued

    def acknowledge(self, batch: int, refused: list[dict[str, Any]]) -> None:
        """Note that a batch is in the store, but for the tuples that were refused."""
        self._append({"done": batch, "refused": refused})
        self.done.add(batch)

    def refused(self) -> Iterator[dict[str, Any]]:
        """All refused tuples, with line and reason."""
        with self.path.open("rb") as file:
            for line in file:
                yield from orjson.loads(line).get("refused", ())

    def close(self, *, is_finished: bool) -> None:
        """Close the journal; a finished import needs it no more."""
        if is_finished:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageProblem(f"`{self.path}` is in use by another import") from None

    def _load(self, plan: Plan) -> None:
        try:
            head = self._read()
        except (ValueError, KeyError, TypeError):
            raise UsageProblem(f"`{self.path}` is no journal of an import: remove it, or name another") from None
        self._is_continued = head is not None
        if head is None:
            self._append({"version": _VERSION, **plan._asdict()})
            return
        expected = {"version": _VERSION, **plan._asdict()}
        changed = [name.replace("_", " ") for name, value in expected.items() if head.get(name) != value]
        if changed:
            raise UsageProblem(
                f"`{self.path}` belongs to an unfinished import with other values ({', '.join(changed)}):"
                " continue with the same ones, or remove the file to begin anew"
            )

    def _read(self) -> dict[str, Any] | None:
        """Note the batches that are done; returns the first line, None when there is none."""
        head = None
        whole = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, whole)
                    break
                whole += len(line)
                entry: dict[str, Any] = orjson.loads(line)
                if head is None:
                    head = dict(entry)
                else:
                    self.done.add(entry["done"])
        return head

    def _append(self, entry: dict[str, Any]) -> None:
        line = orjson.dumps(entry) + b"\n"
        try:
            count = os.write(self._file, line)
        except OSError as error:
            raise CliError(f"cannot note in `{self.path}` how far it got: {(error.strerror or '').lower()}") from None
        if count != len(line):
            raise CliError(f"cannot note in `{self.path}` how far it got: the disk is full")
