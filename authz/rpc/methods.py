"""Every RPC of the service: its request and who answers it. Read by `server`; a test holds it against the interface."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from authz._proto.authz.v1 import access_pb2, audit_pb2, authzen_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.call import Scope
from authz.rpc import access, audit_records, models, questions, stores, tuples
from authz.rpc.authzen import evaluation, search
from authz.rpc.exchange import Method

if TYPE_CHECKING:
    from authz.commands.limits import Limits

SERVICE = pb.DESCRIPTOR.services_by_name["OpenFGAService"].full_name
ACCESS = access_pb2.DESCRIPTOR.services_by_name["AccessService"].full_name
AUDIT = audit_pb2.DESCRIPTOR.services_by_name["AuditService"].full_name
AUTHZEN = authzen_pb2.DESCRIPTOR.services_by_name["AuthZenService"].full_name

# A list that was cut at its deadline still has to be sent.
_LIST_GRACE = 1.0
# A trail is long, and who follows it stays; now and then it must ask again, and be authenticated again.
_TRAIL_SECONDS = 900.0


def _objects_time(limits: Limits) -> float:
    return limits.list_objects_deadline


def _users_time(limits: Limits) -> float:
    return limits.list_users_deadline


def _trail_time(_limits: Limits) -> float:
    return _TRAIL_SECONDS


_OPENFGA: tuple[Method, ...] = (
    Method(SERVICE, "Read", pb.ReadRequest, tuples.read, Scope.READ),
    Method(SERVICE, "Write", pb.WriteRequest, tuples.write, Scope.WRITE),
    Method(SERVICE, "Check", pb.CheckRequest, questions.check, Scope.CHECK, is_frequent=True),
    Method(SERVICE, "BatchCheck", pb.BatchCheckRequest, questions.batch, Scope.CHECK, is_frequent=True),
    Method(SERVICE, "Expand", pb.ExpandRequest, questions.expand, Scope.READ),
    Method(SERVICE, "ReadAuthorizationModels", pb.ReadAuthorizationModelsRequest, models.list_, Scope.READ),
    Method(SERVICE, "ReadAuthorizationModel", pb.ReadAuthorizationModelRequest, models.read, Scope.READ),
    Method(SERVICE, "WriteAuthorizationModel", pb.WriteAuthorizationModelRequest, models.write, Scope.MODEL),
    Method(SERVICE, "WriteAssertions", pb.WriteAssertionsRequest, models.write_asserted, Scope.MODEL),
    Method(SERVICE, "ReadAssertions", pb.ReadAssertionsRequest, models.read_asserted, Scope.READ),
    Method(SERVICE, "ReadChanges", pb.ReadChangesRequest, tuples.changes, Scope.READ),
    Method(SERVICE, "CreateStore", pb.CreateStoreRequest, stores.create, Scope.ADMIN),
    Method(SERVICE, "UpdateStore", pb.UpdateStoreRequest, stores.rename, Scope.ADMIN),
    Method(SERVICE, "DeleteStore", pb.DeleteStoreRequest, stores.delete, Scope.ADMIN),
    Method(SERVICE, "GetStore", pb.GetStoreRequest, stores.get, Scope.READ),
    Method(SERVICE, "ListStores", pb.ListStoresRequest, stores.list_, Scope.READ),
    Method(
        SERVICE,
        "StreamedListObjects",
        pb.StreamedListObjectsRequest,
        questions.streamed_objects,
        Scope.CHECK,
        is_streaming=True,
        is_frequent=True,
        timeout=_objects_time,
        grace=_LIST_GRACE,
    ),
    Method(
        SERVICE,
        "ListObjects",
        pb.ListObjectsRequest,
        questions.objects,
        Scope.CHECK,
        is_frequent=True,
        timeout=_objects_time,
        grace=_LIST_GRACE,
    ),
    Method(
        SERVICE,
        "ListUsers",
        pb.ListUsersRequest,
        questions.users,
        Scope.CHECK,
        is_frequent=True,
        timeout=_users_time,
        grace=_LIST_GRACE,
    ),
)
_ACCESS: tuple[Method, ...] = (
    Method(ACCESS, "Grant", access_pb2.GrantRequest, access.grant, Scope.ADMIN),
    Method(ACCESS, "Withdraw", access_pb2.WithdrawRequest, access.withdraw, Scope.ADMIN),
    Method(ACCESS, "ListGrants", access_pb2.ListGrantsRequest, access.list_, Scope.ADMIN),
    Method(ACCESS, "RevokeTokens", access_pb2.RevokeTokensRequest, access.revoke, Scope.ADMIN),
    Method(ACCESS, "Suspend", access_pb2.SuspendRequest, access.suspend, Scope.ADMIN),
    Method(ACCESS, "Lift", access_pb2.LiftRequest, access.lift, Scope.ADMIN),
    Method(ACCESS, "ListDirectives", access_pb2.ListDirectivesRequest, access.list_orders, Scope.ADMIN),
)
_AUDIT: tuple[Method, ...] = (
    Method(
        AUDIT,
        "QueryRecords",
        audit_pb2.QueryRecordsRequest,
        audit_records.query,
        Scope.ADMIN,
        is_streaming=True,
        timeout=_trail_time,
    ),
    Method(AUDIT, "StartCapture", audit_pb2.StartCaptureRequest, audit_records.start_capture, Scope.ADMIN),
    Method(AUDIT, "StopCapture", audit_pb2.StopCaptureRequest, audit_records.stop_capture, Scope.ADMIN),
)
_AUTHZEN: tuple[Method, ...] = (
    Method(
        AUTHZEN,
        "Evaluation",
        authzen_pb2.EvaluationRequest,
        evaluation.evaluation,
        Scope.CHECK,
        is_frequent=True,
        store="",
    ),
    Method(
        AUTHZEN,
        "Evaluations",
        authzen_pb2.EvaluationsRequest,
        evaluation.evaluations,
        Scope.CHECK,
        is_frequent=True,
        store="",
    ),
    Method(
        AUTHZEN,
        "SubjectSearch",
        authzen_pb2.SubjectSearchRequest,
        search.subjects,
        Scope.CHECK,
        is_frequent=True,
        timeout=_users_time,
        grace=_LIST_GRACE,
        store="",
    ),
    Method(
        AUTHZEN,
        "ResourceSearch",
        authzen_pb2.ResourceSearchRequest,
        search.resources,
        Scope.CHECK,
        is_frequent=True,
        timeout=_objects_time,
        grace=_LIST_GRACE,
        store="",
    ),
    Method(
        AUTHZEN,
        "ActionSearch",
        authzen_pb2.ActionSearchRequest,
        search.actions,
        Scope.CHECK,
        is_frequent=True,
        store="",
    ),
)
METHODS: tuple[Method, ...] = (*_OPENFGA, *_ACCESS, *_AUDIT, *_AUTHZEN)


def methods_for(authzen_store: str) -> tuple[Method, ...]:
    """Every RPC, where calls of AuthZEN that name no store are about this one (the empty text: about none)."""
    return tuple(replace(each, store=authzen_store) if each.service == AUTHZEN else each for each in METHODS)
