"""What the process itself uses: processor, memory, files. Registered by `telemetry`, read by `meter`.

The names on Prometheus are those that every client library has for this.
"""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz.clock import Clock
    from authz.telemetry.meter import Meter

_PROC = Path("/proc/self")


def observe_process(meter: Meter, clock: Clock, version: str) -> None:
    """Tell the meter how the use of the process is read. What a system does not tell is left out."""
    started = clock.now().timestamp()
    meter.observe_source("authz.build.info", lambda: {(version, platform.python_version()): 1})
    meter.observe_source("process.cpu", _cpu)
    meter.observe_source("process.start.time", lambda: started)
    meter.observe_source("process.max.fds", lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if _PROC.exists():
        meter.observe_source("process.resident.memory", _resident)
        meter.observe_source("process.open.fds", lambda: len(os.listdir(_PROC / "fd")))  # noqa: PTH208 - ten times faster


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident() -> int:
    return int((_PROC / "statm").read_bytes().split()[1]) * resource.getpagesize()
