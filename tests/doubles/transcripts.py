"""Conversations with a KurrentDB over its v1 protocol, in a form in which two servers can be compared.

Each script talks on streams and types of its own, so that it may be run against a server that others use. What differs from run
to run is replaced: names by where they stand in the script, positions by their rank, ids by the order in which they appeared,
moments by the word. Checkpoints come when the server likes and are only checked: none may be behind what was shown.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from services.chassis.store.kurrentdb_client import kdb
from tests.doubles.kurrentdb_protos import shared_pb2, streams_pb2, streams_pb2_grpc

Step = dict[str, Any]
FOLDER = Path(__file__).parents[1] / "golden" / "kurrentdb"
SECONDS = 30
# What the server says beside the protocol's own words, and transport.
TRAILERS = ("exception", "stream-name", "expected-version", "actual-version", "maximum-append-size")
POSITIONS = ("commitPosition", "preparePosition")
Filter = streams_pb2.ReadReq.Options.FilterOptions


class Talk:
    """One script's conversation, written down."""

    def __init__(self, client: kdb.AsyncKurrentDBClient) -> None:
        # The client's own channel and credentials; its methods would hide what the server says.
        self._stub = streams_pb2_grpc.StreamsStub(client.connection._grpc_channel)  # type: ignore[no-untyped-call]
        self._credentials = client._call_credentials
        self._metadata = (*client._call_metadata, ("requires-leader", "true"))
        self.tag = uuid4().hex
        self.steps: list[Step] = []
        self._ids: dict[str, UUID] = {}

    def stream(self, name: str) -> Any:
        return shared_pb2.StreamIdentifier(stream_name=f"{name}-{self.tag}".encode())

    def type(self, name: str) -> str:
        return f"t{self.tag}.{name}"

    def id(self, name: str) -> UUID:
        return self._ids.setdefault(name, uuid4())

    # Requests

    async def append(
        self, stream: str, names: Sequence[str], *, type_: str = "A", size: int = 1, **expected: Any
    ) -> None:
        """`names` stand for ids: the same name is the same event again."""
        options = streams_pb2.BatchAppendReq.Options(stream_identifier=self.stream(stream), **expected)
        options.deadline.seconds = SECONDS
        messages = [
            streams_pb2.BatchAppendReq.ProposedMessage(
                id=shared_pb2.UUID(string=str(self.id(name))),
                metadata={"type": self.type(type_), "content-type": "application/octet-stream"},
                custom_metadata=b'{"note": "none"}',
                data=name.encode() * size,
            )
            for name in names
        ]
        request = streams_pb2.BatchAppendReq(
            correlation_id=shared_pb2.UUID(string=str(uuid4())),
            options=options,
            proposed_messages=messages,
            is_final=True,
        )
        asked: dict[str, Any] = {"append": f"{stream}: {' '.join(names)}", "expected": _told(expected)}
        await self._said(asked, self._stub.BatchAppend(iter([request]), **self._call()), 1)

    async def read(self, stream: str, *, backwards: bool = False, count: int = 100, **place: Any) -> None:
        of_stream = streams_pb2.ReadReq.Options.StreamOptions(stream_identifier=self.stream(stream), **place)
        options = streams_pb2.ReadReq.Options(stream=of_stream, no_filter=shared_pb2.Empty(), count=count)
        asked = {"read": stream, "backwards": backwards, "count": count, "from": _told(place)}
        await self._said(asked, self._stub.Read(_read(options, backwards), **self._call()))

    async def read_all(self, filter_: Any, *, backwards: bool = False, count: int = 100, after: int = 0) -> None:
        """From the position of the event with this rank on; from the start or the end if 0."""
        options = streams_pb2.ReadReq.Options(all=self._place(after, backwards), filter=filter_, count=count)
        asked = {"read": "all", "backwards": backwards, "count": count, "from": after, "filter": self._filter(filter_)}
        await self._said(asked, self._stub.Read(_read(options, backwards), **self._call()))

    async def subscribe(self, filter_: Any, count: int, then: Callable[[], Awaitable[None]], *, after: int = 0) -> None:
        """Until caught up, then `then`, then until so many events have come."""
        options = streams_pb2.ReadReq.Options(
            all=self._place(after, backwards=False),
            filter=filter_,
            subscription=streams_pb2.ReadReq.Options.SubscriptionOptions(),
        )
        asked = {"subscribe": "all", "after": after, "filter": self._filter(filter_)}
        step: Step = {"asked": asked, "answers": []}
        call = self._stub.Read(_read(options, backwards=False), **self._call())
        events, newest = 0, 0
        async with asyncio.timeout(SECONDS):
            async for answer in call:
                kind = answer.WhichOneof("content")
                if kind == "event":
                    events, newest = events + 1, answer.event.commit_position
                if kind == "checkpoint":
                    assert answer.checkpoint.commit_position >= newest, "a checkpoint behind what was shown"
                    continue
                step["answers"].append(_answer(answer))
                if kind == "caught_up":
                    self.steps.append(step)
                    await then()
                    step = {"asked": "what came after", "answers": []}
                if events == count:
                    break
        call.cancel()
        self.steps.append(step)

    async def delete(self, stream: str, **expected: Any) -> None:
        options = streams_pb2.DeleteReq.Options(stream_identifier=self.stream(stream), **expected)
        call = self._stub.Delete(streams_pb2.DeleteReq(options=options), **self._call())
        await self._said({"delete": stream, "expected": _told(expected)}, _once(call))

    async def tombstone(self, stream: str, **expected: Any) -> None:
        options = streams_pb2.TombstoneReq.Options(stream_identifier=self.stream(stream), **expected)
        call = self._stub.Tombstone(streams_pb2.TombstoneReq(options=options), **self._call())
        await self._said({"tombstone": stream, "expected": _told(expected)}, _once(call))

    # What is written down

    def transcript(self) -> list[Step]:
        text = json.dumps(self.steps)
        for number, (name, id_) in enumerate(self._ids.items(), 1):
            text = text.replace(str(id_), f"id {number} ({name})")
        steps: list[Step] = json.loads(text.replace(self.tag, "TAG"))
        ranks = {position: rank for rank, position in enumerate(sorted(set(_positions(steps))), 1)}
        return [_normal(step, ranks) for step in steps]

    def position(self, rank: int) -> int:
        """Of the event of this rank among those that were shown or written so far."""
        return sorted(set(_positions(json.loads(json.dumps(self.steps)))))[rank - 1]

    def _place(self, rank: int, backwards: bool) -> Any:
        if rank:
            position = self.position(rank)
            place = streams_pb2.ReadReq.Options.Position(commit_position=position, prepare_position=position)
            return streams_pb2.ReadReq.Options.AllOptions(position=place)
        if backwards:
            return streams_pb2.ReadReq.Options.AllOptions(end=shared_pb2.Empty())
        return streams_pb2.ReadReq.Options.AllOptions(start=shared_pb2.Empty())

    def _filter(self, filter_: Any) -> str:
        return str(filter_.event_type.regex or list(filter_.event_type.prefix)).replace(self.tag, "TAG")

    def _call(self) -> dict[str, Any]:
        return {"timeout": SECONDS, "metadata": self._metadata, "credentials": self._credentials}

    async def _said(self, asked: Step, call: AsyncIterator[Message], count: int | None = None) -> None:
        step: Step = {"asked": asked, "answers": []}
        try:
            async for answer in call:
                step["answers"].append(_answer(answer))
                if len(step["answers"]) == count:
                    break
        except grpc.aio.AioRpcError as error:
            trailers = {k: v for k, v in error.trailing_metadata() or () if k in TRAILERS}
            step["error"] = {"code": error.code().name, "details": error.details(), "trailers": trailers}
        self.steps.append(step)


def regex(*types: str) -> Any:
    return Filter(
        event_type=Filter.Expression(regex=f"^({'|'.join(map(re.escape, types))}).*$"),
        max=100,
        checkpointIntervalMultiplier=1,
    )


def prefixes(*types: str) -> Any:
    return Filter(event_type=Filter.Expression(prefix=types), max=100, checkpointIntervalMultiplier=1)


# Scripts


async def appending(t: Talk) -> None:
    await t.append("a", ["one", "two"], no_stream=Empty())
    for names in (["one", "two"], ["one"], ["one", "other"], ["one", "two", "three"], ["other"]):
        await t.append("a", names, no_stream=Empty())
    await t.append("a", ["three"], stream_position=1)
    await t.append("a", ["three"], stream_position=1)
    await t.append("a", ["one", "two"], no_stream=Empty())
    await t.append("a", ["two", "three"], stream_position=0)
    for position in (0, 2, 7):
        await t.append("a", [f"new at {position}"], stream_position=position)
    await t.append("b", ["nothing there"], stream_position=0)
    await t.append("b", ["nothing there"], stream_exists=Empty())
    await t.append("a", ["exists"], stream_exists=Empty())


async def appending_anywhere(t: Talk) -> None:
    await t.append("a", ["one", "two"], any=Empty())
    for names in (["one", "two"], ["two"], ["two", "three"], ["three", "one"], ["four"]):
        await t.append("a", names, any=Empty())
    await t.append("b", ["one"], any=Empty())
    await t.read("a", start=shared_pb2.Empty())


async def too_much(t: Talk) -> None:
    await t.append("a", ["x"], size=1100 * 1024, no_stream=Empty())
    await t.append("a", ["x", "y", "z"], size=400 * 1024, no_stream=Empty())
    await t.read("a", start=shared_pb2.Empty())


async def reading(t: Talk) -> None:
    await t.read("a", start=shared_pb2.Empty())
    await t.append("a", ["one", "two", "three"], no_stream=Empty())
    await t.read("a", start=shared_pb2.Empty())
    for revision in (0, 1, 2, 3, 9):
        await t.read("a", revision=revision)
        await t.read("a", revision=revision, backwards=True)
    await t.read("a", end=shared_pb2.Empty(), backwards=True, count=2)
    await t.read("a", start=shared_pb2.Empty(), count=2)


async def reading_all(t: Talk) -> None:
    for number, name in enumerate(("A", "AB", "B", "A.C")):
        await t.append(f"s{number % 2}", [name], type_=name, any=Empty())
    everything = t.type("")
    for types in ([everything], [t.type("A")], [t.type("AB"), t.type("B")], [t.type("A.")], [t.type("Z")]):
        await t.read_all(regex(*types))
        await t.read_all(prefixes(*types))
    for rank in (1, 2, 4):
        await t.read_all(regex(everything), after=rank)
        await t.read_all(regex(everything), after=rank, backwards=True)
        await t.read_all(regex(t.type("AB")), after=rank)
    await t.read_all(regex(everything), count=2)
    await t.read_all(regex(everything), count=2, backwards=True)


async def subscribing(t: Talk) -> None:
    for number, name in enumerate(("A", "B", "A", "B")):
        await t.append("a", [f"{name} {number}"], type_=name, any=Empty())

    async def more() -> None:
        for number, name in enumerate(("B", "A", "A"), 4):
            await t.append("a", [f"{name} {number}"], type_=name, any=Empty())

    async def nothing() -> None:
        pass

    await t.subscribe(regex(t.type("A")), 4, more)
    for rank in (1, 2, 5):
        await t.subscribe(regex(t.type("A")), {1: 3, 2: 3, 5: 2}[rank], nothing, after=rank)


async def deleting(t: Talk) -> None:
    await t.delete("none", revision=0)
    await t.append("a", ["one", "two"], no_stream=Empty())
    await t.delete("a", revision=0)
    await t.delete("a", revision=1)
    await t.read("a", start=shared_pb2.Empty())
    await t.append("a", ["three"], no_stream=Empty())
    await t.read("a", start=shared_pb2.Empty())
    await t.append("b", ["one"], no_stream=Empty())
    await t.tombstone("b", revision=7)
    await t.tombstone("b", revision=0)
    await t.tombstone("b", revision=0)
    await t.read("b", start=shared_pb2.Empty())
    await t.append("b", ["two"], stream_position=0)
    await t.append("b", ["two"], any=Empty())


SCRIPTS: dict[str, Callable[[Talk], Awaitable[None]]] = {
    script.__name__: script
    for script in (appending, appending_anywhere, too_much, reading, reading_all, subscribing, deleting)
}


async def record(uri: str) -> dict[str, list[Step]]:
    """Every script's transcript."""
    client = kdb.AsyncKurrentDBClient(uri)
    await client.connect()
    try:
        found = {}
        for name, script in SCRIPTS.items():
            talk = Talk(client)
            await script(talk)
            found[name] = talk.transcript()
        return found
    finally:
        await client.close()


def written(transcript: Sequence[Step]) -> str:
    return json.dumps(transcript, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _read(options: Any, backwards: bool) -> Any:
    options.read_direction = int(backwards)
    options.uuid_option.string.CopyFrom(shared_pb2.Empty())
    return streams_pb2.ReadReq(options=options)


async def _once(call: Awaitable[Message]) -> AsyncIterator[Message]:
    yield await call


def _told(choice: dict[str, Any]) -> str:
    ((name, value),) = choice.items()
    return name if isinstance(value, Message) else f"{name} {value}"


def _answer(answer: Message) -> Step:
    """What is refused inside an answer may be of a type that the client does not know: its name is enough then."""
    told: Step = _readable(MessageToDict(_without_details(answer)))
    error = getattr(answer, "error", None)
    if error is not None and error.HasField("details"):
        packed: AnyMessage = error.details
        name = packed.type_url.rpartition(".")[2]
        known = getattr(shared_pb2, name, None)
        detail = _readable(MessageToDict(known.FromString(packed.value))) if known else {}
        told["error"]["details"] = {"type": packed.type_url.rpartition("/")[2], **detail}
    told.pop("correlationId", None)
    return told


def _readable(value: Any, key: str = "") -> Any:
    if key in ("streamName", "data", "customMetadata"):
        return base64.b64decode(value).decode()
    if isinstance(value, list):
        return [_readable(one) for one in value]
    return {name: _readable(one, name) for name, one in value.items()} if isinstance(value, dict) else value


def _without_details(answer: Message) -> Message:
    copy = type(answer)()
    copy.CopyFrom(answer)
    if isinstance(copy, streams_pb2.BatchAppendResp) and copy.HasField("error"):
        copy.error.ClearField("details")
    return copy


def _positions(value: Any) -> list[int]:
    """Of events that were shown and appends that were answered; not of checkpoints and system events."""
    if isinstance(value, list):
        return [position for one in value for position in _positions(one)]
    if not isinstance(value, dict):
        return []
    found = [position for name, one in value.items() if name != "caughtUp" for position in _positions(one)]
    return [*found, int(value["commitPosition"])] if "commitPosition" in value else found


def _normal(value: Any, ranks: dict[int, int], key: str = "") -> Any:
    if key == "caughtUp":
        return "now"
    if key in ("created", "subscriptionId", "timestamp"):
        return key
    if key in POSITIONS:
        return f"position {ranks[int(value)]}"
    if isinstance(value, list):
        return [_normal(one, ranks) for one in value]
    if isinstance(value, dict):
        return {name: _normal(one, ranks, name) for name, one in value.items()}
    return value
