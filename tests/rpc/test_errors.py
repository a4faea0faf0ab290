"""What callers see of errors: bounded, consistent, complete."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from authz import errors as tree
from authz.codes import NUMBERS
from authz.errors import AuthzError, InvalidRequest
from authz.rpc.errors import MAX_MESSAGE_BYTES, failure_of, status_details


def classes(base: type[AuthzError] = AuthzError) -> Iterator[type[AuthzError]]:
    """All error classes of the tree."""
    yield base
    for derived in base.__subclasses__():
        if derived.__module__.startswith("authz."):
            yield from classes(derived)


@pytest.mark.parametrize("class_", sorted(set(classes()), key=lambda c: c.__name__))
def test_every_reason_is_a_code_of_the_interface(class_: type[AuthzError]) -> None:
    """
    Reasons are names that OpenFGA clients know.
    """
    assert class_.reason in NUMBERS


@given(st.text(st.characters(codec="utf-8"), max_size=3000))
def test_messages_fit_into_metadata(text: str) -> None:
    """
    However long a message is, what is sent stays within the 8 KiB that clients accept, and both copies agree.
    """
    failure = failure_of(InvalidRequest(text))
    raw = failure.message.encode()
    assert len(raw) <= MAX_MESSAGE_BYTES + len("…".encode())
    details = status_details(failure)
    assert 3 * len(raw) + len(details) * 4 // 3 < 8000
    assert Status.FromString(details).message == failure.message


def test_a_lone_surrogate_does_no_harm() -> None:
    """
    Text that is not Unicode is replaced.
    """
    assert failure_of(InvalidRequest("a\ud800b")).message == "a?b"


def test_details_name_reason_and_domain() -> None:
    """
    The details hold one ErrorInfo.
    """
    status = Status.FromString(status_details(failure_of(tree.StoreNotFound("no store"))))
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (status.code, status.message, info.reason, info.domain) == (5, "no store", "store_id_not_found", "authz")
