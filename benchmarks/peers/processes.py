"""Processor time of other processes, to the nanosecond. Used by peers that are servers."""

from __future__ import annotations

import ctypes
import time

import psutil

_libc = ctypes.CDLL(None, use_errno=True)


def cpu_of(process: psutil.Process) -> float:
    """Seconds of processor time that a process and those below it have spent so far; those that ended count nothing.

    The clocks are those of POSIX `clock_getcpuclockid`, for the counters of /proc move in steps of 10 ms.
    """
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(map(_cpu_of_one, family))


def listener(port: int) -> psutil.Process | None:
    """The process on this machine that listens on a TCP port; of several the one above them. None when none is seen."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None
    pids = {
        each.pid for each in connections if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
    }
    found = [psutil.Process(pid) for pid in pids if pid is not None]
    parents = {process.ppid() for process in found}
    if len(found) > 1 and len(parents) == 1:
        return psutil.Process(parents.pop())  # workers that share the port; their parent is what was started
    return next((process for process in found if process.ppid() not in pids), None)


def _cpu_of_one(process: psutil.Process) -> float:
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(process.pid, ctypes.byref(clock)) != 0:
        return 0.0
    try:
        return time.clock_gettime(clock.value)
    except OSError:  # it ended in between
        return 0.0
