"""Commands that read the trail itself, without a server: verify, export, key. Added to `authz audit` here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli.audit.times import moment_of
from authz.cli.errors import DONE, NO, ServiceProblem, UsageProblem
from authz.cli.output import Output
from authz.cli.server import CONFIG, DATASTORE_URI
from authz.cli.session import JSON

if TYPE_CHECKING:
    from authz.audit.checkpoint import Checkpoint
    from authz.audit.keys import KeyRing
    from authz.audit.verify import Report
    from authz.settings import Settings

KEY_FILE = Annotated[
    Path | None, typer.Option("--key-file", help="The keys of the trail; else AUTHZ_AUDIT_KEY or the settings.")
]
FILE = Annotated[Path | None, typer.Option("--file", help="A file of records, instead of the datastore.")]
CHECKPOINT = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoint",
        help="A file with checkpoints kept elsewhere: log lines, or records; finds that a whole datastore was rolled"
        " back. May be repeated.",
    ),
]
SINCE = Annotated[str, typer.Option("--since", metavar="TIME", help="From when: RFC 3339, or 1h for an hour ago.")]
UNTIL = Annotated[str, typer.Option("--until", metavar="TIME", help="Up to when.")]
ID = Annotated[str, typer.Option("--id", help="The id of the new key; else the time.")]


class Format(Enum):
    """How records are exported."""

    OCSF = "ocsf"
    CEF = "cef"
    JSONL = "jsonl"


FORMAT = Annotated[
    Format, typer.Option("--format", help="ocsf: events of OCSF, one a line; cef: CEF lines; jsonl: records as sealed.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("verify")(verify)
    app.command("export")(export)
    app.command("key")(key)


def verify(
    *,
    datastore_uri: DATASTORE_URI = None,
    file: FILE = None,
    checkpoint: CHECKPOINT = None,
    key_file: KEY_FILE = None,
    config: CONFIG = None,
    is_json: JSON = False,
) -> int:
    """Prove the audit trail whole, or name the first record that is not.

    Finds records that were changed, removed, reordered or truncated. Exit code 0: it is whole, 1: it is not, 3: it
    cannot be read.
    """
    if file is not None and datastore_uri is not None:
        raise UsageProblem("name `--file` or `--datastore-uri`, not both")
    settings = _settings(datastore_uri, config)
    out = Output(is_json=is_json)
    report = _verified_file(file, settings, key_file, checkpoint) if file else None
    if report is None:
        report = asyncio.run(_verified_datastore(settings, key_file, checkpoint, out))
    out.answer(_report(report), _report_text(report))
    return DONE if report.is_whole else NO


def export(
    *,
    format_: FORMAT = Format.JSONL,
    datastore_uri: DATASTORE_URI = None,
    file: FILE = None,
    since: SINCE = "",
    until: UNTIL = "",
    config: CONFIG = None,
) -> int:
    """Print the records of the trail for another system, about oldest first. Nothing is verified."""
    from authz.cli.audit.exporting import exported, of_datastore, of_file
    from authz.clock import SystemClock

    now = SystemClock().now()
    window = moment_of(since, "--since", now), moment_of(until, "--until", now)
    if file is not None:
        with _reading(file):
            for line in exported(of_file(file), format_.value, *window):
                print(line)
        return DONE

    async def run(uri: str) -> None:
        async for batch in of_datastore(uri, window[0]):
            for line in exported(batch, format_.value, *window):
                print(line)

    asyncio.run(run(_settings(datastore_uri, config).datastore_uri))
    return DONE


def key(*, key_file: KEY_FILE = None, id_: ID = "", is_json: JSON = False) -> int:
    """Print a new key as a line for a key file; with --key-file, the public keys of the checkpoints of its keys."""
    import base64
    import secrets

    from authz.audit.keys import MIN_BYTES, Key
    from authz.clock import SystemClock

    out = Output(is_json=is_json)
    if key_file is not None:
        public = [{"id": each.id, "public_key": each.public.hex()} for each in _ring_of(key_file)]
        out.answer({"keys": public}, "\n".join(f"{each['id']} {each['public_key']}" for each in public))
        return DONE
    secret = secrets.token_bytes(MIN_BYTES)
    chosen = id_ or SystemClock().now().strftime("k%Y%m%dT%H%M%SZ")
    try:
        made = Key(chosen, secret)
    except ValueError as error:
        raise UsageProblem(str(error)) from None
    line = f"{made.id}:{base64.b64encode(secret).decode()}"
    out.answer({"id": made.id, "line": line, "public_key": made.public.hex()}, line)
    return DONE


def _settings(datastore_uri: str | None, config: Path | None) -> Settings:
    from authz.settings import InvalidSettings, load_settings

    try:
        return load_settings({"datastore_uri": datastore_uri}, config)
    except InvalidSettings as error:
        raise UsageProblem(str(error)) from None


def _verified_file(file: Path, settings: Settings, key_file: Path | None, saved: list[Path] | None) -> Report:
    from authz.audit.verify_files import verify_files

    ring = _given_ring(settings, key_file)
    if ring is None:
        raise UsageProblem("no key is named: use `--key-file`, or set AUTHZ_AUDIT_KEY_FILE or AUTHZ_AUDIT_KEY")
    outside = _saved(saved, ring)
    with _reading(file):
        return verify_files(file, ring, outside)


async def _verified_datastore(
    settings: Settings, key_file: Path | None, saved: list[Path] | None, out: Output
) -> Report:
    from authz.audit.keys import stored_key
    from authz.audit.verify import verify_trail
    from authz.store.sql import open_datastore

    ring = _given_ring(settings, key_file)
    store = await asyncio.to_thread(open_datastore, settings.datastore_uri)
    try:
        if ring is None:
            out.warn("the key is the one in the datastore: whoever can write there can forge the trail")
            ring = stored_key(await store.secret("audit"))
        return await verify_trail(store, ring, _saved(saved, ring))
    finally:
        await store.close()


def _given_ring(settings: Settings, key_file: Path | None) -> KeyRing | None:
    from authz.audit.trail import open_keys
    from authz.clock import SystemClock
    from authz.settings import InvalidSettings

    if key_file is not None:
        return _ring_of(key_file)
    try:
        keys = open_keys(settings.audit, SystemClock().monotonic)
    except InvalidSettings as error:
        raise UsageProblem(str(error)) from None
    return None if keys is None else keys.ring


def _ring_of(path: Path) -> KeyRing:
    from authz.audit.keys import parse_keys
    from authz.cli.files import reading

    with reading(path):
        raw = path.read_bytes()
    try:
        return parse_keys(raw)
    except ValueError as error:
        raise UsageProblem(f"`{path}`: {error}") from None


def _saved(paths: list[Path] | None, ring: KeyRing) -> list[Checkpoint]:
    from authz.audit.checkpoint import UnknownSigner, checkpoints_in
    from authz.cli.files import reading

    found: list[Checkpoint] = []
    for path in paths or []:
        try:
            with reading(path), path.open("rb") as file:
                here = list(checkpoints_in(file, ring))
        except (UnknownSigner, ValueError) as error:
            raise UsageProblem(f"`{path}`: {error}") from None
        if not here:
            raise UsageProblem(f"`{path}` holds no checkpoint")
        found += here
    return found


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what the system says of a file of records into an error for the operator.

    Raises:
        ServiceProblem: it cannot be read.

    """
    try:
        if not path.exists():
            raise ServiceProblem(f"cannot read `{path}`: no such file")
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ServiceProblem(f"cannot read `{path}`: {(error.strerror or 'unreadable').lower()}") from None


def _report(report: Report) -> dict[str, Any]:
    first = report.first
    return {
        "whole": report.is_whole,
        "chains": report.chain_count,
        "records": report.records,
        "checkpoints": report.checkpoints,
        "first": None if first is None else _problem(first),
        "problems": [_problem(each.problem) for each in report.chains if each.problem is not None],
        "notices": [{"chain": each.chain, "notice": text} for each in report.chains for text in each.notices],
    }


def _problem(problem: Any) -> dict[str, Any]:
    after = None if problem.after is None else problem.after.isoformat()
    return {"chain": problem.chain, "sequence": problem.sequence, "why": problem.why, "after": after}


def _report_text(report: Report) -> str:
    counted = f"{report.records} records in {report.chain_count} chains, {report.checkpoints} checkpoints"
    told = [f"notice: {each.chain}: {text}" for each in report.chains for text in each.notices]
    first = report.first
    if first is None:
        return "\n".join([f"the audit trail is whole: {counted}", *told])
    wrong = [each.problem for each in report.chains if each.problem is not None]
    lines = [f"{each.chain} record {each.sequence}: {each.why}" for each in wrong]
    head = f"the audit trail is NOT whole ({counted}); the first wrong record is {first.sequence} of {first.chain}"
    return "\n".join([head, *lines, *told])
