"""`authz serve`: a flag for each setting, made from its definition. Called by `server`, which keeps start-up quick."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import typer
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from authz.cli.errors import UsageProblem
from authz.settings import PREFIX, InvalidSettings, Settings, load_settings
from authz.settings.load import section_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_CONFIG = Annotated[
    Path | None, typer.Option("--config", envvar=f"{PREFIX}CONFIG", help="TOML file with settings.", show_default=False)
]

_OTHER = re.compile(PREFIX + "(CONFIG|ADDR|TOKEN|STORE|SERVICE_HOST|SERVICE_PORT.*|PORT(_.*)?)")
"""Variables that are no settings: of our own client, and those that Kubernetes makes for a service named `authz`."""


def build_app() -> typer.Typer:
    """An app with the one command `serve`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(_command())
    return app


def _command() -> Any:
    found = dict(leaves())
    # A parameter's name holds no dot; two underscores stand for it.
    flags = [
        inspect.Parameter(
            name.replace(".", "__"), inspect.Parameter.KEYWORD_ONLY, annotation=_annotation(name, field), default=None
        )
        for name, field in found.items()
        if is_flag(field)
    ]
    config = inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, annotation=_CONFIG, default=None)
    secrets = ", ".join(_variable(name) for name, field in found.items() if _holds(field.annotation, SecretStr))
    tables = ", ".join(f"[{name}]" for name, field in found.items() if not is_flag(field) and _is_table(field))

    def serve(*, config: Path | None, **flags: Any) -> int:
        try:
            settings = load_settings({name.replace("__", "."): value for name, value in flags.items()}, config)
        except InvalidSettings as error:
            raise UsageProblem(str(error)) from None
        _warn_of_passwords(flags)
        _warn_of_unknown(os.environ)
        from authz.rpc.environment import prepare_environment

        prepare_environment(settings.tls)
        from authz.app import run

        return run(settings)

    serve.__signature__ = inspect.Signature([config, *flags], return_annotation=int)  # type: ignore[attr-defined]
    serve.__annotations__ = {parameter.name: parameter.annotation for parameter in [config, *flags]}
    serve.__doc__ = (
        "Serve until SIGTERM or Ctrl-C.\n\n"
        f"A flag wins over the environment ({PREFIX}NAME), which wins over the TOML file, which wins over the default."
        f" Secrets are no flags; they come from the environment or the file: {secrets}."
        f" Tables are no flags either; they come from the file, or as JSON from the environment: {tables}."
    )
    return serve


def _warn_of_passwords(flags: dict[str, Any]) -> None:
    for name, flag in (("datastore_uri", "datastore-uri"), ("replica__uri", "replica-uri")):
        uri = flags.get(name)
        if uri is not None and has_password(uri):
            variable = f"{PREFIX}{flag.replace('-', '_').upper()}"
            print(
                f"warning: `--{flag}` holds a password, which every user of this machine can see in the list of"
                f" processes: use {variable}, the settings file, or the database's own password file",
                file=sys.stderr,
            )


def _warn_of_unknown(variables: Iterable[str]) -> None:
    """Tell of variables that look like settings, and are none: a misspelt one would be taken to hold."""
    names = {_variable(name) for name in (*Settings.model_fields, *dict(leaves()))}
    for variable in sorted(variables):
        if variable.startswith(PREFIX) and variable not in names and not _OTHER.fullmatch(variable):
            print(f"warning: no setting belongs to the variable {variable}", file=sys.stderr)


def has_password(uri: str) -> bool:
    """Whether a URI holds a password."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return bool(parts.password) or "password=" in parts.query


def leaves() -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its name, those of sections as `section.name`."""
    for name, field in Settings.model_fields.items():
        section = section_of(field)
        if section is None:
            yield name, field
        else:
            yield from ((f"{name}.{inner}", leaf) for inner, leaf in section.model_fields.items())


def _variable(name: str) -> str:
    return f"{PREFIX}{name.replace('.', '_').upper()}"


def _annotation(name: str, field: FieldInfo) -> Any:
    flag = f"--{name.replace('_', '-').replace('.', '-')}"
    default = "" if field.default in (None, PydanticUndefined) else f" [default: {field.default}]"
    shown = " ".join((field.description or "").split()) + default
    if field.annotation is bool:
        return Annotated[bool | None, typer.Option(f"{flag}/--no-{flag.removeprefix('--')}", help=shown)]
    if get_origin(field.annotation) in (list, tuple):
        return Annotated[list[str] | None, typer.Option(flag, help=shown)]
    return Annotated[str | None, typer.Option(flag, help=shown, metavar=_metavar(field))]


def _metavar(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return "[" + "|".join(str(choice) for choice in get_args(field.annotation)) + "]"
    return {int: "NUMBER", float: "SECONDS"}.get(field.annotation, "TEXT")  # type: ignore[arg-type]


def is_flag(field: FieldInfo) -> bool:
    """Whether a setting can be given as a flag: neither secrets nor tables can."""
    return not _holds(field.annotation, SecretStr) and not _is_table(field)


def _is_table(field: FieldInfo) -> bool:
    """Whether a setting is a table or a list of tables."""
    return _holds(field.annotation, dict) or _holds_model(field.annotation)


def _holds(annotation: Any, wanted: type) -> bool:
    return (
        annotation is wanted
        or get_origin(annotation) is wanted
        or any(_holds(part, wanted) for part in get_args(annotation))
    )


def _holds_model(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return any(_holds_model(part) for part in get_args(annotation))
