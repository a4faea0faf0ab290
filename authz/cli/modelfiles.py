"""Commands on model files that need no server: validate, format, transform, test. Added by `models`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli.errors import DONE, NO, Negative, UsageProblem
from authz.cli.output import Output, json_text
from authz.cli.session import JSON

if TYPE_CHECKING:
    from schema_dsl import DslError


class Form(StrEnum):
    """How a model is written."""

    FGA = "fga"
    JSON = "json"


FILE = Annotated[Path, typer.Argument(metavar="FILE", help="A .fga or .json file, or an fga.mod.")]
DSL_FILES = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files in the modelling language (.fga).")]
TESTS = Annotated[list[str], typer.Argument(metavar="FILE...", help="Store tests (.fga.yaml); patterns with * too.")]
CHECK = Annotated[bool, typer.Option("--check", help="Change nothing; exit code 1 when a file is not formatted.")]
WRITE = Annotated[bool, typer.Option("--write", help="Rewrite the files in place.")]
TO = Annotated[Form, typer.Option("--to", help="The form wanted.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("validate")(validate)
    app.command("format")(format_)
    app.command("transform")(transform)
    app.command("test")(run_tests)


def validate(file: FILE, *, is_json: JSON = False) -> int:
    """Check a model as the service would.

    Exit code 0: valid, 1: invalid.
    """
    from authz.cli.sources import load_source

    out = Output(is_json=is_json)
    errors: list[DslError] = []
    try:
        source = load_source(file)
        source.compiled()
    except Negative as negative:
        if not is_json:
            raise
        errors = negative.details
    out.answer({"valid": not errors, "errors": [_error_value(error) for error in errors]}, f"{file}: valid")
    return NO if errors else DONE


def format_(files: DSL_FILES, *, check: CHECK = False, write: WRITE = False, is_json: JSON = False) -> int:
    """Print a model in the canonical layout.

    Comments stay. With --check or --write, work on files.
    """
    if check and write:
        raise UsageProblem("`--check` and `--write` exclude each other")
    if not check and not write and (len(files) > 1 or is_json):
        raise UsageProblem("several files, and `--json`, need `--check` or `--write`")
    from authz.cli.files import read_text, replacing

    changed = []
    for file in files:
        text = read_text(file)
        formatted = _formatted(file, text)
        if not check and not write:
            print(formatted, end="")
        elif formatted != text:
            changed.append(str(file))
            if write:
                with replacing(file) as draft:
                    draft.write(formatted)
    if check or write:
        word = "rewritten" if write else "not formatted"
        text = "\n".join(f"{file}: {word}" for file in changed) or "nothing to change"
        Output(is_json=is_json).answer({"changed": changed, "rewritten": write}, text)
    return NO if check and changed else DONE


def transform(file: FILE, *, to: TO, is_json: JSON = False) -> int:
    """Print a model in another form.

    The language to JSON and back, or the modules of an fga.mod as one model.
    """
    from authz.cli.sources import load_source
    from schema_dsl import UnprintableModelError, json_to_dsl, module_names

    body = load_source(file).body()
    if to is Form.JSON:
        print(json_text(body))
        return DONE
    try:
        text = json_to_dsl(body, source_info=bool(module_names(body)))
    except UnprintableModelError as error:
        raise Negative(f"`{file}` has no form in the modelling language: {error}") from None
    Output(is_json=is_json).answer({"model": text}, text.rstrip("\n"))
    return DONE


def run_tests(files: TESTS, *, is_json: JSON = False) -> int:
    """Run store tests without a server.

    The service's own engine answers. Exit code 0: all passed, 1: not.
    """
    from authz.cli.storetest.report import report_text, report_value
    from authz.cli.storetest.run import run_file

    reports = [run_file(path) for path in _expanded(files)]
    Output(is_json=is_json).answer(report_value(reports), report_text(reports))
    return DONE if all(report.is_passed for report in reports) else NO


def _formatted(file: Path, text: str) -> str:
    from authz.cli.sources import DSL, Source
    from schema_dsl import DslException, format_dsl

    if file.suffix != ".fga":
        raise UsageProblem(f"`{file}` is not a file of the modelling language (.fga)")
    try:
        return format_dsl(text)
    except DslException as error:
        raise Source(file, DSL, {file.name: text}, error.errors).invalid() from None


def _expanded(patterns: list[str]) -> list[Path]:
    """The files of paths and patterns, each once, in order."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.exists() or not any(character in pattern for character in "*?["):
            found[path] = None
            continue
        base = Path(path.anchor) if path.is_absolute() else Path()
        matches = sorted(base.glob(str(path.relative_to(base)) if path.is_absolute() else pattern))
        if not matches:
            raise UsageProblem(f"no file matches `{pattern}`")
        found |= dict.fromkeys(matches)
    return list(found)


def _error_value(error: DslError) -> dict[str, Any]:
    return {
        "message": error.msg,
        "file": error.file,
        "line": _range(error.line),
        "column": _range(error.column),
        "metadata": dict(error.metadata),
    }


def _range(place: Any) -> dict[str, int] | None:
    """Zero-based, the end of columns exclusive: as the library counts."""
    return None if place is None else {"start": place.start, "end": place.end}
