"""The header that carries the credential."""

from __future__ import annotations

import pytest

from authz.access.authentication import bearer
from authz.errors import InvalidBearerToken


def test_token_of_the_header() -> None:
    """
    The scheme is case-insensitive (RFC 9110, section 11.1); no header is no token.
    """
    assert bearer([("user-agent", "x"), ("authorization", "Bearer a.b.c")]) == "a.b.c"
    assert bearer((("authorization", "bEARER key"),)) == "key"
    assert bearer([("x-authorization", "Bearer key")]) == ""


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Bearer  a", "Bearer a b", "Bearer a\t", " Bearer a", "Bearer\ta", "Basic dTpw", "a.b.c",
     "Bearer a,Bearer b c", "Bearer é", "Bearer \u200ba", "Bearer a\n", "Bearer a\x00", b"Bearer a"],
)  # fmt: skip
def test_other_forms(value: str | bytes) -> None:
    """
    A header of another form is refused, not passed over.
    """
    with pytest.raises(InvalidBearerToken, match="form"):
        bearer([("authorization", value)])


def test_more_than_one() -> None:
    """
    Two headers could be read differently by two readers.
    """
    with pytest.raises(InvalidBearerToken, match="more than once"):
        bearer([("authorization", "Bearer a"), ("authorization", "Bearer a")])
