"""Whether two sets of repeats differ by more than noise. Used by `compare`; plain arithmetic on medians.

The ratio of the medians is compared with an interval: repeats are drawn again with replacement (bootstrap), which says
how far the ratio would move if the same runs were made once more. Few repeats make that interval too narrow, hence it
is widened by Student's t for their number; and two runs made at different times differ by more than their repeats do,
hence nothing below a floor counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from random import Random
from statistics import median
from typing import NamedTuple

DRAWS = 1_000
FLOOR = 0.05
"""What two runs of the same program differ by at different times, even on a quiet machine."""
_TAIL = 0.005
_NORMAL = 2.576
_STUDENT = {2: 9.925, 3: 5.841, 4: 4.604, 5: 4.032, 6: 3.707, 7: 3.499, 8: 3.355, 9: 3.25, 10: 3.169, 12: 3.055}
_STUDENT |= {15: 2.947, 20: 2.845, 30: 2.75, 60: 2.66, 120: 2.617}
"""Two-sided 99 % points, by degrees of freedom; between two of them the lower one holds, which is wider."""


class Verdict(Enum):
    """What a ratio says."""

    NOISE = "within noise"
    LOWER = "lower"
    HIGHER = "higher"
    UNKNOWN = "unknown: one repeat"


class Compared(NamedTuple):
    """Two medians, their ratio with an interval, and what it says."""

    before: float
    after: float
    ratio: float
    low: float
    high: float
    verdict: Verdict


def compared(before: Sequence[float], after: Sequence[float], *, floor: float = FLOOR) -> Compared:
    """Compare the repeats of one figure; both have at least one.

    Raises:
        ValueError: there is nothing to compare.

    """
    if not before or not after:
        raise ValueError("no repeats")
    first, second = median(before), median(after)
    ratio = second / first if first else (1.0 if not second else math.inf)
    if first <= 0 or second <= 0:
        verdict = Verdict.NOISE if first == second else (Verdict.HIGHER if second > first else Verdict.LOWER)
        return Compared(first, second, ratio, ratio, ratio, verdict)
    low, high = _interval(before, after, ratio)
    if min(len(before), len(after)) < 2:
        verdict = Verdict.UNKNOWN
    elif low > 1 and ratio > 1 + floor:
        verdict = Verdict.HIGHER
    elif high < 1 and ratio < 1 / (1 + floor):
        verdict = Verdict.LOWER
    else:
        verdict = Verdict.NOISE
    return Compared(first, second, ratio, low, high, verdict)


def _interval(before: Sequence[float], after: Sequence[float], ratio: float) -> tuple[float, float]:
    """Where the ratio would lie in 99 of 100 repetitions."""
    # Seeded: the same files give the same verdicts.
    random, logs = Random(0), []
    for _ in range(DRAWS):
        first, second = (median(random.choices(each, k=len(each))) for each in (before, after))
        if first > 0 and second > 0:
            logs.append(math.log(second / first))
    logs.sort()
    center = math.log(ratio)
    last = len(logs) - 1
    freedom = len(before) + len(after) - 2
    wider = next((points for known, points in reversed(_STUDENT.items()) if known <= freedom), _STUDENT[2]) / _NORMAL
    below = (center - logs[round(_TAIL * last)]) * wider
    above = (logs[round((1 - _TAIL) * last)] - center) * wider
    # One side may see nothing where the median is an end of the repeats.
    reach = max(below, above)
    return math.exp(max(center - reach, -700.0)), math.exp(min(center + reach, 700.0))
