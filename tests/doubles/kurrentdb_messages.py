"""The messages of KurrentDB's v1 protocol, as a server makes and reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tests.doubles.kurrentdb_log import Expected, Proposed, Record, State, Written, WrongVersion
from tests.doubles.kurrentdb_protos import shared_pb2, status_pb2, streams_pb2

ReadResp = streams_pb2.ReadResp
BatchAppendResp = streams_pb2.BatchAppendResp
# google.rpc.Code, as the server gives it to what it refuses inside an answer.
OK, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED = 0, 3, 4, 5, 6, 7
Wanted = Callable[[Record], bool]


def name(identifier: shared_pb2.StreamIdentifier) -> str:
    return identifier.stream_name.decode()


def proposed(message: Any) -> Proposed:
    metadata = message.metadata
    return Proposed(
        UUID(message.id.string), metadata["type"], metadata["content-type"], message.data, message.custom_metadata
    )


def expected(options: Any, which: str, revision: str) -> Expected:
    match options.WhichOneof(which):
        case "no_stream":
            return State.NO_STREAM
        case "any":
            return State.ANY
        case "stream_exists":
            return State.EXISTS
        case name if name == revision:
            return int(getattr(options, revision))
    raise ValueError("no expected revision")


def refused(code: int, message: str, detail: Message) -> streams_pb2.BatchAppendResp:
    packed = AnyMessage()
    if isinstance(detail, AnyMessage):
        packed = detail
    else:
        packed.Pack(detail)
    return streams_pb2.BatchAppendResp(error=status_pb2.Status(code=code, message=message, details=packed))  # type: ignore[arg-type]


def wanted_by(options: Any) -> Wanted:
    """Streams of epochs are never shown; the others as the client's expression says."""
    if options.WhichOneof("filter_option") != "filter":
        return lambda record: record.stream != "$epoch-information"
    which = options.filter.WhichOneof("filter")
    expression = getattr(options.filter, which)

    def text(record: Record) -> str:
        return record.proposed.type if which == "event_type" else record.stream

    if expression.regex:
        pattern = re.compile(expression.regex)
        return lambda record: pattern.search(text(record)) is not None
    prefixes = tuple(expression.prefix)
    return lambda record: text(record).startswith(prefixes)


def event(record: Record) -> ReadResp:
    proposed = record.proposed
    recorded = ReadResp.ReadEvent.RecordedEvent(
        id=shared_pb2.UUID(string=str(proposed.id)),
        stream_identifier=shared_pb2.StreamIdentifier(stream_name=record.stream.encode()),
        stream_revision=record.revision,
        prepare_position=record.position,
        commit_position=record.position,
        metadata={"type": proposed.type, "created": str(record.created), "content-type": proposed.content_type},
        custom_metadata=proposed.metadata,
        data=proposed.data,
    )
    return ReadResp(event=ReadResp.ReadEvent(event=recorded, commit_position=record.position))


def not_found(identifier: shared_pb2.StreamIdentifier) -> ReadResp:
    return ReadResp(stream_not_found=ReadResp.StreamNotFound(stream_identifier=identifier))


def confirmation(id_: UUID) -> ReadResp:
    return ReadResp(confirmation=ReadResp.SubscriptionConfirmation(subscription_id=str(id_)))


def checkpoint(position: int) -> ReadResp:
    checkpoint = ReadResp.Checkpoint(commit_position=position, prepare_position=position, timestamp=now())
    return ReadResp(checkpoint=checkpoint)


def caught_up(position: int | None) -> ReadResp:
    caught_up = ReadResp.CaughtUp(timestamp=now())
    if position is not None:
        caught_up.position.CopyFrom(ReadResp.Position(commit_position=position, prepare_position=position))
    return ReadResp(caught_up=caught_up)


def now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    return now


def batch_written(written: Written, *, with_position: bool) -> BatchAppendResp:
    success = BatchAppendResp.Success(current_revision=written.revision)
    if with_position:
        position = shared_pb2.AllStreamPosition(commit_position=written.position, prepare_position=written.position)
        success.position.CopyFrom(position)
    else:
        success.no_position.CopyFrom(Empty())
    return BatchAppendResp(success=success)


def batch_wrong(wrong: WrongVersion, expected: Expected) -> Message:
    answer = shared_pb2.WrongExpectedVersion()
    if wrong.current is None:
        answer.current_no_stream.CopyFrom(Empty())
    else:
        answer.current_stream_revision = wrong.current
    match expected:
        case State.ANY:
            answer.expected_any.CopyFrom(Empty())
        case State.NO_STREAM:
            answer.expected_no_stream.CopyFrom(Empty())
        case State.EXISTS:
            answer.expected_stream_exists.CopyFrom(Empty())
        case _:
            answer.expected_stream_position = expected
    return answer
