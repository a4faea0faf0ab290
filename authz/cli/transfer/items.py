"""Items of one long JSON or YAML list, one by one, in bounded memory. Used by `reading`."""

from __future__ import annotations

import codecs
import json
import re
from typing import IO, TYPE_CHECKING, Any

import yaml

from authz.cli.document import yaml_problem
from authz.cli.errors import UsageProblem
from authz.cli.nodes import compose_items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_ITEM_BYTES = 1024 * 1024
"""Largest line, or item of a list: far beyond any tuple that a service takes."""
_CHUNK = 64 * 1024
_SPACE = re.compile(r"[ \t\r\n]*")


class _Text:
    """What of a JSON file is in memory, the place up to which it has been used, and the line of that place."""

    def __init__(self, file: IO[bytes], advance: Callable[[int], None]) -> None:
        self._file = file
        self._advance = advance
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._size = 0
        self.text = ""
        self.at = 0
        self.line = 1

    def grow(self) -> bool:
        """Read more, and forget what has been used; False at the end of the file."""
        raw = self._file.read(_CHUNK)
        self._size += len(raw)
        self._advance(self._size)
        try:
            more = self._decode(raw, not raw)
        except UnicodeDecodeError:
            raise UsageProblem(f"not UTF-8 near byte {self._size - len(raw)}") from None
        self.text = self.text[self.at :] + more
        self.at = 0
        return bool(raw)

    def skip_to(self, place: int) -> None:
        """Leave everything before a place behind."""
        self.line += self.text.count("\n", self.at, place)
        self.at = place

    def peek(self) -> str:
        """The next character that is no space; empty at the end of the file."""
        while True:
            self.skip_to(_SPACE.match(self.text, self.at).end())  # type: ignore[union-attr]  # matches everywhere
            if self.at < len(self.text) or not self.grow():
                return self.text[self.at : self.at + 1]

    def expect(self, characters: str) -> str:
        """Leave one of some characters behind.

        Raises:
            UsageProblem: another one follows.

        """
        found = self.peek()
        if not found or found not in characters:
            wanted = " or ".join(f"`{character}`" for character in characters)
            raise UsageProblem(f"line {self.line}: expected {wanted}, got {f'`{found}`' if found else 'the end'}")
        self.skip_to(self.at + 1)
        return found


def json_items(file: IO[bytes], advance: Callable[[int], None]) -> Iterator[tuple[int, Any]]:
    """Line and value of each item of a JSON list.

    Raises:
        UsageProblem: the file is not a JSON list.

    """
    text = _Text(file, advance)
    decoder = json.JSONDecoder()
    text.expect("[")
    if text.peek() == "]":
        text.expect("]")
    else:
        while True:
            text.peek()
            yield text.line, _item(text, decoder)
            if text.expect(",]") == "]":
                break
    if text.peek():
        raise UsageProblem(f"line {text.line}: more follows behind the list")


def _item(text: _Text, decoder: json.JSONDecoder) -> Any:
    while True:
        try:
            value, end = decoder.raw_decode(text.text, text.at)
        except RecursionError:
            raise UsageProblem(f"line {text.line}: nested too deeply") from None
        except json.JSONDecodeError as error:
            # Perhaps only the rest of the item is missing.
            if len(text.text) - text.at > MAX_ITEM_BYTES or not text.grow():
                raise UsageProblem(f"line {text.line}: not JSON: {error.msg.lower()}") from None
        else:
            text.skip_to(end)
            return value


def yaml_items(file: IO[bytes], path: Path, advance: Callable[[int], None]) -> Iterator[yaml.Node]:
    """Each item of a YAML list.

    Raises:
        UsageProblem: the file is not a YAML list.

    """
    try:
        for node in compose_items(file):
            advance(node.end_mark.index)
            yield node
    except yaml.YAMLError as error:
        problem = yaml_problem(error, path)
        raise UsageProblem(f"line {problem.line}: {problem.message}") from None
