"""The receiver of the examples: what it believes, and what it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authz.detection.signature import SIGNATURE, TIMESTAMP, first_secret, sign, signed_headers
from examples.webhook_receiver.receiver import WINDOW_SECONDS, Nonces, Refused, read_secrets, verify

SECRET, OTHER = b"a-secret-of-some-length", b"another-secret-entirely"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BODY = b'{"id":"1"}'


def check(headers: dict[str, str], body: bytes = BODY, *, at: datetime = NOW, nonces: Nonces | None = None) -> None:
    """What the receiver does with one delivery."""
    verify(headers, body, [SECRET], nonces or Nonces(), at.timestamp())


def test_a_genuine_delivery_is_believed_once() -> None:
    """
    The same delivery again is a replay.
    """
    nonces, headers = Nonces(), signed_headers(SECRET, NOW, BODY)
    check(headers, nonces=nonces)
    with pytest.raises(Refused, match="seen before"):
        check(headers, nonces=nonces)
    check(signed_headers(SECRET, NOW, BODY), nonces=nonces)


def test_an_altered_body_is_refused() -> None:
    """
    One changed byte makes the signature wrong.
    """
    with pytest.raises(Refused, match="wrong signature"):
        check(signed_headers(SECRET, NOW, BODY), b'{"id":"2"}')


def test_a_wrong_secret_is_refused() -> None:
    """
    Who does not know the secret signs nothing.
    """
    with pytest.raises(Refused, match="wrong signature"):
        check(signed_headers(OTHER, NOW, BODY))


@pytest.mark.parametrize("off", [WINDOW_SECONDS + 1, -WINDOW_SECONDS - 1])
def test_an_old_delivery_is_refused(off: int) -> None:
    """
    A delivery is good for some minutes, and never one from the future.
    """
    with pytest.raises(Refused, match="too old"):
        check(signed_headers(SECRET, NOW, BODY), at=NOW + timedelta(seconds=off))


def test_a_new_time_on_an_old_delivery_is_refused() -> None:
    """
    The time is signed too, and so is the nonce.
    """
    for name in (TIMESTAMP, "authz-nonce"):
        headers = signed_headers(SECRET, NOW, BODY)
        headers[name] = "1772442001"
        with pytest.raises(Refused, match="wrong signature"):
            check(headers)


@pytest.mark.parametrize("name", ["authz-timestamp", "authz-nonce", "authz-signature"])
@pytest.mark.parametrize("value", [None, "", "x" * 2000, "-1", "1.5", "v1=", "é", "١٢", "a.b"])
def test_missing_and_odd_headers_are_refused(name: str, value: str | None) -> None:
    """
    What is not there, too long or not plain is refused and breaks nothing.
    """
    headers = signed_headers(SECRET, NOW, BODY)
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    with pytest.raises(Refused):
        check(headers)


def test_another_version_of_the_signature_is_refused() -> None:
    """
    Only the version that is understood is believed.
    """
    headers = signed_headers(SECRET, NOW, BODY)
    headers[SIGNATURE] = headers[SIGNATURE].replace("v1=", "v0=")
    with pytest.raises(Refused, match="wrong signature"):
        check(headers)


def test_nonces_are_bounded_and_a_full_store_fails_closed() -> None:
    """
    When it is full nothing is believed until old nonces have left.
    """
    nonces = Nonces(capacity=3, window=100)
    assert [nonces.is_new(name, 0) for name in "abcd"] == [True, True, True, False]
    assert not nonces.is_new("d", 199)
    assert nonces.is_new("d", 201)
    assert nonces.is_new("a", 201)


def test_a_delivery_dated_ahead_is_remembered_while_it_is_fresh() -> None:
    """
    With clocks that differ by a whole window, a delivery cannot be replayed at its end either.
    """
    nonces, headers = Nonces(), signed_headers(SECRET, NOW + timedelta(seconds=WINDOW_SECONDS), BODY)
    check(headers, nonces=nonces)
    with pytest.raises(Refused, match="seen before"):
        check(headers, at=NOW + timedelta(seconds=2 * WINDOW_SECONDS - 1), nonces=nonces)


def test_secrets_rotate(tmp_path: Path) -> None:
    """
    The first line signs, every line is believed.
    """
    path = tmp_path / "secret"
    path.write_bytes(OTHER + b"\n" + SECRET + b"\n\n")
    assert first_secret(path.read_bytes()) == OTHER
    for secret in (SECRET, OTHER):
        headers = signed_headers(secret, NOW, BODY)
        verify(headers, BODY, read_secrets(path), Nonces(), NOW.timestamp())


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"short\n" + SECRET])
def test_a_weak_secret_is_refused_without_being_shown(raw: bytes) -> None:
    """
    A secret must have some length, and no message shows it.
    """
    with pytest.raises(ValueError, match="at least 16 bytes") as caught:
        first_secret(raw)
    assert "short" not in str(caught.value)


def test_the_signature_is_the_documented_one() -> None:
    """
    Anybody can compute it: HMAC-SHA256 of `timestamp.nonce.body`.
    """
    expected = "v1=b58d68790ad3328d62d08697e7f5310a704e253404a7fd9e008a366741e39dca"
    assert sign(b"k" * 16, "1", "n", b"{}") == expected
