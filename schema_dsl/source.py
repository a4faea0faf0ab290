"""A text with its line starts: turns offsets into lines and columns.

Used by the lexer, the parser and the renderer of errors.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from schema_dsl.nodes import Span

_OTHER_LINE_END = re.compile(r"\r\n?")


def normalized(text: str) -> str:
    """Return a text with LF at the end of each line, and without a byte order mark; lines and columns stay the same."""
    return _OTHER_LINE_END.sub("\n", text.removeprefix("\ufeff"))


class Source:
    """One normalized text; lines and columns count from zero, columns count code points."""

    __slots__ = ("_starts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(offset + 1 for offset, character in enumerate(text) if character == "\n")]

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset."""
        line = bisect_right(self._starts, offset) - 1
        return line, offset - self._starts[line]

    def span(self, start: int, end: int) -> Span:
        """Return the place of the text between two offsets."""
        return Span(*self.place(start), *self.place(end))

    def line(self, number: int) -> str:
        """Return a line without its ending; empty beyond the last."""
        if not 0 <= number < len(self._starts):
            return ""
        end = self._starts[number + 1] if number + 1 < len(self._starts) else len(self.text)
        return self.text[self._starts[number] : end].removesuffix("\n")
