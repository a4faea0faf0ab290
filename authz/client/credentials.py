"""Where the access token of this program comes from. Asked before every call; tokens appear in no repr, log or error.

A source may be a text (a preshared key, or a token that lives as long as the program), a callable that returns one each
time it is asked, or `oauth.ClientCredentials`.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from authz.client.errors import ClientError, NoCredentials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_USABLE = re.compile(r"[\x21-\x7e]+")


@runtime_checkable
class TokenSource(Protocol):
    """Something that keeps a token fresh."""

    can_renew: bool
    """Whether another token may be had when one was refused."""

    def token(self, timeout: float) -> str:
        """A token that is valid now. May wait for `timeout` seconds.

        Raises:
            NoCredentials: there is none.

        """
        ...

    def ready(self) -> str:
        """A token that is at hand without waiting; empty when `token` must be called."""
        ...

    def refused(self, token: str) -> None:
        """The service refused this token: give another one from now on."""
        ...


class Fixed:
    """One token for ever."""

    can_renew = False

    def __init__(self, token: str) -> None:
        self._token = _usable(token)

    def __repr__(self) -> str:
        return "Fixed(…)"

    def token(self, timeout: float) -> str:  # noqa: ARG002 - is never waited for
        """The token."""
        return self._token

    def ready(self) -> str:
        """The token."""
        return self._token

    def refused(self, token: str) -> None:
        """There is no other."""


class Provided:
    """A token from a callable, which must be quick, or remember."""

    can_renew = True

    def __init__(self, provide: Callable[[], str | Awaitable[str]]) -> None:
        self.provide = provide

    def __repr__(self) -> str:
        return "Provided(…)"

    def token(self, timeout: float) -> str:  # noqa: ARG002 - the callable decides
        """What the callable returns.

        Raises:
            NoCredentials: it failed, or returned something else than a token.

        """
        given = _asked(self.provide)
        if not isinstance(given, str):
            if inspect.iscoroutine(given):
                given.close()
            raise NoCredentials("the source of tokens must return text; only `AsyncClient` takes a coroutine")
        return _usable(given)

    async def token_async(self) -> str:
        """The same from a callable that may be a coroutine function.

        Raises:
            NoCredentials: as for `token`.

        """
        given = _asked(self.provide)
        if not isinstance(given, str):
            try:
                given = await given
            except ClientError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a caller's own function raises
                raise _failed(error) from None
        return _usable(given)

    def ready(self) -> str:
        """Nothing: the callable is asked each time."""
        return ""

    def refused(self, token: str) -> None:
        """The callable is asked again anyway."""


def source_of(token: str | Callable[[], str | Awaitable[str]] | TokenSource) -> TokenSource | None:
    """The source that a caller means; None when there is to be no token.

    Raises:
        NoCredentials: a text that cannot be a token.

    """
    if isinstance(token, str):
        return Fixed(token) if token else None
    return token if isinstance(token, TokenSource) else Provided(token)


def check_usable(token: object) -> str:
    """The token, if it can travel in a header.

    Raises:
        NoCredentials: it cannot. gRPC would put it into the text of its own error.

    """
    return _usable(token)


def _usable(token: object) -> str:
    if not isinstance(token, str) or not _USABLE.fullmatch(token):
        raise NoCredentials("the access token is empty, or holds something else than printable ASCII without spaces")
    return token


def _asked(provide: Callable[[], str | Awaitable[str]]) -> str | Awaitable[str]:
    try:
        return provide()
    except ClientError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a caller's own function raises
        raise _failed(error) from None


def _failed(error: Exception) -> NoCredentials:
    # The text of the error may hold a secret.
    return NoCredentials(f"the source of tokens failed: {type(error).__name__}")
