"""Read a store test file. What is wrong with it is noted in the document, with its place. Called by `run`."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from authz.cli.errors import CliError, Negative
from authz.cli.sources import Origin, inline_source, load_source
from authz.cli.storetest.cases import (
    Case,
    CheckCase,
    ListObjectsCase,
    ListUsersCase,
    PlacedTuple,
    StoreFile,
    Test,
)
from authz.cli.transfer.reading import read_rows
from authz.cli.tuplefile import tuple_part
from authz.tuples import UserKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from authz.cli.document import Document, Part
    from authz.cli.sources import Source
    from authz.tuples import JsonValue

_TUPLES = ("tuples", "tuple_file", "tuple_files")
_FILE = ("name", "model", "model_file", *_TUPLES, "tests")
_TEST = ("name", "description", *_TUPLES, "check", "list_objects", "list_users")
_CHECK = ("user", "users", "object", "objects", "context", "assertions")
_LIST_OBJECTS = ("user", "type", "context", "assertions")
_LIST_USERS = ("object", "user_filter", "context", "assertions")


def parse_store_file(document: Document) -> StoreFile | None:
    """The file; None when it names no model. The document notes what is wrong.

    Raises:
        UsageProblem: a file that it refers to cannot be read.
        Negative: its model is not valid.

    """
    members = document.root.members(_FILE, required=("tests",))
    source = _model(document, members)
    tuples = tuple(_tuples(document, members))
    parts = members["tests"].items() if "tests" in members else []
    tests = tuple(_test(document, part, number) for number, part in enumerate(parts, 1))
    if source is None:
        return None
    return StoreFile(_text(members, "name"), source, tuples, tests)


def _model(document: Document, members: Mapping[str, Part]) -> Source | None:
    if "model" in members:
        return inline_source(document.path, members["model"].text(), Origin(document.text, members["model"].line))
    if "model_file" not in members:
        document.root.wrong("`model` or `model_file` is missing")
        return None
    part = members["model_file"]
    try:
        return load_source(document.path.parent / part.text())
    except Negative:
        raise
    except CliError as error:
        part.wrong(error.message)
        return None


def _tuples(document: Document, members: Mapping[str, Part]) -> Iterator[PlacedTuple]:
    """Tuples of the file itself and of the files it names."""
    for part in members["tuples"].items() if "tuples" in members else ():
        found = tuple_part(part)
        if found is not None:
            yield PlacedTuple(part, found)
    files = [members["tuple_file"]] if "tuple_file" in members else []
    files += members["tuple_files"].items() if "tuple_files" in members else []
    for part in files:
        yield from _tuples_of_file(document, part)


def _tuples_of_file(document: Document, part: Part) -> Iterator[PlacedTuple]:
    path = document.path.parent / part.text()
    try:
        for row in read_rows(path):
            if row.tuple is None:
                part.wrong(f"`{path}`: line {row.line}: {row.problem}")
            else:
                yield PlacedTuple(part, row.tuple)
    except CliError as error:
        part.wrong(error.message)


def _test(document: Document, part: Part, number: int) -> Test:
    members = part.members(_TEST)
    cases: list[Case] = []
    for name, read in (("check", _checks), ("list_objects", _list_objects), ("list_users", _list_users)):
        for one in members[name].items() if name in members else ():
            cases += read(one)
    return Test(_text(members, "name") or f"test {number}", tuple(_tuples(document, members)), tuple(cases))


def _checks(part: Part) -> Iterator[Case]:
    members = part.members(_CHECK, required=("assertions",))
    users, objects = _one_or_many(part, members, "user"), _one_or_many(part, members, "object")
    context = _context(members)
    for relation, assertion in _assertions(members):
        expected = assertion.boolean()
        for user, object_ in product(users, objects):
            yield CheckCase(assertion.line, user, relation, object_, context, expected)


def _list_objects(part: Part) -> Iterator[Case]:
    members = part.members(_LIST_OBJECTS, required=("user", "type", "assertions"))
    user, type_, context = _text(members, "user"), _text(members, "type"), _context(members)
    for relation, assertion in _assertions(members):
        expected = frozenset(item.text() for item in assertion.items())
        yield ListObjectsCase(assertion.line, user, relation, type_, context, expected)


def _list_users(part: Part) -> Iterator[Case]:
    members = part.members(_LIST_USERS, required=("object", "user_filter", "assertions"))
    kinds = tuple(_kind(item) for item in members["user_filter"].items()) if "user_filter" in members else ()
    if "user_filter" in members and not kinds:
        members["user_filter"].wrong("expected at least one filter")
    object_, context = _text(members, "object"), _context(members)
    for relation, assertion in _assertions(members):
        listed = assertion.members(("users",))
        expected = frozenset(item.text() for item in listed["users"].items()) if "users" in listed else frozenset()
        yield ListUsersCase(assertion.line, object_, relation, kinds, context, expected)


def _kind(part: Part) -> UserKind:
    members = part.members(("type", "relation"), required=("type",))
    return UserKind(_text(members, "type"), _text(members, "relation"))


def _assertions(members: Mapping[str, Part]) -> Iterator[tuple[str, Part]]:
    if "assertions" in members:
        yield from members["assertions"].members(keep_null=True).items()


def _one_or_many(part: Part, members: Mapping[str, Part], name: str) -> list[str]:
    """The texts of `user` or `users`, of which one must be there."""
    many = f"{name}s"
    if (name in members) == (many in members):
        part.wrong(f"expected either `{name}` or `{many}`")
        return []
    if name in members:
        return [members[name].text()]
    return [item.text() for item in members[many].items()]


def _context(members: Mapping[str, Part]) -> dict[str, JsonValue]:
    return members["context"].context() if "context" in members else {}


def _text(members: Mapping[str, Part], name: str) -> str:
    return members[name].text() if name in members else ""
