"""A dossier's history, event by event, as its parties read it and as everybody does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from motcua.dossier.v1 import dossier_pb2
from services.chassis.deciding.facts import Fact
from services.chassis.privacy.public_view import public_view
from services.chassis.privacy.sealing import UNREADABLE, KeyRing, open_message, sealed_fields
from services.dossier.reading import form_of


async def entry_of(fact: Fact[Any], keys: KeyRing) -> dossier_pb2.HistoryEntry:
    """The entry of an event with all that it says; the texts of an erased person say that they were erased."""
    opened = await open_message(fact.event, fact.event_id, keys)
    entry = _entry(fact, fields_of(fact.event, opened))
    entry.by = fact.event.by
    return entry


def public_entry_of(fact: Fact[Any]) -> dossier_pb2.HistoryEntry:
    """The entry of an event with what everyone may see of it."""
    return _entry(fact, fields_of(public_view(fact.event), {}))


def _entry(fact: Fact[Any], fields: list[dossier_pb2.HistoryField]) -> dossier_pb2.HistoryEntry:
    return dossier_pb2.HistoryEntry(
        event_id=str(fact.event_id),
        event_type=fact.event_type,
        revision=fact.revision,
        at=fact.event.at,
        fields=fields,
    )


def fields_of(message: Message, opened: Mapping[str, str]) -> list[dossier_pb2.HistoryField]:
    """The fields that are set. `opened`: the clear text of sealed ones, by name; a sealed one without it is left out."""
    sealed = sealed_fields(message.DESCRIPTOR)
    return [
        dossier_pb2.HistoryField(
            name=field.name,
            value=_opened(field.name, opened[field.name]) if field.name in sealed else _told(field, value),
        )
        for field, value in message.ListFields()
        if field.name not in sealed or field.name in opened
    ]


def _opened(name: str, text: str) -> dossier_pb2.HistoryValue:
    if name == "form" and text not in UNREADABLE:
        return dossier_pb2.HistoryValue(answers=form_of(text))
    return dossier_pb2.HistoryValue(text=text)


def _told(field: FieldDescriptor, value: Any) -> dossier_pb2.HistoryValue:
    if field.is_repeated:
        values = [_single(field, each) for each in value]
        return dossier_pb2.HistoryValue(list=dossier_pb2.HistoryList(values=values))
    return _single(field, value)


def _single(field: FieldDescriptor, value: Any) -> dossier_pb2.HistoryValue:
    if isinstance(value, Timestamp):
        return dossier_pb2.HistoryValue(at=value)
    if isinstance(value, Message):
        return dossier_pb2.HistoryValue(fields=dossier_pb2.HistoryFields(fields=fields_of(value, {})))
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return dossier_pb2.HistoryValue(text=named.name if named else str(value))
    if isinstance(value, bool):
        return dossier_pb2.HistoryValue(flag=value)
    if isinstance(value, int):
        return dossier_pb2.HistoryValue(number=value)
    return dossier_pb2.HistoryValue(text=str(value))
