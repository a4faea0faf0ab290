"""Names of callers become ids that stand for them alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from authz.access.authorization.grants import Grant, grant_of, tuple_of
from authz.access.authorization.names import MAX_ENCODED, encoded, holder, holder_name, principal_user
from authz.access.authorization.system import system_model
from authz.errors import InvalidRequest
from authz.model.tuples import check_tuple, user_problem
from authz.tuples import user_kind

# Whatever a token may say: separators, wildcards, blanks, percent signs, lone surrogates, any language.
NAMES = st.one_of(
    st.text(st.sampled_from("ab/:#@*%~ \t\n\x00.é漢\ud800"), min_size=1, max_size=12),
    st.text(st.characters(codec=None), min_size=1, max_size=60),
)


@given(NAMES, NAMES)
def test_two_names_never_share_an_id(one: str, two: str) -> None:
    """Different principals are different users of the system store."""
    assume(one != two)
    assert principal_user(one) != principal_user(two)


@given(NAMES)
def test_an_id_is_one_plain_object(name: str) -> None:
    """No name becomes a userset, a wildcard, another type, or two words."""
    user = principal_user(name)
    assert user is not None
    assert re.fullmatch(r"principal:[A-Za-z0-9._~/%-]+", user)
    assert user_kind(user) == ("principal", "", False)
    assert len(user) > 512 or user_problem(system_model(), user) is None


@given(NAMES)
def test_names_come_back(name: str) -> None:
    """What is listed is what was granted."""
    for holding in ([] if name.startswith("group:") else [name]) + [f"group:{name}"]:
        assert holder_name(holder(holding)) == holding


@pytest.mark.parametrize("name", ["*", "x#member", "corp/a:b", "%2A", "corp/x#admin", "principal:x", "service:authz"])
def test_crafted_subjects_stay_themselves(name: str) -> None:
    """A subject that looks like a wildcard, a userset or an encoded name is just that subject."""
    user = principal_user(name)
    assert user is not None
    assert user not in ("principal:*", f"principal:{name}", name)


@given(NAMES, st.sampled_from(["admin", "reader"]), st.sampled_from(["", "01HYYYYYYYYYYYYYYYYYYYYYYY"]))
def test_grants_come_back(name: str, role: str, store_id: str) -> None:
    """A grant is stored as a tuple that the model allows, and read as what it was."""
    assume(not name.startswith("group:"))
    grant = Grant(name, role, store_id)
    stored = tuple_of(grant)
    if len(stored.user) <= 512:
        check_tuple(system_model(), stored)
    assert grant_of(stored) == grant


@pytest.mark.parametrize("module", ["wiki", "a/b", "Ünïcode", "%", "*"])
def test_grants_on_modules_come_back(module: str) -> None:
    """Also of modules with odd names."""
    grant = Grant("key/x", "writer", "01HYYYYYYYYYYYYYYYYYYYYYYY", module)
    assert grant_of(tuple_of(grant)) == grant


def test_names_are_bounded() -> None:
    """A name without an id holds nothing: it is not shortened to one that another may have."""
    assert encoded("") is None
    assert encoded("x" * MAX_ENCODED) is not None
    assert encoded("x" * (MAX_ENCODED + 1)) is None
    for name in ("", "group:", "x" * (MAX_ENCODED + 1)):
        with pytest.raises(InvalidRequest):
            holder(name)


@pytest.mark.parametrize(
    "grant",
    [
        Grant("key/x", "can_administer"),
        Grant("key/x", "root"),
        Grant("key/x", "service", "01HYYYYYYYYYYYYYYYYYYYYYYY"),
        Grant("key/x", "writer"),
        Grant("key/x", "auditor", "01HYYYYYYYYYYYYYYYYYYYYYYY"),
        Grant("key/x", "admin", "01HYYYYYYYYYYYYYYYYYYYYYYY", "wiki"),
        Grant("key/x", "writer", "", "wiki"),
        Grant("key/x", "member", "01HYYYYYYYYYYYYYYYYYYYYYYY", "", "ops/night"),
        Grant("key/x", "admin", "", "", "ops/night"),
        Grant("group:a/b", "member", "", "", "ops/night"),
        Grant("key/x", "admin", "00000000000000000000SYSTEM"),
        Grant("key/x", "writer", "00000000000000000000SYSTEM", "wiki"),
    ],
    ids=str,
)
def test_only_roles_can_be_granted(grant: Grant) -> None:
    """Actions, places of stores, roles of other things and roles on the system store are refused."""
    with pytest.raises(InvalidRequest):
        tuple_of(grant)
