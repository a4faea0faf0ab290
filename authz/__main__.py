"""`python -m authz`: the operator's program. Called by the interpreter."""

from authz.cli.main import run

run()
