"""Checkpoints: signed lists of where chains ended. Made by `checkpointer`, read by `verify` and by auditors.

The signature (Ed25519, RFC 8032) is of the bytes from `"kind":"checkpoint"` up to `,"signature":`, so that one line of
the trail or of the log can be checked with the public key alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from authz.audit.chain import Payload, dump
from authz.audit.keys import Key, KeyRing
from authz.store.trail import Head

MAX_HEADS = 500
"""How many chains one record lists."""
LOG_MEMBER = "checkpoint"
"""The member of a log line that holds one."""

_START = b'"kind":"checkpoint",'
_SIGNATURE = b',"signature":"'
_DIGITS = 128


class Listed(NamedTuple):
    """Where a chain ended."""

    chain: str
    sequence: int
    mac: bytes


class Checkpoint(NamedTuple):
    """What a checkpoint says. `number` counts those of one node."""

    time: datetime
    node: str
    number: int
    key_id: str
    heads: tuple[Listed, ...]


class UnknownSigner(Exception):
    """The key that a checkpoint names is not known."""


def make_checkpoint(time: datetime, node: str, number: int, heads: Sequence[Head], key: Key) -> Payload:
    """A signed checkpoint as the members of a record."""
    listed = [[head.chain, head.sequence, head.mac.hex()] for head in heads]
    members = {
        "kind": "checkpoint",
        "time": time,
        "node": node,
        "number": number,
        "signer": key.id,
        "public_key": key.public.hex(),
        "heads": listed,
    }
    content = dump(members)[1:-1]
    signature = key.signing.sign(content).hex().encode()
    return Payload(b'%b%b%b"' % (content, _SIGNATURE, signature), time)


def read_checkpoint(line: bytes, public_keys: KeyRing | Ed25519PublicKey) -> Checkpoint | None:
    """The checkpoint in a line of a trail, or in the text of a log line; None when there is none, or a forged one.

    Raises:
        UnknownSigner: it may be good, but names a key that the ring lacks.

    """
    start = line.find(_START)
    end = line.find(_SIGNATURE, start)
    if start < 0 or end < 0:
        return None
    content, signature = line[start:end], line[end + len(_SIGNATURE) :][:_DIGITS]
    try:
        said = orjson.loads(b"{%b}" % content)
        read = Checkpoint(
            datetime.fromisoformat(said["time"]),
            str(said["node"]),
            int(said["number"]),
            str(said["signer"]),
            tuple(Listed(str(chain), int(sequence), bytes.fromhex(mac)) for chain, sequence, mac in said["heads"]),
        )
        _public(public_keys, read.key_id).verify(bytes.fromhex(signature.decode("ascii")), content)
    except (ValueError, TypeError, KeyError, InvalidSignature):
        return None
    return read


def checkpoints_in(lines: Iterable[bytes], public_keys: KeyRing | Ed25519PublicKey) -> Iterator[Checkpoint]:
    """All checkpoints in saved lines: of a trail, of a file of records, or of a JSON log.

    Raises:
        UnknownSigner: as `read_checkpoint`.
        ValueError: a line that names itself a checkpoint is not one that we signed.

    """
    for number, line in enumerate(lines, 1):
        text = _unwrapped(line)
        if _START not in text or not _names_itself(text):
            continue
        checkpoint = read_checkpoint(text, public_keys)
        if checkpoint is None:
            raise ValueError(f"line {number} holds a checkpoint whose signature is wrong")
        yield checkpoint


def _names_itself(text: bytes) -> bool:
    """Whether the record is a checkpoint, and does not only quote one: callers choose what stands in other records."""
    try:
        return bool(orjson.loads(text)["kind"] == "checkpoint")
    except (ValueError, TypeError, KeyError):
        return True


def _unwrapped(line: bytes) -> bytes:
    """The text of a checkpoint that stands as a text in a log line, or else the line."""
    if b'\\"kind\\":\\"checkpoint\\"' not in line:
        return line
    try:
        return str(orjson.loads(line)[LOG_MEMBER]).encode()
    except (ValueError, TypeError, KeyError):
        return b""


def _public(keys: KeyRing | Ed25519PublicKey, key_id: str) -> Ed25519PublicKey:
    if isinstance(keys, Ed25519PublicKey):
        return keys
    key = keys.find(key_id)
    if key is None:
        raise UnknownSigner(f"the checkpoint is signed by the key `{key_id}`, which is not known")
    return key.signing.public_key()
