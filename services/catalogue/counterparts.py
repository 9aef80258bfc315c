"""What the catalogue stores, and the same in the API."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from motcua.catalogue.events.v1 import definitions_pb2 as stored
from motcua.catalogue.v1 import definitions_pb2 as shown
from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.types.v1 import types_pb2 as types
from services.chassis.calls.counterparts import Messages, Values
from services.chassis.following.in_force import SHAPES

AGENCY = Messages(stored.Agency, shown.Agency)
AGENCY_KIND: Values[int] = Values(stored.AgencyKind, shown.AgencyKind)
AUTHORITY = Messages(stored.Authority, shown.Authority)
CALENDAR = Messages(stored.CalendarVersion, shown.CalendarVersion)
CHANNEL: Values[int] = Values(dossier.Channel, types.Channel)
FEE_CONDITION: Values[int] = Values(dossier.FeeCondition, types.FeeCondition)
LEVEL: Values[int] = Values(stored.Level, shown.Level)
ONLINE_LEVEL: Values[int] = Values(stored.OnlineLevel, shown.OnlineLevel)
OVERLAY = Messages(stored.FeeOverlay, shown.FeeOverlay)
PROCEDURE = Messages(stored.Procedure, shown.Procedure)
SECTOR = Messages(stored.Sector, shown.Sector)
TERM = Messages(dossier.Term, types.Term)
TERRITORY = Messages(stored.Territory, shown.Territory)
TEXT = Messages(stored.Text, types.LocalizedText)
UNIT = Messages(stored.TerritorialUnit, shown.TerritorialUnit)

_DEFINITIONS: dict[str, Messages[Any, Any]] = {
    "procedure": PROCEDURE,
    "overlay": OVERLAY,
    "agency": AGENCY,
    "calendar": CALENDAR,
    "territory": TERRITORY,
}


def shown_of(kind: str, definition: Any) -> Any:
    """A definition as the API has it."""
    return _DEFINITIONS[kind].shown(SHAPES[kind].write(definition))


def definition_of(kind: str, message: Message) -> Any:
    """What the API's message defines. Raises ValueError for an enum's number that no version of it lists."""
    return SHAPES[kind].read(_DEFINITIONS[kind].stored(message))
