"""Object-level authorization for FastAPI: one line per endpoint.

    protect(app, client)

    @app.get("/documents/{id}", dependencies=[require("viewer", "document:{id}")])
    def show(id: str): ...

As a parameter, `access: Allowed = require(…)`, it also hands over who was allowed what. What templates may name and
what is answered is told in `authz.client.starlette`. Authentication must have run before: put it into
`FastAPI(dependencies=…)`, into the router's dependencies or into a middleware.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fastapi
from fastapi import routing
from starlette.requests import HTTPConnection
from starlette.routing import Route, WebSocketRoute

from authz.client.guard import Allowed, Requirement
from authz.client.starlette import MARK, allowed_ids, authorize, protect
from authz.client.template import Template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from fastapi.dependencies.models import Dependant

    from authz.client.consistency import Consistency
    from authz.client.values import JsonValue

__all__ = ["Allowed", "allowed", "allowed_ids", "protect", "require", "unguarded"]


class _Dependency:
    """What FastAPI calls for each request."""

    def __init__(self, requirement: Requirement) -> None:
        self.requirement = requirement

    async def __call__(self, connection: HTTPConnection) -> Allowed:
        return await authorize(connection, self.requirement)


def require(
    relation: str,
    object: str,
    *,
    consistency: Consistency | None = None,
    context: Callable[[HTTPConnection], Mapping[str, JsonValue]] | None = None,
) -> Any:
    """A dependency: the endpoint runs only for users that have the relation to the object.

    Raises:
        ValueError: `object` is not a template.

    """
    return fastapi.Depends(_Dependency(Requirement(relation, Template(object), consistency, context)))


def allowed(relation: str, type: str, *, consistency: Consistency | None = None) -> Any:
    """A dependency: the ids of the objects that the user of the request has the relation to, as a `frozenset` of text.

    The request ends with 503 or 500 when there is no list, or only part of one.
    """

    async def dependency(connection: HTTPConnection) -> frozenset[str]:
        return await allowed_ids(connection, relation, type, consistency=consistency)

    return fastapi.Depends(dependency)


def unguarded(app: fastapi.FastAPI) -> list[str]:
    """The endpoints that no `require` guards, as `GET /path`: for a test that knows which may be so.

    What is mounted is named as `MOUNT /path`, for nobody can look into it. The pages of the documentation are left out.
    """
    documentation = {app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
    # Since routers are included lazily, what is served at which path with which dependencies stands beside the routes.
    served: Iterable[Any] = getattr(routing, "iter_route_contexts", iter)(app.routes)
    return sorted(name for each in served if not _is_guarded(each) for name in _names(each, documentation))


def _is_guarded(served: Any) -> bool:
    dependant = getattr(served, "dependant", None)
    if dependant is not None:
        return any(isinstance(each.call, _Dependency) for each in _all(dependant))
    return hasattr(getattr(served, "endpoint", None), MARK)


def _names(served: Any, documentation: set[str | None]) -> list[str]:
    route = getattr(served, "original_route", served)
    path = getattr(served, "path", "")
    if isinstance(route, WebSocketRoute):
        return [f"WEBSOCKET {path}"]
    if isinstance(route, Route):
        is_shown = isinstance(route, routing.APIRoute) or path not in documentation
        return [f"{method} {path}" for method in served.methods or ["*"]] if is_shown else []
    return [f"MOUNT {path}"]


def _all(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _all(each)
