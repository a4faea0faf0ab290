"""What each step of the chain costs a check, without transport and engine: `python -m benchmarks.chain`.

A no-op handler is called through the first n steps for every n, over an exchange as the server makes it. All variants
are measured in turn, many times; the cost of a step is the difference of two medians. Both clocks count processor time,
so that a busy machine does not show: that of the event loop, which a caller waits for, and that of the whole process
until every record is written, which also holds what happens on other threads and afterwards.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

import uvloop
from google.protobuf.message import Message

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.call import Call
from authz.commands.services import Services
from authz.logs import configure_logs
from authz.rpc.chain import CHAIN, Link, compose
from authz.rpc.edge import Edge
from authz.rpc.exchange import Exchange, Method, Proceed
from authz.rpc.methods import METHODS
from benchmarks.edges import STORE, Auth, Bench, Sink, bench

BUDGETS: Mapping[Auth, float] = MappingProxyType({"jwt": 60.0, "none": 40.0})
"""Microseconds that the whole chain may take."""

_CHECK = next(method for method in METHODS if method.name == "Check")
_SWITCH_SECONDS = 0.001


class Sample(NamedTuple):
    """Microseconds per call: on the event loop, and of processor time over all threads until all is written."""

    path: float
    whole: float


class Step(NamedTuple):
    """The chain up to and including a step."""

    name: str
    costs: list[Sample]

    @property
    def median(self) -> Sample:
        """The middle of each clock."""
        return Sample(*(statistics.median(times) for times in zip(*self.costs, strict=True)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns 1 when the chain is over its budget."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chain", description=__doc__)
    parser.add_argument("--calls", type=int, default=1000, help="calls per sample [default: %(default)s]")
    parser.add_argument("--repeats", type=int, default=15, help="samples per step [default: %(default)s]")
    parser.add_argument("--audit", choices=get_args(Sink), help="only this sink [default: each in turn]")
    parser.add_argument("--auth", choices=get_args(Auth), help="only so authenticated [default: each in turn]")
    given = parser.parse_args(arguments)
    configure_logs("json", "error")
    sys.setswitchinterval(_SWITCH_SECONDS)
    is_within = True
    for auth in [given.auth] if given.auth else get_args(Auth):
        for sink in [given.audit] if given.audit else get_args(Sink):
            steps = uvloop.run(_measure(sink, auth, given.calls, given.repeats))
            print(report(sink, auth, steps))
            is_within = is_within and _total(steps).path <= BUDGETS[auth]
    return 0 if is_within else 1


async def _measure(sink: Sink, auth: Auth, calls: int, repeats: int) -> list[Step]:
    with tempfile.TemporaryDirectory() as folder:
        async with bench(Path(folder), sink, auth) as subject:
            gc.collect()
            gc.freeze()  # as a service does once its tuples are loaded
            return await measure(subject, CHAIN, calls=calls, repeats=repeats)


async def measure(subject: Bench, chain: Sequence[Link], *, calls: int, repeats: int) -> list[Step]:
    """The cost of a call through the first n steps, for every n."""
    edge, method = subject.edge, _answering(_CHECK)
    variants = [compose(edge, method, chain[:count]) for count in range(len(chain) + 1)]
    steps = [Step("exchange, no-op handler", []), *(Step(link.name, []) for link in chain)]
    make = _exchanges(edge, method, subject.token)
    await _check_that_it_answers(variants[-1], make)
    for _ in range(repeats):
        for step, proceed in zip(steps, variants, strict=True):
            step.costs.append(await _sample(edge, proceed, make, calls))
    return steps


def report(sink: Sink, auth: Auth, steps: Sequence[Step]) -> str:
    """A table: each step's own cost, and the sum."""
    lines = [
        f"authentication {auth}, audit to {sink}, {len(steps[0].costs)} samples",
        f"{'step':<26}{'on the path':>12}{'in all':>12}   µs per check",
    ]
    before = Sample(0.0, 0.0)
    for step in steps:
        found = step.median
        lines.append(f"{step.name:<26}{found.path - before.path:>12.2f}{found.whole - before.whole:>12.2f}")
        before = found
    total = _total(steps)
    lines.append(f"{'chain':<26}{total.path:>12.2f}{total.whole:>12.2f}   budget {BUDGETS[auth]:.0f}")
    return "\n".join([*lines, ""])


def _total(steps: Sequence[Step]) -> Sample:
    first, last = steps[0].median, steps[-1].median
    return Sample(last.path - first.path, last.whole - first.whole)


async def _sample(edge: Edge, proceed: Proceed, make: Callable[[], Exchange], calls: int) -> Sample:
    await edge.recorder.flush()
    whole = time.process_time()
    started = time.thread_time()
    for _ in range(calls):
        await proceed(make())
    path = time.thread_time() - started
    await edge.recorder.flush()
    return Sample(path / calls * 1e6, (time.process_time() - whole) / calls * 1e6)


def _answering(method: Method) -> Method:
    answer = pb.CheckResponse(allowed=True)

    async def handler(_services: Services, exchange: Exchange, _request: Any) -> Message:
        exchange.decisions = (True,)
        return answer

    return Method(method.service, method.name, method.request, handler, method.scope, is_frequent=method.is_frequent)


def _exchanges(edge: Edge, method: Method, token: str | None) -> Callable[[], Exchange]:
    key = pb.CheckRequestTupleKey(user="user:anne", relation="can_view", object="order:1001")
    payload = pb.CheckRequest(store_id=STORE, tuple_key=key).SerializeToString()
    metadata = (
        ("user-agent", "grpc-python/1.85.1"),
        *((("authorization", f"Bearer {token}"),) if token else ()),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
    )
    path, monotonic = method.path, edge.services.clock.monotonic

    def make() -> Exchange:
        call = Call(deadline=monotonic() + 3.0, peer="192.0.2.7", method=path, request_id="0123456789abcdef")
        return Exchange(method, call, metadata, payload, 3.0)

    return make


async def _check_that_it_answers(proceed: Proceed, make: Callable[[], Exchange]) -> None:
    exchange = make()
    await proceed(exchange)
    if exchange.failure is not None:
        raise RuntimeError(f"the chain refuses: {exchange.failure.reason}: {exchange.failure.message}")


if __name__ == "__main__":
    sys.exit(main())
