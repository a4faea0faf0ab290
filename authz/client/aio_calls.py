"""The calls of the asynchronous client, on one store.

`AsyncClient` is one of these, and makes others for stores and sessions.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from authz.client import facts, questions, setup
from authz.client.consistency import exact_snapshot
from authz.client.core import place
from authz.client.errors import Denied
from authz.client.values import NO_CONTEXT, Check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterable, Mapping, Sequence
    from datetime import datetime

    from authz.client.aio import AsyncConnection
    from authz.client.carried import Carried
    from authz.client.consistency import Consistency
    from authz.client.questions import Place
    from authz.client.values import Changes, Decision, JsonValue, Listing, Model, Store, StoredTuple, Tuple, Written

T = TypeVar("T")


class Asked(Coroutine[Any, Any, T]):
    """A question that must be awaited, and is no answer: a coroutine of Python's own would count as true."""

    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def __bool__(self) -> bool:
        raise TypeError("the question was not awaited: write `await client.check(…)`")

    def send(self, value: Any) -> Any:
        """As of a coroutine."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """As of a coroutine."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """As of a coroutine."""
        self._coroutine.close()


class AsyncCalls:
    """Questions about one store, and changes to it.

    Every method raises `ClientError` when there is no answer, and takes `timeout` in seconds for all its attempts
    together. A question without `consistency` reflects every earlier write of this client, or of this session if it is
    one.
    """

    def __init__(self, connection: AsyncConnection, store: str, model: str, carried: Carried | None = None) -> None:
        self._connection = connection
        self.store = store
        self.model = model
        self._own = carried

    @property
    def token(self) -> str:
        """The consistency token to hand to whoever must see what was written here lately; empty when nothing was."""
        return self._carried.token

    @property
    def timeout(self) -> float:
        """How many seconds a call may take when it does not say."""
        return self._connection.core.settings.timeout

    def forget_tokens(self) -> None:
        """Do not ask for what was written so far any more: after the service was restored without it."""
        self._carried.forget()

    def on(self, store: str, *, model: str = "") -> AsyncCalls:
        """The same service, another store; shares the connections and the tokens of that store with this client."""
        return AsyncCalls(self._connection, store, model)

    def session(self, token: str = "") -> AsyncCalls:
        """The same store, with tokens of its own: for one request or one user.

        `token` is of another process, or of an earlier answer. It is checked by the service, and a wrong one harms
        this session alone.

        Raises:
            UnknownToken: it is not a consistency token.

        """
        return AsyncCalls(self._connection, self.store, self.model, self._connection.core.new_carried(token))

    def check(
        self,
        user: str,
        relation: str,
        object: str,
        *,
        context: Mapping[str, JsonValue] = NO_CONTEXT,
        contextual_tuples: Sequence[Tuple] = (),
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> Asked[Decision]:
        """Whether the user has the relation to the object."""
        asked = Check(user, relation, object, context, tuple(contextual_tuples))
        call = questions.check(self._place, asked)
        return Asked(self._connection.run(call, self._carried, consistency, timeout))

    async def require(
        self,
        user: str,
        relation: str,
        object: str,
        *,
        context: Mapping[str, JsonValue] = NO_CONTEXT,
        contextual_tuples: Sequence[Tuple] = (),
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> None:
        """Go on only if the user has the relation to the object.

        Raises:
            Denied: it has not.

        """
        found = await self.check(
            user,
            relation,
            object,
            context=context,
            contextual_tuples=contextual_tuples,
            consistency=consistency,
            timeout=timeout,
        )
        if not found:
            raise Denied(f"`{user}` is not `{relation}` of `{object}`")

    async def batch_check(
        self, checks: Sequence[Check], *, consistency: Consistency | None = None, timeout: float | None = None
    ) -> list[Decision]:
        """Many checks at one revision, in their order.

        One that cannot be answered has an `error`, and is not allowed.
        """
        left = self._connection.core.stopwatch(timeout)
        found: list[Decision] = []
        for chunk in questions.chunks(checks):
            at = exact_snapshot(found[0].token) if found else consistency
            call = questions.batch(self._place, chunk)
            answers = await self._connection.run(call, self._carried, at, left())
            found += answers
        return found

    async def list_objects(
        self,
        user: str,
        relation: str,
        type: str,
        *,
        context: Mapping[str, JsonValue] = NO_CONTEXT,
        contextual_tuples: Sequence[Tuple] = (),
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> Listing:
        """The objects of the type that the user has the relation to.

        Look at `is_whole`: the service bounds its lists.
        """
        call = questions.list_objects(
            self._place, user, relation, type, context=context, contextual_tuples=contextual_tuples
        )
        return await self._connection.run(call, self._carried, consistency, timeout)

    def stream_objects(
        self,
        user: str,
        relation: str,
        type: str,
        *,
        context: Mapping[str, JsonValue] = NO_CONTEXT,
        contextual_tuples: Sequence[Tuple] = (),
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[str]:
        """The same objects, as they are found.

        Raises:
            Truncated: at the end, when the service stopped early.

        """
        call = questions.stream_objects(
            self._place, user, relation, type, context=context, contextual_tuples=contextual_tuples
        )
        return self._connection.stream(call, self._carried, consistency, timeout)

    async def allowed_ids(
        self,
        user: str,
        relation: str,
        type: str,
        *,
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> frozenset[str]:
        """The ids of all those objects, to filter a query with.

        Raises:
            Truncated: the service could not list all of them; `found` has those names that came.

        """
        listing = await self.list_objects(user, relation, type, consistency=consistency, timeout=timeout)
        return questions.ids(listing, type)

    async def list_users(
        self,
        object: str,
        relation: str,
        user_type: str,
        *,
        user_relation: str = "",
        context: Mapping[str, JsonValue] = NO_CONTEXT,
        contextual_tuples: Sequence[Tuple] = (),
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> Listing:
        """The users of a type (usersets by `user_relation`) that have the relation; `user:*` means all of the type."""
        call = questions.list_users(
            self._place,
            object,
            relation,
            user_type,
            user_relation=user_relation,
            context=context,
            contextual_tuples=contextual_tuples,
        )
        return await self._connection.run(call, self._carried, consistency, timeout)

    async def write(
        self,
        writes: Iterable[Tuple] = (),
        deletes: Iterable[Tuple] = (),
        *,
        on_duplicate: str = "error",
        on_missing: str = "error",
        timeout: float | None = None,
    ) -> Written:
        """Add and remove tuples in one transaction. Later reads of this client reflect it.

        With `on_duplicate="ignore"` (for writes) and `on_missing="ignore"` (for deletes) it can be repeated, and is
        when no server answers. Otherwise `may_have_applied` of the error says whether its fate is unknown.
        """
        call = facts.write(self._place, writes, deletes, on_duplicate, on_missing)
        return await self._connection.run(call, self._carried, None, timeout)

    async def read(
        self,
        *,
        user: str = "",
        relation: str = "",
        object: str = "",
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[StoredTuple]:
        """The stored tuples that match, page by page; `object` may be `type:` with a user.

        `timeout` is for each page.
        """
        place, token = self._place, ""
        while True:
            call = facts.read(place, user, relation, object, token)
            page = await self._connection.run(call, self._carried, consistency, timeout)
            for each in page.tuples:
                yield each
            token = page.continuation_token
            if not token:
                return

    async def read_changes(
        self,
        *,
        type: str = "",
        continuation_token: str = "",
        since: datetime | None = None,
        timeout: float | None = None,
    ) -> Changes:
        """A page of the changelog; its token continues behind it, also when nothing is new.

        The changelog takes no consistency token: what another server wrote may come a moment later.
        """
        call = facts.read_changes(self._place, type, continuation_token, since)
        return await self._connection.run(call, self._carried, None, timeout)

    async def create_store(self, name: str, *, timeout: float | None = None) -> Store:
        """A new store; ask it with `client.on(store.id)`."""
        return await self._connection.run(setup.create_store(name), self._carried, None, timeout)

    async def list_stores(self, name: str = "", *, timeout: float | None = None) -> AsyncIterator[Store]:
        """The stores that this program may see, or those of exactly that name."""
        token = ""
        while True:
            page = await self._connection.run(setup.list_stores(name, token), self._carried, None, timeout)
            for each in page.stores:
                yield each
            token = page.continuation_token
            if not token:
                return

    async def delete_store(self, *, timeout: float | None = None) -> None:
        """Delete the store; no error when there is none."""
        await self._connection.run(setup.delete_store(self._place.store), self._carried, None, timeout)

    async def write_model(self, source: str | Mapping[str, JsonValue], *, timeout: float | None = None) -> str:
        """Add a model, written in the modelling language or as JSON; returns its id. It becomes the newest one."""
        return await self._connection.run(setup.write_model(self._place.store, source), self._carried, None, timeout)

    async def read_model(self, model_id: str, *, timeout: float | None = None) -> Model:
        """One model."""
        return await self._connection.run(setup.read_model(self._place.store, model_id), self._carried, None, timeout)

    async def latest_model(self, *, timeout: float | None = None) -> Model | None:
        """The newest model; None when there is none."""
        return await self._connection.run(setup.latest_model(self._place.store), self._carried, None, timeout)

    @property
    def _place(self) -> Place:
        return place(self.store, self.model)

    @property
    def _carried(self) -> Carried:
        return self._own if self._own is not None else self._connection.core.carried(self.store)
