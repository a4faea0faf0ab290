"""The API. Each endpoint that touches a document says in one line which relation it needs; see `README.md` to run it.

A document and its owner live in two places, so that their order matters: a document is seen only after authz knows its
owner, and its relations go only after the document is gone.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, StringConstraints

from authz.client import Client, Tls, Tuple
from authz.client.fastapi import allowed, protect, require
from examples.documents.accounts import NAME, authenticate
from examples.documents.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MOST_TUPLES = 100
"""How many tuples a write takes."""

Name = Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]


class Content(BaseModel):
    """What a caller may say about a document. Its owner is not among it, and nothing else is taken."""

    model_config = ConfigDict(extra="forbid")

    title: str
    text: str


class Share(BaseModel):
    """With whom, and as what. `owner` is not a choice."""

    model_config = ConfigDict(extra="forbid")

    user: Name
    role: Literal["viewer", "editor"]


class Shown(BaseModel):
    """A document as it is shown."""

    id: int
    title: str
    text: str


def create_app() -> FastAPI:
    """The application; its settings are in the environment."""
    client = Client(
        os.environ.get("AUTHZ_ADDR", "127.0.0.1:8081"),
        store=os.environ["AUTHZ_STORE"],
        token=os.environ.get("AUTHZ_TOKEN", ""),
        tls=_tls(),
    )
    database = Database(Path(os.environ.get("DOCUMENTS_DB", "documents.db")))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with client:
            yield

    app = FastAPI(title="Documents", lifespan=lifespan, dependencies=[Depends(authenticate)])
    # A document that one may not read looks like one that is not there.
    protect(app, client, hide=True)
    _add_endpoints(app, client, database)
    return app


def _tls() -> Tls | None:
    """How authz is spoken to: in clear text, unless files are named."""
    ca, cert, key = (_file(f"AUTHZ_TLS_{name}") for name in ("CA", "CERT", "KEY"))
    return None if ca is None else Tls(ca, cert, key)


def _file(name: str) -> bytes | None:
    path = os.environ.get(name)
    return None if path is None else Path(path).read_bytes()


def _add_endpoints(app: FastAPI, client: Client, database: Database) -> None:
    @app.post("/documents", status_code=201)
    def create(request: Request, content: Content) -> Shown:
        number = database.add(content.title, content.text)
        owner = f"user:{request.state.claims['sub']}"
        client.write([Tuple(owner, "owner", f"document:{number}")])
        database.publish(number)
        return Shown(id=number, title=content.title, text=content.text)

    @app.get("/documents")
    def show_all(mine: Annotated[frozenset[str], allowed("can_read", "document")]) -> list[Shown]:
        return [Shown(**document._asdict()) for document in database.some(map(int, mine))]

    @app.get("/documents/{number}", dependencies=[require("can_read", "document:{number}")])
    def show(number: int) -> Shown:
        document = database.get(number)
        if document is None:
            raise HTTPException(404)
        return Shown(**document._asdict())

    @app.put("/documents/{number}", dependencies=[require("can_update", "document:{number}")])
    def update(number: int, content: Content) -> Shown:
        if not database.update(number, content.title, content.text):
            raise HTTPException(404)
        return Shown(id=number, title=content.title, text=content.text)

    @app.post("/documents/{number}/shares", status_code=204, dependencies=[require("can_share", "document:{number}")])
    def share(number: int, what: Share) -> None:
        client.write([Tuple(f"user:{what.user}", what.role, f"document:{number}")], on_duplicate="ignore")

    @app.delete("/documents/{number}", status_code=204, dependencies=[require("can_delete", "document:{number}")])
    def delete(number: int) -> None:
        database.delete(number)
        related = [stored.tuple for stored in client.read(object=f"document:{number}")]
        for start in range(0, len(related), MOST_TUPLES):
            client.write(deletes=related[start : start + MOST_TUPLES], on_missing="ignore")
