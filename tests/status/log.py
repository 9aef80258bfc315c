"""Writes samples and decided histories to an event store as their services would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import uuid4

from google.protobuf.message import Message

from motcua.catalogue.events.v1 import definitions_pb2 as definitions
from motcua.catalogue.events.v1 import events_pb2 as catalogue
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.handler import Handler
from services.chassis.store.port import ANY, EventStore, NewEvent
from services.dossier import commands as c
from services.dossier.codec import dossier_codec
from services.dossier.domain import dossier
from services.dossier.domain.state import Dossier
from services.dossier.events import Event
from tests.status.samples import AGENCIES, NOW, PROCEDURES, PROVINCES
from tests.support.keys import MemoryKeys


async def write(store: EventStore, stream: str, messages: Iterable[Message]) -> None:
    for message in messages:
        event = NewEvent(
            uuid4(),
            message.DESCRIPTOR.full_name,
            message.SerializeToString(),
            b"{}",
        )
        await store.append(stream, [event], ANY)


async def write_catalogue(store: EventStore) -> None:
    for code, procedure in PROCEDURES.items():
        await write(store, f"procedure-{code}", [catalogue.ProcedurePublished(procedure=procedure)])
    for code, name in AGENCIES.items():
        agency = definitions.Agency(code=code, name=definitions.Text(vi=name.vi, en=name.en), province="56")
        await write(store, f"agency-{code}", [catalogue.AgencyOpened(agency=agency)])
    for code, name in PROVINCES.items():
        unit = definitions.TerritorialUnit(code=code, name=definitions.Text(vi=name.vi, en=name.en))
        territory = definitions.Territory(province=unit, version=1)
        await write(store, f"territory-{code}", [catalogue.TerritoryPublished(territory=territory)])


async def write_histories(store: EventStore, histories: Mapping[str, Iterable[Message]]) -> None:
    for code, history in histories.items():
        await write(store, f"dossier-{code}", history)


def handler_over(store: EventStore) -> Handler[c.Command, Dossier, Event]:
    return Handler("dossier", dossier, dossier_codec, store, MemoryKeys(), "vn-56", "dossier", lambda: NOW)


async def execute(handler: Handler[c.Command, Dossier, Event], code: str, *commands: c.Command) -> None:
    for command in commands:
        origin = Origin.of_clock(f"{code} {type(command).__name__} {command.at.isoformat()}", "test")
        await handler.execute(code, command, origin)
