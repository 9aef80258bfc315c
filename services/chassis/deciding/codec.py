"""Domain events <-> protobuf events, joined by the names of their fields.

A dataclass and a message that do not fit stop the program at import, not a dossier at midnight.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from types import ModuleType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID, uuid5

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.decider import Sealed
from services.chassis.deciding.facts import message_class
from services.chassis.privacy.sealing import Keys, SubjectErased, seal, sealed_fields

E = TypeVar("E")
Convert = Callable[[Any], Any]

_SCALARS: Mapping[type, set[int]] = {
    str: {FieldDescriptor.TYPE_STRING},
    bool: {FieldDescriptor.TYPE_BOOL},
    int: {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64},
    bytes: {FieldDescriptor.TYPE_BYTES},
}


class CodecDrifted(TypeError):
    """A domain event and its protobuf message differ."""


def to_timestamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def from_timestamp(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)


def _same(value: Any) -> Any:
    return value


def _value(hint: Any, field: FieldDescriptor, where: str) -> tuple[Convert, Convert]:
    """How one value is written and read."""
    message = field.message_type
    hint = getattr(hint, "__supertype__", hint)  # a NewType is stored as what it stands for
    if hint in _SCALARS:
        if field.type not in _SCALARS[hint]:
            raise CodecDrifted(f"{where}: {hint.__name__} in the domain, another type in the proto")
        return _same, _same
    if hint is datetime:
        if message is None or message.full_name != "google.protobuf.Timestamp":
            raise CodecDrifted(f"{where}: the proto has no Timestamp")
        return to_timestamp, from_timestamp
    if isinstance(hint, type) and issubclass(hint, Enum):
        if field.enum_type is None:
            raise CodecDrifted(f"{where}: the proto has no enum")
        numbers = numbers_of(field.enum_type)
        if extra := {member.name for member in hint} - numbers.keys():
            raise CodecDrifted(f"{where}: the proto's enum has no {sorted(extra)}")
        members = {numbers[member.name]: member for member in hint}
        return {member: number for number, member in members.items()}.__getitem__, _member_of(members, where)
    if is_dataclass(hint) and isinstance(hint, type):
        if message is None:
            raise CodecDrifted(f"{where}: the proto has no message")
        shape = Shape(hint, message_class(message.full_name))
        return shape.write, shape.read
    raise CodecDrifted(f"{where}: no rule for {hint}")


def _member_of(members: Mapping[int, Enum], where: str) -> Convert:
    def read(number: int) -> Enum:
        """Raises ValueError for what a later release may have written."""
        if number not in members:
            raise ValueError(f"{where}: {number} is a value that this release does not know")
        return members[number]

    return read


def numbers_of(enum: EnumDescriptor) -> Mapping[str, int]:
    """By the names of its values, without what they all begin with."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix): value.number for value in enum.values}


class Part:
    """A dataclass of some of a message's fields, joined by their names. Raises CodecDrifted where they do not fit."""

    def __init__(self, dataclass: type[Any], message: type[Message]) -> None:
        self.dataclass = dataclass
        self.message = message
        descriptor: Any = message.DESCRIPTOR
        hints = get_type_hints(dataclass)
        names = [field.name for field in fields(dataclass)]
        if odd := self._odd(set(names), set(descriptor.fields_by_name)):
            raise CodecDrifted(f"{descriptor.full_name}: only on one side: {', '.join(sorted(odd))}")
        self._plain: list[tuple[str, Convert, Convert]] = []
        self._optional: list[tuple[str, Convert, Convert]] = []
        self._repeated: list[tuple[str, type[Any], Convert, Convert]] = []
        self.sealed = {name: of for name, of in sealed_fields(descriptor).items() if name in names}
        for name in names:
            field = descriptor.fields_by_name[name]
            where = f"{descriptor.full_name}.{name}"
            hint, optional = _unwrap_optional(hints[name])
            if (hint is Sealed) != (name in self.sealed):
                raise CodecDrifted(f"{where}: sealed on one side only")
            if hint is Sealed:
                continue
            if get_origin(hint) in (tuple, frozenset):
                if not field.is_repeated:
                    raise CodecDrifted(f"{where}: not repeated in the proto")
                write, read = _value(get_args(hint)[0], field, where)
                self._repeated.append((name, get_origin(hint), write, read))
            elif field.is_repeated:
                raise CodecDrifted(f"{where}: repeated in the proto")
            elif optional:
                if not field.has_presence:
                    raise CodecDrifted(f"{where}: optional in the domain, without presence in the proto")
                self._optional.append((name, *_value(hint, field, where)))
            else:
                self._plain.append((name, *_value(hint, field, where)))

    @staticmethod
    def _odd(names: set[str], stored: set[str]) -> set[str]:
        return names - stored

    def read(self, message: Message) -> Any:
        kwargs = {name: read(getattr(message, name)) for name, _, read in self._plain}
        for name, _, read in self._optional:
            kwargs[name] = read(getattr(message, name)) if message.HasField(name) else None
        for name, kind, _, read in self._repeated:
            kwargs[name] = kind(read(item) for item in getattr(message, name))
        for name in self.sealed:
            kwargs[name] = Sealed()
        return self.dataclass(**kwargs)


class Shape(Part):
    """One dataclass and its message with all of their fields."""

    @staticmethod
    def _odd(names: set[str], stored: set[str]) -> set[str]:
        return names ^ stored

    def write(self, value: Any) -> Message:
        kwargs = {name: write(getattr(value, name)) for name, write, _ in self._plain}
        for name, write, _ in self._optional:
            if (found := getattr(value, name)) is not None:
                kwargs[name] = write(found)
        for name, kind, write, _ in self._repeated:
            items = getattr(value, name)
            kwargs[name] = [write(item) for item in (sorted(items) if kind is frozenset else items)]
        return self.message(**kwargs)


def _unwrap_optional(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        args = [arg for arg in get_args(hint) if arg is not type(None)]
        if len(args) == 1:
            return args[0], True
    return hint, False


class Codec(Generic[E]):
    """`Codec(Event, events_pb2)`: every dataclass of the union with the module's message of the same name."""

    def __init__(self, union: Any, module: ModuleType) -> None:
        self._by_dataclass: dict[type, Shape] = {}
        self._by_type: dict[str, Shape] = {}
        for dataclass in get_args(union) or (union,):
            message = getattr(module, dataclass.__name__, None)
            if message is None:
                raise CodecDrifted(f"{module.__name__} has no message {dataclass.__name__}")
            shape = Shape(dataclass, message)
            self._by_dataclass[dataclass] = self._by_type[message.DESCRIPTOR.full_name] = shape

    def subjects(self, events: Iterable[E]) -> set[str]:
        """Whose keys are needed to store these events."""
        return {
            getattr(event, subject)
            for event in events
            for name, subject in self._by_dataclass[type(event)].sealed.items()
            if getattr(event, name)
        }

    def encode(self, event: E, request_id: UUID, index: int, keys: Keys) -> tuple[UUID, str, bytes]:
        """The event's id, type and stored bytes. Raises SubjectErased.

        The id follows from the request, the event's place and what it says in clear: the same append repeated has the same ids,
        and two processes that decide one request differently (the clock moved on) have different ones, so that one conflicts.
        """
        shape = self._by_dataclass[type(event)]
        message: Any = shape.write(event)
        clear = message.SerializeToString(deterministic=True)
        event_id = uuid5(request_id, f"{index}:{hashlib.sha256(clear).hexdigest()}")
        sealed = False
        for name, subject_field in shape.sealed.items():
            if text := getattr(event, name):
                subject = getattr(event, subject_field)
                if subject not in keys:
                    raise SubjectErased(subject)
                setattr(message, name, seal(text.encode(), keys[subject], event_id, name))
                sealed = True
        data = message.SerializeToString(deterministic=True) if sealed else clear
        return event_id, message.DESCRIPTOR.full_name, data

    def decode(self, type_: str, data: bytes) -> E:
        """The event as decisions read it: sealed fields are empty."""
        shape = self._by_type[type_]
        message = shape.message()
        message.ParseFromString(data)
        event: E = shape.read(message)
        return event
