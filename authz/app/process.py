"""The program that serves: its log, its exit codes, and whether it does so alone or with workers. Called by `cli`."""

from __future__ import annotations

import resource
import sys

from authz.app.codes import SERVICE_ERROR, USAGE
from authz.errors import AuthzError
from authz.logs import configure_logs
from authz.settings import InvalidSettings, Settings


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Blocks, and installs signal handlers.

    The first signal drains: no new calls, running ones end within the grace. A second one ends them at once.
    """
    configure_logs(settings.log_format, settings.log_level)
    _allow_open_files()
    try:
        if settings.workers > 1:
            from authz.app.supervisor import supervise

            return supervise(settings)
        from authz.app.alone import serve_alone

        return serve_alone(settings)
    except InvalidSettings as error:
        return refuse(str(error), USAGE)
    except AuthzError as error:
        return refuse(error.message, SERVICE_ERROR)


def refuse(message: str, code: int) -> int:
    """Say why the program ends; returns the code."""
    print(f"error: {message}", file=sys.stderr, flush=True)  # noqa: T201 - for the operator, whatever the log level
    return code


def announce(grpc: str, http: str) -> None:
    """Say that it can answer, and where."""
    print(f"ready grpc={grpc} http={http or 'off'}", file=sys.stderr, flush=True)  # noqa: T201 - a promise to scripts


def _allow_open_files() -> None:
    """As many as this process may have: every connection is one, and the usual limit is far below what it may be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
