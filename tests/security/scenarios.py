"""Models, facts and questions that other systems of this kind once answered wrongly. Data of `test_advisories`.

Each scenario is named by the advisory; the model and facts are our own, built from its public description.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """Facts as `object#relation@user`, `… with CONDITION` for conditional ones; questions with their answers."""

    advisory: str
    model: str
    facts: tuple[str, ...]
    allowed: tuple[str, ...]
    denied: tuple[str, ...]


_HEAD = "model\n  schema 1.1\ntype user\n"

SCENARIOS = (
    Scenario(
        "CVE-2022-39341, CVE-2022-39352: a wildcard among the parents opens nothing",
        _HEAD
        + """
type folder
  relations
    define viewer: [user]
type document
  relations
    define parent: [folder]
    define viewer: viewer from parent
""",
        ("folder:a#viewer@user:anne", "document:1#parent@folder:b"),
        (),
        ("document:1#viewer@user:anne", "document:1#viewer@user:bob"),
    ),
    Scenario(
        "CVE-2022-23542: a parent's relation counts only for the parent's type",
        _HEAD
        + """
type org
  relations
    define member: [user]
type team
  relations
    define member: [user]
type document
  relations
    define owner: [org]
    define viewer: member from owner
""",
        ("team:x#member@user:anne", "org:y#member@user:bob", "document:1#owner@org:x"),
        (),
        ("document:1#viewer@user:anne", "document:1#viewer@user:bob"),
    ),
    Scenario(
        "CVE-2023-40579: lists hold to what follows from a parent, and to nothing else",
        _HEAD
        + """
type folder
  relations
    define editor: [user]
    define viewer: [user] and editor
type document
  relations
    define parent: [folder]
    define viewer: viewer from parent
""",
        (
            "folder:a#viewer@user:anne",
            "folder:b#viewer@user:anne",
            "folder:b#editor@user:anne",
            "document:1#parent@folder:a",
            "document:2#parent@folder:b",
        ),
        ("document:2#viewer@user:anne",),
        ("document:1#viewer@user:anne",),
    ),
    Scenario(
        "CVE-2023-43645, CVE-2023-35933: cycles of facts end, and give nothing",
        _HEAD
        + """
type group
  relations
    define member: [user, group#member]
    define other: [user, group#other] or member
""",
        (
            "group:a#member@group:b#member",
            "group:b#member@group:c#member",
            "group:c#member@group:a#member",
            "group:c#other@group:b#other",
            "group:b#other@group:c#other",
            "group:c#member@user:carl",
        ),
        ("group:a#member@user:carl", "group:b#other@user:carl"),
        ("group:a#member@user:anne", "group:c#other@user:anne"),
    ),
    Scenario(
        "CVE-2024-31452: who is subtracted, or not in the other set, is not let in",
        _HEAD
        + """
type group
  relations
    define member: [user, group#member]
type document
  relations
    define banned: [user, group#member]
    define cleared: [user]
    define viewer: [user, group#member] but not banned
    define secret_viewer: viewer and cleared
""",
        (
            "group:staff#member@user:anne",
            "group:staff#member@user:bob",
            "group:banned#member@user:bob",
            "document:1#viewer@group:staff#member",
            "document:1#banned@group:banned#member",
            "document:1#cleared@user:bob",
        ),
        ("document:1#viewer@user:anne",),
        ("document:1#viewer@user:bob", "document:1#secret_viewer@user:anne", "document:1#secret_viewer@user:bob"),
    ),
    Scenario(
        "CVE-2024-42473: subtraction of what a parent gives",
        _HEAD
        + """
type org
  relations
    define blocked: [user]
    define member: [user]
type document
  relations
    define org: [org]
    define owner: [user]
    define blocked: blocked from org
    define viewer: (owner or member from org) but not blocked
""",
        (
            "document:1#org@org:a",
            "org:a#member@user:anne",
            "org:a#member@user:bob",
            "org:a#blocked@user:bob",
            "document:1#owner@user:carl",
            "org:a#blocked@user:carl",
        ),
        ("document:1#viewer@user:anne",),
        ("document:1#viewer@user:bob", "document:1#viewer@user:carl"),
    ),
    Scenario(
        "CVE-2025-25196: public access for users is none for a userset of the same type",
        _HEAD
        + """
type group
  relations
    define member: [user]
type document
  relations
    define viewer: [group, group:*, group#member]
""",
        ("document:1#viewer@group:*", "document:2#viewer@group:a#member", "group:a#member@user:anne"),
        ("document:1#viewer@group:a", "document:2#viewer@group:a#member", "document:2#viewer@user:anne"),
        ("document:1#viewer@group:a#member", "document:1#viewer@user:anne"),
    ),
    Scenario(
        "CVE-2025-46331: what a cycle left undecided is not remembered as decided",
        _HEAD
        + """
type group
  relations
    define member: [user, group#member]
    define outsider: [user, user:*] but not member
""",
        (
            "group:a#member@group:b#member",
            "group:b#member@group:a#member",
            "group:b#member@user:anne",
            "group:a#outsider@user:*",
            "group:b#outsider@user:*",
        ),
        ("group:a#member@user:anne", "group:a#outsider@user:bob"),
        ("group:a#outsider@user:anne", "group:b#outsider@user:anne", "group:a#member@user:bob"),
    ),
    Scenario(
        "CVE-2026-24851: public access on one object, a named user on a greater one",
        _HEAD
        + """
type document
  relations
    define viewer: [user, user:*]
    define blocked: [user, user:*]
    define reader: viewer but not blocked
""",
        (
            "document:a#blocked@user:*",
            "document:a#viewer@user:anne",
            "document:a#blocked@user:bob",
            "document:b#blocked@user:anne",
            "document:b#viewer@user:anne",
            "document:c#viewer@user:anne",
        ),
        ("document:c#reader@user:anne",),
        ("document:a#reader@user:anne", "document:b#reader@user:anne", "document:a#reader@user:bob"),
    ),
    Scenario(
        "CVE-2022-21646: public access within an intersection and under a subtraction",
        _HEAD
        + """
type document
  relations
    define shown: [user:*]
    define cleared: [user]
    define banned: [user, user:*]
    define reader: shown and cleared
    define guest: shown but not banned
""",
        (
            "document:a#shown@user:*",
            "document:a#cleared@user:anne",
            "document:b#shown@user:*",
            "document:b#banned@user:*",
            "document:c#cleared@user:anne",
            "document:a#banned@user:bob",
        ),
        ("document:a#reader@user:anne", "document:a#guest@user:anne"),
        (
            "document:b#reader@user:anne",
            "document:c#reader@user:anne",
            "document:b#guest@user:anne",
            "document:a#guest@user:bob",
        ),
    ),
    Scenario(
        "CVE-2026-55170: names that differ in case alone are different names",
        _HEAD
        + """
type document
  relations
    define viewer: [user]
""",
        ("document:Plan#viewer@user:anne",),
        ("document:Plan#viewer@user:anne",),
        ("document:plan#viewer@user:anne", "document:Plan#viewer@user:Anne", "document:PLAN#viewer@user:ANNE"),
    ),
    Scenario(
        "CVE-2025-65111 (GHSA-9m7r): one relation on both sides of a union, once through a parent",
        _HEAD
        + """
type group
  relations
    define special: [user]
type document
  relations
    define owner: [user, group]
    define viewer: owner or special from holder
    define holder: [group]
""",
        ("document:1#holder@group:g", "group:g#special@user:anne", "document:2#owner@user:anne"),
        ("document:1#viewer@user:anne", "document:2#viewer@user:anne"),
        ("document:1#viewer@user:bob", "document:1#owner@user:anne"),
    ),
)
