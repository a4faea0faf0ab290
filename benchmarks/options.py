"""The options of `run`, each documented once. Used by `cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.plan import SUITES
from benchmarks.workloads.registry import BUILDERS

Out = Annotated[Path, typer.Option("--out", "-o", help="The result file (JSON).")]
SuiteName = Annotated[str, typer.Option(help=f"What to measure: {', '.join(SUITES)}.")]
Workloads = Annotated[list[str] | None, typer.Option(help=f"Only this one; may be repeated: {', '.join(BUILDERS)}.")]
Tuples = Annotated[int | None, typer.Option(min=100, max=20_000_000, help="Size of each `--workload`.")]
Depth = Annotated[int | None, typer.Option(min=1, max=10_000, help="Levels of nesting in each `--workload`.")]
Width = Annotated[int | None, typer.Option(min=1, max=5_000_000, help="Members of a group in each `--workload`.")]
Quick = Annotated[bool, typer.Option("--quick", help="A small world and short windows: about a minute.")]
Seconds = Annotated[float | None, typer.Option(min=0.2, max=600, help="Length of each measured window: 5.")]
WarmUp = Annotated[float | None, typer.Option(min=0, max=600, help="Seconds before each window that do not count: 1.")]
Repeats = Annotated[int | None, typer.Option(min=1, max=50, help="Windows of each measurement: 5.")]
DatabaseName = Annotated[str, typer.Option(help="The server's database: sqlite or postgresql.")]
Transport = Annotated[str | None, typer.Option(help="The server's transport: grpcio or native.")]
Workers = Annotated[int, typer.Option(min=1, max=64, help="The server's processes.")]
WireName = Annotated[str, typer.Option("--wire", help="How the driver asks: grpc, or http for HTTP/1.1 with JSON.")]
AuthName = Annotated[str, typer.Option(help="How the driver proves who it is: none, key or jwt.")]
IndexBudget = Annotated[str | None, typer.Option(help="The server's memory for tuples, as `authz serve` takes it.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Any setting of the server: NAME=VALUE.")]
Variants = Annotated[
    list[str] | None,
    typer.Option("--variant", help="Measure this in turn with other variants: NAME:key=value,key=value."),
]
Targets = Annotated[
    list[str] | None, typer.Option("--target", help="Attach to a server of the OpenFGA API: HOST:PORT.")
]
Peers = Annotated[
    list[str] | None,
    typer.Option("--peer", help="Ask a peer the same checks: spicedb, pemba, authz-engine, openfga=HOST:PORT."),
]
Processes = Annotated[int, typer.Option(min=1, max=32, help="Client processes.")]
Connections = Annotated[int, typer.Option(min=1, max=1024, help="Connections of all clients together.")]
Streams = Annotated[int, typer.Option(min=1, max=1000, help="Calls at a time on each, in the closed loop.")]
Rate = Annotated[float, typer.Option(min=1, max=1_000_000, help="Calls per second, in the open loop.")]
Writes = Annotated[float, typer.Option(min=1, max=10_000, help="Writes per second beside the checks.")]
Questions = Annotated[int | None, typer.Option(min=10, max=1_000_000, help="How many different checks.")]
MaxTuples = Annotated[int, typer.Option(min=10_000, max=20_000_000, help="Where the suite `growth` ends.")]
Seed = Annotated[int, typer.Option(help="Worlds and questions are made from it.")]
Scratch = Annotated[Path | None, typer.Option(help="The folder in which databases lie meanwhile.")]
