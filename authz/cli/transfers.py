"""The commands `tuple import` and `tuple export`. Added by `tuples`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli.errors import DONE, NO, ServiceProblem, UsageProblem
from authz.cli.session import TOKEN, Session, on_model, on_tuples
from authz.cli.values import tuple_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz.cli.transfer.importing import Totals
    from authz.cli.transfer.journal import Journal

_EXPORT_PAGE = 100


class OnDuplicate(StrEnum):
    """What to do about tuples that the store has already."""

    IGNORE = "ignore"
    ERROR = "error"


class Format(StrEnum):
    """Forms of a file of tuples."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"


INPUT = Annotated[Path, typer.Argument(metavar="FILE", help="CSV, JSON, JSONL or YAML, by its name.")]
BATCH_SIZE = Annotated[int, typer.Option("--batch-size", min=1, max=100, help="Tuples per write.")]
PARALLEL = Annotated[int, typer.Option("--parallel", min=1, max=64, help="Writes at the same time.")]
MAX_RPS = Annotated[float, typer.Option("--max-rps", min=0, help="Most writes per second; 0 for no limit.")]
ON_DUPLICATE = Annotated[OnDuplicate, typer.Option("--on-duplicate", help="When the store has a tuple already.")]
RESUME_FILE = Annotated[
    Path | None, typer.Option("--resume-file", help="Where progress is kept. [default: FILE.import]")
]
REPORT = Annotated[Path | None, typer.Option("--report", help="Where refused tuples go. [default: FILE.refused.jsonl]")]
FORMAT = Annotated[Format, typer.Option("--format", help="Form of the output.")]
OUTPUT = Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else stdout.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("import")(on_model(import_))
    app.command("export")(on_tuples(export))


def import_(
    session: Session,
    *,
    file: INPUT,
    batch_size: BATCH_SIZE = 100,
    parallel: PARALLEL = 4,
    max_rps: MAX_RPS = 0.0,
    on_duplicate: ON_DUPLICATE = OnDuplicate.IGNORE,
    resume_file: RESUME_FILE = None,
    report: REPORT = None,
) -> int:
    """Write the tuples of a file.

    An import that was broken off goes on when the same command is given again.
    Exit code 0: all tuples are in the store, 1: some were refused (see the report), 3: broken off.
    """
    from authz.cli.transfer.importing import Importer
    from authz.cli.transfer.journal import Journal, Plan, digest
    from authz.cli.transfer.pace import Pace
    from authz.cli.transfer.progress import progress
    from authz.cli.transfer.reading import read_rows

    plan = Plan(digest(file), session.store, session.model, batch_size)
    _check_target(session)
    report = report or file.with_name(f"{file.name}.refused.jsonl")
    journal = Journal(resume_file or file.with_name(f"{file.name}.import"), plan)
    with _kept(journal, session):
        importer = Importer(session, journal, Pace(max_rps), on_duplicate=on_duplicate.value)
        with progress("importing", file.stat().st_size) as bar:
            rows = read_rows(file, bar.read)
            importer.run(rows, batch_size=batch_size, parallel=parallel, tell=bar.settled)
        refused = _write_report(journal, report)
    return _tell(session, importer.totals, refused, report)


def export(session: Session, *, form: FORMAT = Format.CSV, output: OUTPUT = None) -> None:
    """Write all tuples of a store, as of one revision."""
    from authz.cli.files import replacing
    from authz.cli.transfer.writing import write_tuples

    if session.out.is_json and output is None:
        raise UsageProblem("`--json` tells of an export to a file: name it with `--output`, or use `--format json`")
    metadata: dict[str, Any] = {"tuples": 0}
    tuples = _stored(session, metadata)
    if output is None:
        write_tuples(tuples, sys.stdout, form.value)
    else:
        with replacing(output) as file:
            write_tuples(tuples, file, form.value)
    value = {**metadata, "output": str(output) if output else None}
    if session.out.is_json:
        session.out.json(value)
    else:
        session.out.note(f"exported {metadata['tuples']} tuples at {metadata['consistency_token']}")


def _stored(session: Session, metadata: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All tuples; the service reads every page at the revision of the first."""
    from google.protobuf.wrappers_pb2 import Int32Value

    from authz._proto.openfga.v1.openfga_service_pb2 import ReadRequest
    from authz.cli.transfer.progress import progress

    token = ""
    with progress("exporting", None) as bar:
        while True:
            size = Int32Value(value=_EXPORT_PAGE)
            answer = session.call("Read", ReadRequest(store_id=session.store, page_size=size, continuation_token=token))
            metadata["consistency_token"] = answer.metadata.get(TOKEN, "")
            for one in answer.message.tuples:
                metadata["tuples"] += 1
                yield tuple_value(one.key)
            bar.settled(metadata["tuples"])
            token = answer.message.continuation_token
            if not token:
                return


def _check_target(session: Session) -> None:
    """Refuse an unknown store or model before anything is read."""
    from authz._proto.openfga.v1.openfga_service_pb2 import GetStoreRequest, ReadAuthorizationModelRequest

    session.call("GetStore", GetStoreRequest(store_id=session.store))
    if session.model:
        request = ReadAuthorizationModelRequest(store_id=session.store, id=session.model)
        session.call("ReadAuthorizationModel", request)


@contextmanager
def _kept(journal: Journal, session: Session) -> Iterator[None]:
    """Keep the journal unless the block ends well, or there is nothing in it; say that the import can go on."""
    is_needless = False
    try:
        if journal.is_continued:
            session.out.note(f"continuing an import: {len(journal.done)} batches are done")
        yield
        is_needless = True
    except ServiceProblem as error:
        error.message += f"; the import is not finished, `{journal.path}` knows how far it got: give the command again"
        raise
    except KeyboardInterrupt:
        session.out.note(f"interrupted: `{journal.path}` knows how far it got, give the command again")
        raise
    finally:
        journal.close(is_finished=is_needless or not journal.done)


def _write_report(journal: Journal, path: Path) -> int:
    """Write the refused tuples of all runs; without any, a report of an earlier import goes away."""
    from authz.cli.files import replacing
    from authz.cli.transfer.writing import write_tuples

    count = sum(1 for _ in journal.refused())
    if not count:
        path.unlink(missing_ok=True)
        return 0
    with replacing(path) as file:
        write_tuples(journal.refused(), file, Format.JSONL.value)
    return count


def _tell(session: Session, totals: Totals, refused: int, report: Path) -> int:
    value = {
        "imported": totals.imported,
        "skipped": totals.skipped,
        "refused": refused,
        "report": str(report) if refused else None,
    }
    text = f"imported {totals.imported}, refused {refused}"
    if totals.skipped:
        text += f", done before {totals.skipped}"
    session.out.answer(value, text)
    if not refused:
        return DONE
    session.out.warn(f"refused tuples and their reasons are in `{report}`: mend it and import it")
    return NO
