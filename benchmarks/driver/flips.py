"""Writes beside the checks: tuples that come and go, each checked right after its write is acknowledged.

Used by `client`. Which of its tuples are there is known to the process that writes them, and to nobody else; so it
knows what a check must answer. Every other probe asks as of the write's consistency token; the others ask plainly,
which a server that promises to be fresh must answer rightly too. A server that gives no tokens is asked as of its head
revision.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from authz._proto.openfga.v1.openfga_service_pb2 import CheckResponse
from benchmarks.driver.items import Flip
from benchmarks.driver.tally import RIGHT, Outcome, Tally

TOKEN, ASK = "authz-consistency-token", "authz-consistency"
EXHAUSTED = "no tuple is left to be written"
"""All are being written, or their writes have failed, so that nobody knows whether they are there."""


class Reply(NamedTuple):
    """What came back: an answer and its consistency token, or an error's code."""

    answer: bytes = b""
    token: str = ""
    error: str = ""


Call = Callable[[str, bytes, str], Awaitable[Reply]]
"""Calls a method with a payload and a demand on consistency, on some connection."""


class Flips:
    """The tuples of one process, absent at first."""

    def __init__(self, flips: Sequence[Flip], call: Call, *, fresh: bool) -> None:
        self._absent: deque[Flip] = deque(flips)
        self._present: deque[Flip] = deque()
        self._doubtful: list[Flip] = []
        self._call = call
        self._fresh = fresh
        self._count = 0

    async def flip(self, tally: Tally, now: Callable[[], int]) -> Outcome:
        """Write or delete one tuple; then check what follows from it, which is a call of its own."""
        self._count += 1
        # Half of the tuples are there after a while; so that deletes are as many as writes.
        is_write = not self._present or (self._count % 2 == 1 and bool(self._absent))
        plainly = self._count % 4 > 1
        chosen = self._absent if is_write else self._present
        if not chosen:
            return Outcome(error=EXHAUSTED)
        flip = chosen.popleft()
        reply = await self._call("Write", flip.write if is_write else flip.delete, "")
        if reply.error:
            self._doubtful.append(flip)  # whether it is there is not known: it is not used again
            return Outcome(error=reply.error)
        written = now()
        outcome = await self._probe(flip, reply.token, expected=flip.allowed is is_write, plainly=plainly)
        tally.settle("probe/after write", written, now(), outcome)
        (self._present if is_write else self._absent).append(flip)
        return Outcome(ended=written)

    async def clear(self) -> None:
        """Delete what is there, or may be: whoever writes next begins with none of them."""
        for flip in (*self._present, *self._doubtful):
            await self._call("Write", flip.delete, "")
        self._present.clear()
        self._doubtful.clear()

    async def _probe(self, flip: Flip, token: str, *, expected: bool, plainly: bool) -> Outcome:
        demand = f"at-least-as-fresh={token}" if token and not plainly else ""
        payload = flip.probe if token or plainly else flip.probe_of_head
        reply = await self._call("Check", payload, demand)
        if reply.error:
            return Outcome(error=reply.error)
        try:
            allowed = CheckResponse.FromString(reply.answer).allowed
        except DecodeError:
            return Outcome(wrong="the answer to a check is none")
        if allowed is expected:
            return RIGHT
        said = f"a check {'right after a write' if plainly else 'as of the token of a write'} is {not expected}"
        return Outcome(stale=said) if plainly and not self._fresh else Outcome(wrong=said)
