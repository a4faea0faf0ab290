"""Exit codes, and the exceptions that end a command with a message. Raised by every command, shown by `main`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schema_dsl import DslError

DONE = 0
"""The command did what it was asked to, and the answer is yes."""
NO = 1
"""The answer is no: a check was denied, a test failed, a model is invalid, tuples were refused."""
USAGE = 2
"""The command cannot be understood: flags, arguments, or files that cannot be read."""
SERVICE = 3
"""The service refused or could not be reached."""
INTERRUPTED = 130
"""Ended by Ctrl-C, as shells expect it."""


class CliError(Exception):
    """Ends the command with a message for the operator and an exit code."""

    code = SERVICE

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UsageProblem(CliError):
    """A flag, argument or input file that cannot be used."""

    code = USAGE


class Negative(CliError):
    """The input is understood and found wrong; `details` are the errors of a model, if that is what it is."""

    code = NO

    def __init__(self, message: str, details: Sequence[DslError] = ()) -> None:
        super().__init__(message)
        self.details = list(details)


class ServiceProblem(CliError):
    """The service refused a call or cannot be reached.

    `reason` is the OpenFGA code name, empty when no service answered. `is_transient` says that trying again may help.
    `is_refusal` says that the service has read the request and will never take it as it is.
    """

    def __init__(self, message: str, *, reason: str = "", is_transient: bool = False, is_refusal: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.is_transient = is_transient
        self.is_refusal = is_refusal
