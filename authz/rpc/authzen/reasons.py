"""What an answer says beside its decision: errors, and reasons when they are asked for. Used by the handlers.

The members are those of the examples in AuthZEN 1.0, sections 5.5.2 and 7.2.1: `error` with a status of HTTP, and
`reason_admin` and `reason_user` with such a status as their key. `code` and `metadata` are this service's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from authz.errors import ConditionFailed, InvalidRequest, RelationNotFound, TypeNotFound

if TYPE_CHECKING:
    from authz.commands.accesses import Access
    from authz.commands.series import Result
    from authz.tuples import JsonValue

_BAD_REQUEST, _NOT_FOUND, _ALLOWED, _DENIED = 400, 404, 200, 403
_CONDITION = "condition_failed"
_FOR_USERS = {True: "access is allowed", False: "access is denied"}


class Source(NamedTuple):
    """What a decision rests on."""

    model_id: str
    consistency_token: str


def error_context(error: InvalidRequest) -> dict[str, JsonValue]:
    """Why an evaluation could not be decided."""
    return {"error": {"status": _status(error), "code": _code(error), "message": error.message}}


def reason_context(result: Result, access: Access | InvalidRequest, source: Source) -> dict[str, JsonValue]:
    """Why the decision is what it is: in one sentence for those who administer, and in one for everybody."""
    is_allowed = result is True
    status = str(_ALLOWED if is_allowed else _DENIED)
    code, message = _why(result, access)
    return {
        "code": code,
        "reason_admin": {status: message},
        "reason_user": {status: _FOR_USERS[is_allowed]},
        "metadata": {
            "authorization_model_id": source.model_id,
            "consistency_token": source.consistency_token,
        },
    }


def _why(result: Result, access: Access | InvalidRequest) -> tuple[str, str]:
    if isinstance(result, InvalidRequest):
        return _code(result), result.message
    if isinstance(access, InvalidRequest):
        return _code(access), access.message
    user = f"{access.subject.type}:{access.subject.id}"
    object_ = f"{access.resource.type}:{access.resource.id}"
    if result:
        return "allowed", f"`{user}` has the relation `{access.action.name}` to `{object_}`"
    return "denied", f"`{user}` does not have the relation `{access.action.name}` to `{object_}`"


def _code(error: InvalidRequest) -> str:
    return _CONDITION if isinstance(error, ConditionFailed) else error.reason


def _status(error: InvalidRequest) -> int:
    return _NOT_FOUND if isinstance(error, TypeNotFound | RelationNotFound) else _BAD_REQUEST
