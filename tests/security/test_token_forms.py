"""Texts that are almost a token: each spelling but one is refused, and none is repeated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.access.authentication.parsing import MAX_TOKEN_BYTES
from authz.errors import (
    InvalidBearerToken,
    Unauthenticated,
)
from tests.access.authentication.support import (
    Door,
    claims_at,
    compact,
    door_with,
    header_of,
    key_for,
    refused,
    signed,
    token_at,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
HOUR = 3600


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    """One issuer that signs with RS256, and its key `k1`."""
    return await door_with(tmp_path).opened()


@pytest.mark.parametrize("which", ["iss", "exp", "sub", "extra"])
async def test_claims_given_twice(door: Door, which: str) -> None:
    """
    Two readers of a token could see different claims, so it is refused.
    """
    text = json.dumps(claims_at(door.clock) | {"extra": 1})
    value = json.loads(text)[which]
    twice = text[:-1] + f", {json.dumps(which)}: {json.dumps(value)}}}"
    assert type(await signed(door, payload=twice.encode())) is InvalidBearerToken
    spelled = text[:-1] + f', "\\u{ord(which[0]):04x}{which[1:]}": {json.dumps(value)}}}'
    assert type(await signed(door, payload=spelled.encode())) is InvalidBearerToken


async def test_header_members_given_twice(door: Door) -> None:
    """
    A second `alg` could be the one that another reader believes.
    """
    assert type(await signed(door, b'{"alg":"RS256","typ":"JWT","kid":"k1","alg":"none"}')) is InvalidBearerToken


@pytest.mark.parametrize(
    "payload",
    [b"[]", b'"text"', b"7", b"null", b"true", b"", b"{", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"{}{}", b"\x00",
     b"[" * 2000, b'{"a":' * 1000, b'{"exp": 1e999}', b'{"exp": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}',
     b'{"a": ' + b"9" * 5000 + b"}", b"{'iss': 1}", b'{"a": "\xff"}', b'{"a": "\n"}'],
    ids=lambda payload: repr(payload[:20]),
)  # fmt: skip
async def test_payload_that_is_no_object_of_json(door: Door, payload: bytes) -> None:
    """
    A signature over anything but one object in JSON and UTF-8 is worth nothing.
    """
    assert type(await signed(door, payload=payload)) is InvalidBearerToken
    assert type(await signed(door, header=payload)) is InvalidBearerToken


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token + ".",
        lambda token: token + "=",
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token + " ",
        lambda token: token.replace(".", ". ", 1),
        lambda token: token + ".x.y",
        lambda token: token + "A",
        lambda token: token + "AAAA",
        lambda token: token.replace(".", "=.", 1),
        lambda token: token.replace(".", "", 1),
        lambda token: token.rpartition(".")[0],
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: "." + token,
        lambda token: ".." + token,
        lambda token: token.replace(".", "\u3002"),
        lambda token: token[:-1] + "\u00e9",
        lambda token: token.replace("e", "\u0435", 1),
        lambda token: token + "\u200b",
        lambda token: token + "\x00",
        lambda token: token.replace("-", "+").replace("_", "/") + "+",
        lambda token: "authz_" + token,
        lambda token: "." * len(token),
        lambda _: "a.b.c",
        lambda _: "a" * MAX_TOKEN_BYTES,
    ],
)  # fmt: skip
async def test_text_around_and_within(door: Door, spoil: Any) -> None:
    """
    A token has one spelling: nothing before, after or between.
    """
    assert type(await refused(door, spoil(token_at(door.clock)))) is InvalidBearerToken


async def test_oversized(door: Door) -> None:
    """
    A token beyond the limit is refused although everything in it is good, before anything in it is read.
    """
    long = token_at(door.clock, padding="x" * MAX_TOKEN_BYTES)
    assert "larger" in (await refused(door, long)).message
    assert "larger" in (await refused(door, "a." * 500_000)).message
    fitting = token_at(door.clock, padding="x" * (MAX_TOKEN_BYTES // 2))
    assert (await door.authenticator.verify(fitting, None)).id == "main/alice"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_other_character_spoils_it(tmp_path: Path, data: st.DataObject) -> None:
    """
    A token that differs in a single character from a good one is refused, wherever that is.
    """
    algorithm = data.draw(st.sampled_from(["RS256", "ES256", "EdDSA"]))
    door = await door_with(tmp_path, algorithm=algorithm).opened()
    good = token_at(door.clock, algorithm)
    place = data.draw(st.integers(0, len(good) - 1) | st.integers(len(good) - 4, len(good) - 1))
    other = data.draw(st.sampled_from(ALPHABET + ".=+/ ") | st.characters())
    if other != good[place]:
        with pytest.raises(Unauthenticated):
            await door.authenticator.verify(good[:place] + other + good[place + 1 :], None)
    assert (await door.authenticator.verify(good, None)).id == "main/alice"


async def test_no_token_in_messages_logs_or_memory(
    door: Door, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """
    Neither an error, nor its causes, nor the log repeats a token or any part of it.
    """
    secret = "s3cr3t-" + "x" * 20
    good = token_at(door.clock, padding=secret)
    parts = good.split(".")
    spoiled = [good, good[:-3] + "AAA", f"{parts[0]}.{parts[1]}", secret, f"{secret}.{secret}.{secret}"]
    spoiled += [
        token_at(door.clock, sub=secret, **{name: secret}) for name in ("iss", "aud", "exp", "cnf", "amr", "acr")
    ]
    spoiled += [compact({**header_of(), "kid": secret}, {}, key_for("RS256"), "RS256")]
    await door.authenticator.verify(good, None)
    door.clock.move(HOUR)
    for token in spoiled:
        error: BaseException | None = await refused(door, token)
        while error is not None:
            shown = f"{error!r} {error} {error.__dict__}"
            assert secret not in shown
            assert not any(part in shown for part in token.split(".") if len(part) > 10)
            error = error.__cause__
    seen = capsys.readouterr()
    assert secret not in seen.out + seen.err + caplog.text
    everywhere = seen.out + seen.err + caplog.text + repr(vars(door.authenticator))
    assert not any(part in everywhere for part in parts)
