"""How much memory this program may use. Asked by `services` for the budget of the index."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

SHARE = 2
"""This fraction of the memory goes to tuples; the rest is for everything else, and for what their copies take while
they are loaded."""
_CGROUP: Final = Path("/sys/fs/cgroup/memory.max")
_OLD_CGROUP: Final = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_budget(chosen: int | Literal["auto"], workers: int) -> int:
    """The bytes that the tuples of one worker may take."""
    return max(usable_memory() // SHARE // workers, 1) if chosen == "auto" else chosen


def usable_memory(limits: tuple[Path, ...] = (_CGROUP, _OLD_CGROUP)) -> int:
    """The bytes that the machine has, or its container if that may use less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in limits:
        # Without a limit the file says `max`, holds a number beyond all memory, or is not there.
        with suppress(OSError, ValueError):
            found.append(int(path.read_text()))
    return min(found)
