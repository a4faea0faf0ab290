"""A peer's process, seen from the one that measures. Used by `measure`."""

from __future__ import annotations

import multiprocessing

from benchmarks.peers.worker import Ask, Build, List, Loaded, Refused, Sample, Told, work

LOAD_SECONDS, ANSWER_SECONDS, END_SECONDS = 1_800.0, 600.0, 60.0
"""How long a peer may take to load, to answer one order, and to end."""


class PeerProcess:
    """Started at once; `load` waits until the peer holds the world. A peer that is out is asked nothing more."""

    def __init__(self, name: str, build: Build) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, name, build), name=f"peer {name}")
        self._process.start()
        theirs.close()
        self.loaded: Loaded | None = None
        self.why_not = ""
        """Why the peer is out; empty while it is not."""

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(END_SECONDS)
        for end in (self._process.terminate, self._process.kill):
            if self._process.is_alive():
                end()
                self._process.join(END_SECONDS)
        self._process.close()

    def load(self) -> Loaded | None:
        """What the peer says when it holds the world; None when it is out."""
        told = self._received(LOAD_SECONDS)
        self.loaded = told if isinstance(told, Loaded) else None
        return self.loaded

    def order(self, order: Ask | List) -> dict[str, Sample]:
        """What questions cost, by kind; nothing when the peer is out."""
        if self.why_not:
            return {}
        try:
            self._pipe.send(order)
        except OSError:
            self.why_not = "its process ended"
            return {}
        told = self._received(ANSWER_SECONDS)
        return told if isinstance(told, dict) else {}

    def _received(self, seconds: float) -> Told | None:
        try:
            if not self._pipe.poll(seconds):
                self.why_not = f"no answer within {seconds:.0f} s"
                return None
            told: Told = self._pipe.recv()
        except (EOFError, OSError):
            self.why_not = "its process ended"
            return None
        if isinstance(told, Refused):
            self.why_not = told.why
        return told
