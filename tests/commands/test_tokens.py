"""Consistency and continuation tokens: opaque, signed, bound to what they are for."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.commands.continuation import decode_place, encode_place
from authz.commands.tokens import TokenCodec
from authz.errors import InvalidConsistencyToken, InvalidContinuationToken

CODEC = TokenCodec(b"a secret of some length")
STORE, OTHER = "01HZZZZZZZZZZZZZZZZZZZZZZZ", "01HZZZZZZZZZZZZZZZZZZZZZZY"
_ON_THE_WIRE = re.compile(r"^[A-Za-z0-9-_]+={0,2}$")


@given(st.integers(0, 2**63 - 1))
def test_a_token_carries_its_revision(revision: int) -> None:
    """
    Decoding gives back the revision; the text fits the pattern of the interface.
    """
    token = CODEC.encode(STORE, revision)
    assert revision == CODEC.decode(token, STORE)
    assert _ON_THE_WIRE.match(token)


@given(st.integers(0, 2**40), st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_is_noticed(revision: int, position: int, change: int) -> None:
    """
    A token with any byte changed does not open.
    """
    raw = bytearray(urlsafe_b64decode(CODEC.encode(STORE, revision)))
    raw[position % len(raw)] ^= change
    with pytest.raises(InvalidConsistencyToken):
        CODEC.decode(urlsafe_b64encode(raw).decode(), STORE)


@given(st.text(max_size=60))
def test_any_text_is_a_clear_error(text: str) -> None:
    """
    Whatever is given as a token, the answer is an error of the token.
    """
    with pytest.raises(InvalidConsistencyToken):
        CODEC.decode(text, STORE)
    if text:
        with pytest.raises(InvalidContinuationToken):
            decode_place(CODEC, "read", STORE, text)


def test_tokens_are_bound_to_store_key_and_purpose() -> None:
    """
    A token of another store, of another key, or made for something else does not open.
    """
    token = CODEC.encode(STORE, 7)
    for codec, store in ((CODEC, OTHER), (TokenCodec(b"another secret"), STORE)):
        with pytest.raises(InvalidConsistencyToken):
            codec.decode(token, store)
    with pytest.raises(InvalidContinuationToken):
        decode_place(CODEC, "read", STORE, token)
    with pytest.raises(InvalidConsistencyToken):
        CODEC.decode(encode_place(CODEC, "read", STORE, [7]), STORE)


@pytest.mark.parametrize("spoil", [" {}", "{}\n", "{}!", "{}====", "{}A", "a" * 6000])
def test_decoding_is_strict(spoil: str) -> None:
    """
    Characters that lenient base64 decoders skip are damage.
    """
    with pytest.raises(InvalidConsistencyToken):
        CODEC.decode(spoil.format(CODEC.encode(STORE, 7)), STORE)


def test_places_come_back_for_the_same_call_only() -> None:
    """
    A place decodes for its call and store; the empty token means the beginning.
    """
    token = encode_place(CODEC, "read", STORE, [5, "x"])
    assert decode_place(CODEC, "read", STORE, token) == [5, "x"]
    assert decode_place(CODEC, "read", STORE, "") is None
    for call, store in (("read-changes", STORE), ("read", OTHER)):
        with pytest.raises(InvalidContinuationToken):
            decode_place(CODEC, call, store, token)


def test_a_former_key_still_opens_and_a_dropped_one_does_not() -> None:
    """
    While a key is changed tokens of both keys open; what is sealed bears the first.
    """
    codec = TokenCodec(b"the first secret key")
    old = codec.encode(STORE, 7)
    codec.use(b"the second secret key", b"the first secret key")
    new = codec.encode(STORE, 7)
    assert new != old
    assert codec.decode(old, STORE) == codec.decode(new, STORE) == 7
    codec.use(b"the second secret key")
    assert codec.decode(new, STORE) == 7
    with pytest.raises(InvalidConsistencyToken):
        codec.decode(old, STORE)
