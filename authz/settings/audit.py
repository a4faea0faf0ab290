"""Settings of what is recorded, where to, and under which key. A section of `tree`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from authz.settings.types import Count, Seconds, Section

Hours = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Sink = Literal["database", "file", "stdout", "otlp"]
Member = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$", max_length=200)]


class AuditSettings(Section):
    """The table `[audit]`."""

    sinks: tuple[Sink, ...] = ("database",)
    """Where records go: `database` (can be queried), `file` (JSON lines), `stdout`, `otlp` (logs of OpenTelemetry).
    Empty: calls are not recorded. Changes always are, in the database, in the transaction that makes them."""
    key_file: Path | None = None
    """The keys that seal the records, one a line as `ID:KEY` (base64 or hex, at least 32 bytes), newest first: the
    first seals, the others only verify. Read again when it changes. On several nodes a new key stands second everywhere
    before it becomes the first anywhere. Without a key one is kept in the datastore, and
    whoever can write there can forge the trail."""
    key: SecretStr | None = None
    """The same lines as text, for where there is no file."""
    on_failure: Literal["refuse", "block"] = "refuse"
    """What happens to calls while their records cannot be written: they are refused as unavailable, or wait until their
    time is over. While records are written, only not fast enough, calls wait in both cases: at most `failure_grace`
    before they are refused."""
    sync: bool = False
    """Answer only when the record is written."""
    flush_interval: Seconds = 0.1
    """For how many seconds records may wait in memory before they are written; what a loss of power may take."""
    queue: Count = 20_000
    """How many records may wait in memory; one of a batch counts as many as its items."""
    failure_grace: Seconds = 2.0
    """After how many seconds of failing writes calls are refused or held back, even if there is room."""
    checkpoint_interval: Seconds = 60.0
    """Every how many seconds the ends of all chains are listed in a signed checkpoint."""
    retention: int = Field(default=90, ge=0)
    """After how many days records are removed from the database; 0 keeps them."""
    redact: tuple[Member, ...] = ()
    """Members of records whose values are replaced by keyed hashes: `user`, `object`, `principal`, `peer`, or a path in
    changes and captured bodies such as `context.ssn`."""
    capture_bytes: Count = 16_384
    """How much of a body is recorded while a capture holds."""
    file: Path = Path("audit.jsonl")
    """Where the sink `file` writes; its head is kept beside it as `NAME.head`. Each of several workers has a file of
    its own, with its number before the suffix: `audit-1.jsonl`."""
    file_bytes: Count = 104_857_600
    """How large the file may become before the next one is begun."""
    file_hours: Hours = 24.0
    """After how many hours the next file is begun."""
    file_keep: Count = 90
    """How many full files are kept."""
    file_days: int = Field(default=0, ge=0)
    """After how many days full files are removed; 0: only by their number."""
    file_sync: bool = True
    """Let the disk confirm each flush of the file, so that a loss of power takes nothing that was flushed."""
    otlp_endpoint: str = ""
    """Where the sink `otlp` sends: `http://HOST:4318/v1/logs`, or `HOST:4317` for gRPC; else as OTEL_EXPORTER_OTLP_…
    says. Headers with secrets come from there too."""
    otlp_protocol: Literal["http", "grpc"] = "http"
    """How the sink `otlp` speaks."""
