"""How a process ends that cannot end by itself."""

from __future__ import annotations

import subprocess
import sys

from authz.app.codes import FORCED

STUCK = """
import time
from concurrent.futures import ThreadPoolExecutor
from authz.app.stopping import end_within
waiting = ThreadPoolExecutor()
waiting.submit(time.sleep, 60)
timer = end_within(0.2)
{then}
"""


def test_a_thread_that_waits_for_ever_is_not_waited_for() -> None:
    """A program whose threads wait for a database that does not answer ends all the same, and says why."""
    ended = subprocess.run([sys.executable, "-c", STUCK.format(then="")], timeout=30, capture_output=True, check=False)
    assert ended.returncode == FORCED
    assert b"ended_by_force" in ended.stdout + ended.stderr


def test_a_process_that_ends_in_time_is_left_alone() -> None:
    """What was cancelled ends nothing."""
    then = "timer.cancel(); time.sleep(0.5); import os; os._exit(0)"
    ended = subprocess.run([sys.executable, "-c", STUCK.format(then=then)], timeout=30, check=False)
    assert ended.returncode == 0
