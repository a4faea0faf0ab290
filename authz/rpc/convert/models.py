"""Authorization models, between messages and their protobuf JSON form, which is what is compiled and stored."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict

from authz._proto.openfga.v1.authzmodel_pb2 import AuthorizationModel
from authz._proto.openfga.v1.openfga_service_pb2 import WriteAuthorizationModelRequest
from authz.call import Call
from authz.errors import Cancelled
from authz.store.api import ModelRecord
from authz.tuples import JsonValue


def body_of(request: WriteAuthorizationModelRequest) -> tuple[dict[str, JsonValue], int]:
    """The JSON form of the model in a request, without an id, and its size in bytes on the wire."""
    model = AuthorizationModel(
        schema_version=request.schema_version, type_definitions=request.type_definitions, conditions=request.conditions
    )
    return MessageToDict(model), model.ByteSize()


def model_messages(records: Sequence[ModelRecord], call: Call) -> list[AuthorizationModel]:
    """Stored models as they were written. Takes long for many large ones: to be run on a thread.

    Raises:
        Cancelled: nobody waits for them any more.

    """
    messages = []
    for record in records:
        if call.cancelled:
            raise Cancelled("the call was cancelled")
        messages.append(model_message(record))
    return messages


def model_message(record: ModelRecord) -> AuthorizationModel:
    """A stored model as it was written, with its id."""
    model = ParseDict(orjson.loads(record.body), AuthorizationModel())
    model.id = record.id
    return model
