"""Codes, their names and HTTP statuses, and the codes of broken field rules, are those of the public interface."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from authz.codes import NUMBERS, code_of_status, http_status, name_of
from authz.rpc.validate import field_reason
from tests.conformance.data import load_yaml, needs_data, with_ids

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

    from tests.conformance.client import Json

pytestmark = needs_data

INVALID_ARGUMENT = 3
_BROKEN_RULE = re.compile(r"invalid \w+\.(\w+)(\[[^\]]*\])?: ([^|]*)$")
_RULES = (
    ("value length must be at least", "string.min_len"),
    ("value length must be at most", "string.max_bytes"),
    ("value length must be", "string.len"),
    ("value does not match regex pattern", "string.pattern"),
    ("value is required", "required"),
    ("value must be inside range", "int32.gte_lte"),
    ("value must contain at least 1 pair", "map.min_pairs"),
    ("value must contain at least", "repeated.min_items"),
    ("value must contain no more than", "repeated.max_items"),
    ("value must contain between", "repeated.max_items"),
)
"""What the data says of a broken rule, and the name of the rule in our interface files."""


def _cases(name: str) -> list[ParameterSet]:
    cases = load_yaml("errors").get("cases", [])
    return with_ids((case["id"], case) for case in cases if case["id"].startswith(f"{name}/"))


@pytest.mark.parametrize("case", _cases("TestEncodedError"))
def test_code(case: Json) -> None:
    """A code has this HTTP status and this name."""
    number = case["errorCode"]
    assert (case["expectedHTTPStatusCode"], case["expectedCodeString"]) == (http_status(number), name_of(number))


@pytest.mark.parametrize("case", _cases("TestConvertToEncodedErrorCode"))
def test_status(case: Json) -> None:
    """A status has this code; for a broken rule of a field the field and the rule decide."""
    status = case["status"]["grpc_code"]
    broken = _BROKEN_RULE.search(case["status"]["message"]) if status == INVALID_ARGUMENT else None
    if broken is None:
        assert case["expectedErrorCode"] == code_of_status(status)
        return
    field, subscript, complaint = broken.groups()
    rule = next((rule for start, rule in _RULES if complaint.startswith(start)), "")
    reason = field_reason(_snake(field) + ("[]" if subscript else ""), rule)
    assert case["expectedErrorCode"] == NUMBERS[reason]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
