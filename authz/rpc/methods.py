"""Every RPC of the service: its request and who answers it. Read by `server`; a test holds it against the interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.rpc import models, questions, stores, tuples
from authz.rpc.exchange import Method

if TYPE_CHECKING:
    from authz.commands.limits import Limits

SERVICE = pb.DESCRIPTOR.services_by_name["OpenFGAService"].full_name

# A list that was cut at its deadline still has to be sent.
_LIST_GRACE = 1.0


def _objects_time(limits: Limits) -> float:
    return limits.list_objects_deadline


def _users_time(limits: Limits) -> float:
    return limits.list_users_deadline


METHODS: tuple[Method, ...] = (
    Method(SERVICE, "Read", pb.ReadRequest, tuples.read),
    Method(SERVICE, "Write", pb.WriteRequest, tuples.write),
    Method(SERVICE, "Check", pb.CheckRequest, questions.check, is_frequent=True),
    Method(SERVICE, "BatchCheck", pb.BatchCheckRequest, questions.batch, is_frequent=True),
    Method(SERVICE, "Expand", pb.ExpandRequest, questions.expand),
    Method(SERVICE, "ReadAuthorizationModels", pb.ReadAuthorizationModelsRequest, models.list_),
    Method(SERVICE, "ReadAuthorizationModel", pb.ReadAuthorizationModelRequest, models.read),
    Method(SERVICE, "WriteAuthorizationModel", pb.WriteAuthorizationModelRequest, models.write),
    Method(SERVICE, "WriteAssertions", pb.WriteAssertionsRequest, models.write_asserted),
    Method(SERVICE, "ReadAssertions", pb.ReadAssertionsRequest, models.read_asserted),
    Method(SERVICE, "ReadChanges", pb.ReadChangesRequest, tuples.changes),
    Method(SERVICE, "CreateStore", pb.CreateStoreRequest, stores.create),
    Method(SERVICE, "UpdateStore", pb.UpdateStoreRequest, stores.rename),
    Method(SERVICE, "DeleteStore", pb.DeleteStoreRequest, stores.delete),
    Method(SERVICE, "GetStore", pb.GetStoreRequest, stores.get),
    Method(SERVICE, "ListStores", pb.ListStoresRequest, stores.list_),
    Method(
        SERVICE,
        "StreamedListObjects",
        pb.StreamedListObjectsRequest,
        questions.streamed_objects,
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
        is_frequent=True,
        timeout=_objects_time,
        grace=_LIST_GRACE,
    ),
    Method(
        SERVICE,
        "ListUsers",
        pb.ListUsersRequest,
        questions.users,
        is_frequent=True,
        timeout=_users_time,
        grace=_LIST_GRACE,
    ),
)
