"""Who sends a request, by what was verified: claims of a token, or the certificate of a connection. Used by `rules`.

Nothing here decodes a token: claims are either those that Envoy's filter `jwt_authn` verified and put where no client
reaches, or the token itself is verified by the authenticator of this service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from authz.access.authentication import Authenticator, bearer
from authz.call import Authentication
from authz.errors import Forbidden, Unauthenticated
from authz.rpc.ext_authz.paths import PathTemplate, Segments, parse_segments
from authz.rpc.ext_authz.refusals import Refused, Unidentified
from authz.rpc.ext_authz.request import Asked

_JWT_FILTER = "envoy.filters.http.jwt_authn"
_URI = re.compile(r"([a-z][a-z0-9+.-]*)://(.+)")
_WRITTEN_URI = re.compile(r"[A-Za-z0-9+.-]+://[A-Za-z0-9._/-]+")
_WRITTEN_NAME = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


def claim(asked: Asked, payload: str, name: str) -> str:
    """A claim of the token that Envoy verified.

    Raises:
        Unidentified: there is no such token.
        Refused: it has no such claim, or one that is not text.

    """
    spaces = asked.attributes.metadata_context.filter_metadata
    # Asking a map of messages for what it lacks would put it there.
    claims = spaces[_JWT_FILTER].fields if _JWT_FILTER in spaces else {}
    if payload not in claims or claims[payload].WhichOneof("kind") != "struct_value":
        raise Unidentified("the request has no verified token")
    found = claims[payload].struct_value.fields
    if name not in found or found[name].WhichOneof("kind") != "string_value":
        raise Refused(f"the token has no text in the claim `{name}`")
    return found[name].string_value


class PeerPattern(NamedTuple):
    """What the identity in a certificate may look like; see `parse_peer`."""

    scheme: str
    """Of a URI; empty for a DNS name."""
    template: PathTemplate

    def match(self, identity: str) -> Mapping[str, str] | None:
        """The values of its variables, if the identity is one of these."""
        scheme, rest = "", identity
        if self.scheme:
            scheme, _, rest = identity.partition("://")
        if scheme != self.scheme or not (_WRITTEN_URI if scheme else _WRITTEN_NAME).fullmatch(identity):
            return None
        parts = tuple(rest.split("/" if scheme else "."))
        return self.template.match(Segments(parts, parts)) if all(parts) else None


def parse_peer(text: str) -> PeerPattern:
    """Read `spiffe://domain/ns/{ns}`, or a DNS name such as `{name}.example.com`.

    Raises:
        ValueError: it is neither.

    """
    uri = _URI.fullmatch(text)
    parts = uri[2].split("/") if uri else text.split(".")
    template = parse_segments(parts, text)
    if template.rest or template.parts[-1] == ("", False) or template.parts[0][1] == bool(uri):
        kind = "begins with a variable" if uri else "does not begin with a variable"
        raise ValueError(f"`{text}` {kind}, or is neither a URI nor a DNS name with one variable a part")
    if not uri and (len(template.parts) < 2 or len(template.names) != 1):
        raise ValueError(f"`{text}` is neither a URI nor a DNS name with one variable, its first label")
    return PeerPattern(uri[1] if uri else "", template)


def peer(asked: Asked, patterns: Sequence[PeerPattern]) -> Mapping[str, str]:
    """The parts of the identity in the certificate of the connection, by the first pattern that it matches.

    Raises:
        Refused: the gateway verified none, or it looks otherwise.

    """
    identity = asked.attributes.source.principal
    for pattern in patterns:
        found = pattern.match(identity)
        if found is not None:
            return found
    raise Refused("the request has no client certificate of an expected identity")


class TokenSubjects:
    """Verifies bearer tokens of requests; those of one issuer are accepted."""

    def __init__(self, authenticator: Authenticator, issuer: str) -> None:
        self._authenticator = authenticator
        self._prefix = f"{issuer}/"

    async def subject(self, asked: Asked) -> str:
        """The subject of a request's token, without the name of its issuer.

        Raises:
            Unidentified: there is no token, or it proves nobody, or somebody of another issuer.
            Refused: its subject is suspended.
            Unavailable: the issuer's keys, or revocations, are not known now.

        """
        who = self._authenticator
        given = asked.headers.get("authorization")
        certificate = unquote_to_bytes(asked.attributes.source.certificate) or None
        try:
            token = bearer([("authorization", given)] if given is not None else [])
            if not token:
                raise Unidentified("the request has no bearer token")
            principal = who.known(token, certificate) or await who.verify(token, certificate)
        except Unauthenticated as error:
            raise Unidentified(error.message) from None
        except Forbidden as error:
            raise Refused(error.message) from None
        if principal.authentication is not Authentication.TOKEN or not principal.id.startswith(self._prefix):
            raise Unidentified("the token is not from the expected issuer")
        return principal.id.removeprefix(self._prefix)
