"""Object-level authorization for gRPC servers: one line per method.

    rules = {
        "/docs.v1.Documents/Get": Rule("viewer", "document:{id}"),
        "/docs.v1.Documents/Share": Rule("owner", "document:{document.id}"),
    }
    grpc.server(pool, interceptors=[AuthorizationInterceptor(client, rules, subject)])

`{document.id}` is a field of the request message: text or a whole number, not repeated. `subject` finds the user
(`type:id`) in the `ServicerContext`: out of what the transport has verified, such as `context.auth_context()`, or what
an interceptor before this one has. A method without a rule is refused unless it is named as `public`. Of a method that
takes a stream every message is decided on before the handler gets it; the handler begins after the first was allowed,
as it could answer before it reads, and an empty stream is refused if the object stands in its messages.

Answers: UNAUTHENTICATED without a user, PERMISSION_DENIED (NOT_FOUND with `hide`) without the relation, UNAVAILABLE
while there is no decision, INTERNAL when the program asks for what cannot be.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import grpc.aio

from authz.client.aio_calls import AsyncCalls
from authz.client.grpc_rules import Rule, Rules, field_of
from authz.client.guard import Answer, Guard, Refusal
from authz.client.sync_calls import Calls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping

__all__ = ["AsyncAuthorizationInterceptor", "AuthorizationInterceptor", "Rule"]

_CODES = {
    Answer.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Answer.DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Answer.HIDDEN: grpc.StatusCode.NOT_FOUND,
    Answer.MISCONFIGURED: grpc.StatusCode.INTERNAL,
    Answer.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}
_SHORTEST = 0.001


class AuthorizationInterceptor(grpc.ServerInterceptor):
    """For `grpc.server`. `public` names the methods that everybody may call, such as `/grpc.health.v1.Health/Check`.

    Raises:
        ValueError: a rule has no template, or is for a public method.

    """

    def __init__(
        self,
        client: Calls,
        rules: Mapping[str, Rule],
        subject: Callable[[grpc.ServicerContext], str | None],
        *,
        public: Iterable[str] = (),
        hide: bool = False,
    ) -> None:
        self._client = client
        self._rules = Rules(rules, frozenset(public))
        self._guard = Guard(client, subject, hide)

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Put the decision before the handler."""
        handler = continuation(details)
        if handler is None or self._rules.is_public(details.method):
            return handler
        decide = functools.partial(self._decide, details.method)

        def on_message(inner: Any) -> Any:
            def guarded(request: Any, context: Any) -> Any:
                decide(request, context)
                return inner(request, context)

            return guarded

        def on_stream(inner: Any) -> Any:
            def decided(requests: Iterator[Any], context: Any) -> Iterator[Any]:
                for request in requests:
                    decide(request, context)
                    yield request

            def guarded(requests: Iterator[Any], context: Any) -> Any:
                allowed = decided(requests, context)
                first = list(itertools.islice(allowed, 1))
                if not first:
                    decide(None, context)
                return inner(itertools.chain(first, allowed), context)

            return guarded

        return _rewired(handler, on_stream if handler.request_streaming else on_message)

    def _decide(self, method: str, request: Any, context: Any) -> None:
        guard = self._guard
        try:
            need = self._rules.need(method)
            try:
                found = guard.subject(context)
            except Exception as error:  # noqa: BLE001 - it is the program's own
                _refuse(guard, error, context)
            user = guard.user(found)
            name = guard.named(need.template, functools.partial(field_of, request))
            try:
                left = _time(context, self._client.timeout)
                decision = self._client.check(user, need.relation, name, consistency=need.consistency, timeout=left)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not a yes
                guard.refuse(error)
            guard.conclude(decision, user, need.relation, name)
        except Refusal as refusal:
            context.abort(_CODES[refusal.answer], refusal.detail)


class AsyncAuthorizationInterceptor(grpc.aio.ServerInterceptor):
    """For `grpc.aio.server`, with handlers that are coroutine functions or asynchronous generators.

    Raises:
        ValueError: as for `AuthorizationInterceptor`.

    """

    def __init__(
        self,
        client: AsyncCalls,
        rules: Mapping[str, Rule],
        subject: Callable[[grpc.aio.ServicerContext[Any, Any]], Any],
        *,
        public: Iterable[str] = (),
        hide: bool = False,
    ) -> None:
        self._client = client
        self._rules = Rules(rules, frozenset(public))
        self._guard = Guard(client, subject, hide)

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Put the decision before the handler."""
        handler = await continuation(details)
        if handler is None or self._rules.is_public(details.method):
            return handler
        decide = functools.partial(self._decide, details.method)
        return _rewired(handler, functools.partial(_guarded, decide, handler.request_streaming))

    async def _decide(self, method: str, request: Any, context: Any) -> None:
        guard = self._guard
        try:
            need = self._rules.need(method)
            try:
                found = guard.subject(context)
                found = await found if inspect.isawaitable(found) else found
            except Exception as error:  # noqa: BLE001 - it is the program's own
                _refuse(guard, error, context)
            user = guard.user(found)
            name = guard.named(need.template, functools.partial(field_of, request))
            try:
                left = _time(context, self._client.timeout)
                decision = await self._client.check(
                    user, need.relation, name, consistency=need.consistency, timeout=left
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not a yes
                guard.refuse(error)
            guard.conclude(decision, user, need.relation, name)
        except Refusal as refusal:
            await context.abort(_CODES[refusal.answer], refusal.detail)


class _Reading:
    """The context of a call that streams: each of its messages is decided on, whichever way the handler reads them."""

    def __init__(self, context: Any, decide: Callable[[Any, Any], Awaitable[None]]) -> None:
        self._context = context
        self._decide = decide
        self._first: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def begin(self) -> None:
        """Decide on the first message, or on there being none: the handler could answer before it reads."""
        message = await self.read()
        if message is grpc.aio.EOF:
            await self._decide(None, self._context)
        self._first = [message]

    async def read(self) -> Any:
        """The next message."""
        if self._first:
            return self._first.pop()
        message = await self._context.read()
        if message is not grpc.aio.EOF:
            await self._decide(message, self._context)
        return message

    async def messages(self) -> AsyncIterator[Any]:
        """All messages."""
        while (message := await self.read()) is not grpc.aio.EOF:
            yield message


def _guarded(decide: Callable[[Any, Any], Awaitable[None]], is_stream: bool, inner: Any) -> Any:  # noqa: FBT001
    """A handler behind the decision."""

    async def before(request: Any, context: Any) -> tuple[Any, Any]:
        if not is_stream:
            await decide(request, context)
            return request, context
        reading = _Reading(context, decide)
        await reading.begin()
        return reading.messages(), reading

    if inspect.isasyncgenfunction(inner):

        async def generator(request: Any, context: Any) -> AsyncIterator[Any]:
            async for message in inner(*await before(request, context)):
                yield message

        return generator

    async def coroutine(request: Any, context: Any) -> Any:
        if not inspect.iscoroutinefunction(inner):
            # It would run on the event loop, with a context that is not for it.
            await context.abort(grpc.StatusCode.INTERNAL, "the handler is neither a coroutine nor a generator")
        return await inner(*await before(request, context))

    return coroutine


def _rewired(handler: Any, wrap: Callable[[Any], Any]) -> Any:
    """The same handler with its function wrapped."""
    kinds = {
        (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
        (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
        (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
        (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
    }
    name, make = kinds[handler.request_streaming, handler.response_streaming]
    return make(wrap(getattr(handler, name)), handler.request_deserializer, handler.response_serializer)


def _refuse(guard: Guard, error: Exception, context: Any) -> NoReturn:
    """No user is found. What gRPC would tell the caller is the text of the error, which may hold a secret."""
    if context.code():  # the call was ended there, by `context.abort`
        raise error
    guard.refuse(error)


def _time(context: Any, longest: float) -> float:
    """Seconds for the decision: no longer than the caller waits."""
    left = context.time_remaining()
    return longest if left is None else max(_SHORTEST, min(left, longest))
