"""Read the trail in order and write it in another form. Used by the command `export`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

from authz.audit.cef import cef_lines
from authz.audit.ocsf import ocsf_event
from authz.audit.sinks.lines import number_of, read_lines
from authz.audit.sinks.retired import full_files
from authz.store.sql import open_datastore
from authz.store.trail import SegmentPosition

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 16


def exported(lines: Iterable[bytes], form: str, since: datetime | None, until: datetime | None) -> Iterator[str]:
    """Records of a window of time in a form: `ocsf`, `cef` or `jsonl`. Damaged lines are left out: see `verify`."""
    for line in lines:
        place = number_of(line)
        if place is None or not _is_within(place.time, since, until):
            continue
        if form == "jsonl":
            yield line.decode("utf-8", "replace")
        elif form == "cef":
            yield from cef_lines(orjson.loads(line))
        else:
            yield orjson.dumps(ocsf_event(orjson.loads(line))).decode()


async def of_datastore(uri: str, since: datetime | None) -> AsyncIterator[list[bytes]]:
    """The lines of a datastore, some at a time, by when their segments end.

    Raises:
        AuthzError: it cannot be read.

    """
    store = await asyncio.to_thread(open_datastore, uri)
    position = SegmentPosition(since or _BEGINNING, "", 0)
    try:
        while page := await store.segments_after(position, limit=_PAGE):
            yield [line for segment in page for line in segment.body.splitlines()]
            last = page[-1]
            position = SegmentPosition(last.ended_at, last.chain, last.first)
    finally:
        await store.close()


def of_file(path: Path) -> Iterator[bytes]:
    """The lines of a file of records, and of the full ones beside it.

    Raises:
        OSError: one cannot be read.

    """
    for file in (*full_files(path), path):
        yield from (each.line for each in read_lines(file) if not each.is_torn)


def _is_within(time: str, since: datetime | None, until: datetime | None) -> bool:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return False
    return (since is None or moment >= since) and (until is None or moment <= until)
