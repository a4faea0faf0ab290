"""The program as a whole: help, usage errors, and that no error is a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from authz import __version__
from authz.cli import main as main_module
from tests.cli.support import ROOT, environment, run_cli, start_cli

if TYPE_CHECKING:
    from pathlib import Path


def test_help_imports_nothing_heavy() -> None:
    """`authz --help` is quick because what is slow to import waits for its command."""
    heavy = ("grpc", "pydantic", "rich", "sqlalchemy", "yaml", "lark", "google.protobuf", "cel_expr_python")
    code = (
        "import sys; from authz.cli.main import main; main(['--help'])\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "serve" in done.stdout


@pytest.mark.parametrize("group", ["store", "model", "tuple", "query"])
def test_each_group_has_help(group: str) -> None:
    """Every group explains itself, and so does each of its commands."""
    shown = run_cli(group, "--help")
    assert shown.code == 0
    names = [line.split()[0] for line in shown.out.partition("Commands:")[2].splitlines() if line[2:3].strip()]
    assert len(names) >= 5
    for name in names:
        assert run_cli(group, name, "--help").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["store", "nothing"],
        ["store", "create"],
        ["store", "create", "a", "b"],
        ["store", "list", "--page-size", "x"],
        ["store", "list", "--page-size", "0"],
        ["query", "check", "a", "b", "c", "--nothing"],
        ["query", "check", "user:a", "b", "c:d"],
        ["query", "check", "user:a", "b", "c:d", "--store", "x", "--addr", "nowhere"],
        ["query", "check", "user:a", "b", "c:d", "--store", "x", "--addr", "host:99999"],
        ["query", "check", "user:a", "b", "c:d", "--store", "x", "--timeout", "0"],
        ["query", "check", "user:a", "b", "c:d", "--store", "x", "--consistency", "soon"],
        ["query", "check", "user:a", "b", "c:d", "--store", "x", "--consistency", "at-least-as-fresh"],
        ["model", "transform", "x.fga", "--to", "xml"],
        ["serve", "--nothing"],
        ["serve", "--workers", "many"],
        ["serve", "--config", "/nowhere.toml"],
        ["serve", "--grpc-addr", "0.0.0.0:0"],
    ],
    ids=" ".join,
)
def test_usage_errors_exit_with_2(arguments: list[str]) -> None:
    """What cannot be understood is said in one line on stderr, and nothing is printed on stdout."""
    result = run_cli(*arguments)
    assert (result.code, result.out) == (2, "")
    # Where the tests are told of their data by a variable, the program warns that it is no setting.
    assert result.err.splitlines()[-1].startswith("error: ")


def test_no_arguments_show_help() -> None:
    """Without a command the program says what commands there are."""
    result = run_cli()
    assert result.code == 2
    assert "Commands:" in result.out


def test_arguments_that_are_not_utf8() -> None:
    """Bytes that are no text are refused, not sent."""
    result = run_cli("query", "check", "user:\udcff", "can_view", "order:1", "--store", "x")
    assert result.code == 2
    assert "not UTF-8" in result.err


def test_version() -> None:
    """The version is that of the package."""
    assert run_cli("version").out.startswith(f"authz {__version__} ")
    assert run_cli("version", "--json").json["version"] == __version__


def test_unexpected_errors_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a bug of our own reaches an operator as a message."""
    monkeypatch.delenv("AUTHZ_RAISE_BUGS")

    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(main_module, "app", explode)
    result = run_cli("version")
    assert (result.code, result.err) == (3, "error: internal error: RuntimeError: boom\n")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`authz … | head` ends quietly."""
    model = tmp_path / "model.json"
    types = [{"type": f"type{number}"} for number in range(20_000)]
    model.write_text(json.dumps({"schema_version": "1.1", "type_definitions": types}))
    process = start_cli("model", "transform", model, "--to", "json")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) in (0, 1)
    process.stderr.close()
