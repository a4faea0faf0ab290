"""A progress bar on a terminal's stderr, and nothing elsewhere. Used by the transfer commands."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bar:
    """Where a transfer is; does nothing by itself."""

    def read(self, count: int) -> None:
        """So many bytes of the input have been read."""

    def settled(self, count: int) -> None:
        """So many tuples are settled."""


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Bar]:
    """A bar for a transfer of `total` bytes; None when the size is not known."""
    if not sys.stderr.isatty():
        yield Bar()
        return
    from authz.cli.transfer.bar import rich_bar

    with rich_bar(title, total) as bar:
        yield bar
