"""One call as a value: its request, what may be repeated, and how its answer is read. Run by `sync` and `aio` alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from google.protobuf.struct_pb2 import Struct

from authz._proto.openfga.v1 import openfga_pb2 as pb
from authz.client.errors import InvalidRequest, MalformedAnswer
from authz.client.retries import Repeat
from authz.client.values import Condition, JsonValue, Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from google.protobuf.message import Message

    from authz.client.carried import Carried
    from authz.client.consistency import Consistency

CONSISTENCY = "authz-consistency"
TOKEN = "authz-consistency-token"  # noqa: S105 - the name of a header
MODEL_ID = "openfga-authorization-model-id"
TRUNCATED = "authz-truncated"
_FULL = "fully-consistent"
_MAX_DEPTH = 30

Metadata = Mapping[str, str]
T = TypeVar("T")


class Kind(Enum):
    """What a call has to do with consistency tokens."""

    QUESTION = "question"
    """Takes a consistency, and answers with a token."""
    WRITE = "write"
    """Answers with a token, which later questions need."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call of the method of that name. `read` makes the answer out of the message and its metadata."""

    method: str
    request: Message
    read: Callable[[Any, Metadata], T]
    kind: Kind = Kind.OTHER
    repeat: Repeat = Repeat.ALWAYS
    is_change: bool = False


class Placed(Generic[T]):
    """A call with its place among the calls of a store: what it must see, and what it leaves for later ones."""

    __slots__ = ("_began", "_carried", "call", "consistency")

    def __init__(self, call: Call[T], carried: Carried, consistency: Consistency | None) -> None:
        self.call = call
        self._carried = carried
        self._began = carried.begin()
        is_question = call.kind is Kind.QUESTION
        chosen = consistency or carried.needed() if is_question else None
        self.consistency = chosen.header if chosen else ""

    @property
    def has_token(self) -> bool:
        """Whether the call names a consistency token."""
        return "=" in self.consistency

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What travels beside the request."""
        return ((CONSISTENCY, self.consistency),) if self.consistency else ()

    def told(self, metadata: Metadata, *, may_be_lost: bool = False) -> None:
        """The answer has begun: keep its token.

        `may_be_lost`: the asynchronous half of gRPC forgets what came before the messages of a stream that ends at
        once.

        Raises:
            MalformedAnswer: a token was named, and the service does not say at what revision it answers.

        """
        token = metadata.get(TOKEN, "")
        if self.has_token and not token and not may_be_lost:
            raise MalformedAnswer("the service does not say how fresh its answer is: it knows no consistency tokens")
        if self.call.kind is Kind.WRITE:
            self._carried.wrote(token, self._began)
        elif self.consistency == _FULL:
            self._carried.looked(token, self._began)

    def answer(self, message: Any, metadata: Metadata) -> T:
        """The answer to a call that has one message.

        Raises:
            MalformedAnswer: it is none.

        """
        self.told(metadata)
        return self.part(message, metadata)

    def part(self, message: Any, metadata: Metadata) -> T:
        """One message of an answer.

        Raises:
            MalformedAnswer: it cannot be read. The asynchronous half of gRPC hands over None then.

        """
        if message is None:
            raise MalformedAnswer("the answer cannot be read")
        return self.call.read(message, metadata)


def tuple_key(given: Tuple) -> pb.TupleKey:
    """A tuple as a message."""
    key = pb.TupleKey(user=given.user, relation=given.relation, object=given.object)
    if given.condition is not None:
        key.condition.name = given.condition.name
        key.condition.context.CopyFrom(struct(given.condition.context))
    return key


def contextual(tuples: Iterable[Tuple]) -> pb.ContextualTupleKeys | None:
    """Contextual tuples as a message; None when there are none."""
    keys = [tuple_key(each) for each in tuples]
    return pb.ContextualTupleKeys(tuple_keys=keys) if keys else None


def tuple_of(key: pb.TupleKey) -> Tuple:
    """A tuple of the service as a value."""
    condition = None
    if key.HasField("condition") and key.condition.name:
        condition = Condition(key.condition.name, _plain_struct(key.condition.context))
    return Tuple(key.user, key.relation, key.object, condition)


def struct(context: Mapping[str, JsonValue]) -> Struct:
    """A context as a message.

    Raises:
        InvalidRequest: it holds something else than JSON, or numbers that are not finite.

    """
    _check(context, 0)
    made = Struct()
    made.update(context)
    return made


def _check(value: object, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise InvalidRequest(f"the context is nested deeper than {_MAX_DEPTH} levels")
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int | float):
        if not _is_double(value):
            raise InvalidRequest("the context holds a number that is not a finite double")
    elif isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise InvalidRequest("the context holds a key that is not text")
        for member in value.values():
            _check(member, depth + 1)
    elif isinstance(value, list | tuple):
        for member in value:
            _check(member, depth + 1)
    else:
        raise InvalidRequest(f"the context holds a value that JSON does not know: {type(value).__name__}")


def _is_double(number: float) -> bool:
    try:
        return isfinite(float(number))
    except OverflowError:
        return False


def _plain_struct(given: Struct) -> dict[str, JsonValue]:
    return {key: _plain(value) for key, value in given.fields.items()}


def _plain(value: Any) -> JsonValue:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain_struct(value.struct_value)
    if kind == "list_value":
        return [_plain(member) for member in value.list_value.values]
    if kind == "number_value":
        number: float = value.number_value
        return int(number) if number.is_integer() and abs(number) <= 2**53 else number
    return None if kind in (None, "null_value") else getattr(value, kind)
