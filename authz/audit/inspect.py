"""Follow one chain record by record and say where it is first wrong. Used by `verify`, for segments and files, and by
`retention`."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Any

import orjson

from authz.audit.chain import split
from authz.audit.claims import Claims
from authz.audit.keys import KeyRing
from authz.store.trail import Segment

MAX_NOTICES = 20


class Inspection:
    """A chain as far as it was followed: `sequence` and `mac` are those of the last good record.

    Args:
        chain: its name.
        sequence: the number of the record before the first that is followed.
        mac: the code of that record.
        ring: the keys.
        claims: what checkpoints say of this chain.
        is_heeding: take what the service itself found to be wrong for wrong.

    """

    def __init__(
        self,
        chain: str,
        sequence: int,
        mac: bytes,
        ring: KeyRing,
        *,
        claims: Claims | None = None,
        is_heeding: bool = True,
    ) -> None:
        self.chain = chain
        self.sequence = sequence
        self.mac = mac
        self.time: datetime | None = None
        """The time of the last good record."""
        self.why = ""
        """What is wrong with the record behind it; empty while nothing is."""
        self.notices: list[str] = []
        self.records = 0
        self._ring = ring
        self.key_id = ""
        """The key of the last good record that was followed."""
        self._next_key = ""
        self._claims = claims or Claims()
        self._is_heeding = is_heeding
        self._times: list[datetime] = []

    def take(self, segment: Segment) -> bool:
        """Follow a segment; whether it is whole."""
        if not isinstance(segment.body, bytes):  # SQLite lets any column hold a value of any type
            return self._stop("a segment holds text instead of bytes")
        if segment.last < segment.first:
            # Its place among the segments says nothing; where its records belong, they say themselves.
            said = _record(segment.body.partition(b"\n")[0][:-1])
            self.sequence = max(self.sequence, said["seq"] - 1 if said else 0)
            return self._stop(f"a segment says that it begins with {segment.first} and ends with {segment.last}")
        if segment.first != self.sequence + 1:
            word = "missing" if segment.first > self.sequence + 1 else "there twice"
            return self._stop(f"records are {word}: a segment begins with {segment.first}")
        lines = segment.body.split(b"\n")
        if lines.pop() != b"":
            lines.append(b"")  # the last line lacks its end: one too many
        self._times = []
        place = self.sequence
        good = all(self.take_line(line) for line in lines[: segment.last - segment.first + 1])
        if not good:
            return False
        if len(lines) != segment.last - segment.first + 1:
            return self._stop(f"a segment says that it ends with {segment.last}, which its records do not")
        if (min(self._times), max(self._times)) != (segment.started_at, segment.ended_at):
            self.sequence = place
            return self._stop("the times of a segment are not those of its records")
        return True

    def take_line(self, line: bytes) -> bool:
        """Follow a record; whether it is good."""
        parts = split(line)
        record = _record(parts.content) if parts is not None else None
        if parts is None or record is None:
            return self._stop("this is no record")
        why = self._wrong_place(record) or self._wrong_key(record)
        if why:
            return self._stop(why)
        key = self._ring.find(record["key"])
        if key is None:
            return self._stop(f"the record is sealed under the key `{record['key']}`, which is not known")
        if not hmac.compare_digest(key.record(self.mac + parts.content), parts.mac):
            return self._stop("the record was changed, or one before it was: its code is wrong")
        if not self._claims.agree(self.sequence + 1, parts.mac):
            return self._stop("a checkpoint knows another record here: the chain was rolled back and written anew")
        self._accept(record, parts.mac)
        return self._told_broken(record)

    def _accept(self, record: dict[str, Any], mac: bytes) -> None:
        self.sequence += 1
        self.records += 1
        self.mac = mac
        self.time = record["time"]
        self._times.append(record["time"])
        self.key_id = record["key"]
        self._next_key = ""
        if _is_key_note(record):
            self._next_key = str(record.get("to", ""))

    def _wrong_place(self, record: dict[str, Any]) -> str:
        if record["chain"] != self.chain:
            return f"the record is of the chain `{record['chain']}`"
        if record["seq"] != self.sequence + 1:
            return f"the record has the number {record['seq']}: records were removed, repeated or moved"
        return ""

    def _wrong_key(self, record: dict[str, Any]) -> str:
        """A chain goes on under another key only after a record that says so."""
        before, now = self._next_key or self.key_id, record["key"]
        if _is_key_note(record) and record.get("from") != now:
            return self._unproven_key(str(record.get("from")), before, now)
        if not before or before == now:
            return ""
        return f"the record is sealed under the key `{now}` without a record of `{before}` that says so"

    def _unproven_key(self, named: str, before: str, now: str) -> str:
        """The service did not know the key that the head named, and so could not check the head: whoever can write to
        the datastore can have put it there. It is believed when it names the key of the record before."""
        if self._ring.find(named) is None or before not in ("", named):
            return f"the head named the key `{named}`, which was not known: what it said was not proven"
        if not self._ring.is_newer(now, named):
            return f"the record is sealed under the key `{now}` without a record of `{named}` that says so"
        self._notice(f"record {self.sequence + 1}: the key `{named}` was not known when `{now}` took its place")
        return ""

    def _told_broken(self, record: dict[str, Any]) -> bool:
        if not self._is_heeding or record.get("kind") != "note" or record.get("note") != "broken":
            return True
        self.sequence -= 1
        self.records -= 1
        of = record.get("of", self.chain)
        return self._stop(f"the service found the chain `{of}` tampered with: {record.get('why', '')}")

    def _stop(self, why: str) -> bool:
        self.why = why
        return False

    def _notice(self, text: str) -> None:
        if len(self.notices) < MAX_NOTICES:
            self.notices.append(text)


def _is_key_note(record: dict[str, Any]) -> bool:
    return record.get("kind") == "note" and record.get("note") == "key"


def _record(content: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(content + b"}")
        record["time"] = datetime.fromisoformat(record["time"])
    except (ValueError, TypeError, KeyError):
        return None
    is_whole = isinstance(record.get("chain"), str) and isinstance(record.get("key"), str)
    return record if is_whole and isinstance(record.get("seq"), int) else None
