"""Commands about the service itself: serve, migrate, health, version. Added to the program by `main`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from authz.cli.errors import DONE, NO, UsageProblem
from authz.cli.output import Output
from authz.cli.session import JSON, Session, on_server

DATASTORE_URI = Annotated[
    str | None,
    typer.Option("--datastore-uri", metavar="URI", help="Else AUTHZ_DATASTORE_URI, else as `authz serve` finds it."),
]
CONFIG = Annotated[Path | None, typer.Option("--config", envvar="AUTHZ_CONFIG", help="TOML file with settings.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    passed_on = {"ignore_unknown_options": True, "allow_extra_args": True}
    app.command("serve", context_settings=passed_on, add_help_option=False)(serve)
    app.command("migrate")(migrate)
    app.command("health")(on_server(health))
    app.command("version")(version)


def serve(context: typer.Context) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    from authz.cli.serving import build_app

    code = build_app()(args=context.args, prog_name="authz serve", standalone_mode=False)
    return code if isinstance(code, int) else DONE


def migrate(*, datastore_uri: DATASTORE_URI = None, config: CONFIG = None, is_json: JSON = False) -> int:
    """Create or upgrade the tables of a datastore."""
    from authz.settings import InvalidSettings, load_settings
    from authz.store.sql import masked, migrate_datastore

    try:
        uri = load_settings({"datastore_uri": datastore_uri}, config).datastore_uri
    except InvalidSettings as error:
        raise UsageProblem(str(error)) from None
    done = migrate_datastore(uri)
    Output(is_json=is_json).answer({"datastore": masked(uri), "revision": done.head}, f"migrated {masked(uri)}")
    return DONE


def health(session: Session) -> int:
    """Ask a server whether it is ready to answer.

    Exit code 0: it serves, 1: it does not (yet, or any more), 3: it cannot be reached.
    """
    status = session.connection.health()
    session.out.answer({"status": status}, status)
    return DONE if status == "serving" else NO


def version(*, is_json: JSON = False) -> int:
    """Print the version of the program."""
    from platform import python_version

    from authz import __version__

    found = {"version": __version__, "python": python_version()}
    Output(is_json=is_json).answer(found, f"authz {__version__} (python {python_version()})")
    return DONE
