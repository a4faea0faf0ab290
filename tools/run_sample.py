"""Serve the sample of `examples/orders` from an embedded store, and show how to ask it. Called by `make run`.

Store, model and tuples are written once; what is there already stays. Arguments are those of `authz serve`.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import TextIO

from authz.app import build_services
from authz.call import Call
from authz.cli.errors import INTERRUPTED, SERVICE, CliError
from authz.cli.main import main
from authz.cli.sources import load_source
from authz.cli.transfer.reading import read_rows
from authz.commands.create_store import CreateStoreQuery, create_store
from authz.commands.list_models import ListModelsQuery, list_models
from authz.commands.list_stores import ListStoresQuery, list_stores
from authz.commands.read import ReadQuery, read
from authz.commands.services import Services
from authz.commands.write import WriteQuery, write
from authz.commands.write_model import WriteModelQuery, write_model
from authz.errors import AuthzError
from authz.settings import InvalidSettings, load_settings
from authz.store.sql import migrate_datastore, open_datastore

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "examples" / "orders"
NAME = "orders sample"
_READY = re.compile(r"^ready grpc=(\S+) http=(\S+)", re.MULTILINE)
_CHECK = {"user": "user:alice", "relation": "can_edit", "object": "order:1001"}


def run(arguments: list[str]) -> int:
    """Load the sample, serve until Ctrl-C; returns the exit code."""
    uri = os.environ["AUTHZ_DATASTORE_URI"] = _datastore_uri(arguments)
    try:
        migrate_datastore(uri)
        store_id = asyncio.run(_load(uri))
    except (AuthzError, CliError, InvalidSettings) as error:
        sys.stderr.write(f"error: {error}\n")
        return SERVICE
    except KeyboardInterrupt:
        return INTERRUPTED
    sys.stderr = _TellWhenReady(sys.stderr, store_id)
    return main(["serve", *arguments])


async def _load(uri: str) -> str:
    """Make sure that the sample is there; returns the id of its store."""
    datastore = open_datastore(uri)
    try:
        return await ensure_sample(await build_services(load_settings({"datastore_uri": uri}), datastore))
    finally:
        await datastore.close()


async def ensure_sample(services: Services) -> str:
    """Write what is missing of store, model and tuples. Each step may have been the last of an earlier start."""
    call = Call()
    stores = (await list_stores(services, call, ListStoresQuery(name=NAME))).stores
    store_id = (stores[0] if stores else await create_store(services, call, CreateStoreQuery(NAME))).id
    if not (await list_models(services, call, ListModelsQuery(store_id, 1))).models:
        body = load_source(SAMPLE / "model.fga").body()
        await write_model(services, call, WriteModelQuery(store_id, body, 0))
    if not (await read(services, call, ReadQuery(store_id, page_size=1))).tuples:
        tuples = [row.tuple for row in read_rows(SAMPLE / "tuples.yaml") if row.tuple is not None]
        await write(services, call, WriteQuery(store_id, "", tuples, on_duplicate="ignore"))
    return store_id


def hint(store_id: str, address: str, http: str) -> str:
    """What a newcomer may paste."""
    program = Path(sys.executable).with_name("authz")
    try:
        shown = str(program.relative_to(Path.cwd()))
    except ValueError:
        shown = str(program)
    ask = f"{shown} query check --addr {address} --store {store_id}"
    return (
        "\nThe sample of examples/orders is loaded. In another terminal:\n\n"
        f"  {ask} user:alice can_edit order:1001   # allowed: an admin, and an order of her organization\n"
        f"  {ask} user:alice can_edit order:2001   # denied: the order of another organization\n\n"
        f"{_over_http(store_id, http)}"
        "Ctrl-C ends the service.\n"
    )


def _over_http(store_id: str, http: str) -> str:
    if http == "off":
        return ""
    body = json.dumps({"tuple_key": _CHECK})
    return (
        "The first of them over HTTP:\n\n"
        f"  curl -H 'content-type: application/json' http://{http}/stores/{store_id}/check \\\n    -d '{body}'\n\n"
    )


class _TellWhenReady(io.TextIOBase):
    """Passes everything on, and adds the hint behind the line that says that the service answers."""

    def __init__(self, below: TextIO, store_id: str) -> None:
        self._below = below
        self._store_id = store_id
        self._tail = ""

    def write(self, text: str) -> int:
        self._below.write(text)
        self._tail = (self._tail + text)[-1000:]
        ready = _READY.search(self._tail)
        if ready and self._tail.endswith("\n"):
            self._tail = ""
            self._below.write(hint(self._store_id, ready[1], ready[2]))
        return len(text)

    def flush(self) -> None:
        self._below.flush()

    def isatty(self) -> bool:
        return self._below.isatty()

    def fileno(self) -> int:
        return self._below.fileno()


def _datastore_uri(arguments: list[str]) -> str:
    for place, argument in enumerate(arguments):
        if argument == "--datastore-uri" and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith("--datastore-uri="):
            return argument.partition("=")[2]
    named = os.environ.get("AUTHZ_DATASTORE_URI")
    if named:
        return named
    folder = ROOT / ".run"
    folder.mkdir(exist_ok=True)
    return f"sqlite:///{folder}/sample.db"


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
