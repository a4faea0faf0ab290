"""The head file beside a file of records: where each of its chains ends, under one seal. Used by the sink `file` and
by its verification."""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from authz.audit.keys import KeyRing
from authz.store.trail import Head

_LABEL = b"file"


class UnprovenHeads(Exception):
    """A head file that is missing, damaged, or not sealed by a known key; the message says which."""


def head_path(path: Path) -> Path:
    """The head file of a file of records."""
    return path.with_name(f"{path.name}.head")


def save_heads(path: Path, heads: Sequence[Head], ring: KeyRing, *, is_synced: bool) -> None:
    """Write the head file anew, all or nothing.

    Raises:
        OSError: it cannot be written; the former one stands.

    """
    key = ring.active
    listed = orjson.dumps([_to_json(head) for head in heads])
    raw = b'{"heads":%b,"key":%b,"seal":"%b"}\n' % (
        listed,
        orjson.dumps(key.id),
        key.seal(_LABEL + listed).hex().encode(),
    )
    target = head_path(path)
    draft = target.with_name(f"{target.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        written = os.write(descriptor, raw)
        if written < len(raw):
            raise OSError(28, "no space left on device")
        if is_synced:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(target)


def load_heads(path: Path, ring: KeyRing) -> list[Head]:
    """The heads of a file of records, oldest chain first.

    Raises:
        UnprovenHeads: there is no head file, or it is not whole.
        OSError: it cannot be read.

    """
    try:
        raw = head_path(path).read_bytes()
    except FileNotFoundError:
        raise UnprovenHeads("the head file is missing") from None
    start, middle = b'{"heads":', b',"key":'
    listed, found, _ = raw.removeprefix(start).rpartition(middle)
    try:
        document = orjson.loads(raw)
        key = ring.find(str(document["key"]))
        seal = bytes.fromhex(document["seal"])
        heads = [_from_json(head) for head in document["heads"]]
    except (ValueError, TypeError, KeyError):
        raise UnprovenHeads("the head file is damaged") from None
    if key is None:
        raise UnprovenHeads("the head file is sealed under a key that is not known")
    if not found or not raw.startswith(start) or not hmac.compare_digest(key.seal(_LABEL + listed), seal):
        raise UnprovenHeads("the seal of the head file is wrong")
    return heads


def _to_json(head: Head) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in head._asdict().items()}


def _from_json(value: dict[str, Any]) -> Head:
    return Head(
        str(value["chain"]),
        int(value["sequence"]),
        bytes.fromhex(value["mac"]),
        int(value["base_sequence"]),
        bytes.fromhex(value["base_mac"]),
        str(value["key_id"]),
        bytes.fromhex(value["seal"]),
    )
