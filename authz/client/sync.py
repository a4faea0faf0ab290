"""The client for programs that use threads, or neither threads nor tasks. Exported by `authz.client`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc

from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from authz.client.calls import Call
from authz.client.core import Core, Running, Settings, check_whole, texts
from authz.client.errors import Unusable
from authz.client.sync_calls import Calls
from authz.client.target import credentials_of, options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from authz.client.carried import Carried
    from authz.client.consistency import Consistency
    from authz.client.credentials import TokenSource
    from authz.client.retries import RetryPolicy
    from authz.client.target import Tls

T = TypeVar("T")
_DEFAULT = Settings()


class Connection:
    """Connections to the servers, made at the first call, and the loop around each call."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._channel: Any = None
        self._stub: Any = None

    def run(
        self, call: Call[T], carried: Carried, consistency: Consistency | None = None, timeout: float | None = None
    ) -> T:
        """Make a call until it is answered.

        Raises:
            ClientError: it is not.

        """
        running = Running(self.core, call, carried, consistency, timeout)
        with running:
            return self._run(running, call)

    def _run(self, running: Running[T], call: Call[T]) -> T:
        method = getattr(self._opened(), call.method)
        while True:
            try:
                left = running.attempts.left()
                metadata = running.metadata(self._token(left))
                message, answer = method.with_call(call.request, timeout=running.attempts.left(), metadata=metadata)
            except grpc.RpcError as error:
                self._pause(running.failed(error))
            except ValueError:  # of grpc, when the channel was closed meanwhile
                self._check_open()
                raise
            else:
                running.attempts.succeeded()
                found = texts(answer.initial_metadata(), answer.trailing_metadata())
                return running.placed.answer(message, found)

    def stream(
        self, call: Call[T], carried: Carried, consistency: Consistency | None, timeout: float | None
    ) -> Iterator[T]:
        """Make a call with many messages; it is made again only before the first of them.

        Raises:
            ClientError: it is not answered, or ends early.

        """
        running = Running(self.core, call, carried, consistency, timeout)
        method = getattr(self._opened(), call.method)
        has_begun = False
        while True:
            metadata = running.metadata(self._token(running.attempts.left()))
            answer = method(call.request, timeout=running.attempts.left(), metadata=metadata)
            try:
                for message in answer:
                    if not has_begun:
                        has_begun = True
                        running.placed.told(texts(answer.initial_metadata()))
                    yield running.placed.part(message, {})
                if not has_begun:
                    running.placed.told(texts(answer.initial_metadata()))
                running.attempts.succeeded()
                check_whole(texts(answer.trailing_metadata()))
                return
            except grpc.RpcError as error:
                self._pause(running.failed(error, has_begun=has_begun))
            finally:
                answer.cancel()

    def close(self) -> None:
        """End the connections; running calls fail."""
        self._closed.set()
        with self._lock:
            if self._channel is not None:
                self._channel.close()

    def _opened(self) -> Any:
        self._check_open()
        stub = self._stub
        if stub is None:
            with self._lock:
                self._check_open()
                stub = self._stub or self._open()
        self.core.check_process()
        return stub

    def _open(self) -> Any:
        target, tls, options = self.core.target.name, self.core.tls, options_of(self.core.tls)
        self.core.opened()
        if tls is None:
            self._channel = grpc.insecure_channel(target, options)
        else:
            self._channel = grpc.secure_channel(target, credentials_of(tls), options)
        self._stub = OpenFGAServiceStub(self._channel)
        return self._stub

    def _token(self, left: float) -> str:
        source = self.core.source
        return "" if source is None else source.ready() or source.token(left)

    def _pause(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            self._check_open()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise Unusable("the client is closed")


class Client(Calls):
    """Asks one service. Safe to use from several threads; make one for the whole program, and none before a fork.

    `address` is `HOST:PORT`, a DNS name of several servers (`dns:///…`), or a list of `IP:PORT`; calls go to all of
    them in turns. `token` is a text, a callable or `ClientCredentials`. `timeout` is in seconds, for all attempts of a
    call together. `keep_tokens` is for how many seconds reads reflect earlier writes of this client for certain.

    Raises:
        ValueError: tokens or answers would travel in clear text beyond this machine, or an argument makes no sense.

    """

    def __init__(
        self,
        address: str | Sequence[str],
        *,
        store: str = "",
        model: str = "",
        token: str | Callable[[], str] | TokenSource = "",
        tls: Tls | None = None,
        timeout: float = _DEFAULT.timeout,
        retry: RetryPolicy = _DEFAULT.retry,
        keep_tokens: float = _DEFAULT.keep_tokens,
        insecure: bool = False,
    ) -> None:
        settings = Settings(timeout, retry, keep_tokens, insecure)
        super().__init__(Connection(Core(address, token, tls, settings)), store, model)

    def close(self) -> None:
        """End the connections; running calls fail, and later ones too."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._connection.core.target.shown!r}, store={self.store!r})"
