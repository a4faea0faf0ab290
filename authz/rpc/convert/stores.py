"""Stores. Called by the handlers."""

from __future__ import annotations

from typing import TypedDict

from google.protobuf.timestamp_pb2 import Timestamp

from authz._proto.openfga.v1.openfga_pb2 import Store
from authz.rpc.convert.values import timestamp_of
from authz.store.api import StoreRecord


class StoreFields(TypedDict):
    """The fields that all messages about a store have."""

    id: str
    name: str
    created_at: Timestamp
    updated_at: Timestamp


def store_fields(store: StoreRecord) -> StoreFields:
    """A living store as the fields of an answer."""
    return {
        "id": store.id,
        "name": store.name,
        "created_at": timestamp_of(store.created_at),
        "updated_at": timestamp_of(store.updated_at),
    }


def store_message(store: StoreRecord) -> Store:
    """A living store in a list."""
    return Store(**store_fields(store))
