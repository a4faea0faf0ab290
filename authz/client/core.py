"""What both clients share beside the way they wait: settings, retries, and the tokens of each store.

Used by `sync` and `aio`.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from authz.client.calls import TRUNCATED, Call, Placed
from authz.client.carried import Carried
from authz.client.credentials import source_of
from authz.client.errors import ClientError, DeadlineExceeded, Truncated, Unauthenticated, Unusable
from authz.client.failures import failure_of
from authz.client.questions import Place
from authz.client.retries import Attempts, RetryBudget, RetryPolicy
from authz.client.target import Target, Tls, check_clear, target_of
from authz.client.tracing import trace_metadata

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from authz.client.consistency import Consistency
    from authz.client.credentials import TokenSource

TIMEOUT = 5.0
KEEP_TOKENS = 300.0
_DEFAULT_RETRY = RetryPolicy()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a client behaves. Times are in seconds."""

    timeout: float = TIMEOUT
    retry: RetryPolicy = _DEFAULT_RETRY
    keep_tokens: float = KEEP_TOKENS
    insecure: bool = False
    clock: Callable[[], float] = time.monotonic


class Core:
    """One service as a client sees it. Safe to use from several threads."""

    def __init__(
        self,
        address: str | Sequence[str],
        token: str | Callable[[], str | Awaitable[str]] | TokenSource,
        tls: Tls | None,
        settings: Settings,
    ) -> None:
        self.target: Target = target_of(address)
        self.tls = tls
        self.settings = settings
        self.source = source_of(token)
        check_clear(self.target, tls, has_token=self.source is not None, insecure=settings.insecure)
        seconds(settings.timeout)
        self.budget = RetryBudget(settings.retry.budget)
        self._carried: dict[str, Carried] = {}
        self._process = os.getpid()

    def carried(self, store: str) -> Carried:
        """The tokens of a store; one object for each store that this program has asked about."""
        found = self._carried.get(store)
        return found if found is not None else self._carried.setdefault(store, self.new_carried())

    def new_carried(self, token: str = "") -> Carried:
        """Tokens that begin with the given one."""
        return Carried(self.settings.keep_tokens, self.settings.clock, token)

    def check_process(self) -> None:
        """Refuse to go on in a child process.

        Raises:
            Unusable: this is another process than the one that has connected; gRPC does not work across a fork.

        """
        if os.getpid() != self._process:
            raise Unusable("the client was used before this process was forked: make one in each process")

    def stopwatch(self, timeout: float | None) -> Callable[[], float]:
        """What is left of a time that several calls share; it raises DeadlineExceeded when nothing is."""
        clock = self.settings.clock
        ends = clock() + (self.settings.timeout if timeout is None else seconds(timeout))

        def left() -> float:
            now = clock()
            if now >= ends:
                raise DeadlineExceeded("the time of the call has passed")
            return ends - now

        return left

    def opened(self) -> None:
        """The connection is made now, by this process."""
        self._process = os.getpid()


class Running(Generic[T]):
    """One call on its way: what the loop of a client needs to know between two attempts."""

    def __init__(
        self, core: Core, call: Call[T], carried: Carried, consistency: Consistency | None, timeout: float | None
    ) -> None:
        settings = core.settings
        self.placed = Placed(call, carried, consistency)
        self.attempts = Attempts(
            settings.retry,
            core.budget,
            call.repeat,
            settings.timeout if timeout is None else seconds(timeout),
            settings.clock,
            can_renew=core.source is not None and core.source.can_renew,
        )
        self._core = core
        self._token = ""
        self._is_out = False

    def __enter__(self) -> None:
        """The call goes on until it is answered, or an error ends it."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Whatever the error is about, an attempt before it, or one that it cut short, may have changed something."""
        is_open = self._is_out or self.attempts.may_have_applied
        if is_open and self.placed.call.is_change and isinstance(error, ClientError):
            error.may_have_applied = True

    def metadata(self, token: str) -> tuple[tuple[str, str], ...]:
        """What travels beside the request, which leaves now; `token` is the access token, or empty."""
        self._token = token
        self._is_out = True
        proof = (("authorization", f"Bearer {token}"),) if token else ()
        return (*proof, *self.placed.metadata(), *trace_metadata())

    def failed(self, error: Any, *, has_begun: bool = False) -> float:
        """The pause before the next attempt after an error of gRPC; `has_begun` says that there is part of an answer.

        Raises:
            ClientError: there is to be none.

        """
        self._is_out = False
        call, placed = self.placed.call, self.placed
        problem = failure_of(error, self._core.target.shown, is_write=call.is_change, has_token=placed.has_token)
        if has_begun:
            raise problem from None
        if isinstance(problem, Unauthenticated) and self._core.source is not None:
            self._core.source.refused(self._token)
        return self.attempts.failed(problem)


def place(store: str, model: str) -> Place:
    """The store to ask.

    Raises:
        Unusable: none was chosen.

    """
    if not store:
        raise Unusable("no store is chosen: give `store=` to the client, or ask `client.on(store_id)`")
    return Place(store, model)


def seconds(timeout: float) -> float:
    """A time that a call may take.

    Raises:
        ValueError: it is not a finite number above zero; every call has a deadline.

    """
    if not (isinstance(timeout, int | float) and math.isfinite(timeout) and timeout > 0):
        raise ValueError(f"a timeout is a finite number of seconds above zero: got `{timeout}`")
    return timeout


def texts(*parts: Any) -> dict[str, str]:
    """Metadata of gRPC as texts by name."""
    return {key: value for part in parts for key, value in part or () if isinstance(value, str)}


def check_whole(trailing: dict[str, str]) -> None:
    """The end of a stream of names.

    Raises:
        Truncated: the service stopped early.

    """
    why = trailing.get(TRUNCATED, "")
    if why:
        raise Truncated(f"the list was cut short: {why}", why)
