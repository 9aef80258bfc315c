"""What is stored and what the API says of it, joined by names, so that both can move apart.

A field or a value that one side has and the other lacks stops the program at import, not a reply at midnight.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum, EnumMeta
from typing import Any, Generic, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.chassis.deciding.codec import numbers_of
from services.chassis.deciding.facts import message_class

S = TypeVar("S")
M = TypeVar("M", bound=Message)
A = TypeVar("A", bound=Message)
Convert = Callable[[Any], Any]
# Reads a field of the first message into the second.
Copy = Callable[[Any, Any], None]


class CounterpartMissing(TypeError):
    """What is stored and what the API says of it differ."""


class Values(Generic[S]):
    """A stored enum, or a domain's, and the API's. A number that this version has no name for stands for none."""

    def __init__(self, stored: Any, shown: Any) -> None:
        self.stored_type, self.shown_type = stored, shown
        here, there = _named(stored), _named(shown)
        if odd := (here.keys() ^ there.keys()) - {"UNSPECIFIED"}:
            raise CounterpartMissing(f"{_name(shown)}: only on one side: {', '.join(sorted(odd))}")
        self._shown: dict[S, int] = {value: there[name] for name, value in here.items()}
        self._stored: dict[int, S] = {there[name]: value for name, value in here.items()}

    def shown(self, stored: S) -> Any:
        return self._shown.get(stored, 0)

    def stored(self, shown: int) -> S:
        """Raises KeyError for none where the domain has no member for it."""
        return self._stored[shown] if shown in self._stored else self._stored[0]


class Messages(Generic[M, A]):
    """A stored message and the API's, with all that is inside them."""

    def __init__(self, stored: type[M], shown: type[A], *, only_shown: Collection[str] = ()) -> None:
        """`only_shown`: fields of a message that several services share, and that this one has no facts for."""
        self.stored_type, self.shown_type = stored, shown
        here: Any = stored.DESCRIPTOR
        there: Any = shown.DESCRIPTOR
        self._out, self._in = _copies(here, there, {}, only_shown)

    def shown(self, stored: M) -> A:
        reply = self.shown_type()
        for copy in self._out:
            copy(stored, reply)
        return reply

    def stored(self, shown: A) -> M:
        fact = self.stored_type()
        for copy in self._in:
            copy(shown, fact)
        return fact


def _name(enum: Any) -> str:
    return enum.__name__ if isinstance(enum, EnumMeta) else str(enum.DESCRIPTOR.full_name)


def _named(enum: Any) -> Mapping[str, Any]:
    """The values by their names without the enum's own."""
    if isinstance(enum, EnumMeta):
        members: list[Enum] = list(enum)
        return {member.name: member for member in members}
    return numbers_of(enum.DESCRIPTOR)


_Copies = tuple[list[Copy], list[Copy]]


def _copies(
    stored: Descriptor, shown: Descriptor, begun: dict[tuple[str, str], _Copies], only_shown: Collection[str] = ()
) -> _Copies:
    """From the stored message to the shown one, and back."""
    pair = stored.full_name, shown.full_name
    if pair in begun:  # a message inside itself
        return begun[pair]
    if odd := set(stored.fields_by_name) ^ (set(shown.fields_by_name) - set(only_shown)):
        raise CounterpartMissing(f"{shown.full_name}: only on one side: {', '.join(sorted(odd))}")
    found: _Copies = ([], [])
    begun[pair] = found
    for name, here in stored.fields_by_name.items():
        there = shown.fields_by_name[name]
        out, back = _field(here, there, begun)
        found[0].append(out)
        found[1].append(back)
    return found


def _field(here: FieldDescriptor, there: FieldDescriptor, begun: dict[tuple[str, str], _Copies]) -> tuple[Copy, Copy]:
    if here.is_repeated != there.is_repeated or _oneof(here) != _oneof(there):
        raise CounterpartMissing(f"{there.full_name}: repeated, or one of several, on one side only")
    if _is_map(here) != _is_map(there):
        raise CounterpartMissing(f"{there.full_name}: a map on one side only")
    name = here.name
    if _is_map(here):
        assert here.message_type is not None
        assert there.message_type is not None
        key = here.message_type.fields_by_name["key"], there.message_type.fields_by_name["key"]
        value = here.message_type.fields_by_name["value"], there.message_type.fields_by_name["value"]
        if key[0].type != key[1].type:
            raise CounterpartMissing(f"{there.full_name}: keys of different types")
        out, back = _value(*value, begun)
        of_messages = value[0].message_type is not None
        return _entries(name, out, of_messages), _entries(name, back, of_messages)
    out, back = _value(here, there, begun)
    if here.is_repeated:
        return _items(name, out), _items(name, back)
    if here.has_presence != there.has_presence:
        raise CounterpartMissing(f"{there.full_name}: may be absent on one side only")
    return _single(name, out, here), _single(name, back, there)


def _oneof(field: FieldDescriptor) -> str:
    """The oneof that it is written in; an optional field's own one is none."""
    oneof = field.containing_oneof
    return oneof.name if oneof is not None and len(oneof.fields) > 1 else ""


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _value(
    here: FieldDescriptor, there: FieldDescriptor, begun: dict[tuple[str, str], _Copies]
) -> tuple[Convert, Convert]:
    if here.type != there.type:
        raise CounterpartMissing(f"{there.full_name}: of different types")
    if here.enum_type is not None:
        assert there.enum_type is not None
        one, other = numbers_of(here.enum_type), numbers_of(there.enum_type)
        if odd := one.keys() ^ other.keys():
            raise CounterpartMissing(f"{there.enum_type.full_name}: only on one side: {', '.join(sorted(odd))}")
        return _numbers(one, other), _numbers(other, one)
    if here.message_type is None:
        return _same, _same
    assert there.message_type is not None
    if here.message_type.full_name == there.message_type.full_name:
        return _same, _same
    out, back = _copies(here.message_type, there.message_type, begun)
    return (
        _message(message_class(there.message_type.full_name), out),
        _message(message_class(here.message_type.full_name), back),
    )


def _same(value: Any) -> Any:
    return value


def _numbers(of: Mapping[str, int], to: Mapping[str, int]) -> Convert:
    numbers = {number: to[name] for name, number in of.items()}
    return lambda number: numbers.get(number, 0)


def _message(kind: type[Message], copies: list[Copy]) -> Convert:
    def convert(source: Any) -> Any:
        target = kind()
        for copy in copies:
            copy(source, target)
        return target

    return convert


def _single(name: str, convert: Convert, field: FieldDescriptor) -> Copy:
    of_message, present = field.message_type is not None, field.has_presence

    def copy(source: Any, target: Any) -> None:
        if present and not source.HasField(name):
            return
        value = convert(getattr(source, name))
        if of_message:
            getattr(target, name).CopyFrom(value)
        else:
            setattr(target, name, value)

    return copy


def _items(name: str, convert: Convert) -> Copy:
    def copy(source: Any, target: Any) -> None:
        getattr(target, name).extend(convert(item) for item in getattr(source, name))

    return copy


def _entries(name: str, convert: Convert, of_messages: bool) -> Copy:
    def copy(source: Any, target: Any) -> None:
        entries = getattr(target, name)
        for key, value in getattr(source, name).items():
            if of_messages:
                entries[key].CopyFrom(convert(value))
            else:
                entries[key] = convert(value)

    return copy
