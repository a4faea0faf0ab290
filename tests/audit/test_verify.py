"""Whatever somebody without the key does to the trail in a database is found, and the first wrong record is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.audit.chain import CHECKPOINTS, NODE

if TYPE_CHECKING:
    from tests.audit.conftest import Written

CHAIN = f"store/{'01J9ZZZZZZZZZZZZZZZZZZZZZZ'}"
EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
SEGMENTS = "SELECT rowid, chain, first, last, started_at, ended_at, body FROM audit_segments ORDER BY chain, first"


def _found(written: Written) -> tuple[str, int]:
    first = written.verify().first
    assert first is not None
    return first.chain, first.sequence


def test_a_trail_that_nobody_touched_is_whole(written: Written) -> None:
    """What the service wrote verifies, to the last record."""
    report = written.verify()
    assert report.is_whole, report
    assert report.chains == ()
    assert report.checkpoints >= 4
    # start, calls, stop; create and writes; one for each checkpoint
    assert report.records == 1 + 8 + 1 + 4 + report.checkpoints


def test_without_the_key_nothing_is_believed(written: Written) -> None:
    """Another key is no key."""
    report = written.verify("other")
    assert not report.is_whole
    assert len(report.chains) == report.chain_count


@EXAMPLES
@given(data=st.data())
def test_a_byte_of_a_record(copied: Callable[[], Written], data: st.DataObject) -> None:
    """Any other byte anywhere in the records is found, and the record is named."""
    written = copied()
    rows = written.database.run(SEGMENTS)
    rowid, chain, first, *_, body = data.draw(st.sampled_from(rows))
    place = data.draw(st.integers(0, len(body) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != body[place]))
    number = first + body[:place].count(b"\n")
    written.database.run(
        "UPDATE audit_segments SET body = ? WHERE rowid = ?", body[:place] + bytes([byte]) + body[place + 1 :], rowid
    )
    assert _found(written) == (chain, number)


@EXAMPLES
@given(data=st.data())
def test_lines_within_a_segment(copied: Callable[[], Written], data: st.DataObject) -> None:
    """Records that are removed, repeated, swapped or cut short are found at the first place that differs."""
    written = copied()
    rows = written.database.run(SEGMENTS)
    rowid, chain, first, *_, body = data.draw(st.sampled_from(rows))
    lines = body.splitlines(keepends=True)
    place, other = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    deed = data.draw(st.sampled_from(["remove", "repeat", "swap", "cut", "append"]))
    changed = list(lines)
    if deed == "remove":
        del changed[place]
    elif deed == "repeat":
        changed.insert(place, lines[place])
    elif deed == "swap":
        changed[place], changed[other] = lines[other], lines[place]
    elif deed == "cut":
        changed[place] = lines[place][: data.draw(st.integers(0, len(lines[place]) - 1))]
    else:
        changed.append(data.draw(st.sampled_from([b"\n", b"x", b'{"chain":"x"}\n', lines[place]])))
    if changed == lines:
        return
    written.database.run("UPDATE audit_segments SET body = ? WHERE rowid = ?", b"".join(changed), rowid)
    pairs = zip([*lines, b""], [*changed, b"", b""], strict=False)
    differing = next(number for number, (was, now) in enumerate(pairs) if was != now)
    found_chain, found = _found(written)
    # a record that is repeated is wrong where it comes again
    assert (found_chain, found) == (chain, first + differing), deed


@EXAMPLES
@given(data=st.data())
def test_columns_of_a_segment(copied: Callable[[], Written], data: st.DataObject) -> None:
    """Numbers and times of a segment cannot be other than its records say."""
    written = copied()
    rowid, chain, first, last, *_ = data.draw(st.sampled_from(written.database.run(SEGMENTS)))
    column = data.draw(st.sampled_from(["first", "last", "started_at", "ended_at"]))
    change = data.draw(st.integers(-3, 3).filter(bool))
    taken = written.database.run(f"SELECT 1 FROM audit_segments WHERE chain = ? AND last = ? + {change}", chain, last)
    if column == "last" and taken:
        return
    written.database.run(f"UPDATE audit_segments SET {column} = {column} + {change} WHERE rowid = ?", rowid)
    found_chain, found = _found(written)
    assert found_chain == chain
    assert first <= found <= last + 1


@EXAMPLES
@given(data=st.data())
def test_columns_of_a_head(copied: Callable[[], Written], data: st.DataObject) -> None:
    """A head that was edited is found, whatever member was."""
    written = copied()
    chain, *_ = data.draw(st.sampled_from(written.database.run("SELECT chain FROM audit_chains ORDER BY chain")))
    column = data.draw(st.sampled_from(["sequence", "mac", "base_sequence", "base_mac", "key_id", "seal", "chain"]))
    values: dict[str, st.SearchStrategy[Any]] = {
        "sequence": st.integers(0, 20),
        "base_sequence": st.integers(0, 20),
        "key_id": st.sampled_from(["k2", ""]),
        "chain": st.just("store/other"),
    }
    value = data.draw(values.get(column, st.binary(min_size=1, max_size=32)))
    ((was,),) = written.database.run(f"SELECT {column} FROM audit_chains WHERE chain = ?", chain)
    if value == was:
        return
    written.database.run(f"UPDATE audit_chains SET {column} = ? WHERE chain = ?", value, chain)
    assert chain in {each.chain for each in written.verify().chains}


@EXAMPLES
@given(data=st.data())
def test_rows_that_are_removed_moved_or_repeated(copied: Callable[[], Written], data: st.DataObject) -> None:
    """Segments that are gone, bodies in other rows, rows in other chains, and rows that are there twice are found."""
    written = copied()
    rows = written.database.run(SEGMENTS)
    row = data.draw(st.sampled_from(rows))
    other = data.draw(st.sampled_from([each for each in rows if each[0] != row[0]]))
    deed = data.draw(st.sampled_from(["remove", "swap", "move", "repeat"]))
    run = written.database.run
    if deed == "remove":
        run("DELETE FROM audit_segments WHERE rowid = ?", row[0])
        assert _found(written) == (row[1], row[2])
        return
    if deed == "swap":
        run("UPDATE audit_segments SET body = ? WHERE rowid = ?", other[-1], row[0])
        run("UPDATE audit_segments SET body = ? WHERE rowid = ?", row[-1], other[0])
        reports = {each.chain: each.problem for each in written.verify().chains}
        for each in (row, other):
            problem = reports[each[1]]
            assert problem is not None
            assert problem.sequence <= each[2]
        return
    if deed == "move":
        run("UPDATE audit_segments SET chain = 'store/other', last = last + 100 WHERE rowid = ?", row[0])
    else:
        run(
            "INSERT INTO audit_segments (chain, first, last, started_at, ended_at, body)"
            " SELECT chain, first, last + 100, started_at, ended_at, body FROM audit_segments WHERE rowid = ?",
            row[0],
        )
    report = written.verify()
    assert row[1] in {each.chain for each in report.chains}


def test_a_truncated_chain_whose_head_was_edited(written: Written) -> None:
    """The head says where the chain ended, and cannot be made anew without the key."""
    run, chain = written.database.run, CHAIN
    run("DELETE FROM audit_segments WHERE chain = ? AND last > 2", chain)
    assert _found(written) == (chain, 3)
    ((body,),) = run("SELECT body FROM audit_segments WHERE chain = ? AND last = 2", chain)
    mac = bytes.fromhex(body[-67:-3].decode())
    run("UPDATE audit_chains SET sequence = 2, mac = ? WHERE chain = ?", mac, chain)
    report = written.verify()
    assert report.first is not None
    assert report.first[:2] == (chain, 3)
    assert "seal" in report.first.why


def test_the_oldest_records_with_an_edited_base(written: Written) -> None:
    """Only a holder of the key can say that old records were removed with their time."""
    run, chain = written.database.run, written.database.chain(NODE)
    ((last, body),) = run("SELECT last, body FROM audit_segments WHERE chain = ? AND first = 1", chain)
    run("DELETE FROM audit_segments WHERE chain = ? AND first = 1", chain)
    run(
        "UPDATE audit_chains SET base_sequence = ?, base_mac = ? WHERE chain = ?",
        last,
        bytes.fromhex(body[-67:-3].decode()),
        chain,
    )
    report = written.verify()
    assert report.first is not None
    assert report.first.chain == chain
    assert "seal" in report.first.why


def test_a_chain_that_is_gone_with_its_head(written: Written) -> None:
    """Checkpoints know the chains that there were."""
    for chain in (CHAIN, written.database.chain(NODE)):
        written.database.run("DELETE FROM audit_segments WHERE chain = ?", chain)
        written.database.run("DELETE FROM audit_chains WHERE chain = ?", chain)
        assert (chain, 1) in [each.problem[:2] for each in written.verify().chains if each.problem]


def test_a_head_that_is_gone(written: Written) -> None:
    """Segments without a head are found, even of a chain that no checkpoint knows yet."""
    chain = written.database.chain(CHECKPOINTS)
    written.database.run("DELETE FROM audit_chains WHERE chain = ?", chain)
    assert _found(written) == (chain, 1)


@pytest.mark.parametrize(
    "junk", [b"", b"\n", b"{}", b"\xff\xfe\n", b'{"chain":1,"seq":"x","key":null,"mac":"' + b"0" * 64]
)
def test_junk_instead_of_records(written: Written, junk: bytes) -> None:
    """Whatever stands in a body, verification ends with a report."""
    chain = written.database.chain(NODE)
    written.database.run("UPDATE audit_segments SET body = ? WHERE chain = ? AND first = 2", junk, chain)
    assert _found(written) == (chain, 2)


@EXAMPLES
@given(data=st.data())
def test_values_of_another_type(copied: Callable[[], Written], data: st.DataObject) -> None:
    """SQLite lets a column hold anything: verification ends with a report even then, and names the chain."""
    written = copied()
    table = data.draw(st.sampled_from(["audit_segments", "audit_chains"]))
    ((chain, rowid),) = [
        data.draw(st.sampled_from(written.database.run(f"SELECT chain, rowid FROM {table} ORDER BY chain, rowid")))
    ]
    column = data.draw(
        st.sampled_from(
            ["first", "last", "started_at", "ended_at", "body"]
            if table == "audit_segments"
            else ["sequence", "mac", "base_sequence", "base_mac", "key_id", "seal"]
        )
    )
    value = data.draw(st.sampled_from(["text", b"bytes", 2**62, -(2**62), 1.5, ""]))
    written.database.run(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", value, rowid)
    assert chain in {each.chain for each in written.verify().chains if each.problem}
