"""Object-level authorization for Flask: one line per endpoint.

    protect(app, client)

    @app.get("/documents/<id>")
    @require("viewer", "document:{id}")
    def show(id): ...

The decorator stands below the route. `{id}` is the argument that the view gets from the path, `{query.id}` a parameter
of the query, `{header.x-id}` a header. What is answered is told in `authz.client.starlette`. Class-based views take it
in `decorators`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

from flask import abort, current_app, g, make_response, request

from authz.client.errors import ClientError
from authz.client.guard import Allowed, Guard, Refusal, Requirement, claims_subject, guard_in
from authz.client.sync_calls import Calls
from authz.client.template import Misconfigured, Template, Unfit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask, Response

    from authz.client.consistency import Consistency
    from authz.client.values import JsonValue

F = TypeVar("F", bound="Callable[..., Any]")
_NAME = "authz"
MARK = "__authz_requirement__"
"""Set on views that are protected."""


def protect(app: Flask, client: Calls, *, subject: Callable[[], str | None] | None = None, hide: bool = False) -> None:
    """Say how an application asks: through which client, for whom, and whether a no looks like a missing object.

    `subject` finds the user (`type:id`) of the current request, or nothing when it has none. It must trust only what
    was verified. By default it is `user:` and the `sub` of `flask.g.claims`, where your authentication puts the claims
    that it has verified.

    Raises:
        TypeError: the client is not the synchronous one.

    """
    if not isinstance(client, Calls):
        raise TypeError("Flask needs the synchronous `Client`")
    find = subject or _claimed
    guard = app.extensions[_NAME] = Guard(client, lambda _request: find(), hide)
    app.register_error_handler(ClientError, lambda error: _response(guard.refusal(error)))


def require(
    relation: str,
    object: str,
    *,
    consistency: Consistency | None = None,
    context: Callable[[Any], Mapping[str, JsonValue]] | None = None,
) -> Callable[[F], F]:
    """Let a view run only for users that have the relation to the object. `context` is given the request.

    Raises:
        ValueError: `object` is not a template.

    """
    requirement = Requirement(relation, Template(object), consistency, context)

    def decorate(view: F) -> F:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            authorize(requirement, kwargs)
            return current_app.ensure_sync(view)(*args, **kwargs)

        setattr(guarded, MARK, requirement)
        return guarded  # type: ignore[return-value]  # it has the signature of what it wraps

    return decorate


def authorize(requirement: Requirement, arguments: Mapping[str, Any]) -> Allowed:
    """Decide on the current request; `arguments` are those of the path. Ends it with an error if it may not go on."""
    try:
        guard = guard_in(current_app.extensions.get(_NAME))
        user = guard.user(guard.subject(request))
        name = guard.named(requirement.template, functools.partial(_value, arguments))
        relation, client = requirement.relation, guard.client
        try:
            context, consistency = requirement.context_of(request), requirement.consistency
            decision = client.check(user, relation, name, context=context, consistency=consistency)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not a yes
            guard.refuse(error)
        return guard.conclude(decision, user, relation, name)
    except Refusal as refusal:
        _abort(refusal)
        raise


def allowed_ids(relation: str, type: str, *, consistency: Consistency | None = None) -> frozenset[str]:
    """The ids of the objects that the user of the current request has the relation to, to filter a query with.

    Ends the request with 503 or 500 when there is no list, or only part of one.
    """
    try:
        guard = guard_in(current_app.extensions.get(_NAME))
        user, client = guard.user(guard.subject(request)), guard.client
        try:
            if isinstance(client, Calls):
                return client.allowed_ids(user, relation, type, consistency=consistency)
            raise Misconfigured("Flask needs the synchronous client")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not a list
            guard.refuse(error)
    except Refusal as refusal:
        _abort(refusal)
        raise


def unguarded(app: Flask) -> list[str]:
    """The endpoints that no `require` guards, as `GET /path`: for a test that knows which may be so.

    A decorator that stands above its route guards nothing, and is found out here.
    """
    return sorted(
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        if not hasattr(app.view_functions.get(rule.endpoint), MARK)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


def _claimed() -> str:
    return claims_subject(g.get("claims"))


def _value(arguments: Mapping[str, Any], name: str) -> object:
    source, dot, rest = name.partition(".")
    if not dot:
        if name not in arguments:
            raise Misconfigured(f"the path has no parameter `{name}`: did you mean `{{query.{name}}}`?")
        return arguments[name]
    if source not in ("query", "header"):
        raise Misconfigured(f"`{name}` is of neither the path, `query.` nor `header.`")
    found = request.args.getlist(rest) if source == "query" else request.headers.getlist(rest)
    if len(found) > 1:
        raise Unfit(f"`{name}` is given more than once")
    return found[0] if found else None


def _abort(refusal: Refusal) -> None:
    abort(_response(refusal))


def _response(refusal: Refusal) -> Response:
    return make_response({"detail": refusal.detail}, refusal.status, refusal.headers())
