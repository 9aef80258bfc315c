"""A dossier's stored events as facts of its course; of a public view too, where `fee_id` is empty."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.message import Message

from services.chassis.deciding.codec import Part
from services.chassis.deciding.facts import message_class
from services.law.course import FACTS, UNMOVED, Fact


@cache
def _reader(event_type: str) -> Callable[[Any], Fact] | None:
    type_ = message_class(event_type)
    name = type_.DESCRIPTOR.name
    if name in UNMOVED:
        return None
    if name not in FACTS:
        raise TypeError(f"{name} is no fact of a dossier's course, and none that leaves it as it was")
    return Part(FACTS[name], type_).read


def fact_of(event: Message) -> Fact | None:
    """The event as a fact of the dossier's course; None where the course stays as it was.

    Raises TypeError of an event that nobody thought of.
    """
    read = _reader(event.DESCRIPTOR.full_name)
    return read(event) if read else None
