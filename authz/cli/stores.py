"""Commands on stores. Added to the program by `main`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli.output import table
from authz.cli.pages import gather, tell_rest
from authz.cli.session import Session, on_server
from authz.cli.values import ALL_PAGES, PAGE_SIZE, PAGE_TOKEN

if TYPE_CHECKING:
    from authz.cli.connection import Answer

app = typer.Typer(help="Create, list, show, rename and delete stores.", no_args_is_help=True)

NAME = Annotated[str, typer.Argument(metavar="NAME", help="Three to 64 letters, digits, spaces and .-/^_&@")]
ID = Annotated[str, typer.Argument(metavar="ID", help="The store's id.")]
NAME_FILTER = Annotated[str, typer.Option("--name", help="Only stores of exactly this name.")]


@app.command("create")
@on_server
def create(session: Session, name: NAME) -> None:
    """Create a store.

    Prints its id.
    """
    from authz._proto.openfga.v1.openfga_service_pb2 import CreateStoreRequest

    store = _store(session.call("CreateStore", CreateStoreRequest(name=name)).message)
    session.out.answer(store, store["id"])


@app.command("list")
@on_server
def list_(
    session: Session,
    *,
    name: NAME_FILTER = "",
    page_size: PAGE_SIZE = 50,
    token: PAGE_TOKEN = "",
    every: ALL_PAGES = False,
) -> None:
    """List stores."""
    from google.protobuf.wrappers_pb2 import Int32Value

    from authz._proto.openfga.v1.openfga_service_pb2 import ListStoresRequest

    def fetch(token: str) -> Answer:
        request = ListStoresRequest(page_size=Int32Value(value=page_size), continuation_token=token, name=name)
        return session.call("ListStores", request)

    stores, following, _ = gather(fetch, lambda page: [_store(one) for one in page.stores], token, is_all=every)
    columns = ("id", "name", "created_at")
    shown = table(columns, ([store[column] for column in columns] for store in stores))
    session.out.answer({"stores": stores, "continuation_token": following}, shown)
    tell_rest(session, following, "stores")


@app.command("get")
@on_server
def get(session: Session, *, store_id: ID) -> None:
    """Show a store."""
    from authz._proto.openfga.v1.openfga_service_pb2 import GetStoreRequest

    _show(session, _store(session.call("GetStore", GetStoreRequest(store_id=store_id)).message))


@app.command("rename")
@on_server
def rename(session: Session, store_id: ID, name: NAME) -> None:
    """Give a store another name."""
    from authz._proto.openfga.v1.openfga_service_pb2 import UpdateStoreRequest

    request = UpdateStoreRequest(store_id=store_id, name=name)
    _show(session, _store(session.call("UpdateStore", request).message))


@app.command("delete")
@on_server
def delete(session: Session, *, store_id: ID) -> None:
    """Delete a store.

    A store that does not exist is no error.
    """
    from authz._proto.openfga.v1.openfga_service_pb2 import DeleteStoreRequest

    session.call("DeleteStore", DeleteStoreRequest(store_id=store_id))
    session.out.answer({"id": store_id, "deleted": True}, f"deleted {store_id}")


def _show(session: Session, store: dict[str, Any]) -> None:
    session.out.answer(store, "\n".join(f"{name}: {value}" for name, value in store.items()))


def _store(message: Any) -> dict[str, Any]:
    return {
        "id": message.id,
        "name": message.name,
        "created_at": message.created_at.ToJsonString(),
        "updated_at": message.updated_at.ToJsonString(),
    }
