"""The commands `authz audit …`. Added to the program by `main`."""

from __future__ import annotations

import typer

from authz.cli.audit import captures, local, questions

__all__ = ["app"]

app = typer.Typer(help="Verify, ask and export the audit trail; capture bodies; make keys.", no_args_is_help=True)
local.add_to(app)
questions.add_to(app)
app.add_typer(captures.app, name="capture")
