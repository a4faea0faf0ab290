"""Lists that the service gives page by page. Used by the commands that list stores, models, tuples and changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz.cli.connection import Answer
    from authz.cli.session import Session


def gather(
    fetch: Callable[[str], Answer],
    items: Callable[[Any], list[dict[str, Any]]],
    token: str,
    *,
    is_all: bool,
) -> tuple[list[dict[str, Any]], str, Answer]:
    """The entries of one page, or of all pages from there on; where to go on; and the last answer.

    A token that comes back unchanged ends the list too: the changelog always gives one.
    """
    found: list[dict[str, Any]] = []
    while True:
        answer = fetch(token)
        page = items(answer.message)
        found += page
        following = answer.message.continuation_token
        if not is_all or not page or following in ("", token):
            return found, following, answer
        token = following


def tell_rest(session: Session, token: str, what: str) -> None:
    """Say on stderr that there is more than was shown."""
    if token and not session.out.is_json:
        session.out.note(f"more {what} follow: --all, or --continuation-token {token}")
