"""What a command prints: JSON alone on stdout, or text and tables for people. Used by every command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType


class Output:
    """Stdout and stderr of one command. With `is_json`, nothing but JSON reaches stdout."""

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json

    def answer(self, value: Mapping[str, Any], text: RenderableType) -> None:
        """Print the answer in the form that was asked for."""
        if self.is_json:
            self.json(value)
        else:
            self.text(text)

    def json(self, value: object) -> None:
        """Print indented JSON."""
        print(json_text(value))

    def json_line(self, value: object) -> None:
        """Print JSON on one line, at once: one of many."""
        print(json_text(value, is_indented=False), flush=True)

    def text(self, text: RenderableType) -> None:
        """Print for people; strings as they are."""
        if isinstance(text, str):
            print(text)
            return
        from rich.console import Console

        # Cells are wrapped to the terminal; where there is none, nothing is cut.
        Console(file=sys.stdout, width=None if sys.stdout.isatty() else 10_000, highlight=False).print(text)

    def note(self, text: str) -> None:
        """Tell something beside the answer, on stderr."""
        print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Tell that the answer is not what it seems, on stderr."""
        self.note(f"warning: {text}")


def json_text(value: object, *, is_indented: bool = True) -> str:
    """JSON with sorted-by-meaning keys (as given); numbers as JavaScript would write them."""
    import orjson

    options = orjson.OPT_INDENT_2 if is_indented else 0
    return orjson.dumps(value, option=options).decode()


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> RenderableType:
    """A plain table; cells are text, never markup."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made
