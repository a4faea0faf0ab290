"""The progress bar as rich draws it. Called by `progress` on a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from authz.cli.transfer.progress import Bar

if TYPE_CHECKING:
    from collections.abc import Iterator


_STEP = 64 * 1024
"""Bytes between two updates."""


class _RichBar(Bar):
    def __init__(self, shown: Progress, task: TaskID) -> None:
        self._shown = shown
        self._task = task
        self._next = 0

    def read(self, count: int) -> None:
        if count >= self._next:  # drawing costs more than reading a line
            self._next = count + _STEP
            self._shown.update(self._task, completed=count)

    def settled(self, count: int) -> None:
        self._shown.update(self._task, tuples=f"{count:,} tuples")


@contextmanager
def rich_bar(title: str, total: int | None) -> Iterator[Bar]:
    """A bar that vanishes at the end."""
    columns = (TextColumn(title), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[tuples]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as shown:
        yield _RichBar(shown, shown.add_task(title, total=total, tuples=""))
