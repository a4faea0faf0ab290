"""The one exception tree of the service. Raised anywhere below the edge; `rpc` and `http` turn it into status codes.

AuthzError                         reason (the OpenFGA code name), kind (which family of status it belongs to)
├── InvalidRequest                 validation_error; the caller must change the request
│   ├── InvalidTuple               invalid_tuple: a contextual tuple that is malformed or not allowed by the model
│   ├── InvalidWrite               write_failed_due_to_invalid_input: the tuple exists already, or is missing
│   ├── EmptyWrite                 invalid_write_input: neither writes nor deletes
│   ├── DuplicateTuple             cannot_allow_duplicate_tuples_in_one_request
│   ├── InvalidContinuationToken   invalid_continuation_token
│   ├── ContinuationTokenMismatch  query_string_type_continuation_token_mismatch
│   ├── InvalidConsistencyToken    validation_error: damaged, foreign or no longer readable token
│   ├── InvalidPageSize            page_size_invalid
│   ├── InvalidExpand              invalid_expand_input
│   ├── ModelNotFound              authorization_model_not_found
│   ├── LatestModelNotFound        latest_authorization_model_not_found
│   ├── TypeNotFound               type_not_found
│   ├── RelationNotFound           relation_not_found
│   ├── EntityLimitExceeded        exceeded_entity_limit
│   ├── InvalidModel               invalid_authorization_model
│   ├── ConditionFailed            validation_error: the outcome depends on a condition that has no value
│   ├── TooComplex                 authorization_model_resolution_too_complex: the budget of reads or steps is spent
│   ├── InvalidStartTime           invalid_start_time
│   └── Cancelled                  cancelled: the caller went away
├── StoreNotFound                  store_id_not_found
├── Unauthenticated                unauthenticated: a wrong preshared key, or a client certificate that names nobody
│   ├── MissingBearerToken         bearer_token_missing
│   ├── InvalidBearerToken         auth_failed_invalid_bearer_token: malformed, badly signed, expired, revoked, unbound
│   ├── InvalidAudience            auth_failed_invalid_audience
│   ├── InvalidIssuer              auth_failed_invalid_issuer
│   ├── InvalidSubject             auth_failed_invalid_subject
│   └── InvalidClaims              invalid_claims: claims that are missing or of the wrong type
├── Forbidden                      forbidden
├── WriteConflict                  Aborted: another transaction won
├── Throttled                      throttled_timeout_error
├── RateLimited                    resource_exhausted: too much in too little time; says when to come again
├── DeadlineExceeded               deadline_exceeded
├── Unavailable                    unavailable: the datastore or the server cannot answer now
├── DatastoreBehind                failed_precondition: migrations are missing
└── Bug                            internal_error: a broken invariant; raises in tests, INTERNAL in production
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """Family of an error; each edge maps it to its own status."""

    INVALID = "invalid"
    NOT_FOUND = "not_found"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    ABORTED = "aborted"
    EXHAUSTED = "exhausted"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    UNAVAILABLE = "unavailable"
    PRECONDITION = "precondition"
    INTERNAL = "internal"


class AuthzError(Exception):
    """An error with a stable reason; its message may be shown to the caller."""

    reason: ClassVar[str] = "internal_error"
    kind: ClassVar[Kind] = Kind.INTERNAL

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequest(AuthzError):
    """The request cannot be answered as it is."""

    reason = "validation_error"
    kind = Kind.INVALID


class InvalidTuple(InvalidRequest):
    """A contextual tuple is malformed or not allowed by the model."""

    reason = "invalid_tuple"


class InvalidWrite(InvalidRequest):
    """A tuple to write exists already, or a tuple to delete is missing."""

    reason = "write_failed_due_to_invalid_input"


class EmptyWrite(InvalidRequest):
    """A write names no tuple."""

    reason = "invalid_write_input"


class DuplicateTuple(InvalidRequest):
    """One write names the same tuple twice."""

    reason = "cannot_allow_duplicate_tuples_in_one_request"


class InvalidContinuationToken(InvalidRequest):
    """A continuation token that this service did not make."""

    reason = "invalid_continuation_token"


class ContinuationTokenMismatch(InvalidRequest):
    """A continuation token made for another object type."""

    reason = "query_string_type_continuation_token_mismatch"


class InvalidConsistencyToken(InvalidRequest):
    """A consistency token that is damaged, foreign, ahead of the store, or older than the history that is kept."""


class InvalidPageSize(InvalidRequest):
    """A page size that is out of range."""

    reason = "page_size_invalid"


class InvalidExpand(InvalidRequest):
    """Expand needs an object and a relation."""

    reason = "invalid_expand_input"


class ModelNotFound(InvalidRequest):
    """No authorization model has the given id."""

    reason = "authorization_model_not_found"


class LatestModelNotFound(InvalidRequest):
    """The store has no authorization model yet."""

    reason = "latest_authorization_model_not_found"


class TypeNotFound(InvalidRequest):
    """The model does not define the type."""

    reason = "type_not_found"


class RelationNotFound(InvalidRequest):
    """The type does not define the relation."""

    reason = "relation_not_found"


class EntityLimitExceeded(InvalidRequest):
    """Too many tuples, types or bytes in one request."""

    reason = "exceeded_entity_limit"


class InvalidModel(InvalidRequest):
    """The authorization model breaks a rule of the modelling language."""

    reason = "invalid_authorization_model"


class ConditionFailed(InvalidRequest):
    """The answer depends on a condition whose parameters are missing or whose evaluation failed."""


class TooComplex(InvalidRequest):
    """The question needs more steps or reads than its budget allows."""

    reason = "authorization_model_resolution_too_complex"


class InvalidStartTime(InvalidRequest):
    """A start time that lies in the future."""

    reason = "invalid_start_time"


class Cancelled(InvalidRequest):
    """The caller cancelled the call."""

    reason = "cancelled"
    kind = Kind.CANCELLED


class StoreNotFound(AuthzError):
    """No store has the given id."""

    reason = "store_id_not_found"
    kind = Kind.NOT_FOUND


class Unauthenticated(AuthzError):
    """The caller is not who it must be."""

    reason = "unauthenticated"
    kind = Kind.UNAUTHENTICATED


class MissingBearerToken(Unauthenticated):
    """The call carries no token, key or client certificate."""

    reason = "bearer_token_missing"


class InvalidBearerToken(Unauthenticated):
    """A token that is malformed, badly signed, out of its time, revoked, or bound to another certificate."""

    reason = "auth_failed_invalid_bearer_token"


class InvalidAudience(Unauthenticated):
    """A token that is meant for another service."""

    reason = "auth_failed_invalid_audience"


class InvalidIssuer(Unauthenticated):
    """A token of an issuer that is not configured."""

    reason = "auth_failed_invalid_issuer"


class InvalidSubject(Unauthenticated):
    """A token without a usable subject."""

    reason = "auth_failed_invalid_subject"


class InvalidClaims(Unauthenticated):
    """A token that lacks a claim, or has one of the wrong type."""

    reason = "invalid_claims"


class Forbidden(AuthzError):
    """The principal may not make this call."""

    reason = "forbidden"
    kind = Kind.FORBIDDEN


class WriteConflict(AuthzError):
    """Another transaction changed the same tuples first; the caller may try again."""

    reason = "Aborted"
    kind = Kind.ABORTED


class Throttled(AuthzError):
    """The call was held back by a limit and ran out of time."""

    reason = "throttled_timeout_error"
    kind = Kind.EXHAUSTED


class RateLimited(AuthzError):
    """The caller asks for too much in too little time. `retry_after` is in seconds."""

    reason = "resource_exhausted"
    kind = Kind.EXHAUSTED

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineExceeded(AuthzError):
    """The deadline of the call has passed."""

    reason = "deadline_exceeded"
    kind = Kind.DEADLINE


class Unavailable(AuthzError):
    """The datastore or the server cannot answer now; the caller may try again."""

    reason = "unavailable"
    kind = Kind.UNAVAILABLE


class DatastoreBehind(AuthzError):
    """The datastore misses migrations (or has newer ones than this program knows)."""

    reason = "failed_precondition"
    kind = Kind.PRECONDITION


class Bug(AuthzError):
    """A broken invariant of our own."""
