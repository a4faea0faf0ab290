"""The Python SDK: refusals and failures as its own types of exceptions, and what it tries again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from openfga_sdk.client.models import ClientListObjectsRequest, ClientListRelationsRequest, ClientReadChangesRequest
from openfga_sdk.configuration import RetryParams
from openfga_sdk.exceptions import (
    NotFoundException,
    RateLimitExceededError,
    ServiceException,
    ValidationException,
)
from openfga_sdk.models import (
    AuthErrorCode,
    ErrorCode,
    InternalErrorCode,
    NotFoundErrorCode,
    ReadRequestTupleKey,
    TypeDefinition,
    WriteAuthorizationModelRequest,
)
from openfga_sdk.models.create_store_request import CreateStoreRequest

from authz.codes import NUMBERS, http_status
from tests.sdk.clients import Kind, Sdk, check, create_store, opened, tuple_
from tests.support.http import url_of
from tests.support.server import running_server

ABSENT = "01HYYYYYYYYYYYYYYYYYYYYYYY"
KINDS: tuple[Kind, ...] = ("async", "sync")
ONCE = RetryParams(max_retry=0)

INVALID: dict[str, tuple[str, Callable[[Sdk], object]]] = {
    "relation": ("validation_error", lambda sdk: sdk.check(check("user:anne", "absent", "document:a"))),
    "format": ("validation_error", lambda sdk: sdk.check(check("anne", "viewer", "document:a"))),
    "model": (
        "authorization_model_not_found",
        lambda sdk: sdk.check(check("user:a", "viewer", "document:a"), {"authorization_model_id": ABSENT}),
    ),
    "type": ("type_not_found", lambda sdk: sdk.list_objects(ClientListObjectsRequest("user:anne", "viewer", "absent"))),
    "token": (
        "invalid_continuation_token",
        lambda sdk: sdk.read(ReadRequestTupleKey(), {"continuation_token": "bm8gdG9rZW4="}),
    ),
    "page": ("page_size_invalid", lambda sdk: sdk.read_changes(ClientReadChangesRequest("user"), {"page_size": 101})),
    "start": (
        "invalid_start_time",
        lambda sdk: sdk.read_changes(ClientReadChangesRequest("user", "2999-01-01T00:00:00Z")),
    ),
    "tuple": ("validation_error", lambda sdk: sdk.write_tuples([tuple_("group:g", "viewer", "document:a")])),
    "name": ("validation_error", lambda sdk: sdk.create_store(CreateStoreRequest(name="?"))),
    "schema": ("invalid_authorization_model", lambda sdk: sdk.write_authorization_model(_nothing())),
}


@pytest.mark.parametrize("case", INVALID)
def test_bad_requests(documents: Sdk, case: str) -> None:
    """
    They raise the exception for validation, with our code and message, and a request id to ask the operator about.
    """
    code, act = INVALID[case]
    with pytest.raises(ValidationException) as raised:
        act(documents)
    error = raised.value
    assert (400, code) == (error.status, error.code)
    assert error.is_validation_error()
    assert not error.is_retryable()
    assert error.error_message
    assert error.request_id
    assert f"{error.error_message} ({code}) [request-id: {error.request_id}]" in str(error)


def test_an_unknown_store_is_not_found(sdk: Sdk) -> None:
    """
    Only where OpenFGA looks for it: elsewhere it has no model.
    """
    sdk.set_store_id(ABSENT)
    with pytest.raises(NotFoundException) as missing:
        sdk.get_store()
    assert (missing.value.status, missing.value.code) == (404, "store_id_not_found")
    assert missing.value.is_not_found_error()
    with pytest.raises(ValidationException) as refused:
        sdk.check(check("user:anne", "viewer", "document:a"))
    assert refused.value.code == "latest_authorization_model_not_found"


def test_the_sdk_knows_our_codes() -> None:
    """
    Every code that may come with a status is in the SDK's list for that status.
    """
    lists = {400: ErrorCode, 401: AuthErrorCode, 403: AuthErrorCode, 404: NotFoundErrorCode, 500: InternalErrorCode}
    for name, number in NUMBERS.items():
        known = lists.get(http_status(number))
        assert known is None or name in vars(known).values(), name


@pytest.mark.ops
def test_too_many_requests(tmp_path: Path) -> None:
    """
    The exception for rates says when to come again; with retries the SDK waits and gets its answer.
    """
    slow = {"limits_tiers": json.dumps({"standard": {"check": "4/second", "burst": 0.25}})}
    asked = check("user:anne", "viewer", "document:a")
    many = ClientListRelationsRequest(user="user:anne", object="document:a", relations=["viewer"] * 8)
    patient = RetryParams(max_retry=8, min_wait_in_ms=150, max_wait_in_sec=1)
    with running_server(tmp_path, slow) as server:
        for kind in KINDS:
            with opened(kind, api_url=url_of(server)) as sdk:
                create_store(sdk)
                with pytest.raises(RateLimitExceededError) as raised:
                    sdk.list_relations(many, {"retry_params": ONCE})
                error = raised.value
                assert error.status == 429
                assert error.is_rate_limit_error()
                assert error.is_retryable()
                assert error.header["retry-after"] == "1"
                assert error.request_id
                assert json.loads(error.body)["code"] == "resource_exhausted"
                started = time.monotonic()
                for _ in range(2):
                    assert sdk.check(asked, {"retry_params": patient}).allowed is False
                assert time.monotonic() - started > 0.15


@pytest.mark.ops
def test_a_failing_service(tmp_path: Path) -> None:
    """
    The exception for services; the SDK tries it again as often as it is told.
    """
    insistent = RetryParams(max_retry=2, min_wait_in_ms=1)
    with running_server(tmp_path, {"request_timeout": 0.000001}) as server:
        for number, kind in enumerate(KINDS, start=1):
            with (
                opened(kind, api_url=url_of(server), retry_params=insistent) as sdk,
                pytest.raises(ServiceException) as raised,
            ):
                sdk.create_store(CreateStoreRequest(name="late"))
            error = raised.value
            assert (error.status, error.code) == (500, "deadline_exceeded")
            assert error.is_server_error()
            assert error.is_retryable()
            lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
            calls = [line for line in lines if line.get("grpc_method") == "CreateStore"]
            assert 3 * number == len(calls)
            assert error.request_id == calls[-1]["request_id"]


def _nothing() -> WriteAuthorizationModelRequest:
    return WriteAuthorizationModelRequest(schema_version="1.0", type_definitions=[TypeDefinition(type="user")])
