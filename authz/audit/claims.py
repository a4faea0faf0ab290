"""What checkpoints say of chains, in little memory: 16 bytes for each chain in each checkpoint. Used by `verify`."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from authz.audit.checkpoint import Checkpoint

_PART = 8
"""So many bytes of a code are kept: none is forged to match by chance."""


class Claims:
    """What is claimed of one chain. Asked in the order of its records."""

    def __init__(self) -> None:
        self._sequences = array("Q")
        self._macs = array("Q")
        self._order: list[int] | None = None
        self._next = 0

    def add(self, sequence: int, mac: bytes) -> None:
        """Claim that the record of that number has that code."""
        self._sequences.append(sequence)
        self._macs.append(int.from_bytes(mac[:_PART], "big"))
        self._order = None

    @property
    def last(self) -> int:
        """The greatest number that is claimed; 0 for none."""
        return max(self._sequences, default=0)

    def begin(self) -> Claims:
        """The same claims, asked from the start."""
        self._next = 0
        return self

    def agree(self, sequence: int, mac: bytes) -> bool:
        """Whether all claims about a record are true."""
        order = self._sorted()
        part = int.from_bytes(mac[:_PART], "big")
        while self._next < len(order) and self._sequences[order[self._next]] <= sequence:
            place = order[self._next]
            if self._sequences[place] == sequence and self._macs[place] != part:
                return False
            self._next += 1
        return True

    def _sorted(self) -> list[int]:
        if self._order is None:
            self._order = sorted(range(len(self._sequences)), key=self._sequences.__getitem__)
        return self._order


class AllClaims:
    """What is claimed of all chains."""

    def __init__(self) -> None:
        self._by_chain: dict[str, Claims] = {}

    def add(self, checkpoints: Iterable[Checkpoint]) -> int:
        """Take over checkpoints; returns how many."""
        count = 0
        for count, checkpoint in enumerate(checkpoints, 1):  # noqa: B007 - the count is the result
            for chain, sequence, mac in checkpoint.heads:
                self._by_chain.setdefault(chain, Claims()).add(sequence, mac)
        return count

    def of(self, chain: str) -> Claims:
        """What is claimed of a chain."""
        return self._by_chain.get(chain) or Claims()

    def chains(self) -> Iterable[str]:
        """The chains of which something is claimed."""
        return self._by_chain.keys()
