"""The sink `stdout`: one JSON line a record, for whatever collects the output of the process. Built by `trail`."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import Sequence
from typing import NamedTuple

from ulid import ULID

from authz.audit.chain import STDOUT, Payload, extend
from authz.audit.keys import Keys
from authz.audit.sinks.sink import SinkProblem
from authz.audit.sinks.turns import OutputTurns
from authz.clock import Clock
from authz.store.trail import Head

PATIENCE = 1.0
"""Seconds for the reader to make room; then the write has failed, and is tried again."""


class _Attempt(NamedTuple):
    payloads: Sequence[Payload]
    rest: memoryview
    head: Head


class StdoutSink:
    """See `Sink`. A reader that does not read holds up the records, and then the calls; not the end of the process.

    `turns` are those of the workers that share the output; None when it belongs to this process alone.
    """

    name = "stdout"

    def __init__(
        self, keys: Keys, clock: Clock, descriptor: int | None = None, turns: OutputTurns | None = None
    ) -> None:
        self._keys = keys
        self._turns = turns
        self._descriptor = sys.stdout.fileno() if descriptor is None else descriptor
        self._chain = f"{STDOUT}{ULID.from_datetime(clock.now())}"
        self.outside: Head | None = None
        self._attempt: _Attempt | None = None

    async def write(self, payloads: Sequence[Payload]) -> None:
        """See `Sink`."""
        await asyncio.to_thread(self._write, payloads)

    async def close(self) -> None:
        """See `Sink`. Standard output belongs to the process."""

    def _write(self, payloads: Sequence[Payload]) -> None:
        attempt = self._attempt
        if attempt is None or attempt.payloads is not payloads:
            segment, head = extend(self._chain, self.outside, payloads, self._keys.ring)
            attempt = _Attempt(payloads, memoryview(segment.body), head)
        self._take_turn()
        while attempt.rest:
            # INVARIANT: what was written once is not written again, or a line would be torn.
            self._attempt = attempt
            self._wait_for_room()
            written = os.write(self._descriptor, attempt.rest[: select.PIPE_BUF])
            attempt = attempt._replace(rest=attempt.rest[written:])
        if self._turns is not None:
            self._turns.end()
        self.outside, self._attempt = attempt.head, None

    def _take_turn(self) -> None:
        """Have the output until all is written, also while the write is tried again."""
        if self._turns is None:
            return
        is_torn = self._turns.begin(PATIENCE)
        if is_torn is None:
            raise SinkProblem("another worker waits for whoever reads standard output")
        if is_torn:
            self._wait_for_room()
            os.write(self._descriptor, b"\n")

    def _wait_for_room(self) -> None:
        """Wait until so much can be written without waiting: nothing ends a thread that writes to a full pipe."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(PATIENCE * 1000):
            raise SinkProblem("nobody reads standard output")
