"""Imports that break off: whatever dies, and when, the store ends with exactly the tuples of the file."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.cli.support import RunningServer, free_address, run_cli, start_cli
from tests.cli.transfer_support import COUNT, grown, keys, kill_when, stored, viewer, wait_for, write_lines

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.ops
@pytest.mark.usefixtures("docs")
def test_a_killed_import_is_continued(address: str, docs: str, tmp_path: Path) -> None:
    """An import that was killed goes on where it was, and the store ends as without the kill."""
    values = [viewer(number) for number in range(COUNT)]
    values.insert(3, {"user": "user:x", "relation": "nothing", "object": "doc:1"})
    file = write_lines(tmp_path / "t.jsonl", values)
    command = ("tuple", "import", file, "--addr", address, "--store", docs, "--batch-size", "10", "--parallel", "3")
    for _ in range(2):
        kill_when(start_cli(*command, "--max-rps", "100"), grown(tmp_path / "t.jsonl.import"))
    assert 0 < len(stored()) < COUNT
    again = run_cli(*command, "--on-duplicate", "error", "--json")
    assert again.code == 1
    assert again.json["skipped"] > 100
    assert again.json["refused"] == 1
    assert keys(stored()) == keys([one for one in values if one["relation"] == "viewer"])
    assert not (tmp_path / "t.jsonl.import").exists()


@pytest.mark.ops
@pytest.mark.usefixtures("docs")
def test_an_interrupted_import_says_how_to_go_on(address: str, docs: str, tmp_path: Path) -> None:
    """Ctrl-C waits for what is under way, names the journal, and exits as shells expect it."""
    values = [viewer(number) for number in range(COUNT)]
    file = write_lines(tmp_path / "t.jsonl", values)
    command = ("tuple", "import", file, "--addr", address, "--store", docs, "--batch-size", "10")
    process = start_cli(*command, "--max-rps", "100")
    wait_for(grown(tmp_path / "t.jsonl.import"))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "t.jsonl.import" in err
    count = len(stored())
    assert 0 < count < COUNT
    again = run_cli(*command, "--json").json
    assert (again["skipped"], again["imported"]) == (count, COUNT - count)
    assert keys(stored()) == keys(values)


@pytest.mark.ops
def test_an_import_survives_the_death_of_the_server(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the server dies the import stops with a clear error, and ends well when the server is back."""
    uri, address = f"sqlite:///{tmp_path}/authz.db", free_address()
    monkeypatch.setenv("AUTHZ_ADDR", address)
    server = RunningServer(uri, address)
    try:
        store = run_cli("store", "create", "killed").out.strip()
        monkeypatch.setenv("AUTHZ_STORE", store)
        assert run_cli("model", "write", model).code == 0
        values = [viewer(number) for number in range(COUNT)]
        file = write_lines(tmp_path / "t.jsonl", values)
        command = ("tuple", "import", file, "--addr", address, "--store", store, "--batch-size", "10")
        process = start_cli(*command, "--max-rps", "100", "--timeout", "2", "--on-duplicate", "error")
        wait_for(grown(tmp_path / "t.jsonl.import"))
        server.kill()
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (3, "")
        assert "t.jsonl.import" in err
        server = RunningServer(uri, address)
        result = run_cli(*command, "--on-duplicate", "error", "--json")
        assert (result.code, result.json["refused"]) == (0, 0)
        assert result.json["skipped"] > 0
        assert "continuing an import" in result.err
        assert keys(stored()) == keys(values)
    finally:
        server.kill()


@pytest.mark.ops
def test_a_short_absence_of_the_server_is_waited_out(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes whose answer is late are sent again, and each tuple ends up in the store once."""
    server = RunningServer(f"sqlite:///{tmp_path}/authz.db")
    monkeypatch.setenv("AUTHZ_ADDR", server.address)
    try:
        store = run_cli("store", "create", "absent").out.strip()
        monkeypatch.setenv("AUTHZ_STORE", store)
        assert run_cli("model", "write", model).code == 0
        values = [viewer(number) for number in range(COUNT)]
        file = write_lines(tmp_path / "t.jsonl", values)
        command = ("tuple", "import", file, "--addr", server.address, "--store", store, "--batch-size", "10")
        process = start_cli(*command, "--max-rps", "100", "--timeout", "1", "--on-duplicate", "error")
        wait_for(grown(tmp_path / "t.jsonl.import"))
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        server.process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert keys(stored()) == keys(values)
    finally:
        server.kill()
