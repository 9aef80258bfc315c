"""`motcua track` and `motcua events`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict

from command.console import fail, out
from motcua.catalogue.events.v1 import events_pb2 as _catalogue  # noqa: F401
from motcua.dossier.events.v1 import events_pb2 as _dossier  # noqa: F401 - its messages can be decoded
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_pb2 import HistoryEntry, HistoryValue
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from motcua.identity.events.v1 import events_pb2 as _identity  # noqa: F401
from motcua.notification.events.v1 import events_pb2 as _notification  # noqa: F401
from motcua.payment.events.v1 import events_pb2 as _payment  # noqa: F401
from motcua.privacy.events.v1 import events_pb2 as _privacy  # noqa: F401
from motcua.site.events.v1 import events_pb2 as _site  # noqa: F401
from motcua.warehouse.events.v1 import events_pb2 as _warehouse  # noqa: F401
from services.chassis.deciding.facts import fact_of
from services.chassis.platform.settings import Settings
from services.chassis.privacy.sealing import sealed_fields
from services.chassis.store.port import Batch, RecordedEvent
from services.chassis.store.sqlite import SqliteStore
from services.law.days import ZONE

HEAD = {"code", "at", "by", "applicant_id"}


async def track(settings: Settings, code: str, follow: bool) -> int:
    async with grpc.aio.insecure_channel(f"localhost:{settings.port}") as channel:
        calls = DossierServiceStub(channel).TrackDossier(pb.TrackDossierRequest(code=code))
        try:
            async for news in calls:
                if news.WhichOneof("message") == "entry":
                    _tell(news.entry)
                elif news.caught_up and not follow:
                    return 0
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                fail(f"Nothing answers at localhost:{settings.port}.", "Start the platform, or set MOTCUA_PORT.")
            fail(error.details() or str(error.code()))
    return 0


def _tell(entry: HistoryEntry) -> None:
    at = entry.at.ToDatetime(ZONE).strftime("%d/%m/%Y %H:%M:%S")
    told = "  ".join(
        f"[dim]{each.name}[/] {_plain(_value(each.value))}" for each in entry.fields if each.name not in HEAD
    )
    out.print(f"{at}  [bold]{entry.event_type.rpartition('.')[2]:<22}[/] {told}", highlight=False, soft_wrap=True)


def _value(value: HistoryValue) -> Any:
    match value.WhichOneof("kind"):
        case "list":
            return [_value(each) for each in value.list.values]
        case "fields":
            return {each.name: _value(each.value) for each in value.fields.fields}
        case "answers":
            return MessageToDict(value.answers)
        case "at":
            return value.at.ToJsonString()
        case None:
            return ""
        case kind:
            return getattr(value, kind)


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


async def events(settings: Settings, stream: str, follow: bool, as_json: bool) -> int:
    path = settings.data / "events.db"
    if not path.exists():
        fail(f"There is no event store in {settings.data}.", "Start the platform, or set MOTCUA_DATA to its folder.")
    store = await SqliteStore.open(path)
    try:
        async for event in _events(store, stream, follow):
            out.print(_line(event, as_json), highlight=not as_json, soft_wrap=True, markup=False)
    finally:
        await store.close()
    return 0


async def _events(store: SqliteStore, stream: str, follow: bool) -> AsyncIterator[RecordedEvent]:
    if stream and not follow:
        for event in await store.read(stream):
            yield event
        return
    async with aclosing(store.subscribe()) as batches:  # type: ignore[type-var]
        batch: Batch
        async for batch in batches:
            for event in batch.events:
                if stream in ("", event.stream):
                    yield event
            if batch.caught_up and not follow:
                return


def _line(recorded: RecordedEvent, as_json: bool) -> str:
    fact = fact_of(recorded)
    fields = MessageToDict(fact.event, preserving_proto_field_name=True)
    for name in sealed_fields(fact.event.DESCRIPTOR):
        if name in fields:
            fields[name] = "(sealed)"
    line = {
        "position": recorded.position,
        "stream": recorded.stream,
        "revision": recorded.revision,
        "type": recorded.type,
        "id": str(recorded.id),
        "event": fields,
        "metadata": json.loads(recorded.metadata),
    }
    if as_json:
        return json.dumps(line, ensure_ascii=False)
    at: datetime = recorded.recorded_at.astimezone(ZONE)
    short = recorded.type.rpartition(".")[2]
    told = " ".join(f"{name}={_plain(value)}" for name, value in fields.items() if name not in ("at",))
    return f"{recorded.position:>7} {at:%d/%m %H:%M:%S} {recorded.stream}@{recorded.revision} {short} {told}"
