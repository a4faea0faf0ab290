"""Times and lengths of time as an operator types them. Used by the commands here and by `access`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from authz.cli.errors import UsageProblem

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LENGTH = re.compile(r"([0-9]{1,6})([smhd])")


def length_of(text: str, flag: str) -> timedelta:
    """A length such as `90s`, `30m`, `1h` or `7d`.

    Raises:
        UsageProblem: another text; `flag` names where it stands.

    """
    found = _LENGTH.fullmatch(text)
    if not found:
        raise UsageProblem(f"`{flag} {text}` is no length of time such as 90s, 30m, 1h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def end_of(text: str, flag: str, now: datetime) -> datetime | None:
    """As `moment_of`, but a length of time is counted from `now` on."""
    if not _LENGTH.fullmatch(text):
        return moment_of(text, flag, now)
    try:
        return now + length_of(text, flag)
    except OverflowError:
        raise UsageProblem(f"`{flag} {text}` is after the year 9999") from None


def moment_of(text: str, flag: str, now: datetime) -> datetime | None:
    """A moment: RFC 3339, or a length of time before `now`; None for the empty text.

    Raises:
        UsageProblem: another text.

    """
    if not text:
        return None
    try:
        if _LENGTH.fullmatch(text):
            return now - length_of(text, flag)
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except ValueError:
        raise UsageProblem(f"`{flag} {text}` is neither a length of time (1h) nor a time (RFC 3339)") from None
    except OverflowError:
        raise UsageProblem(f"`{flag} {text}` is before the year 1 or after 9999") from None
