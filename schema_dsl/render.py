"""Errors for a person's eyes: the message, the line, and a caret under the place.

Called by whoever shows errors of this library, such as a command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_dsl.source import Source, normalized

if TYPE_CHECKING:
    from schema_dsl.errors import DslError

# Of a longer line only the part around the error is shown.
_WIDTH = 120
_LEAD = 40


def render_error(text: str, error: DslError) -> str:
    """Return an error as a few lines of text, without a final line break.

    Args:
        text: The source that the error was found in; ignored when the error has no place.
        error: The error.
    """
    if error.line is None or error.column is None:
        return str(error)
    line = Source(normalized(text)).line(error.line.start)
    start = min(error.column.start, len(line))
    is_one_line = error.line.end == error.line.start
    end = min(max(error.column.end if is_one_line else len(line), start + 1), max(len(line), start + 1))
    first = max(0, start - _LEAD) if len(line) > _WIDTH else 0
    shown = line[first : first + _WIDTH]
    # Tabs are kept under tabs, so that the caret stands right whatever their width.
    lead = "".join("\t" if character == "\t" else " " for character in line[first:start])
    carets = "^" * min(end - start, _WIDTH)
    number = str(error.line.start + 1)
    margin = " " * len(number)
    return "\n".join([str(error), f"{margin} |", f"{number} | {shown}", f"{margin} | {lead}{carets}"])
