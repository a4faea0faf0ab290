"""Make the method that gateways call, from the settings. Called by `app` at the start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from authz._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from authz.call import Scope
from authz.rpc.exchange import Method
from authz.rpc.ext_authz.gateway import Gateway
from authz.rpc.ext_authz.identity import TokenSubjects
from authz.rpc.ext_authz.rules import RuleBook
from authz.settings.types import InvalidSettings

if TYPE_CHECKING:
    from authz.rpc.edge import Guard
    from authz.settings import Settings
    from authz.settings.ext_authz import ExtAuthzSettings

_SERVICE, _NAME = "envoy.service.auth.v3.Authorization", "Check"


def check_gateway(settings: Settings) -> None:
    """Refuse settings that gateways could not be answered by, before anything is opened.

    Raises:
        InvalidSettings: saying why.

    """
    chosen = settings.ext_authz
    if chosen.store is None:
        return
    if chosen.token_issuer is not None and chosen.token_issuer not in {each.name for each in settings.access.issuers}:
        raise InvalidSettings(f"setting `ext_authz.token_issuer`: `access.issuers` names no `{chosen.token_issuer}`")
    RuleBook(chosen)


def gateway_methods(settings: ExtAuthzSettings, guard: Guard | None) -> Sequence[Method]:
    """The methods that gateways call: none unless a store is configured.

    Args:
        settings: which `check_gateway` has found good.
        guard: what verifies tokens, here those of requests; None while nobody is asked yet.

    """
    if settings.store is None:
        return ()
    tokens = None
    if guard is not None and settings.token_issuer is not None:
        tokens = TokenSubjects(guard.authenticator, settings.token_issuer)
    gateway = Gateway(settings, RuleBook(settings), tokens)
    seconds = settings.timeout
    method = Method(
        _SERVICE,
        _NAME,
        CheckRequest,
        gateway.check,
        Scope.CHECK,
        is_frequent=True,
        timeout=lambda limits: min(seconds, limits.request_timeout),
        store=settings.store,
        recorded=_without_credentials,
    )
    return (method,)


def _without_credentials(request: Message) -> Message:
    """What may be recorded of a request: not its headers, its body and its query, where credentials are."""
    assert isinstance(request, CheckRequest)
    shown = CheckRequest()
    shown.CopyFrom(request)
    http = shown.attributes.request.http
    for name in ("headers", "header_map", "body", "raw_body", "query", "fragment"):
        http.ClearField(name)
    http.path = http.path.partition("?")[0]
    return shown
