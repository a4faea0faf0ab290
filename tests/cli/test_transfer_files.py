"""Files of tuples: every form holds every tuple, and what is malformed is said with its line."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.cli.errors import UsageProblem
from authz.cli.transfer import items
from authz.cli.transfer.reading import Row, read_rows
from authz.cli.transfer.writing import FORMATS, write_tuples
from authz.tuples import RelationshipCondition, RelationshipTuple

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "user_type,user_id,user_relation,relation,object_type,object_id,condition_name,condition_context\n"

_FORBIDDEN = {chr(code) for code in (*range(0x21), *range(0x7F, 0xA1))} | set(":#*@")
_WORDS = st.text(
    st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"], exclude_characters=sorted(_FORBIDDEN)),
    min_size=1,
    max_size=20,
)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
_CONTEXTS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10),
    st.recursive(
        _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab=<", max_size=3), inner)
    ),
    max_size=3,
)


@st.composite
def tuples(draw: st.DrawFn) -> RelationshipTuple:
    """Tuples of all kinds of users, with and without conditions."""
    user = f"{draw(_WORDS)}:{draw(_WORDS | st.just('*'))}"
    if not user.endswith("*") and draw(st.booleans()):
        user = f"{user}#{draw(_WORDS)}"
    condition = draw(st.none() | st.builds(RelationshipCondition, _WORDS, _CONTEXTS))
    return RelationshipTuple(f"{draw(_WORDS)}:{draw(_WORDS)}", draw(_WORDS), user, condition)


def printed(tuple_: RelationshipTuple) -> dict[str, Any]:
    """A tuple as the program prints it."""
    value: dict[str, Any] = {"user": tuple_.user, "relation": tuple_.relation, "object": tuple_.object}
    if tuple_.condition is not None:
        value["condition"] = tuple_.condition._asdict()
    return value


@pytest.mark.parametrize("form", FORMATS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(written=st.lists(tuples(), max_size=5))
def test_what_is_written_is_read_again(tmp_path: Path, form: str, written: list[RelationshipTuple]) -> None:
    """Export and import are inverse in every form, for any text and context."""
    file = tmp_path / f"tuples.{form}"
    with file.open("w", encoding="utf-8", newline="") as draft:
        write_tuples((printed(one) for one in written), draft, form)
    rows = list(read_rows(file))
    assert [row.problem for row in rows] == [""] * len(written)
    assert [row.tuple for row in rows] == written


def test_columns_may_come_in_any_order_and_optional_ones_be_left_out(tmp_path: Path) -> None:
    """What the `fga` program takes is taken, with a byte order mark and Windows line ends too."""
    file = tmp_path / "tuples.csv"
    file.write_bytes(b"\xef\xbb\xbfobject_id,object_type,relation,user_id,user_type\r\n1,doc,viewer,a,user\r\n\r\n")
    assert list(read_rows(file)) == [Row(2, RelationshipTuple("doc:1", "viewer", "user:a"))]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("user,,,viewer,doc,1,,", "column `user_id` is empty"),
        ("user,a,,viewer,doc", "expected 8 columns, got 5"),
        ("user,a,,viewer,doc,1,,{}", "`condition_name` is empty"),
        ("user,a,,viewer,doc,1,c,nonsense", "not JSON"),
        ('user,a,,viewer,doc,1,c,"[1]"', "not a JSON object"),
    ],
)
def test_malformed_rows_have_a_line_and_do_not_stop_the_rest(tmp_path: Path, line: str, problem: str) -> None:
    """One bad row is a row with a problem."""
    file = tmp_path / "tuples.csv"
    file.write_text(f"{HEADER}{line}\nuser,b,,viewer,doc,1,,\n")
    bad, good = read_rows(file)
    assert (bad.line, bad.tuple) == (2, None)
    assert problem in bad.problem
    assert good == Row(3, RelationshipTuple("doc:1", "viewer", "user:b"))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"", "`user_type`"),
        ("a.csv", b"user,relation,object\n", "are missing"),
        ("a.csv", HEADER.encode().strip() + b",more\n", "unknown columns `more`"),
        ("a.csv", HEADER.encode().strip() + b",relation\n", "given twice"),
        ("a.csv", HEADER.encode() + b'user,"a,,viewer\n', "line 2"),
        ("a.csv", HEADER.encode() + b"user,\xff,,viewer,doc,1,,\n", "line 2 is not UTF-8"),
        ("a.jsonl", b"{}\n\xff\n", "line 2 is not UTF-8"),
        ("a.jsonl", b"x" * (items.MAX_ITEM_BYTES + 1), "line 1 has more than"),
        ("a.json", b"", "expected `[`, got the end"),
        ("a.json", b"{}", "expected `[`, got `{`"),
        ("a.json", b"[{}\n{}]", "line 2: expected `,` or `]`"),
        ("a.json", b"[{}", "got the end"),
        ("a.json", b'[{"user": ', "line 1: not JSON"),
        ("a.json", b"[] []", "more follows"),
        ("a.json", b"[" + b"[" * 100_000, "nested"),
        ("a.json", b'["\xff"]', "not UTF-8"),
        ("a.json", b'["' + b"x" * (items.MAX_ITEM_BYTES + 100_000), "not JSON"),
        ("a.yaml", b"a: 1\n", "line 1: not YAML: expected a list"),
        ("a.yaml", b"- [\n", "not YAML"),
        ("a.yaml", b"- \xff\n", "not YAML"),
        ("a.yaml", b"- &a {user: x}\n- *a\n", "aliases"),
        ("a.yaml", b"- " + b"[" * 1000, "nested"),
        ("a.txt", b"", "must end in"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    """A file that is not of its form ends the reading with a message that names it."""
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UsageProblem) as caught:
        list(read_rows(file))
    assert problem in caught.value.message
    assert str(file) in caught.value.message


@pytest.mark.parametrize(
    ("name", "content"), [("a.yaml", ""), ("a.yaml", "[]"), ("a.json", " [ ] "), ("a.jsonl", "\n")]
)
def test_empty_files(tmp_path: Path, name: str, content: str) -> None:
    """No tuples are no error."""
    file = tmp_path / name
    file.write_text(content)
    assert list(read_rows(file)) == []


def test_json_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file is cut into pieces does not matter, nor which characters are cut."""
    written = [{"user": f"user:{'ä€😀' * number}", "relation": "r", "object": "o:1"} for number in range(20)]
    file = tmp_path / "tuples.json"
    file.write_text(json.dumps(written, ensure_ascii=False, indent=1), encoding="utf-8")
    expected = [one["user"] for one in written]
    for size in (1, 2, 3, 7, 64):
        monkeypatch.setattr(items, "_CHUNK", size)
        assert [row.tuple.user for row in read_rows(file) if row.tuple] == expected
    assert [row.line for row in read_rows(file)] == list(range(2, 2 + 5 * 20, 5))


@pytest.mark.parametrize("form", FORMATS)
def test_memory_is_bounded(tmp_path: Path, form: str) -> None:
    """Reading takes memory for one tuple, not for the file; all bytes are accounted for."""
    file = tmp_path / f"tuples.{form}"
    count = 5_000
    value = {"user": "user:" + "x" * 200, "relation": "viewer", "object": "doc:" + "y" * 200}
    with file.open("w") as draft:
        write_tuples((value for _ in range(count)), draft, form)
    seen: list[int] = []
    tracemalloc.start()
    try:
        assert sum(row.tuple is not None for row in read_rows(file, seen.append)) == count
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < file.stat().st_size / 2
    assert seen[-1] > file.stat().st_size * 0.99
