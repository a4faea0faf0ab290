"""Take calls off the wire with pygrpc-native, whose HTTP/2 runs outside the GIL. Chosen by `server`.

Its lower interface is used, `NativeGrpcFront`: the one that looks like grpcio's starts a server of grpcio behind itself
for what it cannot do, without our bounds, and a thread waits there for every peer that reads slowly. Here nothing else
listens and nothing is forwarded: what is not in the table of methods is refused by the front itself.

A call is handed over when its request has arrived, however long that took and however large it is. What follows from
that is told by `app.transports`, which refuses settings that promise more.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import grpc
import structlog
from pygrpc_native import EVENT_CANCEL, NativeGrpcFront

from authz.rpc.door import TOO_MANY
from authz.rpc.native_calls import answers
from authz.rpc.native_health import health_answers
from authz.rpc.tls import peer_address
from authz.rpc.transport import Transport, millis

if TYPE_CHECKING:
    from pygrpc_native._native import DetailedEvent

    from authz.rpc.native_calls import Answer
    from authz.rpc.served import Served

_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE.value[0]
_UNKNOWN = grpc.StatusCode.UNKNOWN.value[0]
_BATCH = 64
_IO_THREADS = 1
_LEAVING_SECONDS = 0.1

_log = structlog.get_logger(__name__)


class NativeListener:
    """A front with our handlers, in clear text."""

    def __init__(self, served: Served, transport: Transport) -> None:
        self._served = served
        self._door = served.door
        self._limits = transport.limits
        self._reuse_port = transport.reuse_port
        self._fronts: list[NativeGrpcFront] = []
        self._table: list[Answer] = []
        self._running: dict[int, asyncio.Task[None]] = {}
        self._is_stopping = False

    def listen(self, address: str) -> int:
        """Open the address; returns the port. Raises RuntimeError when that cannot be done."""
        limits = self._limits
        try:
            front = NativeGrpcFront(
                address,
                [],
                io_threads=_IO_THREADS,
                call_details=True,
                delay_stream_headers=True,
                keepalive_time_ms=millis(limits.keepalive_time),
                keepalive_timeout_ms=millis(limits.keepalive_timeout),
                max_concurrent_streams=limits.max_concurrent_streams,
                max_metadata_size=limits.max_metadata_bytes,
                reuse_port=self._reuse_port,
            )
        except OSError as error:
            raise RuntimeError(f"cannot listen on {address}: {error}") from None
        self._fronts.append(front)
        return front.bound_port

    async def start(self) -> None:
        """Begin to take calls."""
        (front,) = self._fronts
        calls = answers(front, self._served) | health_answers(front, self._served.health)
        front.add_methods([(path, is_streaming) for path, (is_streaming, _) in calls.items()])
        self._table = [answer for _, answer in calls.values()]
        front.start()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._hand_over, args=(front, loop), name="authz-native", daemon=True).start()

    async def stop(self, grace: float) -> None:
        """Let calls that run take so many seconds, then take no more.

        The front cannot keep calls out by itself: until then the chain, whose gate is closed, refuses and records them.
        """
        if self._running and grace:
            await asyncio.wait(self._running.values(), timeout=grace)
        self._is_stopping = True
        await asyncio.sleep(0)  # what was taken has begun
        left = list(self._running.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(min(_LEAVING_SECONDS, grace / 10))  # the last answers are on their way out
        for front in self._fronts:
            await asyncio.to_thread(front.close)

    def _hand_over(self, front: NativeGrpcFront, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for calls, on a thread of its own, until the front is closed."""
        while (events := front.recv_batch_details(_BATCH)) is not None:
            try:
                loop.call_soon_threadsafe(self._take, front, loop, events)
            except RuntimeError:  # the loop has ended without us
                front.close()

    def _take(self, front: NativeGrpcFront, loop: asyncio.AbstractEventLoop, events: list[DetailedEvent]) -> None:
        running = self._running
        for event in events:
            call_id = event[1]
            if event[0] == EVENT_CANCEL:  # the caller has gone, or its deadline has passed
                task = running.get(call_id)
                if task is not None:
                    loop.call_soon(task.cancel)  # after its first step, so that it can clean up and is recorded
                continue
            network = self._admitted(front, event)
            if network is not None:
                running[call_id] = loop.create_task(self._serve(front, event, network))

    def _admitted(self, front: NativeGrpcFront, event: DetailedEvent) -> str | None:
        """The network of a call that is let in, counted; others are ended here, as grpcio ends them."""
        _, call_id, _, payload, _, details = event
        assert payload is not None
        assert details is not None
        most = self._served.edge.max_message_bytes
        if self._is_stopping:
            front.fail(call_id, _UNAVAILABLE, "the server is shutting down: try again elsewhere")
        elif len(payload) > most:
            front.fail(call_id, _EXHAUSTED, f"the request is larger than {most} bytes")
        elif len(self._running) >= self._limits.max_concurrent_calls:
            front.fail(call_id, _EXHAUSTED, "too many open calls")
        else:
            network = self._door.enter(peer_address(details[1]))
            if network is None:
                front.fail(call_id, _EXHAUSTED, TOO_MANY)
            return network
        return None

    async def _serve(self, front: NativeGrpcFront, event: DetailedEvent, network: str) -> None:
        call_id = event[1]
        try:
            await self._table[event[2]](event)
        except asyncio.CancelledError:
            # Heard only where we end the call: its caller is gone otherwise.
            front.fail(call_id, _UNAVAILABLE, "the server is shutting down: try again elsewhere")
            raise
        except Exception as error:  # noqa: BLE001 - a broken invariant, which the chain lets through for tests
            front.fail(call_id, _UNKNOWN, "the call has failed")
            _log.error("call failed", exc_info=error)
        finally:
            del self._running[call_id]
            self._door.leave(network)
