"""Settings of the gateways that ask before they forward a request: Envoy's external authorization. A section of `tree`.

What stands in the templates of a rule is checked by `authz.rpc.ext_authz`, which reads them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from authz.settings.types import Name, Seconds, Section

Verb = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_-]{0,31}$")]
HeaderName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Host = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?$")]
Template = Annotated[str, Field(min_length=1, max_length=1024)]
Relation = Annotated[str, Field(pattern=r"^[^:#@\s]{1,50}$")]
Ulid = Annotated[str, Field(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]


class GatewayRule(Section):
    """A table `[[ext_authz.rules]]`: which requests it is about, and what must hold for them. The first rule that
    matches a request decides; a request that none matches is denied."""

    methods: tuple[Verb, ...] = ()
    """Of which methods: `["GET", "HEAD"]`. Needed beside `path`; calls of gRPC need none."""
    path: Template | None = None
    """Which paths: `/documents/{id}`. `{name}` stands for one segment, `{name=**}` at the end for one or more."""
    grpc: Template | None = None
    """Which calls of gRPC, instead of `methods` and `path`: `documents.v1.Documents/Get`, or `…/{call}` for all."""
    hosts: tuple[Host, ...] = ()
    """Of which hosts, without ports; `*.example.com` stands for every name below. Any host if none are given."""
    relation: Relation | None = None
    """Which relation the user must have on the object."""
    object: Template | None = None
    """The object: `document:{id}`."""
    user: Template | None = None
    """The user: `user:{jwt.sub}`, `user:{token.subject}`, `service:{peer.name}`, `user:{header.x-user}`."""
    context: dict[Name, Template] = Field(default_factory=dict)
    """What conditions are evaluated with: `user_ip = "{source.address}"`. Texts only."""
    allow: bool = False
    """Let these requests pass, whoever makes them: for public paths, instead of `relation`, `object` and `user`."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.path is None) == (self.grpc is None):
            raise ValueError("name `path` or `grpc`")
        if (self.path is None) == bool(self.methods):
            raise ValueError("`methods` belong to `path`, and a path needs them")
        asked = (self.relation, self.object, self.user)
        if self.allow and (any(asked) or self.context):
            raise ValueError("`allow` lets everybody pass: leave out `relation`, `object`, `user` and `context`")
        if not self.allow and not all(asked):
            raise ValueError("name `relation`, `object` and `user`, or say `allow = true` for a public path")
        return self


class ExtAuthzSettings(Section):
    """The table `[ext_authz]`: Envoy's external authorization, served over gRPC beside the API once `store` is named.
    The gateway is a caller like others: it needs the right to check in the store, and its rates and behaviour are those
    of all its clients together."""

    store: Ulid | None = None
    """The id of the store that is asked."""
    model: Ulid | None = None
    """The id of the authorization model; the newest if none is given."""
    rules: tuple[GatewayRule, ...] = ()
    """What requests must fulfil, in this order."""
    on_failure: Literal["unavailable", "deny"] = "unavailable"
    """What a request is told when it cannot be decided: 503, or 403 like one that is denied. It never passes."""
    timeout: Seconds = 1.0
    """How many seconds an answer may take, unless the gateway waits for less."""
    jwt_payload: str = "jwt_payload"
    """Under which name Envoy's filter `jwt_authn` puts the claims that it verified: its `payload_in_metadata`."""
    token_issuer: Name | None = None
    """The issuer of `access` whose bearer tokens are verified here, for `{token.subject}`."""
    peers: tuple[Template, ...] = ()
    """What the identity in a client's certificate, as the gateway verified it, looks like, for `{peer.NAME}`:
    `spiffe://cluster.local/ns/{ns}/sa/{name}`, or a DNS name such as `{name}.clients.example.com`."""
    trusted_headers: tuple[HeaderName, ...] = ()
    """Headers that may name the user, for `{header.NAME}` in `user`. Only those that the gateway sets itself and takes
    from no client: whoever can send one is whom it names."""
    upstream_headers: bool = True
    """Tell what was decided to whom the request is forwarded, in `x-authz-decision`, `x-authz-user`, `x-authz-relation`
    and `x-authz-object`. Whether told or not, no client's own copy of them gets through."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.store is None and self.rules:
            raise ValueError("name the `store` that is asked")
        if self.store is not None and not self.rules:
            raise ValueError("name `rules`, without which everything would be denied")
        return self
