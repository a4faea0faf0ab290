"""Objects made out of what a caller sends: never another one than the value names."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from authz.client.template import Misconfigured, Template, Unfit, check_user

# Characters that mean something somewhere, more often than chance would bring them.
NASTY = st.text(
    st.one_of(st.sampled_from("#:*@{}%/\\ \t\n\x00\x7f\u00a0\u200b\u2028\ufeff-._0'\";,|"), st.characters())
)
_SERVER_OBJECT = re.compile(r"[^:#@*\s\x00-\x1f\x7f]{1,254}:[^:#*\s\x00-\x1f\x7f][^:#\s\x00-\x1f\x7f]*")


@given(NASTY)
@example("1#viewer")
@example("*")
@example("1:2")
@example("\ud800")
def test_the_object_is_of_the_type_and_exactly_the_value(value: str) -> None:
    """A value is refused, or the object is `document:` and that value, which the service reads as one object."""
    try:
        made = Template("document:{id}").fill(lambda _name: value)
    except Unfit:
        return
    assert made == f"document:{value}"
    assert _SERVER_OBJECT.fullmatch(made)
    assert made.count(":") == 1


@given(st.tuples(NASTY, NASTY), st.tuples(NASTY, NASTY), st.sampled_from(["-", "--", "/", ".a.", "@"]))
@example(("x-", "y"), ("x", "-y"), "--")
def test_different_values_are_different_objects(first: tuple[str, str], second: tuple[str, str], between: str) -> None:
    """Two requests mean the same object only if all their values are the same."""
    assume(first != second)
    template = Template(f"file:a{{tenant}}{between}{{id}}b")
    made = []
    for tenant, id_ in (first, second):
        try:
            made.append(template.fill({"tenant": tenant, "id": id_}.__getitem__))
        except Unfit:
            return
    assert made[0] != made[1]


@given(NASTY)
def test_users_are_single_objects(text: str) -> None:
    """What claims name is one user: no wildcard, no userset, nothing with two meanings."""
    try:
        user = check_user(f"user:{text}")
    except Unfit:
        return
    assert user == f"user:{text}"
    assert not set(text) & set("#:*")
    assert text


@pytest.mark.parametrize(
    "user", ["", "user", "user:", ":anne", "user:*", "team:sales#member", "user:a b", None, 7, b"user:a"]
)
def test_what_is_no_user(user: object) -> None:
    """Everything else is refused."""
    with pytest.raises(Unfit):
        check_user(user)


def test_values_with_one_text() -> None:
    """Whole numbers and UUIDs have one text; other kinds are a mistake of the program."""
    template = Template("document:{id}")
    assert template.fill(lambda _name: 7) == "document:7"
    number = UUID("12345678-1234-5678-1234-567812345678")
    assert template.fill(lambda _name: number) == f"document:{number}"
    for value in (1.5, True, b"1", ["1"]):
        with pytest.raises(Misconfigured):
            template.fill(lambda _name, value=value: value)
    for missing in (None, ""):
        with pytest.raises(Unfit):
            template.fill(lambda _name, missing=missing: missing)


def test_length() -> None:
    """What the service would not take is refused here."""
    template = Template("document:{id}")
    assert len(template.fill(lambda _name: "x" * 247)) == 256
    with pytest.raises(Unfit):
        template.fill(lambda _name: "x" * 248)


def test_an_id_without_parts() -> None:
    """A template may name one object."""
    assert Template("service:billing").fill(lambda _name: None) == "service:billing"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "document",
        "document:",
        ":{id}",
        "{type}:{id}",
        "document:{a}{b}",
        "document:{a}-{a}",
        "document:{id",
        "document:id}",
        "document:{}",
        "document:{a b}",
        "document:{id}#x",
        "document:*",
        "document:a:{id}",
        "do cument:{id}",
        "document:{id} ",
    ],
)
def test_what_is_no_template(text: str) -> None:
    """A template that could be misread is refused where it is written."""
    with pytest.raises(ValueError, match="`"):
        Template(text)
