"""Tuples into a file of any supported form, one by one. Used by exports and reports of refused tuples."""

from __future__ import annotations

import csv
from typing import IO, TYPE_CHECKING, Any

import yaml

from authz.cli.output import json_text
from authz.cli.transfer.columns import COLUMNS, row_of_tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Tuples = Iterable[Mapping[str, Any]]

FORMATS = ("csv", "json", "jsonl", "yaml")
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_tuples(tuples: Tuples, file: IO[str], form: str) -> None:
    """Write tuples as they are printed; `form` is one of `FORMATS`."""
    _WRITERS[form](tuples, file)


def _write_csv(tuples: Tuples, file: IO[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row_of_tuple(value) for value in tuples)


def _write_jsonl(tuples: Tuples, file: IO[str]) -> None:
    for value in tuples:
        file.write(json_text(value, is_indented=False) + "\n")


def _write_json(tuples: Tuples, file: IO[str]) -> None:
    separator = "[\n"
    for value in tuples:
        file.write(separator + json_text(value, is_indented=False))
        separator = ",\n"
    file.write("[]\n" if separator == "[\n" else "\n]\n")


def _write_yaml(tuples: Tuples, file: IO[str]) -> None:
    is_empty = True
    for value in tuples:
        is_empty = False
        yaml.dump([value], file, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=1000)
    if is_empty:
        file.write("[]\n")


_WRITERS: dict[str, Callable[[Tuples, IO[str]], None]] = {
    "csv": _write_csv,
    "json": _write_json,
    "jsonl": _write_jsonl,
    "yaml": _write_yaml,
}
