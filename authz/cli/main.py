"""The program `authz`: its commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import typer

from authz.cli import access, audit, models, queries, server, stores, tuples
from authz.cli.errors import INTERRUPTED, NO, SERVICE, USAGE, CliError, UsageProblem
from authz.errors import AuthzError

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="authz",
    help="Relationship-based authorization: serve it, model it, load it, ask it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
server.add_to(app)
app.add_typer(stores.app, name="store")
app.add_typer(models.app, name="model")
app.add_typer(tuples.app, name="tuple")
app.add_typer(queries.app, name="query")
app.add_typer(access.app, name="access")
app.add_typer(audit.app, name="audit")


def run() -> NoReturn:
    """Run the program with the arguments of the process, and end the process."""
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
    sys.exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit code, and never raises."""
    # gRPC's own lines on standard error say in other words what our errors say.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        _check_encoding(arguments)
        code = app(args=list(arguments), prog_name="authz", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except CliError as error:
        return _fail(error.message, error.code)
    except AuthzError as error:
        return _fail(f"{error.message} (reason: {error.reason})", SERVICE)
    except typer.TyperException as error:
        return _misused(error)
    except (typer.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _forget_stdout()
        return NO
    except MemoryError:
        return _fail("out of memory", SERVICE)
    except Exception as error:
        # The last line: an operator never sees a traceback.
        if os.environ.get("AUTHZ_RAISE_BUGS"):
            raise
        return _fail(f"internal error: {type(error).__name__}: {error}", SERVICE)


def _misused(error: typer.TyperException) -> int:
    message = error.format_message().rstrip()
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message)
        return USAGE
    context = getattr(error, "ctx", None)
    hint = f"; see `{context.command_path} --help`" if context is not None else ""
    return _fail(message[:1].lower() + message[1:].rstrip(".") + hint, USAGE)


def _check_encoding(arguments: Sequence[str]) -> None:
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageProblem(f"argument `{argument.encode(errors='replace').decode()}` is not UTF-8") from None


def _fail(message: str, code: int) -> int:
    try:
        print(f"error: {message}", file=sys.stderr, flush=True)
    except BrokenPipeError:
        _forget_stdout()
    return code


def _forget_stdout() -> None:
    """Whoever read the output is gone; what is still buffered must not raise at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
