"""What processes use: processor time and memory, of a whole family. Read by `measuring` around a window."""

from __future__ import annotations

from typing import Any, NamedTuple

from benchmarks.extras import need
from benchmarks.peers.processes import cpu_of


class Memory(NamedTuple):
    """Bytes of a family of processes. `resident` counts what they share once for each; `own` shares it out."""

    resident: int = 0
    own: int = 0
    processes: int = 0


class Family:
    """A process and those below it."""

    def __init__(self, process_id: int) -> None:
        self._psutil: Any = need("psutil", "psutil")
        self._process: Any = self._psutil.Process(process_id)

    def cpu_seconds(self) -> float:
        """Processor time so far, user and system."""
        return cpu_of(self._process)

    def memory(self) -> Memory:
        """Memory now."""
        found = Memory()
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                info = process.memory_full_info()
            except self._psutil.Error:
                continue
            own = getattr(info, "pss", info.rss)
            found = Memory(found.resident + info.rss, found.own + own, found.processes + 1)
        return found
