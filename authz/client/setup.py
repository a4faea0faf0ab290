"""Stores and models as calls, as far as a program needs them that brings its own model. Made for `sync` and `aio`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.wrappers_pb2 import Int32Value

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.client.calls import Call, Metadata
from authz.client.errors import InvalidRequest, MalformedAnswer
from authz.client.facts import PAGE, moment
from authz.client.retries import Repeat
from authz.client.values import JsonValue, Model, Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz._proto.openfga.v1.authzmodel_pb2 import AuthorizationModel

_PARTS = ("schema_version", "type_definitions", "conditions")


class StorePage(NamedTuple):
    """A page of stores; the token is empty on the last one."""

    stores: tuple[Store, ...]
    continuation_token: str


def create_store(name: str) -> Call[Store]:
    """CreateStore. Names need not be unique: done twice it makes two stores."""
    request = pb.CreateStoreRequest(name=name)
    return Call("CreateStore", request, _store, repeat=Repeat.IF_NOT_APPLIED, is_change=True)


def list_stores(name: str, token: str) -> Call[StorePage]:
    """ListStores, one page."""
    request = pb.ListStoresRequest(name=name, page_size=Int32Value(value=PAGE), continuation_token=token)

    def read(message: pb.ListStoresResponse, metadata: Metadata) -> StorePage:
        return StorePage(tuple([_store(each, metadata) for each in message.stores]), message.continuation_token)

    return Call("ListStores", request, read)


def delete_store(store: str) -> Call[None]:
    """DeleteStore; no error when there is none, so that it can be repeated."""
    return Call("DeleteStore", pb.DeleteStoreRequest(store_id=store), lambda _message, _metadata: None, is_change=True)


def write_model(store: str, source: str | Mapping[str, JsonValue]) -> Call[str]:
    """WriteAuthorizationModel, from the modelling language or from JSON; the answer is the id of the model."""
    # Only here: programs that bring no model need not load the language.
    from schema_dsl import DslSyntaxError, dsl_to_json

    try:
        body: Mapping[str, Any] = dsl_to_json(source) if isinstance(source, str) else source
        request = ParseDict(
            {name: body.get(name) for name in _PARTS}, pb.WriteAuthorizationModelRequest(), ignore_unknown_fields=True
        )
    except (DslSyntaxError, ParseError) as error:
        raise InvalidRequest(f"the model cannot be read: {error}", "invalid_authorization_model") from None
    request.store_id = store

    def read(message: pb.WriteAuthorizationModelResponse, _metadata: Metadata) -> str:
        return message.authorization_model_id

    return Call("WriteAuthorizationModel", request, read, repeat=Repeat.IF_NOT_APPLIED, is_change=True)


def read_model(store: str, model_id: str) -> Call[Model]:
    """ReadAuthorizationModel."""

    def read(message: pb.ReadAuthorizationModelResponse, _metadata: Metadata) -> Model:
        return _model(message.authorization_model)

    request = pb.ReadAuthorizationModelRequest(store_id=store, id=model_id)
    return Call("ReadAuthorizationModel", request, read)


def latest_model(store: str) -> Call[Model | None]:
    """ReadAuthorizationModels, only the newest; None when there is no model yet."""

    def read(message: pb.ReadAuthorizationModelsResponse, _metadata: Metadata) -> Model | None:
        models = message.authorization_models
        return _model(models[0]) if models else None

    request = pb.ReadAuthorizationModelsRequest(store_id=store, page_size=Int32Value(value=1))
    return Call("ReadAuthorizationModels", request, read)


def _store(message: Any, _metadata: Metadata) -> Store:
    if not message.id:
        raise MalformedAnswer("the store has no id")
    return Store(message.id, message.name, moment(message.created_at))


def _model(message: AuthorizationModel) -> Model:
    if not message.id:
        raise MalformedAnswer("the model has no id")
    body = MessageToDict(message)
    return Model(body.pop("id"), cast("dict[str, JsonValue]", body))
