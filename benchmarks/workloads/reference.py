"""The reference workload: documents in nested folders, shared with users and nested groups. Built by `registry`.

At its nominal size 10,000 users, 1,000 groups nested 4 deep, 2,000 folders nested 5 deep, 100,000 documents and about
300,000 tuples; other sizes keep the proportions. Of the checks 30 % find a tuple at once, 40 % are denied, 15 % are
allowed only through nested groups, and 15 % only through the root of a folder tree.

Answers come from the plan of the world (who is in which group, which folder is above which), not from its tuples.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from authz.tuples import RelationshipTuple
from benchmarks.workloads.shapes import Forest, forest, mixed
from benchmarks.workloads.size import Size
from benchmarks.workloads.world import BatchQuestion, ListQuestion, Question, Toggle, World

MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
type document
  relations
    define parent: [folder]
    define editor: [user, group#member]
    define viewer: [user, group#member] or editor or viewer from parent
"""

TUPLES, GROUP_DEPTH, FOLDER_DEPTH = 300_000, 4, 5
_GROUPS_OF_USER, _DOCUMENTS_WITH_GROUP = 2, 0.75
_PER_DOCUMENT = 3.0
"""Tuples for each document, all others shared out among the documents."""
SHARES = {"direct": 0.30, "miss": 0.40, "group": 0.15, "folder": 0.15}
BATCH = 20
MAX_LISTED = 1_000
"""OpenFGA servers answer with no more objects than this unless told to."""
_TOGGLES = 2_000


class _Document(NamedTuple):
    folder: int
    viewer: int
    group: int | None
    is_editor: bool
    """Whether the group edits; otherwise it views."""


class _Plan:
    """Who is where; the source of both tuples and answers."""

    def __init__(self, size: Size) -> None:
        random = Random(f"reference {size.seed}")
        self.wanted = max(size.tuples or TUPLES, 300)
        documents = max(round(self.wanted / _PER_DOCUMENT), 50)
        users = max(documents // 10, 20)
        self.groups = forest(random, max(documents // 100, 8), size.depth or GROUP_DEPTH)
        self.folders = forest(random, max(documents // 50, 10), size.depth or FOLDER_DEPTH)
        lowest = self.groups.levels[-1]
        self.users = [tuple(sorted({random.choice(lowest) for _ in range(_GROUPS_OF_USER)})) for _ in range(users)]
        self.folder_viewers = [random.randrange(users) for _ in self.folders.parents]
        self.documents = [self._document(random, users) for _ in range(documents)]

    def _document(self, random: Random, users: int) -> _Document:
        folder, viewer = random.randrange(len(self.folders.parents)), random.randrange(users)
        has_group = random.random() < _DOCUMENTS_WITH_GROUP
        group = random.randrange(len(self.groups.parents)) if has_group else None
        return _Document(folder, viewer, group, random.random() < 0.5)

    def tuples(self) -> Iterator[RelationshipTuple]:
        for group, parent in enumerate(self.groups.parents):
            if parent >= 0:
                yield RelationshipTuple(f"group:{parent}", "member", f"group:{group}#member")
        for user, groups in enumerate(self.users):
            for group in groups:
                yield RelationshipTuple(f"group:{group}", "member", f"user:{user}")
        for folder, (parent, viewer) in enumerate(zip(self.folders.parents, self.folder_viewers, strict=True)):
            if parent >= 0:
                yield RelationshipTuple(f"folder:{folder}", "parent", f"folder:{parent}")
            yield RelationshipTuple(f"folder:{folder}", "viewer", f"user:{viewer}")
        for number, document in enumerate(self.documents):
            name = f"document:{number}"
            yield RelationshipTuple(name, "parent", f"folder:{document.folder}")
            yield RelationshipTuple(name, "viewer", f"user:{document.viewer}")
            if document.group is not None:
                relation = "editor" if document.is_editor else "viewer"
                yield RelationshipTuple(name, relation, f"group:{document.group}#member")

    def groups_of(self, user: int) -> set[int]:
        """The groups that hold a user, directly or through others."""
        return {group for lowest in self.users[user] for group in self.groups.above(lowest)}

    def ways(self, user: int, number: int) -> set[str]:
        """By which ways a user may view a document: direct, group, folder; none when it is denied."""
        document = self.documents[number]
        found = {"direct"} if document.viewer == user else set()
        if document.group is not None and document.group in self.groups_of(user):
            found.add("group")
        if any(self.folder_viewers[folder] == user for folder in self.folders.above(document.folder)):
            found.add("folder")
        return found


def build(size: Size) -> World:
    """Build the world."""
    plan = _Plan(size)
    drawing = _Drawing(plan, Random(f"reference questions {size.seed}"))
    questions = drawing.questions(size.questions)
    sizes = {
        "tuples": sum(1 for _ in plan.tuples()),
        "users": len(plan.users),
        "groups": len(plan.groups.parents),
        "group depth": len(plan.groups.levels),
        "folders": len(plan.folders.parents),
        "folder depth": len(plan.folders.levels),
        "documents": len(plan.documents),
    }
    return World(
        "reference",
        size.seed,
        sizes,
        MODEL,
        plan.tuples,
        questions,
        batches=drawing.batches(max(size.questions // BATCH, 1)),
        listings=drawing.listings(max(size.questions // 200, 1)),
        toggles=list(_toggles(plan)),
    )


class _Drawing:
    """Questions about a plan, drawn at random, each with its answer."""

    def __init__(self, plan: _Plan, random: Random) -> None:
        self._plan = plan
        self._random = random
        self._members = _below(plan.groups, plan.users)
        self._nested = [
            number
            for number, document in enumerate(plan.documents)
            if document.group is not None and document.group < plan.groups.levels[-1].start
        ]
        lowest = plan.folders.levels[-1].start
        self._buried = [number for number, document in enumerate(plan.documents) if document.folder >= lowest]

    def questions(self, count: int) -> list[Question]:
        """Checks in the shares of the mix, in one random order."""
        draws = {"direct": self._direct, "miss": self._miss, "group": self._group, "folder": self._folder}
        pairs = mixed(self._random, count, SHARES, draws)
        return [_question(kind, document, user) for kind, (document, user) in pairs]

    def _direct(self) -> tuple[int, int]:
        number = self._random.randrange(len(self._plan.documents))
        return number, self._plan.documents[number].viewer

    def _miss(self) -> tuple[int, int] | None:
        number, user = self._random.randrange(len(self._plan.documents)), self._random.randrange(len(self._plan.users))
        return None if self._plan.ways(user, number) else (number, user)

    def _group(self) -> tuple[int, int] | None:
        if not self._nested:
            return None
        number = self._random.choice(self._nested)
        members = self._members[self._plan.documents[number].group or 0]
        user = self._random.choice(members) if members else None
        return None if user is None or self._plan.ways(user, number) != {"group"} else (number, user)

    def _folder(self) -> tuple[int, int] | None:
        if not self._buried:
            return None
        number = self._random.choice(self._buried)
        viewers = self._plan.folder_viewers
        *between, root = self._plan.folders.above(self._plan.documents[number].folder)
        user = viewers[root]
        is_nearer = any(viewers[each] == user for each in between)
        return None if is_nearer or self._plan.ways(user, number) != {"folder"} else (number, user)

    def batches(self, count: int) -> list[BatchQuestion]:
        """Batches of checks, of the same mix."""
        pool = self.questions(count * BATCH)
        whole = range(0, len(pool) - BATCH + 1, BATCH)
        return [BatchQuestion("batch", tuple(pool[start : start + BATCH])) for start in whole]

    def listings(self, count: int) -> list[ListQuestion]:
        """Users with as many documents as a list may hold, or nearly."""
        plan = self._plan
        visible = _Visible(plan)
        users = self._random.sample(range(len(plan.users)), min(len(plan.users), 10 * count))
        lists = [(user, visible.documents(user)) for user in users]
        fitting = sorted((-len(found), user, found) for user, found in lists if 0 < len(found) <= MAX_LISTED)
        chosen = [
            ListQuestion("list", "document", "viewer", f"user:{user}", frozenset(f"document:{each}" for each in found))
            for _, user, found in fitting[:count]
        ]
        self._random.shuffle(chosen)
        return chosen


class _Visible:
    """The documents that a user may view, found from the user's side."""

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan
        self._of_user: dict[int, list[int]] = {}
        self._of_group: dict[int, list[int]] = {}
        self._in_folder: dict[int, list[int]] = {}
        for number, document in enumerate(plan.documents):
            self._of_user.setdefault(document.viewer, []).append(number)
            self._in_folder.setdefault(document.folder, []).append(number)
            if document.group is not None:
                self._of_group.setdefault(document.group, []).append(number)
        self._children = plan.folders.children()
        self._folders: dict[int, list[int]] = {}
        for folder, viewer in enumerate(plan.folder_viewers):
            self._folders.setdefault(viewer, []).append(folder)

    def documents(self, user: int) -> set[int]:
        found = set(self._of_user.get(user, ()))
        for group in self._plan.groups_of(user):
            found.update(self._of_group.get(group, ()))
        waiting = list(self._folders.get(user, ()))
        while waiting:
            folder = waiting.pop()
            found.update(self._in_folder.get(folder, ()))
            waiting.extend(self._children[folder])
        return found


def _below(groups: Forest, users: list[tuple[int, ...]]) -> list[list[int]]:
    """The users in every group, through other groups too."""
    found: list[list[int]] = [[] for _ in groups.parents]
    for user, lowest in enumerate(users):
        for group in {each for start in lowest for each in groups.above(start)}:
            found[group].append(user)
    return found


def _question(kind: str, document: int, user: int) -> Question:
    return Question(kind, f"document:{document}", "viewer", f"user:{user}", allowed=kind != "miss")


def _toggles(plan: _Plan) -> Iterator[Toggle]:
    """Users whom no other question names: shared with directly, or through a group."""
    for number in range(_TOGGLES):
        user, document = f"user:toggle-{number}", number % len(plan.documents)
        question = Question("toggle", f"document:{document}", "viewer", user, allowed=True)
        group = plan.documents[document].group
        if number % 2 and group is not None:
            yield Toggle(RelationshipTuple(f"group:{group}", "member", user), question)
        else:
            yield Toggle(RelationshipTuple(f"document:{document}", "viewer", user), question)
