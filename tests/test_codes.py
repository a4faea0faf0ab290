"""Error codes: the table against the interface, and the handed-out cases."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from authz._proto.openfga.v1 import errors_ignore_pb2 as pb
from authz.codes import ABORTED, NUMBERS, code_of_status, http_status, name_of
from authz.rpc.validate import field_reason
from tests.support.conformance import conformance_dir

_FOLDER = conformance_dir()
_CASES: list[dict[str, Any]] = (
    yaml.safe_load((_FOLDER / "errors.yaml").read_text())["cases"] if _FOLDER is not None else []
)
_PREFIXES = (
    ("value length must be at most", "string.max_bytes"),
    ("value length must be", "string.min_bytes"),
    ("value is required", "required"),
    ("value must be inside range", "int32.gte_lte"),
    ("value does not match regex pattern", "string.pattern"),
    ("value must contain at least 1 pair", "map.min_pairs"),
    ("value must contain at least", "repeated.min_items"),
    ("value must contain no more than", "repeated.max_items"),
)


def test_the_table_is_that_of_the_interface() -> None:
    """
    Every code of the interface is there with its number, and nothing else.
    """
    enums = (pb.AuthErrorCode, pb.ErrorCode, pb.UnprocessableContentErrorCode, pb.InternalErrorCode)
    values = {name: number for enum in (*enums, pb.NotFoundErrorCode) for name, number in enum.items() if number}
    assert {**values, ABORTED: 10} == dict(NUMBERS)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("unauthenticated", 401),
        ("forbidden", 403),
        ("validation_error", 400),
        ("throttled_timeout_error", 422),
        ("internal_error", 500),
        ("store_id_not_found", 404),
        (ABORTED, 409),
    ],
)
def test_families_have_their_http_status(name: str, status: int) -> None:
    """
    The range of a code decides its HTTP status; `forbidden` is the one exception.
    """
    assert status == http_status(NUMBERS[name])


def code_of_validation(message: str) -> int:
    """The code for a validation message of OpenFGA, by the field and rule that it names."""
    found = re.search(r"invalid \w+\.(\w+(?:\[\w+\])?): ([^|]*)$", message)
    if found is None:
        return NUMBERS["validation_error"]
    field, text = found.groups()
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", re.sub(r"\[\w+\]", "[]", field)).lower()
    rule = next((rule for prefix, rule in _PREFIXES if text.startswith(prefix)), "")
    return NUMBERS[field_reason(name, rule)]


@pytest.mark.skipif(not _CASES, reason="the conformance data is not here; set AUTHZ_CONFORMANCE_DIR")
@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["id"])
def test_handed_out_cases(case: dict[str, Any]) -> None:
    """
    Codes have the status and text, and plain statuses the code, that the cases name.
    """
    if "errorCode" in case:
        expected = (case["expectedHTTPStatusCode"], case["expectedCodeString"])
        assert expected == (http_status(case["errorCode"]), name_of(case["errorCode"]))
        return
    status, message = case["status"]["grpc_code"], case["status"]["message"]
    code = code_of_validation(message) if status == 3 else code_of_status(status)
    assert case["expectedErrorCode"] == code
