"""A scribe as plain as can be, and the reader of what it wrote. Used by the tests of the trail."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from authz.call import Origin
from authz.store.trail import Entry, Head, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from authz.store.api import Datastore


class PlainScribe:
    """Seals by a bare hash: the code of a record is the hash of the code before and of its line."""

    def seal(self, chain: str, head: Head | None, entries: Sequence[Entry]) -> tuple[Segment, Head]:
        """See `Scribe`."""
        return sealed(chain, head, [spelled(entry) for entry in entries], [entry.time for entry in entries])


def sealed(chain: str, head: Head | None, lines: Sequence[bytes], times: Sequence[datetime]) -> tuple[Segment, Head]:
    """Lines as the next records of a chain, and its new head."""
    before = head or Head(chain, 0, b"", 0, b"", "plain", b"")
    last = before.sequence + len(lines)
    segment = Segment(chain, before.sequence + 1, last, min(times), max(times), b"".join(lines))
    return segment, signed(before._replace(sequence=last, mac=code_after(before.mac, lines)))


def signed(head: Head) -> Head:
    """The head with its seal."""
    return head._replace(seal=hashlib.sha256(repr(head._replace(seal=b"")).encode()).digest())


def code_after(mac: bytes, lines: Iterable[bytes]) -> bytes:
    """The code of the last of these lines, which follow on a record with the code `mac`."""
    for line in lines:
        mac = hashlib.sha256(mac + line).digest()
    return mac


def spelled(entry: Entry) -> bytes:
    """An entry as one line."""
    return json.dumps(entry._replace(time=entry.time.isoformat())).encode() + b"\n"  # type: ignore[arg-type]


def read(line: bytes) -> Entry:
    """The entry of a line."""
    action, by, time, *rest = json.loads(line)
    return Entry(action, Origin(*by), datetime.fromisoformat(time), *rest)


async def segments_of(datastore: Datastore, chain: str, page: int = 1000) -> list[Segment]:
    """All segments of a chain, by pages."""
    found: list[Segment] = []
    while some := await datastore.chain_segments(chain, after=found[-1].last if found else 0, limit=page):
        found.extend(some)
    return found


async def verified(datastore: Datastore, chain: str) -> list[Entry]:
    """What a chain records, after a look at whether it is whole: numbers without gap, codes and seal right."""
    head = await datastore.chain_head(chain)
    segments = await segments_of(datastore, chain)
    if head is None:
        assert segments == []
        return []
    lines: list[bytes] = []
    for segment in segments:
        assert segment.first == head.base_sequence + len(lines) + 1
        own = segment.body.splitlines(keepends=True)
        assert segment.last == segment.first + len(own) - 1
        lines.extend(own)
    assert head.sequence == head.base_sequence + len(lines)
    assert head.mac == code_after(head.base_mac, lines)
    assert head == signed(head)
    return [read(line) for line in lines]


def told(entry: Entry) -> tuple[Any, ...]:
    """What an entry says, without who and when."""
    return entry.action, entry.revision, entry.before, entry.after
