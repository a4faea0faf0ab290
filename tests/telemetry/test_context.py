"""Trace context: what a caller says is read when it is well formed and passed over otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.telemetry.context import MAX_STATE, Parent, parent_of, state_of
from tests.telemetry.support import PARENT, TRACE, traceparent


@pytest.mark.parametrize(
    ("header", "is_sampled"),
    [
        (traceparent(), True),
        (traceparent(flags="00"), False),
        (traceparent(flags="03"), True),
        (traceparent(flags="02"), False),
        (traceparent(version="01"), True),
        (traceparent(version="cc") + "-what-comes-later", True),
    ],
)
def test_a_well_formed_parent_is_read(header: str, is_sampled: bool) -> None:
    """
    Trace, span and the flag that says whether the caller records; later versions may say more.
    """
    assert parent_of([("a", "b"), ("traceparent", header)]) == Parent(TRACE, PARENT, is_sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        TRACE,
        traceparent(trace="0" * 32),
        traceparent(parent="0" * 16),
        traceparent(version="ff"),
        traceparent(version="0"),
        traceparent(flags="1"),
        traceparent(flags="xx"),
        traceparent().upper(),
        traceparent() + "-more",
        traceparent() + " ",
        " " + traceparent(),
        traceparent() + "\n",
        traceparent(version="01") + "more",
        traceparent(version="01") + "-" + "x" * 1000,
        traceparent(trace=TRACE[:-1]),
        traceparent(trace=TRACE[:-1] + "٣"),
    ],
)
def test_a_malformed_parent_is_passed_over(header: str) -> None:
    """
    It is as if there were none.
    """
    assert parent_of([("traceparent", header)]) is None


def test_two_parents_or_bytes_are_none() -> None:
    """
    Whoever gives two says nothing; a binary value is no header of this name.
    """
    assert parent_of([("traceparent", traceparent()), ("traceparent", traceparent())]) is None
    assert parent_of([("traceparent", traceparent().encode())]) is None


@given(st.text(max_size=300))
def test_no_text_is_an_error(text: str) -> None:
    """
    Whatever a caller sends, a trace begins.
    """
    found = parent_of([("traceparent", text), ("tracestate", text)])
    assert found is None or len(found.trace_id) == 32


def test_state_is_joined_and_bounded() -> None:
    """
    Several headers are one list; one that is too long is dropped as a whole.
    """
    assert state_of([("tracestate", "a=1"), ("x", "y"), ("tracestate", "b=2")]) == "a=1,b=2"
    assert state_of([("tracestate", "a=" + "1" * MAX_STATE)]) == ""
