"""Consistency and request ids in metadata."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.consistency import Consistency, Mode
from authz.errors import InvalidRequest
from authz.rpc.metadata import consistency_of, parse_consistency, request_id
from tests.rpc.support import answering, exchange, method

_METHOD = method(answering(pb.GetStoreResponse))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("minimize-latency", Consistency(Mode.MINIMIZE_LATENCY)),
        ("fully-consistent", Consistency(Mode.FULLY_CONSISTENT)),
        ("at-least-as-fresh=abc==", Consistency(Mode.AT_LEAST_AS_FRESH, "abc==")),
        (" at-exact-snapshot=a-_b ", Consistency(Mode.AT_EXACT_SNAPSHOT, "a-_b")),
    ],
)
def test_modes(text: str, expected: Consistency) -> None:
    """
    The four modes, with a token where one belongs.
    """
    assert expected == parse_consistency(text)


@given(st.text())
def test_anything_else_is_refused(text: str) -> None:
    """
    Text that is no mode is a clear error that shows a bounded part of it.
    """
    name = text.strip().partition("=")[0]
    assume(name not in {mode.value for mode in Mode})
    with pytest.raises(InvalidRequest) as caught:
        parse_consistency(text)
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(("preference", "mode"), [(0, Mode.MINIMIZE_LATENCY), (100, Mode.MINIMIZE_LATENCY)])
def test_the_field_counts_without_metadata(preference: int, mode: Mode) -> None:
    """
    HIGHER_CONSISTENCY is fully consistent, everything else the fastest; metadata wins over both.
    """
    assert Consistency(mode) == consistency_of(exchange(_METHOD), preference)
    assert Consistency(Mode.FULLY_CONSISTENT) == consistency_of(exchange(_METHOD), 200)
    stated = exchange(_METHOD, metadata=(("authz-consistency", "minimize-latency"),))
    assert Consistency() == consistency_of(stated, 200)


@given(st.text())
def test_request_ids_are_sane(given_id: str) -> None:
    """
    An id is echoed only when it is short and printable ASCII, as AuthZEN wants it; new ids differ.
    """
    echoed = request_id(given_id)
    assert 0 < len(echoed) <= 128
    assert echoed.isascii()
    assert echoed.isprintable()
    assert echoed == echoed.strip()
    assert request_id("") != request_id("")
    assert request_id("a b/C:1;_") == "a b/C:1;_"
