"""Logs: one JSON object a line, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest
import structlog

from authz.logs import configure_logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def written(*, level: str = "info") -> tuple[io.StringIO, structlog.typing.FilteringBoundLogger]:
    """A log and its logger."""
    stream = io.StringIO()
    configure_logs("json", level, stream)
    return stream, structlog.get_logger("test")


def test_a_line_is_one_json_object() -> None:
    """
    Level, time and fields are members; control characters, objects and lone surrogates do not break the line.
    """
    stream, log = written()
    log.info("first", name="a\nb", thing=io.StringIO, odd="x\ud800")
    log.info("second")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["level"], first["name"]) == ("first", "info", "a\nb")
    assert second["time"].endswith("Z")


def test_levels_filter() -> None:
    """
    What is below the level is not written.
    """
    stream, log = written(level="warning")
    log.info("quiet")
    log.warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_libraries_write_the_same_form() -> None:
    """
    Records of the standard library are JSON lines too.
    """
    stream, _ = written()
    logging.getLogger("grpc").warning("careful %s", "now")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("asyncio").exception("failed")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["level"]) == ("careful now", "warning")
    assert "ValueError: broken" in second["exception"]


def test_auto_is_json_when_nobody_watches() -> None:
    """
    Without a terminal, `auto` writes JSON; `console` is for people.
    """
    for format_, is_json in (("auto", True), ("console", False)):
        stream = io.StringIO()
        configure_logs(format_, "info", stream)
        structlog.get_logger("test").info("hello", field=1)
        assert is_json == stream.getvalue().startswith("{")
        assert "hello" in stream.getvalue()


class _Full(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written() -> None:
    """A full disk or a reader that is gone takes the line, and nothing else: who logs goes on."""
    configure_logs("json", "info", _Full())
    structlog.get_logger().error("lost")
    logging.getLogger("library").error("lost")


def test_what_is_bound_is_in_every_line() -> None:
    """
    Also in those of libraries and of threads, which inherit nothing; what a line says itself wins.
    """
    stream = io.StringIO()
    configure_logs("json", "info", stream, bound={"worker": 2})
    thread = threading.Thread(target=lambda: structlog.get_logger("test").info("ours"))
    thread.start()
    thread.join()
    logging.getLogger("library").warning("theirs")
    structlog.get_logger("test").info("named", worker=1)
    assert [json.loads(line)["worker"] for line in stream.getvalue().splitlines()] == [2, 2, 1]
