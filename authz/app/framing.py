"""Messages between a supervisor and a worker: their length, then JSON; the first one, which says what to do, pickled.
Used by both ends of the socket: `link` and `lifeline`.
"""

from __future__ import annotations

import asyncio
import pickle
from typing import Any, NamedTuple

import orjson

from authz.settings import Settings

LENGTH_BYTES = 4
GONE = (asyncio.IncompleteReadError, ConnectionError)
"""What `receive` raises when the other end is no more."""


class Assignment(NamedTuple):
    """What a worker is to do."""

    settings: Settings
    """As they are for this worker."""
    number: int
    """From 1."""
    signal: int
    """The descriptor of the shared counters."""
    output: int | None
    """The descriptor of the turns at standard output; None when no records are written there."""


class Word:
    """What a supervisor says."""

    PREPARE = "prepare"
    """Do once what all workers rely on, and say `PREPARED`."""
    SERVE = "serve"
    DRAIN = "drain"
    FORCE = "force"


class News:
    """What a worker says."""

    PREPARED = "prepared"
    READY = "ready"
    FAILED = "failed"


def framed(body: bytes) -> bytes:
    """A message as it is sent."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def message(**members: Any) -> bytes:
    """A message of these members as it is sent."""
    return framed(orjson.dumps(members))


def first_message(assignment: Assignment) -> bytes:
    """What a supervisor sends first."""
    return framed(pickle.dumps(assignment))


def read_assignment(body: bytes) -> Assignment:
    """What a worker receives first, from the very process that started it."""
    found = pickle.loads(body)  # noqa: S301 - nobody else holds the other end of the socket
    assert isinstance(found, Assignment)
    return found


async def receive(reader: asyncio.StreamReader) -> bytes:
    """The next message; raises one of `GONE` when there is none."""
    head = await reader.readexactly(LENGTH_BYTES)
    return await reader.readexactly(int.from_bytes(head, "big"))
