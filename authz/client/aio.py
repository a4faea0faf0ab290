"""The client for programs on asyncio. Exported by `authz.client`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc
import grpc.aio

from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from authz.client.aio_calls import AsyncCalls
from authz.client.calls import Call
from authz.client.core import Core, Running, Settings, check_whole, texts
from authz.client.credentials import Provided
from authz.client.errors import NoCredentials, Unusable
from authz.client.target import credentials_of, options_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from authz.client.carried import Carried
    from authz.client.consistency import Consistency
    from authz.client.credentials import TokenSource
    from authz.client.retries import RetryPolicy
    from authz.client.target import Tls

T = TypeVar("T")
_DEFAULT = Settings()


class AsyncConnection:
    """Connections to the servers, made at the first call on the loop that makes it, and the loop around each call."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._is_closed = False
        self._channel: Any = None
        self._stub: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fetching = asyncio.Lock()

    async def run(
        self, call: Call[T], carried: Carried, consistency: Consistency | None = None, timeout: float | None = None
    ) -> T:
        """Make a call until it is answered.

        Raises:
            ClientError: it is not.

        """
        running = Running(self.core, call, carried, consistency, timeout)
        with running:
            return await self._run(running, call)

    async def _run(self, running: Running[T], call: Call[T]) -> T:
        method = getattr(self._opened(), call.method)
        while True:
            metadata = running.metadata(await self._token(running.attempts.left()))
            answer = self._called(method, call, running.attempts.left(), metadata)
            try:
                message = await answer
                found = texts(await answer.initial_metadata(), await answer.trailing_metadata())
            except grpc.RpcError as error:
                pause = running.failed(error)
            except (asyncio.CancelledError, grpc.aio.UsageError):
                # What waits is also told so when `close` ends the call, though nobody has cancelled this task.
                self._check_open()
                raise
            else:
                running.attempts.succeeded()
                return running.placed.answer(message, found)
            await self._pause(pause)

    async def stream(
        self, call: Call[T], carried: Carried, consistency: Consistency | None, timeout: float | None
    ) -> AsyncIterator[T]:
        """Make a call with many messages; it is made again only before the first of them.

        Raises:
            ClientError: it is not answered, or ends early.

        """
        running = Running(self.core, call, carried, consistency, timeout)
        method = getattr(self._opened(), call.method)
        has_begun = False
        while True:
            metadata = running.metadata(await self._token(running.attempts.left()))
            answer = self._called(method, call, running.attempts.left(), metadata)
            try:
                found = texts(await answer.initial_metadata())
                async for message in answer:
                    if not has_begun:
                        has_begun = True
                        running.placed.told(found, may_be_lost=True)
                    yield running.placed.part(message, {})
                if not has_begun:
                    running.placed.told(found, may_be_lost=True)
                running.attempts.succeeded()
                check_whole(texts(await answer.trailing_metadata()))
                return
            except grpc.RpcError as error:
                pause = running.failed(error, has_begun=has_begun)
            except (asyncio.CancelledError, grpc.aio.UsageError):
                self._check_open()
                raise
            finally:
                answer.cancel()
            await self._pause(pause)

    async def close(self) -> None:
        """End the connections; running calls fail."""
        self._is_closed = True
        if self._channel is not None:
            await self._channel.close()

    def _called(self, method: Any, call: Call[T], timeout: float, metadata: tuple[tuple[str, str], ...]) -> Any:
        self._check_open()
        return method(call.request, timeout=timeout, metadata=metadata)

    def _opened(self) -> Any:
        self._check_open()
        if self._stub is None:
            self._open()
        self.core.check_process()
        if asyncio.get_running_loop() is not self._loop:
            raise Unusable("the client was used in another event loop before: make one in each loop")
        return self._stub

    def _open(self) -> None:
        target, tls, options = self.core.target.name, self.core.tls, options_of(self.core.tls)
        self.core.opened()
        self._loop = asyncio.get_running_loop()
        if tls is None:
            self._channel = grpc.aio.insecure_channel(target, options)
        else:
            self._channel = grpc.aio.secure_channel(target, credentials_of(tls), options)
        self._stub = OpenFGAServiceStub(self._channel)

    async def _token(self, left: float) -> str:
        source = self.core.source
        if source is None:
            return ""
        ready = source.ready()
        if ready:
            return ready
        try:
            async with asyncio.timeout(left):
                return await self._waited(source, left)
        except TimeoutError:
            raise NoCredentials("no access token was had in the time of the call") from None

    async def _waited(self, source: TokenSource, left: float) -> str:
        if isinstance(source, Provided):
            return await source.token_async()
        # One thread fetches; the other tasks wait here, not each in a thread of its own.
        async with self._fetching:
            return source.ready() or await asyncio.to_thread(source.token, left)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unusable("the client is closed")


class AsyncClient(AsyncCalls):
    """Asks one service. Make one for the whole program, and use it in one event loop, from as many tasks as you like.

    `address` is `HOST:PORT`, a DNS name of several servers (`dns:///…`), or a list of `IP:PORT`; calls go to all of
    them in turns. `token` is a text, a callable (also a coroutine function) or `ClientCredentials`. `timeout` is in
    seconds, for all attempts of a call together. `keep_tokens` is for how many seconds reads reflect earlier writes of
    this client for certain.

    Raises:
        ValueError: tokens or answers would travel in clear text beyond this machine, or an argument makes no sense.

    """

    def __init__(
        self,
        address: str | Sequence[str],
        *,
        store: str = "",
        model: str = "",
        token: str | Callable[[], str | Awaitable[str]] | TokenSource = "",
        tls: Tls | None = None,
        timeout: float = _DEFAULT.timeout,
        retry: RetryPolicy = _DEFAULT.retry,
        keep_tokens: float = _DEFAULT.keep_tokens,
        insecure: bool = False,
    ) -> None:
        settings = Settings(timeout, retry, keep_tokens, insecure)
        super().__init__(AsyncConnection(Core(address, token, tls, settings)), store, model)

    async def close(self) -> None:
        """End the connections; running calls fail, and later ones too."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._connection.core.target.shown!r}, store={self.store!r})"
