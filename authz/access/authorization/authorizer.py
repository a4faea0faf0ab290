"""Whether a principal may make a call: rules, decided by the engine over the system store, remembered exactly.

Built by `app`; its gates are asked by the step `authorize`, its other questions by handlers.

INVARIANT: what is remembered was decided at the revision of the system store's index that an answer would be given from
right now, in that very index. A grant or withdrawal moves the revision, and everything is forgotten: a decision is
never older than the index.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cachetools import LRUCache

from authz.access.authorization.modules import modules_written
from authz.access.authorization.names import MODULE, SERVICE, STORE, SYSTEM_STORE, split_module, store_object
from authz.access.authorization.questions import holds, objects_held
from authz.access.authorization.rules import RULES, Reach, Rule
from authz.call import Authentication, Call, Principal, Scope
from authz.clock import Clock
from authz.commands.registry import ModelRegistry
from authz.consistency import Consistency
from authz.errors import Bug, Forbidden
from authz.index.memory import TupleIndex
from authz.index.partial import PartialView
from authz.index.registry import IndexRegistry

DENIED = "the principal may not make this call"
"""What a refused caller is told: the same for every call, whether its store exists or not."""

PREMATURE = "rights and orders can be given once callers must prove who they are: configure `access`"
"""What everybody is told while authentication is off."""

MAX_DECISIONS = 100_000
MAX_LISTINGS = 256

Gate = Callable[[Call, str, Any], Awaitable[bool]]
"""Whether a call may go on, given the store and the message of its request. The gate of one method."""

_Key = tuple[str, frozenset[str], str, str]
_FRESH = Consistency()


class Authorizer:
    """Rights of principals on the API. Used on the event loop only.

    Args:
        indexes: where the system store is read.
        models: where the modules of a store's relations are looked up.
        clock: what deadlines are measured by.
        admins: ids of principals that have every right.
        enabled: False while authentication is off: everybody has every right, but for writes to the system store.

    """

    def __init__(
        self,
        indexes: IndexRegistry,
        models: ModelRegistry,
        clock: Clock,
        *,
        admins: frozenset[str] = frozenset(),
        enabled: bool = True,
    ) -> None:
        self._indexes = indexes
        self._models = models
        self._clock = clock
        self._admins = admins
        self._enabled = enabled
        self._revision = -1
        self._memory: object = None
        """What the index remembers by, which is its own as long as it lives."""
        self._decisions: dict[_Key, bool] = {}
        self._listings: LRUCache[_Key, frozenset[str]] = LRUCache(MAX_LISTINGS)
        self.hits = self.misses = 0
        """How many decisions were remembered, and how many were made."""

    def gate(self, path: str, scope: Scope) -> Gate:
        """The gate of a method, by its path on the wire.

        A gate raises `Unavailable`, `DeadlineExceeded` or `Cancelled` when it cannot tell; then the call must end.

        Raises:
            Bug: no rule says who may make this call.

        """
        rule = RULES.get(path)
        if rule is None:
            raise Bug(f"no rule says who may call `{path}`")
        ask = self._asker(rule)
        find_store = _store_of_grant if rule.reach is Reach.GRANT else None
        is_reading = rule.is_reading
        is_premature = rule.needs_proof and not self._enabled

        async def allows(call: Call, store_id: str, request: Any) -> bool:
            if is_premature:
                raise Forbidden(PREMATURE)
            principal = call.principal
            if principal.scopes is not None and scope not in principal.scopes:
                return False
            if find_store is not None:
                store_id = find_store(store_id, request)
            if store_id == SYSTEM_STORE and not is_reading:
                return False
            return self._has_all(principal) or await ask(call, store_id, request)

        return allows

    async def readable_stores(self, call: Call) -> frozenset[str] | None:
        """See `Rights`. The system store is never among them."""
        if self._has_all(call.principal) or await self._holds(call, "can_list_stores", SERVICE):
            return None
        return await self._held(call, "can_read", STORE)

    async def may_audit(self, call: Call, store_id: str) -> bool:
        """See `Rights`."""
        rule = Rule(Reach.RECORDS, "can_audit", "can_audit")
        return self._has_all(call.principal) or await self._asker(rule)(call, store_id, None)

    def is_first_admin(self, principal_id: str) -> bool:
        """See `Rights`."""
        return principal_id in self._admins

    def _has_all(self, principal: Principal) -> bool:
        if not self._enabled:
            return True
        # INVARIANT: whoever did not prove who it is has no right at all, whatever its id is granted.
        return principal.id in self._admins and principal.authentication is not Authentication.NONE

    def _asker(self, rule: Rule) -> Gate:
        match rule.reach:
            case Reach.SERVICE:
                return self._on_service(rule.above)
            case Reach.LISTING:
                return self._on_listing
            case Reach.TUPLES:
                return self._on_tuples(rule.action)
            case Reach.STORE | Reach.GRANT | Reach.RECORDS:
                return self._on_store(rule)

    def _on_service(self, action: str) -> Gate:
        async def ask(call: Call, _store_id: str, _request: Any) -> bool:
            return await self._holds(call, action, SERVICE)

        return ask

    def _on_store(self, rule: Rule) -> Gate:
        action, above, needs_store = rule.action, rule.above, rule.reach is Reach.STORE

        async def ask(call: Call, store_id: str, _request: Any) -> bool:
            if not store_id and needs_store:
                return False
            if not store_id or store_id == SYSTEM_STORE:
                return await self._holds(call, above, SERVICE)
            return await self._holds(call, action, store_object(store_id))

        return ask

    async def _on_listing(self, call: Call, _store_id: str, _request: Any) -> bool:
        stores = await self.readable_stores(call)
        return stores is None or bool(stores)

    def _on_tuples(self, action: str) -> Gate:
        async def ask(call: Call, store_id: str, request: Any) -> bool:
            if not store_id:
                return False
            if await self._holds(call, action, store_object(store_id)):
                return True
            # Whoever has no right on any module here is refused before the store is looked at: neither the answer nor
            # its time tells whether there is one.
            held = {split_module(each) for each in await self._held(call, action, MODULE)}
            mine = frozenset(module for store, module in held if store == store_id)
            if not mine:
                return False
            written = await modules_written(self._models, store_id, request)
            return written is not None and written <= mine

        return ask

    async def _holds(self, call: Call, action: str, object_: str) -> bool:
        """Whether the caller may do something to an object of the system store."""
        principal = call.principal
        if principal.authentication is Authentication.NONE:
            return False
        view = self._current() or await self._view()
        key = (principal.id, principal.groups, action, object_)
        known = self._decisions.get(key)
        if known is not None:
            self.hits += 1
            return known
        self.misses += 1
        place = (view.revision, view.decisions)
        decision = await holds(self._clock, call, view, action, object_)
        if place == (self._revision, self._memory):
            if len(self._decisions) >= MAX_DECISIONS:
                self._decisions.clear()
            self._decisions[key] = decision
        return decision

    async def _held(self, call: Call, action: str, type_: str) -> frozenset[str]:
        """The ids of all objects of a type that the caller may do something to, but for rights on the whole service."""
        principal = call.principal
        if principal.authentication is Authentication.NONE:
            return frozenset()
        view = await self._view()
        key = (principal.id, principal.groups, action, type_)
        known = self._listings.get(key)
        if known is not None:
            return known
        place = (view.revision, view.decisions)
        found = await objects_held(self._clock, call, view, action, type_)
        if place == (self._revision, self._memory):
            self._listings[key] = found
        return found

    def _current(self) -> TupleIndex | PartialView | None:
        """The newest rights, if they are at hand; to be read before the next await."""
        view = self._indexes.current(SYSTEM_STORE)
        if view is not None:
            self._forget_others(view)
        return view

    async def _view(self) -> TupleIndex | PartialView:
        """The newest rights; to be read before the next await."""
        view = await self._indexes.view(SYSTEM_STORE, _FRESH)
        self._forget_others(view)
        return view

    def _forget_others(self, view: TupleIndex | PartialView) -> None:
        # A revision alone does not tell: after a failover it may stand for other rights, in another index.
        if view.revision != self._revision or view.decisions is not self._memory:
            self._revision, self._memory = view.revision, view.decisions
            self._decisions.clear()
            self._listings.clear()


def _store_of_grant(store_id: str, request: Any) -> str:
    """The store that a role is about: that of the grant, or that of the request for a list of grants."""
    grant = getattr(request, "grant", None)
    return store_id if grant is None else str(grant.store_id)
