"""Read numbers, durations, timestamps and text as the JSON of a context spells them. Called by types."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from math import isfinite

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

INT_RANGE = (-(2**63), 2**63 - 1)
UINT_RANGE = (0, 2**64 - 1)

_LONGEST_NUMBER = 1100  # every double has an exact decimal form shorter than this
_CACHED_LENGTH = 64  # longer spellings are legal, yet nobody's habit; they must not fill the caches
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION = re.compile(r"([+-]?)((?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_DURATION_PART = re.compile(r"([0-9]*)\.?([0-9]*)(ns|us|µs|μs|ms|s|m|h)")

_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.([0-9]+))?"
    r"(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_EPOCH_DAY = 719163  # date(1970, 1, 1).toordinal()
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300799  # years 1 to 9999, the range of google.protobuf.Timestamp


def is_text(value: str) -> bool:
    """Whether the string is Unicode text: lone surrogates have no UTF-8 form and no meaning in CEL."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_integer(text: str, bounds: tuple[int, int]) -> int | None:
    """The whole number within the bounds that a decimal string spells (`12`, `1.0`, `1e3`), or None."""
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    if number.adjusted() > 20:
        return None
    whole = int(number)
    return whole if whole == number and bounds[0] <= whole <= bounds[1] else None


def parse_double(text: str) -> float | None:
    """The finite double nearest to a decimal string, or None."""
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if isfinite(number) else None


def parse_duration(text: str) -> Duration | None:
    """A duration in the syntax of Go's `time.ParseDuration` (`1h30m`, `-1.5s`, `2µs`, `0`), or None.

    Fractions below a nanosecond are cut off. The range is that of 64-bit nanoseconds, about 292 years either way.
    """
    return _duration_cached(text) if len(text) <= _CACHED_LENGTH else _duration(text)


def parse_timestamp(text: str) -> Timestamp | None:
    """A timestamp by RFC 3339 within the years 1 to 9999 in UTC, or None. Digits below a nanosecond are cut off."""
    return _timestamp_cached(text) if len(text) <= _CACHED_LENGTH else _timestamp(text)


def _duration(text: str) -> Duration | None:
    if text in {"0", "+0", "-0"}:
        return Duration()
    match = _DURATION.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if match is None:
        return None
    total = 0
    for whole, fraction, unit in _DURATION_PART.findall(match[2]):
        scale = _NANOSECONDS[unit]
        total += int(whole or "0") * scale + int(fraction or "0") * scale // 10 ** len(fraction)
    if match[1] == "-":
        total = -total
    if not INT_RANGE[0] <= total <= INT_RANGE[1]:
        return None
    seconds = abs(total) // 10**9
    nanos = abs(total) % 10**9
    return Duration(seconds=-seconds, nanos=-nanos) if total < 0 else Duration(seconds=seconds, nanos=nanos)


def _timestamp(text: str) -> Timestamp | None:
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    local, fraction, sign, hours, minutes = match.groups()
    try:
        moment = datetime.fromisoformat(local)
    except ValueError:
        return None
    day = moment.toordinal() - _EPOCH_DAY
    seconds = day * 86400 + moment.hour * 3600 + moment.minute * 60 + moment.second
    if sign:
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds += offset if sign == "-" else -offset
        if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
            return None
    return Timestamp(seconds=seconds, nanos=int(fraction[:9].ljust(9, "0")) if fraction else 0)


# INVARIANT: the cached messages are shared between threads and never changed.
_duration_cached = lru_cache(maxsize=4096)(_duration)
_timestamp_cached = lru_cache(maxsize=4096)(_timestamp)
