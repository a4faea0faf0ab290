"""The calls of the synchronous client, on one store.

`Client` is one of these, and makes others for stores and sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz.client import facts, questions, setup
from authz.client.consistency import exact_snapshot
from authz.client.core import place
from authz.client.errors import Denied
from authz.client.values import NO_CONTEXT, Check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from authz.client.carried import Carried
    from authz.client.consistency import Consistency
    from authz.client.questions import Place
    from authz.client.sync import Connection
    from authz.client.values import Changes, Decision, JsonValue, Listing, Model, Store, StoredTuple, Tuple, Written


class Calls:
    """Questions about one store, and changes to it.

    Every method raises `ClientError` when there is no answer, and takes `timeout` in seconds for all its attempts
    together. A question without `consistency` reflects every earlier write of this client, or of this session if it is
    one.
    """

    def __init__(self, connection: Connection, store: str, model: str, carried: Carried | None = None) -> None:
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

    def on(self, store: str, *, model: str = "") -> Calls:
        """The same service, another store; shares the connections and the tokens of that store with this client."""
        return Calls(self._connection, store, model)

    def session(self, token: str = "") -> Calls:
        """The same store, with tokens of its own: for one request or one user.

        `token` is of another process, or of an earlier answer. It is checked by the service, and a wrong one harms
        this session alone.

        Raises:
            UnknownToken: it is not a consistency token.

        """
        return Calls(self._connection, self.store, self.model, self._connection.core.new_carried(token))

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
    ) -> Decision:
        """Whether the user has the relation to the object."""
        asked = Check(user, relation, object, context, tuple(contextual_tuples))
        return self._connection.run(questions.check(self._place, asked), self._carried, consistency, timeout)

    def require(
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
        found = self.check(
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

    def batch_check(
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
            answers = self._connection.run(call, self._carried, at, left())
            found += answers
        return found

    def list_objects(
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
        return self._connection.run(call, self._carried, consistency, timeout)

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
    ) -> Iterator[str]:
        """The same objects, as they are found.

        Raises:
            Truncated: at the end, when the service stopped early.

        """
        call = questions.stream_objects(
            self._place, user, relation, type, context=context, contextual_tuples=contextual_tuples
        )
        return self._connection.stream(call, self._carried, consistency, timeout)

    def allowed_ids(
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
        listing = self.list_objects(user, relation, type, consistency=consistency, timeout=timeout)
        return questions.ids(listing, type)

    def list_users(
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
        return self._connection.run(call, self._carried, consistency, timeout)

    def write(
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
        return self._connection.run(call, self._carried, None, timeout)

    def read(
        self,
        *,
        user: str = "",
        relation: str = "",
        object: str = "",
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> Iterator[StoredTuple]:
        """The stored tuples that match, page by page; `object` may be `type:` with a user.

        `timeout` is for each page.
        """
        place, token = self._place, ""
        while True:
            call = facts.read(place, user, relation, object, token)
            page = self._connection.run(call, self._carried, consistency, timeout)
            yield from page.tuples
            token = page.continuation_token
            if not token:
                return

    def read_changes(
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
        return self._connection.run(call, self._carried, None, timeout)

    def create_store(self, name: str, *, timeout: float | None = None) -> Store:
        """A new store; ask it with `client.on(store.id)`."""
        return self._connection.run(setup.create_store(name), self._carried, None, timeout)

    def list_stores(self, name: str = "", *, timeout: float | None = None) -> Iterator[Store]:
        """The stores that this program may see, or those of exactly that name."""
        token = ""
        while True:
            page = self._connection.run(setup.list_stores(name, token), self._carried, None, timeout)
            yield from page.stores
            token = page.continuation_token
            if not token:
                return

    def delete_store(self, *, timeout: float | None = None) -> None:
        """Delete the store; no error when there is none."""
        self._connection.run(setup.delete_store(self._place.store), self._carried, None, timeout)

    def write_model(self, source: str | Mapping[str, JsonValue], *, timeout: float | None = None) -> str:
        """Add a model, written in the modelling language or as JSON; returns its id. It becomes the newest one."""
        return self._connection.run(setup.write_model(self._place.store, source), self._carried, None, timeout)

    def read_model(self, model_id: str, *, timeout: float | None = None) -> Model:
        """One model."""
        return self._connection.run(setup.read_model(self._place.store, model_id), self._carried, None, timeout)

    def latest_model(self, *, timeout: float | None = None) -> Model | None:
        """The newest model; None when there is none."""
        return self._connection.run(setup.latest_model(self._place.store), self._carried, None, timeout)

    @property
    def _place(self) -> Place:
        return place(self.store, self.model)

    @property
    def _carried(self) -> Carried:
        return self._own if self._own is not None else self._connection.core.carried(self.store)
