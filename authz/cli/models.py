"""Commands on authorization models: in files, without a server, and in a store. Added to the program by `main`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli import modelfiles
from authz.cli.errors import UsageProblem
from authz.cli.output import json_text, table
from authz.cli.pages import gather, tell_rest
from authz.cli.session import Session, on_store
from authz.cli.values import ALL_PAGES, PAGE_SIZE, PAGE_TOKEN

if TYPE_CHECKING:
    from authz.cli.connection import Answer

app = typer.Typer(help="Validate, format, transform, test, write, list and show models.", no_args_is_help=True)
modelfiles.add_to(app)


class Form(StrEnum):
    """How a model is written."""

    FGA = "fga"
    JSON = "json"


FILE = Annotated[Path, typer.Argument(metavar="FILE", help="A .fga or .json file, or an fga.mod.")]
ID = Annotated[str, typer.Argument(metavar="ID", help="The model; else the newest.")]
FORMAT = Annotated[Form, typer.Option("--format", help="How the model is printed.")]


@app.command("write")
@on_store
def write(session: Session, *, file: FILE) -> None:
    """Check a model and write it to a store.

    Prints its id. It becomes the newest model.
    """
    from google.protobuf.json_format import ParseDict, ParseError

    from authz._proto.openfga.v1.openfga_service_pb2 import WriteAuthorizationModelRequest
    from authz.cli.sources import load_source

    source = load_source(file)
    source.compiled()
    body = {name: source.body().get(name) for name in ("schema_version", "type_definitions", "conditions")}
    try:
        request = ParseDict(body, WriteAuthorizationModelRequest(store_id=session.store), ignore_unknown_fields=True)
    except ParseError as error:
        raise UsageProblem(f"`{file}` is not a model of the service: {error}") from None
    model_id = session.call("WriteAuthorizationModel", request).message.authorization_model_id
    session.out.answer({"authorization_model_id": model_id}, model_id)


@app.command("list")
@on_store
def list_(session: Session, *, page_size: PAGE_SIZE = 50, token: PAGE_TOKEN = "", every: ALL_PAGES = False) -> None:
    """List the models of a store, newest first."""
    from google.protobuf.wrappers_pb2 import Int32Value

    from authz._proto.openfga.v1.openfga_service_pb2 import ReadAuthorizationModelsRequest

    def fetch(token: str) -> Answer:
        size = Int32Value(value=page_size)
        request = ReadAuthorizationModelsRequest(store_id=session.store, page_size=size, continuation_token=token)
        return session.call("ReadAuthorizationModels", request)

    models, following, _ = gather(
        fetch, lambda page: [_summary(one) for one in page.authorization_models], token, is_all=every
    )
    columns = ("id", "created_at", "schema_version", "types")
    rows = ([str(one["types"]) if name == "types" else one[name] for name in columns] for one in models)
    session.out.answer({"models": models, "continuation_token": following}, table(columns, rows))
    tell_rest(session, following, "models")


@app.command("get")
@on_store
def get(session: Session, *, model_id: ID = "", form: FORMAT = Form.FGA) -> None:
    """Print a model.

    With --json, its JSON form under `authorization_model`.
    """
    from google.protobuf.json_format import MessageToDict

    from schema_dsl import UnprintableModelError, json_to_dsl, module_names

    body = MessageToDict(_fetch(session, model_id), preserving_proto_field_name=False)
    body = {"id": body.pop("id"), "schema_version": body.pop("schemaVersion", body.pop("schema_version", ""))} | body
    if session.out.is_json:
        session.out.json({"authorization_model": body})
    elif form is Form.JSON:
        print(json_text(body))
    else:
        try:
            print(json_to_dsl(body, source_info=bool(module_names(body))).rstrip("\n"))
        except UnprintableModelError as error:
            raise UsageProblem(
                f"the model has no form in the modelling language, use `--format json`: {error}"
            ) from None


def _fetch(session: Session, model_id: str) -> Any:
    from google.protobuf.wrappers_pb2 import Int32Value

    from authz._proto.openfga.v1.openfga_service_pb2 import (
        ReadAuthorizationModelRequest,
        ReadAuthorizationModelsRequest,
    )

    if model_id:
        request = ReadAuthorizationModelRequest(store_id=session.store, id=model_id)
        return session.call("ReadAuthorizationModel", request).message.authorization_model
    newest = ReadAuthorizationModelsRequest(store_id=session.store, page_size=Int32Value(value=1))
    models = session.call("ReadAuthorizationModels", newest).message.authorization_models
    if not models:
        from authz.cli.errors import ServiceProblem

        raise ServiceProblem(f"store `{session.store}` has no authorization model")
    return models[0]


def _summary(model: Any) -> dict[str, Any]:
    return {
        "id": model.id,
        "created_at": _created_at(model.id),
        "schema_version": model.schema_version,
        "types": len(model.type_definitions),
        "conditions": len(model.conditions),
    }


def _created_at(model_id: str) -> str:
    """The time that a ULID holds."""
    from ulid import ULID

    try:
        return ULID.from_str(model_id).datetime.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    except ValueError:
        return ""
