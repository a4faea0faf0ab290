"""How records are chained: lines, their codes, and the seal of a head. Used by whoever writes or verifies a chain.

A record is one line of JSON: `chain`, `seq` and `key` first, then what it tells, and `mac` last. The code of record n
is HMAC-SHA256(key, code of record n-1 ‖ the bytes of line n before `,"mac":`); 32 zero bytes stand for the code before
the first record. The bytes that are hashed are those that are stored; nothing is brought into a canonical form.

A head says where a chain ends. Its seal is a code, under a key of its own, of all its other members.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from authz.audit.keys import MAC_BYTES, Key, KeyRing
from authz.store.trail import Head, Segment

NODE, STORE, SERVICE, CHECKPOINTS, FILE, STDOUT, OTLP = (
    "node/",
    "store/",
    "service",
    "checkpoints/",
    "file/",
    "stdout/",
    "otlp/",
)
"""What chains are named: by their process, their store, … . The last three live outside of the datastore."""
OUTSIDE = (FILE, STDOUT, OTLP)

NOTHING = bytes(MAC_BYTES)
_MAC = b',"mac":"'
_END = b'"}'
_TAIL = len(_MAC) + 2 * MAC_BYTES + len(_END)


class Payload(NamedTuple):
    """What a record tells: its members as JSON without the braces."""

    members: bytes
    time: datetime
    is_stored: bool = False
    """Whether a chain of the datastore holds it already: it goes to the other sinks alone."""


class Line(NamedTuple):
    """A line taken apart."""

    content: bytes
    """What the code is about."""
    mac: bytes


def payload(members: dict[str, Any], *, is_stored: bool = False) -> Payload:
    """What a record tells, from its members; `time` must be among them."""
    return Payload(dump(members)[1:-1], members["time"], is_stored)


def dump(value: object) -> bytes:
    """JSON; a text that cannot be encoded has its lone surrogates replaced."""
    try:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:
        return orjson.dumps(_encodable(value), option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def extend(chain: str, head: Head | None, payloads: Sequence[Payload], ring: KeyRing) -> tuple[Segment, Head]:
    """Payloads as the next records of a chain under the active key, and the new head.

    When the key changes, a record tells so first: under the old key if that is known, so that whoever has only an old
    key cannot take the chain back to it. `payloads` is not empty; `head` must be known to be true.
    """
    key = ring.active
    lines = Lines(chain, head)
    if head is not None and head.key_id != key.id:
        note = {"kind": "note", "time": payloads[0].time, "note": "key", "from": head.key_id, "to": key.id}
        lines.add([payload(note)], ring.find(head.key_id) or key)
    lines.add(payloads, key)
    return lines.segment(), lines.head(key)


class Lines:
    """Records under way to the end of a chain."""

    def __init__(self, chain: str, head: Head | None) -> None:
        self._chain = chain
        self._base = (0, b"") if head is None else (head.base_sequence, head.base_mac)
        self._sequence = 0 if head is None else head.sequence
        self._first = self._sequence + 1
        self._mac = NOTHING if head is None else head.mac
        self._lines: list[bytes] = []
        self._times: list[datetime] = []

    def add(self, payloads: Sequence[Payload], key: Key) -> None:
        """Seal payloads under a key."""
        code, mac, sequence, add = key.record, self._mac, self._sequence, self._lines.append
        start = b'{"chain":%b,"seq":' % orjson.dumps(self._chain)
        middle = b',"key":%b,' % orjson.dumps(key.id)
        for members, _, _ in payloads:
            sequence += 1
            content = b"%b%d%b%b" % (start, sequence, middle, members)
            mac = code(mac + content)
            add(b"%b%b%b%b\n" % (content, _MAC, mac.hex().encode(), _END))
        self._mac, self._sequence = mac, sequence
        self._times += [each.time for each in payloads]

    def segment(self) -> Segment:
        """All that was added."""
        times = self._times
        return Segment(self._chain, self._first, self._sequence, min(times), max(times), b"".join(self._lines))

    def head(self, key: Key) -> Head:
        """Where the chain ends now."""
        return sealed(Head(self._chain, self._sequence, self._mac, *self._base, key.id, b""), key)


def split(line: bytes) -> Line | None:
    """A line, without its line end, taken apart; None when it is not of that form."""
    content, tail = line[:-_TAIL], line[-_TAIL:]
    if not content.startswith(b"{") or not tail.startswith(_MAC) or not tail.endswith(_END):
        return None
    digits = tail[len(_MAC) : -len(_END)]
    try:
        mac = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return None
    # `fromhex` reads more than is ever written: blanks, upper case.
    return Line(content, mac) if mac.hex().encode() == digits else None


def sealed(head: Head, key: Key) -> Head:
    """A head with its seal."""
    head = head._replace(key_id=key.id)
    return head._replace(seal=key.seal(_sealed_part(head)))


def is_sealed(head: Head, key: Key) -> bool:
    """Whether the seal of a head is of that key, whatever somebody has put into its members."""
    try:
        return hmac.compare_digest(key.seal(_sealed_part(head)), head.seal)
    except (AttributeError, TypeError):  # SQLite lets any column hold a value of any type
        return False


def _sealed_part(head: Head) -> bytes:
    return orjson.dumps(
        [head.chain, head.sequence, head.mac.hex(), head.base_sequence, head.base_mac.hex(), head.key_id]
    )


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -(2**63) <= value < 2**64 else str(value)
    return value
