"""Object-level authorization for Starlette: `protect` an application, and `require` a relation at each endpoint.

    protect(app, client)

    @require("viewer", "document:{id}")
    async def show(request): ...

`{id}` is a parameter of the path, `{query.id}` of the query, `{header.x-id}` a header; as the framework decoded it,
once. A parameter that comes twice is refused, for nobody knows which of them the endpoint reads. The check is about
the text of the request: write tuples under the same text that your paths have.

Answers: 401 without a user, 403 (404 with `hide`) without the relation or with a value that no id has, 503 while there
is no decision, 500 when the program asks for what cannot be. An endpoint never runs without a yes.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from authz.client.aio_calls import AsyncCalls
from authz.client.errors import ClientError
from authz.client.guard import Allowed, Guard, Refusal, Requirement, claims_subject, guard_in
from authz.client.template import Misconfigured, Template, Unfit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.applications import Starlette

    from authz.client.consistency import Consistency
    from authz.client.sync_calls import Calls
    from authz.client.values import JsonValue

F = TypeVar("F", bound="Callable[..., Any]")
MARK = "__authz_requirement__"
"""Set on endpoints that are protected."""
_POLICY_VIOLATION = 1008


def protect(
    app: Starlette,
    client: Calls | AsyncCalls,
    *,
    subject: Callable[[HTTPConnection], Any] | None = None,
    hide: bool = False,
) -> None:
    """Say how an application asks: through which client, for whom, and whether a no looks like a missing object.

    `subject` finds the user (`type:id`) of a request, or nothing when it has none; it may be a coroutine function. It
    must trust only what was verified. By default it is `user:` and the `sub` of `request.state.claims`, where your
    authentication puts the claims that it has verified. Errors of the client that an endpoint lets through are
    answered too.
    """
    guard = app.state.authz = Guard(client, subject or _claimed, hide)

    async def answer(_request: Request, error: Exception) -> Response:
        refusal = guard.refusal(error)
        return JSONResponse({"detail": refusal.detail}, refusal.status, refusal.headers())

    app.add_exception_handler(ClientError, answer)


def require(
    relation: str,
    object: str,
    *,
    consistency: Consistency | None = None,
    context: Callable[[HTTPConnection], Mapping[str, JsonValue]] | None = None,
) -> Callable[[F], F]:
    """Let an endpoint, a function or a method of `HTTPEndpoint`, run only for users that have the relation to the
    object.

    Raises:
        ValueError: `object` is not a template.

    """
    requirement = Requirement(relation, Template(object), consistency, context)

    def decorate(endpoint: F) -> F:
        @functools.wraps(endpoint)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            connection = next((arg for arg in args if isinstance(arg, HTTPConnection)), None)
            if connection is None:
                raise TypeError("`require` guards endpoints that take a request or a websocket")
            await authorize(connection, requirement)
            if inspect.iscoroutinefunction(endpoint):
                return await endpoint(*args, **kwargs)
            return await run_in_threadpool(endpoint, *args, **kwargs)

        setattr(guarded, MARK, requirement)
        return guarded  # type: ignore[return-value]  # it has the signature of what it wraps

    return decorate


async def authorize(connection: HTTPConnection, requirement: Requirement) -> Allowed:
    """Decide on a request.

    Raises:
        HTTPException: it may not go on. For a websocket: WebSocketException.

    """
    try:
        guard = _guard(connection)
        user = await _user(guard, connection)
        name = guard.named(requirement.template, functools.partial(_value, connection))
        return await _decide(guard, user, name, requirement, connection)
    except Refusal as refusal:
        raise _exception(connection, refusal) from None


async def allowed_ids(
    connection: HTTPConnection, relation: str, type: str, *, consistency: Consistency | None = None
) -> frozenset[str]:
    """The ids of the objects that the user of the request has the relation to, to filter a query with.

    Raises:
        HTTPException: 503 or 500 as for a requirement; 500 too when the service could not list all of them.

    """
    try:
        guard = _guard(connection)
        user = await _user(guard, connection)
        try:
            client = guard.client
            if isinstance(client, AsyncCalls):
                return await client.allowed_ids(user, relation, type, consistency=consistency)
            return await run_in_threadpool(client.allowed_ids, user, relation, type, consistency=consistency)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not a list
            guard.refuse(error)
    except Refusal as refusal:
        raise _exception(connection, refusal) from None


async def _decide(guard: Guard, user: str, name: str, requirement: Requirement, connection: HTTPConnection) -> Allowed:
    client, relation = guard.client, requirement.relation
    try:
        context, consistency = requirement.context_of(connection), requirement.consistency
        if isinstance(client, AsyncCalls):
            decision = await client.check(user, relation, name, context=context, consistency=consistency)
        else:
            check = functools.partial(client.check, context=context, consistency=consistency)
            decision = await run_in_threadpool(check, user, relation, name)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not a yes
        guard.refuse(error)
    return guard.conclude(decision, user, relation, name)


def _guard(connection: HTTPConnection) -> Guard:
    return guard_in(getattr(connection.app.state, "authz", None))


async def _user(guard: Guard, connection: HTTPConnection) -> str:
    found = guard.subject(connection)
    if inspect.isawaitable(found):
        found = await found
    return guard.user(found)


def _claimed(connection: HTTPConnection) -> str:
    return claims_subject(getattr(connection.state, "claims", None))


def _value(connection: HTTPConnection, name: str) -> object:
    source, dot, rest = name.partition(".")
    if not dot:
        if name not in connection.path_params:
            raise Misconfigured(f"the path has no parameter `{name}`: did you mean `{{query.{name}}}`?")
        return connection.path_params[name]
    if source not in ("query", "header"):
        raise Misconfigured(f"`{name}` is of neither the path, `query.` nor `header.`")
    found = connection.query_params.getlist(rest) if source == "query" else connection.headers.getlist(rest)
    if len(found) > 1:
        raise Unfit(f"`{name}` is given more than once")
    return found[0] if found else None


def _exception(connection: HTTPConnection, refusal: Refusal) -> Exception:
    if connection.scope["type"] == "websocket":
        return WebSocketException(_POLICY_VIOLATION, refusal.detail)
    return HTTPException(refusal.status, refusal.detail, refusal.headers())
