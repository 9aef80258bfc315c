"""Compares a log's leaves with the site's own event store, on the site's own machine: one changed byte or dropped event shows.

What a leaf does not hold of an event, sealed fields and metadata, its commitment binds, as long as the person's key exists.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from google.protobuf.message import DecodeError

from gateway.ledger.audit.faults import Fault, Kind
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.leaf import Leaf
from gateway.ledger.keep import entries
from services.chassis.following.erasures import erased_accounts
from services.chassis.privacy.sealing import KeyRing, Keys, is_lost
from services.chassis.store.port import START, EventStore, RecordedEvent

UNREADABLE = (LedgerError, DecodeError, LookupError, ValueError)


@dataclass(frozen=True, slots=True)
class Stored:
    """An event of a dossier, and the keys of those who were not erased."""

    event: RecordedEvent
    keys: Keys
    lost: str = ""
    """The subject, if there is no key and nobody decided the erasure."""


async def stored_events(store: EventStore, keys: KeyRing) -> AsyncGenerator[Sequence[Stored], None]:
    """What is stored of all dossiers, in order, in batches that are not empty."""
    erased = await erased_accounts(store)
    after = START
    while batch := await store.read_all(after, entries.TYPES):
        events = entries.of_dossiers(batch)
        subjects = [_subject(event) for event in events]
        held = await keys.keys(set(filter(None, subjects)), create=False)
        if events:
            gone = {subject for subject in subjects if is_lost(subject, held)} - erased
            yield [
                Stored(event, held, subject if subject in gone else "")
                for event, subject in zip(events, subjects, strict=True)
            ]
        after = batch[-1].position


def _subject(event: RecordedEvent) -> str:
    """Empty if the event cannot be read: comparing it says why."""
    try:
        (found,) = entries.read([event])
    except UNREADABLE:
        return ""
    return found.subject


class EventComparison:
    """`stored` are the events of all dossiers in the order of their positions."""

    def __init__(self, stored: Iterator[Stored]) -> None:
        self.compared = 0
        """Leaves whose event was found. The commitments of `committed` could be compared; the others are of persons who were
        `erased`, or whose key is `lost`."""
        self.committed = 0
        self.erased = 0
        self.lost = 0
        self.ahead = 0
        """Events newer than the checkpoint."""
        self._stored = stored
        self._leaves: dict[UUID, tuple[int, Leaf]] = {}
        """Those whose event was not met yet, with their indexes; `_events`: those whose leaf was not."""
        self._events: dict[UUID, Stored] = {}
        self._unreadable = False
        self._position = START
        """Of the event that was compared last."""
        self._highest = START
        """The newest event with a leaf."""

    def leaf(self, index: int, leaf: Leaf, /) -> Iterator[Fault]:
        """Takes one more event, which is this leaf's as long as both are in the same order."""
        stored = next(self._stored, None)
        if stored and stored.event.id == leaf.id:
            yield from self._compare(index, leaf, stored)
            return
        if stored:
            waiting = self._leaves.pop(stored.event.id, None)
            if waiting:
                yield from self._compare(*waiting, stored)
            else:
                self._events[stored.event.id] = stored
        found = self._events.pop(leaf.id, None)
        if found:
            yield from self._compare(index, leaf, found)
        else:
            self._leaves[leaf.id] = (index, leaf)

    def unreadable(self) -> None:
        self._unreadable = True

    def finish(self) -> Iterator[Fault]:
        for stored in self._stored:
            waiting = self._leaves.pop(stored.event.id, None)
            if waiting:
                yield from self._compare(*waiting, stored)
            else:
                self._events[stored.event.id] = stored
        for index, leaf in self._leaves.values():
            what = f"the event {leaf.id} ({_short(leaf.type)}) is leaf {index} of the ledger and not in the event store"
            yield Fault(Kind.EVENT_DROPPED, f"dossier {leaf.code}, revision {leaf.revision}", what)
        for stored in self._events.values():
            event = stored.event
            if event.position > self._highest:
                self.ahead += 1
                continue
            if self._unreadable:  # its leaf may be one of those
                continue
            what = f"the event {event.id} ({_short(event.type)}) is in the event store at position {event.position} and has no leaf"
            yield Fault(Kind.EVENT_LEFT_OUT, _where(event), what)

    def _compare(self, index: int, leaf: Leaf, stored: Stored) -> Iterator[Fault]:
        event = stored.event
        self.compared += 1
        if event.position < self._position:
            what = f"the event {event.id} stands at position {event.position}, leaf {index} comes after that of {self._position}"
            yield Fault(Kind.EVENT_MOVED, _where(event), what)
        self._position = event.position
        self._highest = max(self._highest, event.position)
        try:
            (found,) = entries.read([event])
            expected = replace(entries.leaf_of(found, stored.keys, leaf.previous), revision=event.revision)
        except UNREADABLE as unreadable:
            yield Fault(
                Kind.EVENT_CHANGED, _where(event), f"the event {event.id}, leaf {index}, cannot be read: {unreadable}"
            )
            return
        if expected.commitment and leaf.commitment:
            self.committed += 1
        elif stored.lost:
            self.lost += 1
            what = f"the key of {stored.lost} is lost: nobody decided an erasure, and the event {event.id} cannot be opened"
            yield Fault(Kind.KEY_LOST, _where(event), what)
        else:
            self.erased += 1
        if differences := _differences(expected, leaf):
            what = f"the event {event.id} is not as leaf {index} shows it: {'; '.join(differences)}"
            yield Fault(Kind.EVENT_CHANGED, _where(event), what)


def _differences(stored: Leaf, leaf: Leaf) -> list[str]:
    found = [
        f"{name} is {getattr(stored, name)}, the ledger says {getattr(leaf, name)}"
        for name in ("code", "revision", "type", "time")
        if getattr(stored, name) != getattr(leaf, name)
    ]
    found += [f"{where} is {a!r}, the ledger says {b!r}" for where, a, b in _values("event", stored.event, leaf.event)]
    if stored.commitment and not leaf.commitment:
        found.append("the leaf has no commitment, although the person was not erased")
    elif stored.commitment and stored.commitment != leaf.commitment and not found:
        found.append("what everybody may see is the same, its sealed fields or its metadata were changed")
    return found


def _values(where: str, stored: Any, shown: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ."""
    if isinstance(stored, dict) and isinstance(shown, dict):
        for name in sorted(stored.keys() | shown.keys()):
            yield from _values(f"{where}.{name}", stored.get(name), shown.get(name))
    elif stored != shown or type(stored) is not type(shown):
        yield where, stored, shown


def _where(event: RecordedEvent) -> str:
    return f"dossier {entries.code_of(event)}, revision {event.revision}"


def _short(event_type: str) -> str:
    return event_type.rpartition(".")[2]
