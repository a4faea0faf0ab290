"""Files get every record, in a chain that can be verified."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ulid import ULID

from authz.audit.chain import Payload, split
from authz.audit.payloads import note_payload
from authz.audit.sinks.file import FileRules, FileSink
from authz.audit.sinks.heads import head_path
from authz.audit.sinks.retired import full_files
from authz.audit.sinks.sink import SinkProblem
from authz.audit.verify import verify_trail
from authz.audit.verify_files import verify_files
from authz.settings.types import InvalidSettings
from authz.store.api import TupleWrite
from authz.tuples import RelationshipTuple
from tests.audit.conftest import BY
from tests.audit.support import START, STORE, Clock, completed, keys, opened, ring, trailing

pytestmark = pytest.mark.anyio


def _notes(*names: str, clock: Clock | None = None) -> list[Payload]:
    return [note_payload(name, START if clock is None else clock.now()) for name in names]


def _sink(path: Path, clock: Clock | None = None, **more: Any) -> FileSink:
    given = {"max_bytes": 10**6, "max_time": timedelta(hours=24), "keep": 5, "is_synced": False} | more
    return FileSink(FileRules(path, **given), keys(), clock or Clock())


async def _write(path: Path, *batches: Sequence[str], clock: Clock | None = None, **more: Any) -> None:
    sink = _sink(path, clock, **more)
    for batch in batches:
        await sink.write(_notes(*batch, clock=clock))
    await sink.close()


def _told(path: Path) -> list[str]:
    return [str(orjson.loads(line)["note"]) for line in path.read_bytes().splitlines()]


async def test_a_file_goes_on_where_it_ended(tmp_path: Path) -> None:
    """One chain over many processes; nobody else can read it."""
    path = tmp_path / "audit.jsonl"
    await _write(path, ["a", "b"], ["c"])
    await _write(path, ["d"])
    assert _told(path) == ["a", "b", "c", "d"]
    report = verify_files(path, ring())
    assert report.is_whole
    assert report.records == 4
    assert _modes(tmp_path) == {0o600}


def _modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


async def test_one_process_writes_a_file(tmp_path: Path) -> None:
    """A second one is told so, instead of tearing lines."""
    sink = _sink(tmp_path / "audit.jsonl")
    with pytest.raises(SinkProblem, match="another process"):
        _sink(tmp_path / "audit.jsonl")
    await sink.close()
    await _sink(tmp_path / "audit.jsonl").close()


async def test_files_are_rotated_by_size_and_time(tmp_path: Path) -> None:
    """Full files carry the chain on; only so many are kept, and the rest still verifies."""
    path, clock = tmp_path / "audit.jsonl", Clock()
    await _write(path, *(["x" * 300] for _ in range(10)), clock=clock, max_bytes=1000, keep=100)
    assert len(full_files(path)) == 4
    assert verify_files(path, ring()).records == 10
    clock.move(90_000)
    await _write(path, ["later"], clock=clock, keep=3)
    assert len(full_files(path)) == 3
    report = verify_files(path, ring())
    assert report.is_whole, report
    assert report.records == 7
    await _write(path, ["and on"], clock=clock, keep=3)
    assert verify_files(path, ring()).records == 8


async def test_full_files_are_removed_by_age(tmp_path: Path) -> None:
    """The number is one bound, the age the other."""
    path, clock = tmp_path / "audit.jsonl", Clock()
    await _write(path, *(["x" * 300] for _ in range(6)), clock=clock, max_bytes=700, keep=100)
    before = full_files(path)
    os.utime(before[0], (1, 1))
    assert clock.now().timestamp() < before[1].stat().st_mtime  # the others are younger
    given: dict[str, Any] = {"max_bytes": 700, "keep": 100, "max_age": timedelta(days=1)}
    await _write(path, *(["y" * 300] for _ in range(3)), clock=clock, **given)
    assert before[0] not in full_files(path)
    assert before[1] in full_files(path)
    assert verify_files(path, ring()).is_whole


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_damage_to_files_is_found(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever byte is changed, line removed or end cut, in records or in the head file: it is found and named."""
    path = tmp_path / str(ULID()) / "audit.jsonl"
    path.parent.mkdir()
    await _write(path, ["a", "b" * 200], ["c", "d" * 200], ["e", "f"], max_bytes=600)
    files = [*full_files(path), path]
    sequences = {file: orjson.loads(file.read_bytes().partition(b"\n")[0])["seq"] for file in files}
    target = data.draw(st.sampled_from([*files, head_path(path)]))
    raw = target.read_bytes()
    deed = data.draw(st.sampled_from(["byte", "cut", "line", "gone"]))
    place = data.draw(st.integers(0, len(raw) - 1))
    if deed == "byte":
        new = raw[:place] + bytes([raw[place] ^ data.draw(st.integers(1, 255))]) + raw[place + 1 :]
    elif deed == "cut":
        new = raw[:place]
    elif deed == "line":
        lines = raw.splitlines(keepends=True)
        del lines[data.draw(st.integers(0, len(lines) - 1))]
        new = b"".join(lines)
    if deed == "gone":
        target.unlink()
    else:
        target.write_bytes(new)
    first = verify_files(path, ring()).first
    # The last line end of a file is no part of what is sealed: without it nothing is missing.
    is_harmless = deed != "gone" and raw.rstrip() == new.rstrip()
    if target == head_path(path) or is_harmless:
        assert first is not None or is_harmless
        return
    assert first is not None
    if deed == "byte" and sequences[target] + raw[:place].count(b"\n") < 6:
        assert first.sequence == sequences[target] + raw[:place].count(b"\n")
    assert first.sequence >= sequences[target]


async def test_a_torn_line_is_cut_off_and_told(tmp_path: Path) -> None:
    """What a killed process left half written is never glued to the next record."""
    path = tmp_path / "audit.jsonl"
    await _write(path, ["a", "b"])
    with path.open("ab") as file:
        file.write(b'{"chain":"file/x","seq":3,"ke')
    report = verify_files(path, ring())
    assert report.is_whole
    assert "torn" in report.chains[0].notices[0]
    await _write(path, ["c"])
    assert _told(path) == ["a", "b", "torn", "c"]
    report = verify_files(path, ring())
    assert report.is_whole
    assert report.chains == ()


async def test_a_file_ahead_of_its_head_is_taken_over(tmp_path: Path) -> None:
    """A process that was killed between its record and its head leaves records that verify by themselves."""
    path = tmp_path / "audit.jsonl"
    await _write(path, ["a"])
    head = head_path(path).read_bytes()
    await _write(path, ["b", "c"])
    head_path(path).write_bytes(head)
    report = verify_files(path, ring())
    assert report.is_whole
    assert "beyond the head" in report.chains[0].notices[0]
    await _write(path, ["d"])
    assert _told(path) == ["a", "b", "c", "d"]
    assert verify_files(path, ring()).chains == ()


@pytest.mark.parametrize("deed", ["truncate", "junk", "head", "unsealed"])
async def test_what_was_tampered_with_is_told_in_a_new_chain(tmp_path: Path, deed: str) -> None:
    """The service goes on, keeps the evidence, and seals what it found."""
    path = tmp_path / "audit.jsonl"
    await _write(path, ["a", "b"])
    raw = path.read_bytes()
    if deed == "truncate":
        path.write_bytes(raw.splitlines(keepends=True)[0])
    elif deed == "junk":
        path.write_bytes(raw + b"{}\n")
    elif deed == "head":
        head_path(path).unlink()
        path.rename(path.with_name("audit.jsonl.AAAA.000000000001"))
    else:
        head_path(path).write_bytes(head_path(path).read_bytes().replace(b'"sequence":2', b'"sequence":1'))
    await _write(path, ["c"])
    assert _told(path) == ["broken", "c"]
    assert len(full_files(path)) == 1
    assert not verify_files(path, ring()).is_whole


async def test_a_full_disk_tears_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that ends half-way is undone; the same records are written when there is room."""
    path = tmp_path / "audit.jsonl"
    sink = _sink(path)
    await sink.write(_notes("a"))
    real, left = os.write, [40]

    def write(descriptor: int, body: Any) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        taken, left[0] = bytes(body)[: left[0]], 0
        return real(descriptor, taken)

    monkeypatch.setattr(os, "write", write)
    batch = _notes("b", "c")
    for _ in range(3):
        with pytest.raises(OSError, match="space"):
            await sink.write(batch)
    assert _told(path) == ["a"]
    monkeypatch.setattr(os, "write", real)
    await sink.write(batch)
    await sink.close()
    assert _told(path) == ["a", "b", "c"]
    assert verify_files(path, ring()).is_whole


async def test_all_sinks_get_calls_changes_and_checkpoints(sqlite_uri: str, tmp_path: Path) -> None:
    """The file holds what the database holds; its checkpoints prove the database from outside, and list the file."""
    path = tmp_path / "audit.jsonl"
    given: dict[str, Any] = {"sinks": ("database", "file"), "file": path}
    async with opened(sqlite_uri, **given) as store:
        sealing = (store, Clock())
        from authz.audit.trail import AuditTrail, open_sealing
        from tests.audit.support import settings as made

        parts = open_sealing(made(**given), keys())
        trail = AuditTrail(made(**given), parts, *sealing)
        await trail.start()
        trail.recorder.record(completed(1))
        change = parts.scribe.seal(f"store/{STORE}", None, [_entry()])
        await store.append_segment(*change)
        await trail.recorder.durable()
        await trail.close()
        assert (await verify_trail(store, ring())).is_whole
    report = verify_files(path, ring())
    assert report.is_whole
    assert report.checkpoints >= 2
    records = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert {"call", "change", "checkpoint", "note"} <= {each["kind"] for each in records}
    assert next(each["of"] for each in records if each["kind"] == "change") == [f"store/{STORE}", 1]
    last = [each for each in records if each["kind"] == "checkpoint"][-1]
    assert any(chain.startswith("file/") for chain, _, _ in last["heads"])


def _entry() -> Any:
    from tests.audit.support import entry

    return entry()


async def test_settings_that_cannot_work(tmp_path: Path, sqlite_uri: str) -> None:
    """A sink that cannot be opened ends the start with a message, not with a loss of records later."""
    missing = {"sinks": ("file",), "file": tmp_path / "no" / "audit.jsonl"}
    async with opened(sqlite_uri) as store:
        with pytest.raises(InvalidSettings, match=r"audit\.file"):
            async with trailing(store, Clock(), **missing):
                pass
        taken = _sink(tmp_path / "audit.jsonl")
        with pytest.raises(InvalidSettings, match="another process"):
            async with trailing(store, Clock(), sinks=("file",), file=tmp_path / "audit.jsonl"):
                pass
        await taken.close()


async def test_changes_are_copied_from_a_running_datastore(sqlite_uri: str, tmp_path: Path) -> None:
    """A write through the datastore reaches the file."""
    from authz.audit.trail import AuditTrail, open_sealing
    from authz.store.sql import open_datastore
    from tests.audit.support import settings as made

    chosen = made(sinks=("file",), file=tmp_path / "audit.jsonl")
    parts = open_sealing(chosen, keys())
    store = open_datastore(sqlite_uri, parts.scribe)
    trail = AuditTrail(chosen, parts, store, Clock())
    await trail.start()
    await asyncio.gather(
        *(
            store.write(
                STORE, TupleWrite(writes=[RelationshipTuple(f"document:{n}", "viewer", "user:a")]), by=BY, now=START
            )
            for n in range(10)
        )
    )
    await trail.close()
    await store.close()
    records = [orjson.loads(line) for line in (tmp_path / "audit.jsonl").read_bytes().splitlines()]
    assert sorted(each["of"][1] for each in records if each["kind"] == "change") == list(range(1, 11))
    assert split((tmp_path / "audit.jsonl").read_bytes().splitlines()[0]) is not None
