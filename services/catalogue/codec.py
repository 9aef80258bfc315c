"""The catalogue's facts and definitions <-> motcua.catalogue.events.v1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from motcua.catalogue.events.v1 import events_pb2
from services.catalogue.counterparts import CHANNEL, definition_of
from services.catalogue.events import AgencyEvent, CalendarEvent, OverlayEvent, ProcedureEvent, TerritoryEvent
from services.chassis.calls.statuses import RequestInvalid, Violation
from services.chassis.deciding.codec import Codec
from services.law.definitions import Channel

procedure_codec: Codec[ProcedureEvent] = Codec(ProcedureEvent, events_pb2)
overlay_codec: Codec[OverlayEvent] = Codec(OverlayEvent, events_pb2)
agency_codec: Codec[AgencyEvent] = Codec(AgencyEvent, events_pb2)
calendar_codec: Codec[CalendarEvent] = Codec(CalendarEvent, events_pb2)
territory_codec: Codec[TerritoryEvent] = Codec(TerritoryEvent, events_pb2)


def received(kind: str, message: Message, field: str) -> Any:
    """The definition that a request brings. Raises RequestInvalid for an enum's number that no version of it lists."""
    try:
        return definition_of(kind, message)
    except ValueError as error:
        raise RequestInvalid(
            [Violation(field, f"Giá trị không hợp lệ: {error}.", f"Not a listed value: {error}.")]
        ) from error


def channels(numbers: Iterable[int]) -> tuple[Channel, ...]:
    """Raises RequestInvalid for a number that no version of the enum lists."""
    try:
        return tuple(Channel(CHANNEL.stored(number)) for number in numbers)
    except ValueError as error:
        raise RequestInvalid(
            [Violation("channels", f"Giá trị không hợp lệ: {error}.", f"Not a listed value: {error}.")]
        ) from error
