"""The site's identity: facts in the log, under which its stores are known to belong together."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from google.protobuf.message import Message

from motcua.site.events.v1 import events_pb2 as facts
from services.chassis.deciding.codec import to_timestamp
from services.chassis.deciding.facts import message_of
from services.chassis.machine import chance, moments
from services.chassis.store.port import ANY, NO_STREAM, Conflict, EventStore, NewEvent

FOUNDED = facts.SiteFounded.DESCRIPTOR.full_name
ACTOR = "service:site"


@dataclass(frozen=True, slots=True)
class Identity:
    site_id: str
    stores: frozenset[str]
    """Those that no log gives back and that were made; one that is missing is lost."""


def stream_of(site: str) -> str:
    return f"site-{site}"


async def identity_of(store: EventStore, site: str) -> Identity | None:
    """As the log has it; None for a log of before, or of no site yet."""
    site_id, stores = "", set()
    for recorded in await store.read(stream_of(site)):
        match message_of(recorded):
            case facts.SiteFounded() as founded:
                site_id = founded.site_id
            case facts.StoreFounded() as made:
                stores.add(made.store)
    return Identity(site_id, frozenset(stores)) if site_id else None


async def found(store: EventStore, site: str, at: datetime) -> Identity:
    """The site's identity, made if there is none; of processes that start at once, one makes it."""
    founded = facts.SiteFounded(site_id=str(chance.new_id()), at=to_timestamp(at), site=site)
    if (known := await identity_of(store, site)) is None:
        with contextlib.suppress(Conflict):
            await store.append(stream_of(site), [_event(founded, chance.new_id(), site)], NO_STREAM)
        known = await identity_of(store, site)
    # A replica of the event store may lag behind the one that answered the append.
    while known is None:
        await moments.sleep(0.1)
        known = await identity_of(store, site)
    return known


async def record(store: EventStore, site: str, fact: Message, once: str) -> None:
    """A fact of the site; `once` names it, so that processes that say the same say it once."""
    site_id: str = fact.site_id  # type: ignore[attr-defined]
    await store.append(stream_of(site), [_event(fact, uuid5(UUID(site_id), once), site)], ANY)


def _event(fact: Message, event_id: UUID, site: str) -> NewEvent:
    metadata = json.dumps({"actor": ACTOR, "site": site, "$correlationId": str(event_id)}, sort_keys=True)
    return NewEvent(event_id, fact.DESCRIPTOR.full_name, fact.SerializeToString(deterministic=True), metadata.encode())
