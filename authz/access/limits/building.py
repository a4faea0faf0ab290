"""The limiter that settings choose. Called by `app`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from authz.access.limits.counter import SharedCounter
from authz.access.limits.limiter import LocalLimiter
from authz.access.limits.shared import SharedLimiter
from authz.clock import Clock
from authz.settings import InvalidSettings
from authz.settings.limits import LimitsSettings


def build_limiter(settings: LimitsSettings, clock: Clock, workers: int = 1) -> LocalLimiter | SharedLimiter | None:
    """The limiter of one process of `workers`; None when callers are not held to rates.

    Raises:
        InvalidSettings: the URL of the shared store cannot be read, or its client is not installed.

    """
    if not settings.enabled:
        return None
    url = _url(settings)
    if url is None:
        return LocalLimiter(settings, clock, workers)
    return SharedLimiter(settings, clock, SharedCounter(url, settings.shared_timeout), workers)


def _url(settings: LimitsSettings) -> Callable[[], str] | None:
    if settings.shared_url is not None:
        return settings.shared_url.get_secret_value
    path = settings.shared_url_file
    if path is None:
        return None
    try:
        _read(path)
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"setting `limits.shared_url_file`: cannot read `{path}`: {_why(error)}") from None
    return lambda: _read(path)


def _read(path: Path) -> str:
    # At every new connection: a rotated password serves without a restart.
    url = path.read_text(encoding="utf-8").strip()
    if not url:
        raise ValueError("it is empty")
    return url


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return (error.strerror or "unreadable").lower()
    return "it is not text" if isinstance(error, UnicodeDecodeError) else str(error)
