"""Preshared keys: made random, kept as hashes, rotated by file, refused when unknown."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from authz.access.authentication.preshared import new_key, parse_key_file
from authz.call import Authentication
from authz.errors import AuthzError, Forbidden, InvalidBearerToken, Unauthenticated
from authz.settings.access import AccessSettings
from authz.settings.types import InvalidSettings
from tests.access.authentication.support import BY, Door, issuer_with, key_for, public_jwk, token_at

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, *lines: str) -> None:
    """Replace a file of keys, as an operator would."""
    other = path.with_suffix(".new")
    other.write_text("\n".join(lines) + "\n")
    other.replace(path)


def test_new_keys_are_random_and_recognisable() -> None:
    """
    A key has 256 random bits and a form that scanners for secrets can find; its line does not show it.
    """
    secret, line = new_key("batch")
    assert re.fullmatch(r"authz_[0-9a-f]{64}", secret)
    assert line == f"batch sha256:{hashlib.sha256(secret.encode()).hexdigest()}"
    assert secret != new_key("batch")[0]
    with pytest.raises(ValueError, match="name of a key"):
        new_key("a b")


def test_file() -> None:
    """
    Comments and empty lines are passed over; options limit a key; a name may have several keys.
    """
    lines = [new_key(name)[1] for name in ("a", "a", "b")]
    text = (
        f"# keys\n\n{lines[0]} scopes=check,read expires=2030-01-01T00:00:00Z\n  {lines[1]}\r\n{lines[2]} scopes=admin"
    )
    found = list(parse_key_file(text.encode()).values())
    assert [each.principal.id for each in found] == ["key/a", "key/a", "key/b"]
    assert [each.principal.scopes for each in found] == [{"check", "read"}, None, {"admin"}]
    assert [each.ends for each in found] == [1893456000.0, float("inf"), float("inf")]
    assert {each.principal.authentication for each in found} == {Authentication.KEY}


@pytest.mark.parametrize(
    "line",
    [
        "a",
        "a hunter2",
        "a sha256:hunter2",
        "a sha256:" + "A" * 64,
        "a md5:" + "a" * 64,
        "a/b sha256:" + "a" * 64,
        "a sha256:" + "a" * 64 + " hunter2",
        "a sha256:" + "a" * 64 + " scopes=hunter2",
        "a sha256:" + "a" * 64 + " scopes=",
        "a sha256:" + "a" * 64 + " scopes=check scopes=admin",
        "a sha256:" + "a" * 64 + " expires=hunter2",
        "a sha256:" + "a" * 64 + " expires=2030-01-01T00:00:00",
        "a sha256:" + "a" * 64 + " EXPIRES=2030-01-01T00:00:00Z",
        "b sha256:" + "0" * 64,
    ],
)
def test_malformed_lines(line: str) -> None:
    """
    A line that is not understood is an error that names the line and does not repeat it.
    """
    with pytest.raises(ValueError, match="line 2: ") as caught:
        parse_key_file(f"a sha256:{'0' * 64}\n{line}".encode())
    assert "hunter2" not in str(caught.value)


@pytest.mark.anyio
async def test_keys_prove_principals(tmp_path: Path) -> None:
    """
    A key is good until it expires, and as long as its line is in the file.
    """
    path = tmp_path / "keys"
    (first, line), (second, other) = new_key("first"), new_key("second")
    door = Door(AccessSettings(keys_file=_written(path, line)))
    await door.opened()
    until = (door.clock.now() + timedelta(seconds=100)).isoformat()
    assert door.authenticator.enabled
    assert door.authenticator.known(first, None) is None
    assert (await door.authenticator.verify(first, None)).id == "key/first"
    assert door.authenticator.known(first, None) is not None
    write(path, f"{other} expires={until}")
    door.clock.move(1.1)
    assert door.authenticator.known(first, None) is None
    with pytest.raises(Unauthenticated):
        await door.authenticator.verify(first, None)
    assert (await door.authenticator.verify(second, None)).id == "key/second"
    door.clock.jump(100)
    assert door.authenticator.known(second, None) is None
    with pytest.raises(InvalidBearerToken):
        await door.authenticator.verify(second, None)


def _written(path: Path, *lines: str) -> Path:
    write(path, *lines)
    return path


@pytest.mark.anyio
async def test_wrong_keys(tmp_path: Path) -> None:
    """
    No other text is a key: not its hash, its name, a part of it, or more than it.
    """
    secret, line = new_key("first")
    door = await Door(AccessSettings(keys_file=_written(tmp_path / "keys", line))).opened()
    for wrong in (secret[:-1], secret + "0", secret.upper(), line.split()[1], line.split(":")[1], "first", "x.y.z"):
        with pytest.raises(Unauthenticated) as caught:
            await door.authenticator.verify(wrong, None)
        assert caught.value.reason == "unauthenticated"
        assert wrong not in caught.value.message


@pytest.mark.anyio
async def test_keys_and_tokens_side_by_side(tmp_path: Path) -> None:
    """
    With keys and an issuer configured, each credential is read as what it is.
    """
    secret, line = new_key("first")
    issuer = issuer_with(tmp_path, public_jwk(key_for("RS256")))
    door = await Door(AccessSettings(keys_file=_written(tmp_path / "keys", line), issuers=(issuer,))).opened()
    assert (await door.authenticator.verify(secret, None)).id == "key/first"
    assert (await door.authenticator.verify(token_at(door.clock), None)).id == "main/alice"
    for wrong, reason in ((secret[:-1], "unauthenticated"), ("a.b.c", "auth_failed_invalid_bearer_token")):
        with pytest.raises(AuthzError) as caught:
            await door.authenticator.verify(wrong, None)
        assert caught.value.reason == reason


@pytest.mark.anyio
async def test_orders_against_keys(tmp_path: Path) -> None:
    """
    Nobody knows when a key was issued, so an order against all that its principal has reaches it.
    """
    secret, line = new_key("first")
    door = await Door(AccessSettings(keys_file=_written(tmp_path / "keys", line))).opened()
    order = await door.directives.issue("revocation", {"principal": "key/first", "issued_before": 0}, by=BY)
    with pytest.raises(InvalidBearerToken):
        await door.authenticator.verify(secret, None)
    await door.directives.lift(order.id, by=BY)
    assert (await door.authenticator.verify(secret, None)).id == "key/first"
    await door.directives.issue("suspension", {"principal": "key/first"}, by=BY)
    with pytest.raises(Forbidden):
        await door.authenticator.verify(secret, None)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """
    A file that is missing or malformed at the start ends the start, and the message names it.
    """
    for text, why in ((None, "cannot read"), ("hunter2", "line 1")):
        if text is not None:
            (tmp_path / "keys").write_text(text)
        with pytest.raises(InvalidSettings, match=why) as caught:
            Door(AccessSettings(keys_file=tmp_path / "keys"))
        assert "hunter2" not in str(caught.value)
