"""Answer a gateway: from what it tells of a request to a check, and back. The handler of the method in `building`.

INVARIANT: a request passes only by a rule that lets everybody pass, or by a check that was allowed. Whatever else
happens, an unforeseen error too, is answered with a denial: nothing depends on what Envoy does without an answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from authz.commands.check import CheckQuery
from authz.commands.check import check as decide
from authz.errors import AuthzError, Bug, DeadlineExceeded
from authz.rpc.deadline import Alarm
from authz.rpc.ext_authz.answers import OVERRIDES, TOLD, Passes, denied
from authz.rpc.ext_authz.refusals import Refused
from authz.rpc.ext_authz.request import headers_of, is_grpc, read_request
from authz.rpc.ext_authz.rules import TOKEN_SUBJECT, Filled, RuleBook
from authz.rpc.metadata import REQUEST_ID, consistency_of, request_id
from authz.rpc.refusal_lines import RefusalLines
from authz.tuples import TupleKey

if TYPE_CHECKING:
    from authz._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
    from authz.commands.services import Services
    from authz.rpc.exchange import Exchange
    from authz.rpc.ext_authz.identity import TokenSubjects
    from authz.settings.ext_authz import ExtAuthzSettings

_SHARE = 0.9
"""Of the time that the gateway waits; in the rest it must hear that there is no answer."""
_FAILED = "the request cannot be authorized now"
_DENIED = "access denied"

_log = structlog.get_logger(__name__)


class Gateway:
    """Answers by the configured rules. `tokens` verifies tokens of requests, if rules need that."""

    def __init__(self, settings: ExtAuthzSettings, rules: RuleBook, tokens: TokenSubjects | None) -> None:
        self._model_id = settings.model or ""
        self._rules = rules
        self._tokens = tokens
        self._passes = Passes(is_telling=settings.upstream_headers)
        self._failed = (503, "unavailable") if settings.on_failure == "unavailable" else (403, "forbidden")
        self._reserved = frozenset({*TOLD, *OVERRIDES}) | rules.headers
        self._lines = RefusalLines()

    async def check(self, services: Services, exchange: Exchange, request: CheckRequest) -> CheckResponse:
        """Whether a request may be forwarded."""
        if not exchange.header(REQUEST_ID):
            # Its own id, by which others know it, rather than one for our part of it.
            exchange.call.request_id = request_id(headers_of(request.attributes.request.http).get(REQUEST_ID) or "")
        alarm = Alarm(exchange, exchange.seconds * _SHARE)
        try:
            return await self._answer(services, exchange, request)
        except Refused as refusal:
            exchange.decisions = (False,)
            return denied(refusal.status, refusal.code, refusal.message, is_grpc=is_grpc(request))
        except asyncio.CancelledError:
            if not alarm.explains():
                raise
            return self._undecided(exchange, request, DeadlineExceeded("no answer in time"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the request must not pass
            return self._undecided(exchange, request, error)
        finally:
            alarm.stop()

    def _undecided(self, exchange: Exchange, request: CheckRequest, error: Exception) -> CheckResponse:
        exchange.decisions = (None,)
        if not isinstance(error, AuthzError) or isinstance(error, Bug):
            _log.error("internal error", request_id=exchange.call.request_id, grpc_method="Check", exc_info=error)
        elif self._lines.has_line():  # which anybody could cause who may send requests
            told = {"request_id": exchange.call.request_id, "reason": error.reason, "message": error.message}
            _log.warning("ext_authz_undecided", **told)
        return denied(*self._failed, _FAILED, is_grpc=is_grpc(request))

    async def _answer(self, services: Services, exchange: Exchange, request: CheckRequest) -> CheckResponse:
        asked = read_request(request, self._reserved)
        question, variables = self._rules.find(asked)
        if question is None:
            exchange.decisions = (True,)
            return self._passes.public()
        subject = (
            await self._tokens.subject(asked) if self._tokens is not None and TOKEN_SUBJECT in question.places else ""
        )
        filled = self._rules.fill(question, asked, variables, subject)
        exchange.keys = (TupleKey(filled.object, filled.relation, filled.user),)
        if not await self._is_allowed(services, exchange, filled):
            raise Refused(_DENIED)
        return self._passes.allowed(filled.user, filled.relation, filled.object)

    async def _is_allowed(self, services: Services, exchange: Exchange, filled: Filled) -> bool:
        query = CheckQuery(
            store_id=exchange.store_id,
            model_id=self._model_id,
            object=filled.object,
            relation=filled.relation,
            user=filled.user,
            context=filled.context,
            consistency=consistency_of(exchange, 0),
        )
        found = await decide(services, exchange.call, query)
        exchange.model_id, exchange.revision, exchange.decisions = found.model_id, found.revision, (found.allowed,)
        return found.allowed
