"""What every command against a server has in common: connection, store, model, output. Wraps the command functions."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli.errors import DONE, UsageProblem
from authz.cli.files import read_text
from authz.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

    from authz.cli.connection import Answer, Connection

TOKEN = "authz-consistency-token"  # noqa: S105 - the name of a header
MODEL = "openfga-authorization-model-id"
TRUNCATED = "authz-truncated"

_PANEL = "Connection"

JSON = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
ADDR = Annotated[
    str,
    typer.Option("--addr", envvar="AUTHZ_ADDR", metavar="HOST:PORT", help="The server.", rich_help_panel=_PANEL),
]
TIMEOUT = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.001, help="Per call.", rich_help_panel=_PANEL)
]
TOKEN_FILE = Annotated[
    Path | None,
    typer.Option("--token-file", help="File with the bearer token; else AUTHZ_TOKEN.", rich_help_panel=_PANEL),
]
TLS_CA = Annotated[
    Path | None,
    typer.Option("--tls-ca", help="Speak TLS, and trust this authority (PEM).", rich_help_panel=_PANEL),
]
TLS_CERT = Annotated[
    Path | None,
    typer.Option("--tls-cert", help="Show this certificate (PEM) to the server.", rich_help_panel=_PANEL),
]
TLS_KEY = Annotated[
    Path | None,
    typer.Option("--tls-key", help="Private key (PEM) of that certificate.", rich_help_panel=_PANEL),
]
STORE = Annotated[str, typer.Option("--store", envvar="AUTHZ_STORE", metavar="ID", help="The store.")]
MODEL_ID = Annotated[str, typer.Option("--model", metavar="ID", help="The authorization model; else the newest.")]
CONSISTENCY = Annotated[
    str,
    typer.Option(
        "--consistency",
        metavar="MODE",
        help="minimize-latency, at-least-as-fresh=TOKEN, at-exact-snapshot=TOKEN or fully-consistent.",
    ),
]

_STORE_SCOPED = {"store": (STORE, "")}
_MODEL_SCOPED = _STORE_SCOPED | {"model": (MODEL_ID, "")}
_CONSISTENT = {"consistency": (CONSISTENCY, "")}
_CONNECTION = {
    "addr": (ADDR, "127.0.0.1:8081"),
    "timeout": (TIMEOUT, 10.0),
    "token_file": (TOKEN_FILE, None),
    "tls_ca": (TLS_CA, None),
    "tls_cert": (TLS_CERT, None),
    "tls_key": (TLS_KEY, None),
    "is_json": (JSON, False),
}


@dataclass(frozen=True, slots=True)
class Session:
    """A connection with the choices that hold for the whole command."""

    connection: Connection
    out: Output
    store: str = ""
    model: str = ""
    consistency: str = ""

    def call(self, method: str, request: Message) -> Answer:
        """Call a method under the chosen consistency.

        Raises:
            ServiceProblem: the service refused, or cannot be reached.

        """
        return self.connection.call(method, request, authz_consistency=self.consistency)

    def stream(self, method: str, request: Message, metadata: dict[str, str]) -> Iterator[Any]:
        """Call a streaming method; see `Connection.stream`."""
        return self.connection.stream(method, request, metadata, authz_consistency=self.consistency)


Command = Any
"""A function whose signature typer reads."""


def on_server(function: Callable[..., int | None]) -> Command:
    """A command that speaks to a server: `function(session, ...)` without a store."""
    return _served(function, _CONNECTION)


def on_store(function: Callable[..., int | None]) -> Command:
    """A command on one store."""
    return _served(function, _STORE_SCOPED | _CONNECTION)


def on_tuples(function: Callable[..., int | None]) -> Command:
    """A command that reads a store's tuples under a consistency mode."""
    return _served(function, _STORE_SCOPED | _CONSISTENT | _CONNECTION)


def on_model(function: Callable[..., int | None]) -> Command:
    """A command on one store that a model rules."""
    return _served(function, _MODEL_SCOPED | _CONNECTION)


def asking(function: Callable[..., int | None]) -> Command:
    """A question to one store, ruled by a model, under a consistency mode."""
    return _served(function, _MODEL_SCOPED | _CONSISTENT | _CONNECTION)


def _served(function: Callable[..., int | None], common: dict[str, tuple[Any, Any]]) -> Command:
    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in common.items()
    ]

    def command(**given: Any) -> int:
        choices = {name: given.pop(name) for name in common}
        session = _open(**choices)
        try:
            return function(session, **given) or DONE
        finally:
            session.connection.close()

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    command.__signature__ = inspect.Signature([*parameters, *shared], return_annotation=int)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in [*parameters, *shared]}
    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    return command


def _open(
    *,
    addr: str,
    timeout: float,
    token_file: Path | None,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    is_json: bool,
    store: str | None = None,
    model: str = "",
    consistency: str = "",
) -> Session:
    if store is not None and not store:
        raise UsageProblem("no store is named: use `--store ID` or set AUTHZ_STORE (`authz store list` shows them)")
    if consistency:
        _check_consistency(consistency)
    # gRPC's own log lines would stand between the operator and the message.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from authz.cli.connection import Connection, Server

    _check_address(addr)
    ca, cert, key = _pem(tls_ca), _pem(tls_cert), _pem(tls_key)
    if (cert is None) != (key is None) or (cert is not None and ca is None):
        raise UsageProblem("`--tls-cert` and `--tls-key` go together, and with `--tls-ca`")
    connection = Connection(Server(addr, timeout, _token(token_file), ca, cert, key))
    return Session(connection, Output(is_json=is_json), store or "", model, consistency)


def _pem(path: Path | None) -> bytes | None:
    return None if path is None else read_text(path).encode()


def _check_address(addr: str) -> None:
    host, _, port = addr.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise UsageProblem(f"`--addr {addr}` is not of the form HOST:PORT")


def _check_consistency(text: str) -> None:
    from authz.errors import InvalidRequest
    from authz.rpc.metadata import parse_consistency

    try:
        parse_consistency(text)
    except InvalidRequest as error:
        raise UsageProblem(error.message) from None
    if not text.isascii() or not text.isprintable():
        raise UsageProblem(f"`--consistency {text}` holds characters that no token has")


def _token(token_file: Path | None) -> str:
    token = os.environ.get("AUTHZ_TOKEN", "") if token_file is None else read_text(token_file)
    token = token.strip()
    if not token.isascii() or not token.isprintable():
        source = "AUTHZ_TOKEN" if token_file is None else f"`{token_file}`"
        raise UsageProblem(f"{source} holds characters that no token has")
    if token_file is not None and not token:
        raise UsageProblem(f"`{token_file}` holds no token")
    return token
