"""How fresh an answer must be, in the caller's words. Given to any question as `consistency=`; used by the calls."""

from __future__ import annotations

import re
from typing import NamedTuple

from authz.client.errors import UnknownToken

SEPARATOR = "."
"""Between the tokens of writes that overlapped, of which nobody can tell the newest."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,4096}={0,2}")
_SHOWN = 40


class Consistency(NamedTuple):
    """A mode, as it travels beside a request. Made by the names of this module."""

    header: str


MINIMIZE_LATENCY = Consistency("minimize-latency")
"""As fresh as the server that is asked knows; perhaps older than an earlier write."""

FULLY_CONSISTENT = Consistency("fully-consistent")
"""As of the newest revision that is committed anywhere when the call arrives."""


def at_least_as_fresh(token: str) -> Consistency:
    """Not older than the token, which a write or an answer gave.

    Raises:
        UnknownToken: the text cannot be a consistency token.

    """
    tokens = tokens_of(token)
    return Consistency(f"at-least-as-fresh={tokens[0]}") if len(tokens) == 1 else FULLY_CONSISTENT


def exact_snapshot(token: str) -> Consistency:
    """As of the token's own revision, for as long as the service keeps its history.

    Raises:
        UnknownToken: the text cannot be a consistency token, or stands for several writes that overlapped.

    """
    tokens = tokens_of(token)
    if len(tokens) > 1:
        raise UnknownToken("the token is of several writes that overlapped: there is no one snapshot to read")
    return Consistency(f"at-exact-snapshot={tokens[0]}")


def tokens_of(text: str) -> list[str]:
    """The tokens in a text that may hold several.

    Raises:
        UnknownToken: it holds something else. Texts from strangers are checked here before they become metadata.

    """
    tokens = text.split(SEPARATOR)
    if not all(_TOKEN.fullmatch(token) for token in tokens):
        raise UnknownToken(f"`{text[:_SHOWN]}` is not a consistency token")
    return tokens
