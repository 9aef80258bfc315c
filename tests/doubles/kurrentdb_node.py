"""One node of a KurrentDB over gRPC: the v1 protocol as kurrentdbclient speaks it, over a log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID, uuid4

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty

from tests.doubles import kurrentdb_messages as messages
from tests.doubles.kurrentdb_faults import CHECKPOINTS
from tests.doubles.kurrentdb_log import Deleted, Expected, Proposed, Record, State, Written, WrongVersion
from tests.doubles.kurrentdb_protos import gossip_pb2, gossip_pb2_grpc, shared_pb2, streams_pb2, streams_pb2_grpc

if TYPE_CHECKING:
    from tests.doubles.kurrentdb import Double

Context = grpc.aio.ServicerContext[Any, Any]
NUMBERS = {State.ANY: -2, State.NO_STREAM: -1, State.EXISTS: -4}
# What a client may read in one message is 17 MB; a server takes more than its own limit, so that it can refuse it by name.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    # Kestrel does not mind pings; gRPC's own server calls more than one in five minutes an attack.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 100),
    ("grpc.http2.max_ping_strikes", 0),
)


class Node:
    def __init__(self, double: Double, number: int, host: str) -> None:
        self.double = double
        self.number = number
        self.host = host
        self.port = 0
        self.hidden_after: int | None = None
        """A node that is cut off from the others shows nothing behind this position."""
        self.subscriptions = 0
        self._server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def start(self, port: int = 0) -> None:
        server = grpc.aio.server(options=OPTIONS)
        streams_pb2_grpc.add_StreamsServicer_to_server(_Streams(self), server)  # type: ignore[no-untyped-call]
        gossip_pb2_grpc.add_GossipServicer_to_server(_Gossip(self.double), server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port(f"{self.host}:{port or self.port}")
        if port == 0:
            raise OSError(f"cannot listen on {self.address}")
        self.port = port
        await server.start()
        self._server = server

    async def stop(self) -> None:
        if self._server:
            server, self._server = self._server, None
            await server.stop(None)

    def records(self) -> Sequence[Record]:
        records = self.double.log.records
        return records if self.hidden_after is None else records[: self.double.log.index_after(self.hidden_after)]

    async def admit(self, context: Context) -> None:
        faults = self.double.faults
        await faults.open.wait()
        if faults.denied:
            await _abort(context, grpc.StatusCode.PERMISSION_DENIED, "Access Denied", exception="access-denied")
        metadata: dict[str, Any] = dict(context.invocation_metadata() or ())
        if metadata.get("requires-leader") == "true" and self.double.leader is not self and self.hidden_after is None:
            leader = self.double.leader
            await _abort(
                context,
                grpc.StatusCode.NOT_FOUND,
                "Leader info available",
                exception="not-leader",
                **{"leader-endpoint-host": leader.host, "leader-endpoint-port": str(leader.port)},
            )


class _Gossip(gossip_pb2_grpc.GossipServicer):
    def __init__(self, double: Double) -> None:
        self._double = double

    async def Read(self, request: shared_pb2.Empty, context: Context) -> gossip_pb2.ClusterInfo:  # noqa: N802
        await self._double.faults.open.wait()
        states = gossip_pb2.MemberInfo.VNodeState
        return gossip_pb2.ClusterInfo(
            members=[
                gossip_pb2.MemberInfo(
                    instance_id=shared_pb2.UUID(string=str(UUID(int=node.number))),
                    state=states.Leader if node is self._double.leader else states.Follower,
                    is_alive=True,
                    http_end_point=gossip_pb2.EndPoint(address=node.host, port=node.port),
                )
                for node in self._double.nodes
            ]
        )


class _Streams(streams_pb2_grpc.StreamsServicer):
    def __init__(self, node: Node) -> None:
        self._node = node
        self._double = node.double
        self._log = node.double.log

    # Reading

    async def Read(self, request: streams_pb2.ReadReq, context: Context) -> AsyncIterator[streams_pb2.ReadResp]:  # noqa: N802
        self._double.requests.append(request)
        await self._node.admit(context)
        faults, options = self._double.faults, request.options
        if faults.take("before_read"):
            await _abort(context, grpc.StatusCode.UNAVAILABLE, "Server Is Not Ready")
        if options.WhichOneof("count_option") == "subscription":
            async for answer in self._subscribed(options, context):
                yield answer
            return
        for count, answer in enumerate(await self._found(options, context)):
            if count == faults.halts_after:
                faults.halts_after = None
                await faults.go_on.wait()
            if count == 1 and faults.take("within_read"):
                await _abort(context, grpc.StatusCode.UNAVAILABLE, "the connection broke")
            yield answer

    async def _found(self, options: Any, context: Context) -> list[streams_pb2.ReadResp]:
        backwards = options.read_direction == streams_pb2.ReadReq.Options.Backwards
        if options.WhichOneof("stream_option") == "stream":
            records = await self._of_stream(options.stream, backwards, context)
            if records is None:
                return [messages.not_found(options.stream.stream_identifier)]
        else:
            records = await self._of_all(options, backwards, context)
        return [messages.event(record) for record in islice(records, options.count)]

    async def _of_stream(self, options: Any, backwards: bool, context: Context) -> Iterable[Record] | None:
        stream = self._log.stream(messages.name(options.stream_identifier))
        if stream is not None and stream.tombstoned:
            await _deleted(context, messages.name(options.stream_identifier))
        if stream is None or not stream.readable:
            return None
        first = stream.begins
        after = len(stream.events)
        if options.WhichOneof("revision_option") == "revision":
            if backwards:
                after = min(after, options.revision + 1)
            else:
                first = max(first, options.revision)
        order = reversed(range(first, after)) if backwards else range(first, after)
        return (stream.events[index] for index in order)

    async def _of_all(self, options: Any, backwards: bool, context: Context) -> Iterable[Record]:
        records, place = self._node.records(), options.all.WhichOneof("all_option")
        index = len(records) if place == "end" else 0
        if place == "position":
            position = options.all.position.commit_position
            await self._check_place(position, context)
            # Forwards the record at the position is among them, backwards it is not.
            index = min(self._log.index_from(position), len(records))
        order = reversed(range(index)) if backwards else range(index, len(records))
        wanted = messages.wanted_by(options)
        return (records[index] for index in order if wanted(records[index]))

    async def _check_place(self, position: int, context: Context) -> None:
        if not self._log.is_place(position):
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "Trying to read from an invalid position.")

    async def _subscribed(self, options: Any, context: Context) -> AsyncIterator[streams_pb2.ReadResp]:
        self._node.subscriptions += 1
        try:
            yield messages.confirmation(uuid4())
            sent = checkpoints = 0
            async for answer in self._followed(options, context):
                await self._double.unless_silent()
                if sent and self._double.faults.take("within_read"):
                    await _abort(context, grpc.StatusCode.UNAVAILABLE, "the connection broke")
                yield answer
                sent += answer.HasField("event")
                checkpoints += answer.HasField("checkpoint")
                if checkpoints == CHECKPOINTS and self._double.faults.take("after_checkpoints"):
                    await _abort(context, grpc.StatusCode.UNAVAILABLE, "the connection broke")
        except _Dropped:
            if self._double.drop is not None:
                await _abort(context, *self._double.drop)
        finally:
            self._node.subscriptions -= 1

    async def _followed(self, options: Any, context: Context) -> AsyncIterator[streams_pb2.ReadResp]:
        """What stands after the place that was named, then what comes. All events, or one stream's."""
        only: str | None = None
        index = 0
        if options.WhichOneof("stream_option") == "stream":
            only = messages.name(options.stream.stream_identifier)
            first = options.stream.revision + 1 if options.stream.WhichOneof("revision_option") == "revision" else 0
            if options.stream.WhichOneof("revision_option") == "end":
                index = len(self._log.records)
        else:
            first = 0
            place = options.all.WhichOneof("all_option")
            if place == "position":
                position = options.all.position.commit_position
                await self._check_place(position, context)
                index = self._log.index_after(position)
            elif place == "end":
                index = len(self._log.records)
        wanted = messages.wanted_by(options)
        interval = options.filter.max * options.filter.checkpointIntervalMultiplier
        filtered = options.WhichOneof("filter_option") == "filter"
        if filtered and not interval:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "checkpointIntervalMultiplier must not be zero")
        live, considered, page = False, 0, 0
        # How far it has looked, as it says so itself: an event that it sent, or where a page began of which it has seen the end.
        checkpoint = None if index == 0 else self._log.records[index - 1].position
        page_began = checkpoint
        generation = self._double.generation
        while True:
            changed = self._log.changed
            records = self._node.records()
            while index < len(records):
                record = records[index]
                index, considered, page = index + 1, considered + 1, page + 1
                if only is not None:
                    if record.stream == only and record.revision >= first:
                        yield messages.event(record)
                elif wanted(record):
                    checkpoint = record.position
                    yield messages.event(record)
                if generation != self._double.generation:
                    raise _Dropped
                if filtered and page == options.filter.max:
                    checkpoint = max(checkpoint or 0, record.position if live else page_began or 0)
                    page, page_began = 0, record.position
                    if considered >= interval:
                        considered = 0
                        yield messages.checkpoint(checkpoint)
            if not live:
                live, page = True, 0
                if filtered and records:
                    checkpoint = checkpoint or 0
                    yield messages.checkpoint(checkpoint)
                yield messages.caught_up(checkpoint)
            if generation != self._double.generation:
                raise _Dropped
            await changed.wait()

    # Writing

    async def BatchAppend(  # noqa: N802
        self, requests: AsyncIterator[streams_pb2.BatchAppendReq], context: Context
    ) -> AsyncIterator[streams_pb2.BatchAppendResp]:
        begun: dict[str, tuple[Any, list[Proposed]]] = {}
        async for request in requests:
            self._double.requests.append(request)
            id_ = request.correlation_id.string
            options, proposed = begun.setdefault(id_, (request.options, []))
            proposed += [messages.proposed(message) for message in request.proposed_messages]
            if request.is_final:
                del begun[id_]
                answer = await self._batch(options, proposed, context)
                answer.correlation_id.CopyFrom(request.correlation_id)
                answer.stream_identifier.CopyFrom(options.stream_identifier)
                yield answer

    async def _batch(self, options: Any, proposed: list[Proposed], context: Context) -> streams_pb2.BatchAppendResp:
        expected = messages.expected(options, "expected_stream_position", "stream_position")
        try:
            written = await self._written(messages.name(options.stream_identifier), expected, proposed, context)
        except WrongVersion as wrong:
            detail = messages.batch_wrong(wrong, expected)
            return messages.refused(messages.ALREADY_EXISTS, "WrongExpectedVersion", detail)
        except Deleted:
            deleted = shared_pb2.StreamDeleted(stream_identifier=options.stream_identifier)
            return messages.refused(messages.NOT_FOUND, "StreamDeleted", deleted)
        except _Refused as refused:
            return refused.answer
        unsaid = written.repeated and self._double.faults.no_position
        return messages.batch_written(written, with_position=not unsaid)

    async def _written(self, name: str, expected: Expected, proposed: list[Proposed], context: Context) -> Written:
        """Raises WrongVersion, Deleted, _Refused."""
        faults = self._double.faults
        if faults.denied:
            denied = messages.refused(messages.PERMISSION_DENIED, "AccessDenied", shared_pb2.AccessDenied())
            raise _Refused(denied)
        await self._node.admit(context)
        if faults.take("before_write"):
            await _abort(context, grpc.StatusCode.UNAVAILABLE, "Server Is Not Ready")
        if faults.take("not_ready"):
            raise _Refused(messages.refused(messages.OK, "Server Is Not Ready", Empty()))
        largest, most = self._double.largest_event, self._double.largest_append
        if any(event.size > largest for event in proposed):
            # A type that clients of today do not know.
            unknown = AnyMessage(type_url="type.googleapis.com/event_store.client.MaximumAppendEventSizeExceeded")
            raise _Refused(messages.refused(messages.INVALID_ARGUMENT, "MaximumAppendEventSizeExceeded", unknown))
        if sum(event.size for event in proposed) > most:
            too_much = shared_pb2.MaximumAppendSizeExceeded(maxAppendSize=most)
            raise _Refused(messages.refused(messages.INVALID_ARGUMENT, "MaximumAppendSizeExceeded", too_much))
        written = self._log.append(name, expected, proposed)
        if faults.take("timeouts"):
            raise _Refused(messages.refused(messages.DEADLINE_EXCEEDED, "Timeout", shared_pb2.Timeout()))
        if faults.take("after_write"):
            await _abort(context, grpc.StatusCode.UNAVAILABLE, "Socket closed")
        if faults.take("lost_answers"):
            await asyncio.Event().wait()
        return written

    # Deleting

    async def Delete(self, request: streams_pb2.DeleteReq, context: Context) -> streams_pb2.DeleteResp:  # noqa: N802
        position = await self._removed(self._log.delete, request.options, context)
        place = streams_pb2.DeleteResp.Position(commit_position=position, prepare_position=position)
        return streams_pb2.DeleteResp(position=place)

    async def Tombstone(self, request: streams_pb2.TombstoneReq, context: Context) -> streams_pb2.TombstoneResp:  # noqa: N802
        position = await self._removed(self._log.tombstone, request.options, context)
        place = streams_pb2.TombstoneResp.Position(commit_position=position, prepare_position=position)
        return streams_pb2.TombstoneResp(position=place)

    async def _removed(self, remove: Callable[[str, Expected], int], options: Any, context: Context) -> int:
        await self._node.admit(context)
        expected = messages.expected(options, "expected_stream_revision", "revision")
        name = messages.name(options.stream_identifier)
        try:
            return remove(name, expected)
        except Deleted:
            await _deleted(context, name)
        except WrongVersion as wrong:
            number = expected if isinstance(expected, int) else NUMBERS[expected]
            actual = -1 if wrong.current is None else wrong.current
            # It says so of tombstones too.
            details = (
                f"Delete failed due to WrongExpectedVersion. Stream: {name}, "
                f"Expected version: {number}, Actual version: {actual}"
            )
            trailers = {"stream-name": name, "expected-version": str(number), "actual-version": str(actual)}
            await _abort(
                context, grpc.StatusCode.FAILED_PRECONDITION, details, exception="wrong-expected-version", **trailers
            )


class _Dropped(Exception):
    """Subscriptions that were open then are to end."""


class _Refused(Exception):
    def __init__(self, answer: streams_pb2.BatchAppendResp) -> None:
        super().__init__(answer.error.message)
        self.answer = answer


async def _abort(context: Context, code: grpc.StatusCode, details: str, **trailers: str) -> NoReturn:
    await context.abort(code, details, trailing_metadata=tuple(trailers.items()))
    raise AssertionError("abort raises")


async def _deleted(context: Context, name: str) -> NoReturn:
    details = f"Event stream '{name}' is deleted."
    await _abort(
        context,
        grpc.StatusCode.FAILED_PRECONDITION,
        details,
        exception="stream-deleted",
        **{"stream-name": name},
    )
