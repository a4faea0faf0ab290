"""The interface over HTTP as an OpenAPI 3.1 document, made of the descriptors. Shown by `pages`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pool

from authz import __version__
from authz.codes import NUMBERS, http_status
from authz.http.answers import NO_CONTENT, success_of
from authz.http.openapi_rules import Schema, is_needed
from authz.http.openapi_schemas import Form, Schemas
from authz.http.openapi_words import SUMMARIES
from authz.http.routes import routes_of
from authz.rpc.metadata import CONSISTENCY, CONSISTENCY_TOKEN, MODEL_ID, REQUEST_ID, TRUNCATED
from authz.rpc.methods import SERVICE

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

    from authz.http.routes import Route
    from authz.rpc.exchange import Method

_JSON = "application/json"
_DIALECT = "https://spec.openapis.org/oas/3.1/dialect/base"
_MODE = r"^(minimize-latency|fully-consistent|(at-least-as-fresh|at-exact-snapshot)=.+)$"
_ONLY_HTTP = {408: ["deadline_exceeded"], 413: ["exceeded_entity_limit"], 431: ["resource_exhausted"]}
"""Refusals that gRPC puts otherwise: what did not arrive in time, and what is too large."""
_UNAUTHENTICATED, _TOO_MANY = 401, 429
_LINES = (
    "One JSON object a line: `result` with an answer each; `error` at the end of a list that could not be finished."
)

_ASKED: dict[str, Schema] = {
    CONSISTENCY: {"description": "How fresh the answer must be.", "schema": {"type": "string", "pattern": _MODE}},
    REQUEST_ID: {"description": "A name for the request, for logs and records.", "schema": {"type": "string"}},
}
_TOLD: dict[str, Schema] = {
    REQUEST_ID: {"description": "The name of the request: the caller's, or a new one.", "schema": {"type": "string"}},
    CONSISTENCY_TOKEN: {"description": "The revision of the answer, for later reads.", "schema": {"type": "string"}},
    MODEL_ID: {"description": "The model that answered.", "schema": {"type": "string"}},
    TRUNCATED: {"description": "Why a list was cut short.", "schema": {"enum": ["deadline", "max-results"]}},
    "retry-after": {"description": "After how many seconds to try again.", "schema": {"type": "integer", "minimum": 0}},
    "www-authenticate": {"description": "How to prove who calls.", "schema": {"type": "string"}},
}


def document(methods: Sequence[Method], url: str = "", *, proofs: Iterable[str] = ()) -> dict[str, Any]:
    """The document.

    Args:
        methods: the calls; those without a route are left out.
        url: where the service is reached; empty: where the document comes from.
        proofs: by which of `bearer` and `certificate` callers prove who they are; none while nobody must.

    """
    schemas = Schemas()
    proven = sorted(proofs)
    refused = _refused(is_authenticated=bool(proven))
    paths: dict[str, dict[str, Any]] = {}
    for method in methods:
        routes = list(routes_of([method]))
        taken = {segment.text for route in routes for segment in route.segments if segment.is_variable}
        for number, route in enumerate(routes):
            operation = _operation(route, number, schemas, taken)
            operation["responses"] |= {str(status): _ref("responses", _name(status)) for status in refused}
            paths.setdefault(route.template, {})[route.verb.lower()] = operation
    paths |= {"/healthz": {"get": _page("health")}, "/readyz": {"get": _page("ready")}}
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": _DIALECT,
        "info": {"title": "authz", "version": __version__, "summary": "Relationship-based authorization."},
        "servers": [{"url": url or "/"}],
        "security": [{name: []} for name in proven],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.found.items())),
            "parameters": {name: {"name": name, "in": "header", **each} for name, each in _ASKED.items()},
            "headers": _TOLD,
            "responses": {_name(status): _refusal(status, codes) for status, codes in refused.items()},
            "securitySchemes": {name: _SCHEMES[name] for name in proven},
        },
    }


_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of a trusted issuer, or a preshared key."},
    "certificate": {"type": "mutualTLS", "description": "A client certificate that is bound to somebody."},
}


def _operation(route: Route, number: int, schemas: Schemas, taken: set[str]) -> dict[str, Any]:
    method = route.method
    descriptor: Any = method.request.DESCRIPTOR
    in_path = [segment.text for segment in route.segments if segment.is_variable]
    parameters = [_parameter(descriptor.fields_by_name[name], "path", schemas) for name in in_path]
    if not route.has_body:
        others = [field for field in descriptor.fields if field.name not in in_path]
        parameters += [_parameter(field, "query", schemas) for field in others if _has_text(field)]
    parameters.append(_ref("parameters", REQUEST_ID))
    if {"consistency", "context"} & set(descriptor.fields_by_name):
        parameters.append(_ref("parameters", CONSISTENCY))
    operation: dict[str, Any] = {
        "operationId": method.name if number == 0 else f"{method.name}{number + 1}",
        "summary": SUMMARIES.get(method.name, method.name),
        "tags": [method.service],
        "parameters": parameters,
        "responses": {str(success_of(method)): _success(method, schemas)},
    }
    if route.has_body:
        body = schemas.body(descriptor, taken)
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": body}}}
    return operation


def _parameter(field: FieldDescriptor, place: str, schemas: Schemas) -> Schema:
    is_required = place == "path" or is_needed(field)
    found: Schema = {"name": field.json_name, "in": place, "schema": schemas.field(field, Form.ASKED)}
    return {**found, "required": True} if is_required else found


def _has_text(field: FieldDescriptor) -> bool:
    """Whether a query can hold it."""
    inner = field.message_type
    return inner is None or inner.full_name.endswith(("Value", ".Timestamp", ".Duration"))


def _success(method: Method, schemas: Schemas) -> dict[str, Any]:
    status = success_of(method)
    found: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "headers": {name: _ref("headers", name) for name in (REQUEST_ID, CONSISTENCY_TOKEN, MODEL_ID, TRUNCATED)},
    }
    if status == NO_CONTENT:
        return found
    service = descriptor_pool.Default().FindServiceByName(method.service)
    answer = service.FindMethodByName(method.name).output_type
    schema = schemas.refer(answer, Form.ANSWERED_WHOLE if method.service == SERVICE else Form.ANSWERED)
    if method.is_streaming:
        found["description"] = _LINES
        line = {"result": schema, "error": {"type": "object"}, TRUNCATED: {"type": "string"}}
        schema = {"type": "object", "properties": line, "minProperties": 1, "maxProperties": 1}
    return {**found, "content": {_JSON: {"schema": schema}}}


def _refused(*, is_authenticated: bool) -> dict[int, list[str]]:
    """The codes of refusals by their status."""
    found: dict[int, list[str]] = {}
    for code, number in NUMBERS.items():
        found.setdefault(http_status(number), []).append(code)
    if not is_authenticated:
        del found[_UNAUTHENTICATED]
    return dict(sorted((found | _ONLY_HTTP).items()))


def _refusal(status: int, codes: Sequence[str]) -> dict[str, Any]:
    told = [REQUEST_ID]
    if status == _TOO_MANY:
        told.append("retry-after")
    if status == _UNAUTHENTICATED:
        told.append("www-authenticate")
    schema = {
        "type": "object",
        "title": _name(status),
        "properties": {"code": {"type": "string", "enum": list(codes)}, "message": {"type": "string"}},
        "required": ["code", "message"],
    }
    return {
        "description": HTTPStatus(status).phrase,
        "headers": {name: _ref("headers", name) for name in told},
        "content": {_JSON: {"schema": schema}},
    }


_PAGES: dict[str, tuple[str, dict[str, Schema]]] = {
    "health": ("Whether the process takes calls.", {"status": {"enum": ["SERVING", "NOT_SERVING"]}}),
    "ready": (
        "Whether the process can answer now, and what is in its way.",
        {
            "ready": {"type": "boolean"},
            "checks": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    ),
}


def _page(name: str) -> dict[str, Any]:
    summary, members = _PAGES[name]
    schema = {"type": "object", "properties": members, "required": list(members)}
    answers = {
        status: {"description": HTTPStatus(int(status)).phrase, "content": {_JSON: {"schema": schema}}}
        for status in ("200", "503")
    }
    return {"operationId": name, "summary": summary, "tags": ["health"], "security": [], "responses": answers}


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "").replace("'", "")


def _ref(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}
