"""Paths have one reading, which is that of RFC 3986, or none."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authz.rpc.ext_authz.paths import MAX_PATH, MAX_SEGMENTS, parse_path, split_target

PCHAR = "abcXYZ019-._~!$&'()*+,;=:@"
RAW = st.text(alphabet=[*PCHAR, "/", "%", "2", "e", "F", "\\", "?", "#", " ", "\x00", "\x7f", "é", "\u202e", "\u2215"])
NAMES = st.text(min_size=1, max_size=12).filter(lambda text: text not in {".", ".."})


def oracle(target: str) -> list[bytes]:
    """A split by RFC 3986 alone: query and fragment off, slashes apart, then one decoding."""
    path = target.partition("#")[0].partition("?")[0]
    return [unquote_to_bytes(each) for each in path.removeprefix("/").split("/")]


@given(RAW.map(lambda text: f"/{text}"))
@example("/a%2fb")
@example("/%61")
@example("/a/%2e%2e/b")
@example("/a?b#c")
def test_a_reading_is_that_of_the_rfc(target: str) -> None:
    """Whatever has a reading has the one of a strict split, and would be written back to the very same path."""
    found = split_target(target)
    if found is None:
        return
    written, values = found
    assert [each.encode() for each in values] == oracle(target)
    assert "/" + "/".join(written) == target.partition("?")[0]
    for value in values:
        # One more or one less decoding by anybody else changes nothing that separates.
        assert not set(value) & set("/\\%;?#")
        assert value.isprintable()
        assert value not in {".", ".."}


@given(RAW.map(lambda text: f"/documents/{text}"))
def test_no_rule_matches_with_other_values(target: str) -> None:
    """A template never gives values that a strict split does not give at these places."""
    found = split_target(target)
    one, rest = parse_path("/documents/{id}"), parse_path("/documents/{path=**}")
    if found is None:
        return
    parts = oracle(target)
    values = one.match(found)
    if values is not None:
        assert parts == [b"documents", values["id"].encode()]
    values = rest.match(found)
    if values is not None:
        assert [b"documents", *values["path"].encode().split(b"/")] == parts


@given(NAMES)
def test_a_plain_id_is_found_again(name: str) -> None:
    """What a client encodes as the standard says is read as what it meant, or not at all."""
    found = split_target("/documents/" + quote(name, safe="", errors="surrogatepass"))
    assert found is None or found.values == ("documents", name)


@pytest.mark.parametrize("name", ["plan", "a.b", "a-b_c~d", "p@q", "ü", "日本", "a b", "a+b", "1:2", "...", "!"])
def test_usual_ids_are_read(name: str) -> None:
    """Letters of any script, marks and blanks, encoded where they must be."""
    assert split_target("/documents/" + quote(name, safe="@:+")) == (
        ("documents", quote(name, safe="@:+")),
        ("documents", name),
    )


@pytest.mark.parametrize(
    "target",
    [
        "",
        "*",
        "documents/1",
        "http://documents.example.com/documents/1",
        "//documents/1",
        "/documents//1",
        "/documents/./1",
        "/documents/../admin",
        "/documents/..",
        "/documents/%2e%2e/admin",
        "/documents/.%2E/admin",
        "/documents/%2e",
        "/documents/%252e%252e/admin",
        "/documents/a%2Fb",
        "/documents/a%2fb",
        "/documents/a%5Cb",
        "/documents/a\\..\\b",
        "/documents/1;admin=true",
        "/documents;x/1",
        "/documents/1%3Bx",
        "/documents/1%3f",
        "/documents/1%23",
        "/documents/1#x",
        "/documents/1?a=b#x",
        "/documents/1%00",
        "/documents/1\x00",
        "/documents/1%0d%0aX:",
        "/documents/1%7F",
        "/documents/1\t",
        "/documents/1 ",
        "/documents/%",
        "/documents/%4",
        "/documents/%zz",
        "/documents/%u0041",
        "/documents/%31",
        "/%64ocuments/1",
        "/documents/%7e",
        "/documents/%c0%ae%c0%ae/admin",
        "/documents/%c0%af",
        "/documents/%ed%a0%80",
        "/documents/%ff",
        "/documents/é",
        "/documents/!",
        "/documents/%e2%80%ae1",
        "/documents/%c2%a0",
        "/documents/e%cc%81",
        "/documents/" + "a" * MAX_PATH,
        "/a" * (MAX_SEGMENTS + 1),
    ],
)
def test_what_is_ambiguous_has_no_reading(target: str) -> None:
    """Each of these is read in two ways by programs that are in use."""
    assert split_target(target) is None


def test_the_query_is_left_out() -> None:
    """What stands behind the path chooses no rule."""
    assert split_target("/documents/1?id=2&x=/../y%00") == (("documents", "1"), ("documents", "1"))


@pytest.mark.parametrize(
    ("template", "target", "values"),
    [
        ("/", "/", {}),
        ("/", "/x", None),
        ("/documents", "/documents", {}),
        ("/documents", "/documents/", None),
        ("/documents/", "/documents/", {}),
        ("/documents/", "/documents", None),
        ("/documents", "/Documents", None),
        ("/documents/{id}", "/documents/1", {"id": "1"}),
        ("/documents/{id}", "/documents/", None),
        ("/documents/{id}", "/documents", None),
        ("/documents/{id}", "/documents/1/", None),
        ("/documents/{id}", "/documents/1/2", None),
        ("/{a}/{b}", "/1/2", {"a": "1", "b": "2"}),
        ("/v1/documents:batch", "/v1/documents:batch", {}),
        ("/v1/documents:batch", "/v1/documents%3Abatch", None),
        ("/files/{path=**}", "/files/a", {"path": "a"}),
        ("/files/{path=**}", "/files/a/b/c", {"path": "a/b/c"}),
        ("/files/{path=**}", "/files", None),
        ("/files/{path=**}", "/files/", None),
        ("/files/{path=**}", "/files/a/", None),
        ("/{all=**}", "/", None),
    ],
)
def test_templates_match_whole_segments(template: str, target: str, values: dict[str, str] | None) -> None:
    """Letter by letter, with no segment left out or empty."""
    segments = split_target(target)
    assert segments is not None
    assert parse_path(template).match(segments) == values


@pytest.mark.parametrize(
    "template",
    [
        *("", "documents", "/a//b", "/a/{}", "/a/{B}", "/a/{b", "/a/{b}c", "/a/{b=*}", "/{a=**}/b", "/{a}/{a}"),
        *("/a/../b", "/a%20b", "/a b", "/a/{b}/{b=**}", "/a;b", "/é", "/./a"),
    ],
)
def test_templates_that_could_mislead_are_refused(template: str) -> None:
    """A template says what it matches, or nothing is served."""
    with pytest.raises(ValueError, match="`"):
        parse_path(template)
