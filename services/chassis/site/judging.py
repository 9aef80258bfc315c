"""Whether stores belong together: pure. Every fault names the store that is wrong, as far as that can be told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.chassis.site.identity import Identity
from services.chassis.site.marks import Memory
from services.chassis.store.port import START


@dataclass(frozen=True, slots=True)
class Part:
    """A database as it was found."""

    name: str
    label: str
    """As the operator knows it: a file, or a schema."""
    durable: bool
    memory: Memory
    remade: bool = False
    """Whether it is made again from what is published where it is lost."""


@dataclass(frozen=True, slots=True)
class Log:
    """The event store as it was found. `events`: by position, the ids that marks are compared with; None where it cannot say."""

    label: str
    head: int
    identity: Identity | None
    events: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Fault:
    what: str
    disposable: str = ""
    """The view that is at fault alone: folded anew, it is right again."""


def faults(log: Log, parts: Sequence[Part], joined: Iterable[str]) -> Iterator[Fault]:
    """`joined`: the stores of the log's identity as they were before the parts were looked at."""
    vouching = [part for part in parts if part.durable and _agrees(log, part)]
    for part in parts:
        fault = _apart(log, part)
        if fault:
            yield Fault(fault, part.name if vouching and not part.durable else "")
        elif beyond := _beyond(log, part):
            yield Fault(beyond)
        elif part.durable and part.name in joined and part.name not in part.memory.marks and not part.remade:
            yield Fault(f"{part.label} is lost: the site has had one, and what is there now is not it")
    yield from _older(parts)


def _agrees(log: Log, part: Part) -> bool:
    own = part.memory.marks.get(part.name)
    return (
        own is not None and log.identity is not None and own.site_id == log.identity.site_id and not _apart(log, part)
    )


def _apart(log: Log, part: Part) -> str:
    """Of another site, or of another history of this one."""
    own = part.memory.marks.get(part.name)
    if own is None:
        return ""
    if log.identity is None:
        if log.head == START:
            return f"{log.label} is empty or missing, and {part.label} belongs to a site that has a log"
        return f"{log.label} is not the log that {part.label} belongs to (site {own.site_id})"
    if own.site_id != log.identity.site_id:
        return f"{part.label} is of the site {own.site_id}, {log.label} of {log.identity.site_id}"
    there = log.events.get(own.position, own.event)
    if own.event and own.position <= log.head and there != own.event:
        return (
            f"{log.label} has {there or 'no event'} at position {own.position}, where {part.label} has seen {own.event}: "
            "they are of two histories"
        )
    return ""


def _beyond(log: Log, part: Part) -> str:
    own = part.memory.marks.get(part.name)
    seen = max(part.memory.furthest, own.position if own else START)
    if seen <= log.head:
        return ""
    if log.head == START:
        return f"{log.label} is empty or missing, and {part.label} has seen the log up to position {seen}"
    return (
        f"{log.label} ends at position {log.head}, and {part.label} has seen position {seen}: events at the end of the log are "
        "lost (it is an older copy, or was cut off)"
    )


def _older(parts: Sequence[Part]) -> Iterator[Fault]:
    """Known by what another one remembers of it."""
    by_name = {part.name: part for part in parts}
    for witness in parts:
        for name, told in witness.memory.marks.items():
            part = by_name.get(name)
            own = part.memory.marks.get(name) if part else None
            if part is None or own is None or name == witness.name or own.site_id != told.site_id:
                continue
            if own.opened < told.opened or own.position < told.position:
                yield Fault(
                    f"{part.label} is an older copy: it has seen the log up to position {own.position}, and {witness.label} knows "
                    f"it at position {told.position}"
                )
