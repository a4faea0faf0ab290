"""Tuples from a file of any supported form, one by one, in bounded memory. Used by imports and store tests."""

from __future__ import annotations

import csv
import json
from typing import IO, TYPE_CHECKING, NamedTuple

from authz.cli.document import Document, Part, node_of
from authz.cli.errors import UsageProblem
from authz.cli.files import reading
from authz.cli.transfer.columns import check_header, tuple_of_row
from authz.cli.transfer.items import MAX_ITEM_BYTES, json_items, yaml_items
from authz.cli.tuplefile import tuple_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from authz.tuples import RelationshipTuple


class Row(NamedTuple):
    """One entry of a file: a tuple, or what is wrong with it."""

    line: int
    tuple: RelationshipTuple | None
    problem: str = ""


def read_rows(path: Path, advance: Callable[[int], None] = lambda _: None) -> Iterator[Row]:
    """The entries of a CSV, JSON, JSONL or YAML file. `advance` is told how many bytes have been read so far.

    Raises:
        UsageProblem: the file cannot be read, or its form as a whole is wrong.

    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageProblem(f"`{path}`: the name must end in {', '.join(_READERS)}")
    with reading(path), path.open("rb") as file:
        try:
            yield from reader(file, path, advance)
        except UsageProblem as error:
            raise UsageProblem(f"`{path}`: {error.message}") from None


def _read_csv(file: IO[bytes], _path: Path, advance: Callable[[int], None]) -> Iterator[Row]:
    reader = csv.reader(_lines(file, advance), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        check_header(header)
        for cells in reader:
            if cells:
                yield _csv_row(header, cells, reader.line_num)
    except csv.Error as error:
        raise UsageProblem(f"line {reader.line_num}: {error}") from None


def _csv_row(header: list[str], cells: list[str], line: int) -> Row:
    try:
        return Row(line, tuple_of_row(header, cells))
    except UsageProblem as error:
        return Row(line, None, error.message)


def _read_jsonl(file: IO[bytes], path: Path, advance: Callable[[int], None]) -> Iterator[Row]:
    for number, line in enumerate(_lines(file, advance), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Row(number, None, f"not JSON: {error}")
            continue
        yield _row(Part(Document(path), node_of(value)), number)


def _read_json(file: IO[bytes], path: Path, advance: Callable[[int], None]) -> Iterator[Row]:
    for line, value in json_items(file, advance):
        yield _row(Part(Document(path), node_of(value)), line)


def _read_yaml(file: IO[bytes], path: Path, advance: Callable[[int], None]) -> Iterator[Row]:
    for node in yaml_items(file, path, advance):
        part = Part(Document(path), node)
        yield _row(part, part.line)


def _row(part: Part, line: int) -> Row:
    found = tuple_part(part, with_remarks=True)
    problems = part.problems()
    return Row(line, None, "; ".join(problem.message for problem in problems)) if problems else Row(line, found)


def _lines(file: IO[bytes], advance: Callable[[int], None]) -> Iterator[str]:
    """Lines of UTF-8, none of which may outgrow the memory."""
    place = 0
    for number, raw in enumerate(iter(lambda: file.readline(MAX_ITEM_BYTES + 1), b""), 1):
        if len(raw) > MAX_ITEM_BYTES:
            raise UsageProblem(f"line {number} has more than {MAX_ITEM_BYTES} bytes")
        place += len(raw)
        advance(place)
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UsageProblem(f"line {number} is not UTF-8: byte {error.start}") from None


_READERS = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
}
