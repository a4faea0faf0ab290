"""Link the chains to each other: list where they end, every so often, in a signed checkpoint. Run by `trail`.

Whoever rolls a chain back to an earlier state has to roll back every checkpoint chain that has listed it since. And
while the service runs, it remembers what it listed itself, and tells at once when a chain goes back or vanishes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from authz.audit.chain import CHECKPOINTS, Payload, is_sealed
from authz.audit.checkpoint import LOG_MEMBER, MAX_HEADS, make_checkpoint
from authz.audit.keys import Keys
from authz.audit.payloads import note_payload
from authz.audit.query import all_heads
from authz.audit.sinks.database import ChainWriter
from authz.clock import Clock
from authz.errors import AuthzError
from authz.store.trail import Head, TrailStore

_log = structlog.get_logger(__name__)


class Checkpointer:
    """Writes checkpoints into a chain of its own, to `tell` (for the other sinks) and to the log.

    `outside` gives the ends of this process's chains that are not in the datastore.
    """

    def __init__(
        self,
        store: TrailStore,
        keys: Keys,
        clock: Clock,
        *,
        tell: Callable[[Payload], None],
        outside: Callable[[], Sequence[Head]] = lambda: (),
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._tell = tell
        self._outside = outside
        self.writer = ChainWriter(store, CHECKPOINTS, keys, clock)
        self._node = self.writer.chain.removeprefix(CHECKPOINTS)
        self._number = 0
        self._seen: dict[str, tuple[int, bytes]] = {}
        self._told: set[str] = set()
        self.problems = 0
        """How many chains were found tampered with."""

    async def link(self) -> int:
        """Write checkpoints of the chains that moved since the last ones, if any did; returns how many chains.

        Raises:
            Unavailable: the datastore does not answer; they will be listed the next time.

        """
        moved = await self._moved()
        if all(head.chain.startswith(CHECKPOINTS) for head in moved):
            return 0  # or two nodes would answer each other's checkpoints for ever
        for start in range(0, len(moved), MAX_HEADS):
            await self._write(moved[start : start + MAX_HEADS])
        return len(moved)

    async def link_forever(self, interval: float) -> None:
        """Link every `interval` seconds until cancelled; a datastore that does not answer is asked again."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.link()
            except AuthzError as error:
                _log.warning("audit_checkpoint_failed", reason=error.reason, message=error.message)
            except Exception as error:  # noqa: BLE001 - no row that somebody has put there may end this
                _log.error("audit_checkpoint_failed", why=type(error).__name__)

    async def _write(self, heads: Sequence[Head]) -> None:
        self._number += 1
        made = make_checkpoint(self._clock.now(), self._node, self._number, heads, self._keys.ring.active)
        await self.writer.append([made])
        for head in heads:
            self._seen[head.chain] = (head.sequence, head.mac)
        self._tell(made._replace(is_stored=True))
        _log.info("audit_checkpoint", **{LOG_MEMBER: f"{{{made.members.decode()}}}"})

    async def _moved(self) -> list[Head]:
        moved, missing = [], set(self._seen)
        async for head in all_heads(self._store):
            missing.discard(head.chain)
            if head.chain == self.writer.chain:
                continue
            self._inspect(head)
            if self._seen.get(head.chain) != (head.sequence, head.mac):
                moved.append(head)
        outside = [head for head in self._outside() if self._seen.get(head.chain) != (head.sequence, head.mac)]
        for chain in missing - {head.chain for head in self._outside()}:
            self._alarm(chain, "the chain has vanished")
        return moved + outside

    def _inspect(self, head: Head) -> None:
        sequence, mac = self._seen.get(head.chain, (0, b""))
        key = self._keys.ring.find(head.key_id)
        if key is not None and not is_sealed(head, key):
            self._alarm(head.chain, "the seal of its head is wrong")
        elif head.sequence < sequence or (head.sequence == sequence and head.mac != mac):
            self._alarm(head.chain, f"the chain has gone back from record {sequence} to {head.sequence}")

    def _alarm(self, chain: str, why: str) -> None:
        if chain in self._told:
            return
        self._told.add(chain)
        self.problems += 1
        _log.error("audit_chain_tampered", chain=chain, why=why)
        self._tell(note_payload("broken", self._clock.now(), of=chain, why=why))
