"""Import and export against real servers: everything arrives once, whatever breaks off, and comes out again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.cli.transfer.journal import Journal, Plan, digest
from authz.cli.transfer.pace import Pace
from tests.cli.support import EXAMPLE, free_address, run_cli
from tests.cli.transfer_support import keys, stored, viewer, write_lines

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("orders")
def test_import_of_each_form_gives_what_export_gave(tmp_path: Path) -> None:
    """Export and import in every form reproduce a store."""
    original = keys(stored())
    for form in ("csv", "json", "jsonl", "yaml"):
        file = tmp_path / f"orders.{form}"
        exported = run_cli("tuple", "export", "--format", form, "--output", file, "--json")
        assert list(exported.json) == ["tuples", "consistency_token", "output"]
        assert (exported.json["tuples"], exported.json["output"]) == (14, str(file))
        copy = run_cli("store", "create", f"copy {form}").out.strip()
        run_cli("model", "write", EXAMPLE / "model.fga", "--store", copy)
        imported = run_cli("tuple", "import", file, "--store", copy, "--json")
        assert imported.json == {"imported": 14, "skipped": 0, "refused": 0, "report": None}
        assert keys(stored("--store", copy)) == original
    assert {file.suffix for file in tmp_path.iterdir()} == {".csv", ".json", ".jsonl", ".yaml"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(
    data=st.dictionaries(
        st.tuples(st.sampled_from(["user:a", "user:b", "user:*", "group:g#member"]), st.integers(0, 3)),
        st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "age": st.integers(-(2**53), 2**53),
                "tags": st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=3),
            },
        ),
        max_size=8,
    ),
    form=st.sampled_from(["csv", "json", "jsonl", "yaml"]),
)
def test_round_trip(docs: str, model: Path, tmp_path: Path, data: dict[tuple[str, int], Any], form: str) -> None:
    """Whatever a store holds, conditions with their context included, another store gets it from the file."""
    values = []
    for (user, number), context in data.items():
        value: dict[str, Any] = {"user": user, "relation": "viewer", "object": f"doc:{number}"}
        if context is not None and user in ("user:a", "user:b"):
            value["condition"] = {"name": "recent", "context": context}
        values.append(value)
    first, second = (run_cli("store", "create", "round trip").out.strip() for _ in range(2))
    for one in (first, second):
        assert run_cli("model", "write", model, "--store", one).code == 0
    source, file = write_lines(tmp_path / "source.jsonl", values), tmp_path / f"exported.{form}"
    assert run_cli("tuple", "import", source, "--store", first).code == 0
    assert run_cli("tuple", "export", "--store", first, "--format", form, "--output", file).code == 0
    assert run_cli("tuple", "import", file, "--store", second).code == 0
    assert keys(stored("--store", second)) == keys(stored("--store", first)) == keys(values)


@pytest.mark.usefixtures("docs")
def test_refused_tuples_are_reported_and_the_rest_arrives(tmp_path: Path) -> None:
    """What the service or the form refuses goes to a report with reasons, which can be mended and imported."""
    values = [viewer(number) for number in range(50)]
    bad = [
        {"user": "user:x", "relation": "nothing", "object": "doc:1"},
        {"user": "nobody", "relation": "viewer", "object": "doc:1"},
        {"relation": "viewer", "object": "doc:1"},
    ]
    file = write_lines(tmp_path / "t.jsonl", values[:20] + bad + values[20:])
    result = run_cli("tuple", "import", file, "--batch-size", "16", "--json")
    report = tmp_path / "t.jsonl.refused.jsonl"
    assert result.code == 1
    assert result.json == {"imported": 50, "skipped": 0, "refused": 3, "report": str(report)}
    assert str(report) in result.err
    refused = sorted((json.loads(line) for line in report.read_text().splitlines()), key=lambda one: one["line"])
    assert [one["line"] for one in refused] == [21, 22, 23]
    assert "doc#nothing" in refused[0]["reason"]
    assert "`user` is missing" in refused[2]["reason"]
    assert keys(stored()) == keys(values)
    report.write_text(json.dumps(refused[0] | {"relation": "viewer"}) + "\n")
    assert run_cli("tuple", "import", report).code == 0
    assert keys(stored()) == keys([*values, bad[0] | {"relation": "viewer"}])
    assert {one.name for one in tmp_path.iterdir()} == {"model.fga", "t.jsonl", "t.jsonl.refused.jsonl"}


@pytest.mark.usefixtures("docs")
def test_duplicates(tmp_path: Path) -> None:
    """A tuple that is there already is passed over, or reported when asked; another condition is always reported."""
    file = write_lines(tmp_path / "t.jsonl", [viewer(1), viewer(2), viewer(1)])
    assert run_cli("tuple", "import", file, "--json").json["refused"] == 0
    assert run_cli("tuple", "import", file).code == 0
    strict = run_cli("tuple", "import", file, "--on-duplicate", "error", "--json")
    assert (strict.code, strict.json["refused"]) == (1, 3)
    condition = {"name": "recent", "context": {"age": 1}}
    other = write_lines(tmp_path / "o.jsonl", [viewer(1) | {"condition": condition}, viewer(3)])
    assert run_cli("tuple", "import", other, "--json").json["refused"] == 1
    assert keys(stored()) == keys([viewer(1), viewer(2), viewer(3)])


@pytest.mark.usefixtures("docs")
def test_a_batch_too_large_for_one_message_is_split(tmp_path: Path) -> None:
    """Contexts of many kilobytes do not make a batch fail."""
    context = {"tags": ["x" * 20_000]}
    values = [viewer(number) | {"condition": {"name": "recent", "context": context}} for number in range(60)]
    assert run_cli("tuple", "import", write_lines(tmp_path / "t.jsonl", values)).code == 0
    assert len(stored()) == 60


@pytest.mark.usefixtures("docs")
def test_a_journal_of_another_import_is_refused(docs: str, tmp_path: Path) -> None:
    """Changed input, store or batch size cannot continue an import, and the journal is left alone."""
    file = write_lines(tmp_path / "t.jsonl", [viewer(1)])
    state = tmp_path / "state"
    journal = Journal(state, Plan(digest(file), docs, "", 100))
    busy = run_cli("tuple", "import", file, "--resume-file", state)
    assert (busy.code, "in use" in busy.err) == (2, True)
    journal.close(is_finished=False)
    changed = run_cli("tuple", "import", file, "--resume-file", state, "--batch-size", "5")
    assert (changed.code, "batch size" in changed.err) == (2, True)
    write_lines(file, [viewer(2)])
    changed = run_cli("tuple", "import", file, "--resume-file", state)
    assert (changed.code, "input digest" in changed.err) == (2, True)
    state.write_text("nonsense\n")
    assert "no journal" in run_cli("tuple", "import", file, "--resume-file", state).err
    state.unlink()
    assert run_cli("tuple", "import", file, "--resume-file", state).code == 0


def test_a_torn_line_of_a_journal_is_dropped(tmp_path: Path) -> None:
    """What was cut short by the death of the machine counts as never written."""
    state, plan = tmp_path / "state", Plan("digest", "store", "", 10)
    journal = Journal(state, plan)
    assert not journal.is_continued
    journal.acknowledge(4, [{"line": 1, "reason": "why"}])
    journal.close(is_finished=False)
    whole = state.read_bytes()
    state.write_bytes(whole + b'{"done": 5, "ref')
    journal = Journal(state, plan)
    assert (journal.is_continued, journal.done) == (True, {4})
    assert list(journal.refused()) == [{"line": 1, "reason": "why"}]
    assert state.read_bytes() == whole
    journal.close(is_finished=True)
    assert not state.exists()


def test_the_pace_is_kept() -> None:
    """Turns come in equal intervals, also after a pause."""
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))
        now[0] += seconds

    pace = Pace(10, lambda: now[0], sleep)
    for _ in range(3):
        pace.wait()
    assert slept == [0.1, 0.1]
    now[0] += 5
    pace.wait()
    assert slept == [0.1, 0.1]
    Pace(0, lambda: now[0], sleep).wait()
    assert len(slept) == 2


@pytest.mark.usefixtures("docs")
@pytest.mark.parametrize(
    ("name", "content", "code", "word"),
    [
        ("t.doc", "", 2, "must end in"),
        ("t.csv", "user,relation,object\n", 2, "are missing"),
        ("t.jsonl", '{"user": "user:1", "relation": "viewer", "object": "doc:1"}\n\xff\n', 2, "line 2 is not UTF-8"),
        ("t.json", '{"tuples": []}', 2, "expected `[`"),
        ("missing/t.csv", None, 2, "missing/t.csv"),
    ],
)
def test_files_that_cannot_be_imported(tmp_path: Path, name: str, content: str | None, code: int, word: str) -> None:
    """What is wrong with a file as a whole ends the import with its name and line."""
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content.encode("latin-1"))
    result = run_cli("tuple", "import", file)
    assert (result.code, result.out) == (code, "")
    assert word in result.err


@pytest.mark.usefixtures("docs")
def test_unknown_targets_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    """An unknown store or model ends an import at once and leaves no journal."""
    file = write_lines(tmp_path / "t.jsonl", [viewer(1)])
    for flag in ("--store", "--model"):
        result = run_cli("tuple", "import", file, flag, "01ARZ3NDEKTSV4RRFFQ69G5FAV")
        assert (result.code, "_not_found" in result.err) == (3, True)
    assert not (tmp_path / "t.jsonl.import").exists()


@pytest.mark.usefixtures("docs")
def test_export_is_of_one_revision_and_replaces_files_whole(tmp_path: Path) -> None:
    """An export as of an earlier token does not hold later tuples; a failing one leaves the old file."""
    run_cli("tuple", "import", write_lines(tmp_path / "t.jsonl", [viewer(number) for number in range(250)]))
    token = run_cli("tuple", "read", "--page-size", "1", "--json").json["consistency_token"]
    run_cli("tuple", "write", "user:late", "viewer", "doc:1")
    assert len(stored()) == 251
    assert len(stored("--consistency", f"at-exact-snapshot={token}")) == 250
    target = tmp_path / "out.csv"
    target.write_text("old")
    failed = run_cli("tuple", "export", "--output", target, "--addr", free_address())
    assert (failed.code, target.read_text()) == (3, "old")
    assert run_cli("tuple", "export", "--output", tmp_path / "no" / "out.csv").code == 2
    assert run_cli("tuple", "export", "--json").code == 2
    assert sorted(one.name for one in tmp_path.iterdir()) == ["model.fga", "out.csv", "t.jsonl"]
