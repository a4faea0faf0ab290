"""Principals, groups, stores and modules as objects of the system store, and back. Used by its neighbours.

Ids are percent-encoded (RFC 3986), so that whatever a principal is called, it names one object and nothing else: no
separator, wildcard, blank or control character of a tuple survives. Encoding is injective, for `%` is encoded too.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote, unquote

from authz.errors import InvalidRequest
from authz.settings.access import is_principal

SYSTEM_STORE = "00000000000000000000SYSTEM"
"""The id of the store that holds the rights; no ULID of our time can equal it."""
SERVICE = "service:authz"
"""The one object of its type."""

PRINCIPAL, GROUP, STORE, MODULE = "principal", "group", "store", "module"
GROUP_PREFIX = f"{GROUP}:"
"""Marks a group where a principal is named. No principal begins so: its id begins with the name of an issuer."""
MEMBER = "member"

MAX_ENCODED = 1200
"""Characters of an encoded id: three for each of the 400 bytes that a principal's id may have."""


@lru_cache(maxsize=4096)
def encoded(text: str) -> str | None:
    """The id of an object that stands for `text`; None when it is empty or too long to be one."""
    # Lone surrogates, which JSON can smuggle into a text, get a form of their own instead of an error.
    made = quote(text, safe="/", errors="surrogatepass")
    return made if 0 < len(made) <= MAX_ENCODED else None


def decoded(object_id: str) -> str:
    """The text that an id stands for."""
    return unquote(object_id, errors="surrogatepass")


def principal_user(principal_id: str) -> str | None:
    """A principal as the user of a tuple; None when its id is too long to hold rights."""
    made = encoded(principal_id)
    return None if made is None else f"{PRINCIPAL}:{made}"


def group_object(group: str) -> str | None:
    """A group, named `ISSUER/GROUP`; None when its name is too long."""
    made = encoded(group)
    return None if made is None else f"{GROUP}:{made}"


def store_object(store_id: str) -> str:
    """A store. Ids from requests have been validated; any other text becomes an object that nobody has rights on."""
    return f"{STORE}:{encoded(store_id) or '-'}"


def module_object(store_id: str, module: str) -> str | None:
    """A module of a store's models; None when its name is too long."""
    made = encoded(module)
    return None if made is None else f"{MODULE}:{encoded(store_id) or '-'}/{made}"


def split_module(object_id: str) -> tuple[str, str]:
    """Store id and module of a module's object id."""
    store_id, _, module = object_id.partition("/")
    return decoded(store_id), decoded(module)


def check_principal(name: str) -> None:
    """Refuse a name that no caller can have: what is given to it or ordered against it would have no effect.

    Raises:
        InvalidRequest: as it says.

    """
    if name.startswith(GROUP_PREFIX):
        raise InvalidRequest(f"`{legible(name)}` is a group: name a principal")
    if not is_principal(name):
        raise InvalidRequest(f"`{legible(name)}` can be no principal: it has blanks, control characters or > 400 bytes")


def check_group(name: str) -> None:
    """As `check_principal`, of a group without its prefix."""
    if not is_principal(name) or not all(name.partition("/")):
        raise InvalidRequest(f"`{legible(name)}` can be no group: its name is ISSUER/GROUP, without blanks")


def legible(text: str) -> str:
    """The beginning of a name for a message, control characters escaped."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[:64])


def holder(principal: str) -> str:
    """Whom a grant names, as the user of a tuple: a principal, or with a leading `group:` the members of a group.

    Raises:
        InvalidRequest: the name is empty or too long.

    """
    if principal.startswith(GROUP_PREFIX):
        group = group_object(principal.removeprefix(GROUP_PREFIX))
        user = None if group is None else f"{group}#{MEMBER}"
    else:
        user = principal_user(principal)
    if user is None:
        raise InvalidRequest(f"a name needs 1 to {MAX_ENCODED} bytes when percent-encoded: got `{legible(principal)}`")
    return user


def holder_name(user: str) -> str:
    """The user of a grant's tuple as `holder` takes it."""
    type_, _, rest = user.partition(":")
    if type_ == GROUP:
        return GROUP_PREFIX + decoded(rest.removesuffix(f"#{MEMBER}"))
    return decoded(rest)
