"""What all tests of detection have: the log as JSON lines."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import structlog

from authz.logs import configure_logs


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, as JSON lines."""
    stream = io.StringIO()
    configure_logs("json", "debug", stream)
    yield stream
    structlog.reset_defaults()
