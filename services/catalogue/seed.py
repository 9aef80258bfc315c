"""The sample catalogue as facts: published through the deciders, once, however often it is asked for."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import structlog
from sqlalchemy import Column, MetaData, String, Table, insert, select

from services.catalogue.loader import DATA, Catalogue, enacted, load
from services.catalogue.publisher import Publisher, overlay_id
from services.chassis.caller import Origin
from services.chassis.decider import Rejected
from services.chassis.handler import Handler, Outcome
from services.chassis.law.kept import SHAPES
from services.chassis.platform import Platform

ACTOR = "service:catalogue"

log = structlog.get_logger()

metadata = MetaData()
seeds = Table("seeds", metadata, Column("digest", String, primary_key=True))

# By what the streams of each kind are named.
KEYS: dict[str, Callable[[Any], str]] = {
    "calendar": lambda each: str(each.calendar_id),
    "territory": lambda each: str(each.province.code),
    "procedure": lambda each: str(each.code),
    "agency": lambda each: str(each.code),
    "overlay": overlay_id,
}

Publish = Callable[[Any, datetime, str, Origin], Awaitable[Outcome[Any]]]


@dataclass(slots=True)
class Report:
    published: int = 0
    unchanged: int = 0
    # The stream and the reason.
    refused: list[str] = field(default_factory=list)


async def seed(platform: Platform, provinces: Iterable[str], folder: Path = DATA) -> Report | None:
    """Publish what `folder` defines, with the agencies of these provinces. None if this content was published before.

    Before the catalogue service starts or beside it. What the files change of an earlier content under the same version is refused
    and reported: the law in force is the one that was published.

    Raises FaultyCatalogueError.
    """
    database = platform.database("catalogue")
    await database.create(metadata)
    wanted = sorted(provinces)
    digest = await asyncio.to_thread(_digest, folder, wanted)
    if await database.read(lambda db: db.execute(select(seeds).where(seeds.c.digest == digest)).first()):
        return None
    report = await publish(Publisher.of(platform), await asyncio.to_thread(load, folder), wanted, platform.clock.now())
    for refused in report.refused:
        log.warning("a sample definition was refused", definition=refused)
    await database.write(lambda db: db.execute(insert(seeds).values(digest=digest)))
    return report


async def publish(publisher: Publisher, catalogue: Catalogue, provinces: Iterable[str], now: datetime) -> Report:
    """What others refer to comes first; within that, streams are written side by side."""
    run = _Run(publisher, now)
    await run.side_by_side(
        [
            *(("calendar", each) for each in catalogue.calendars),
            *(("territory", each) for each in catalogue.territories),
            *(("procedure", each) for each in catalogue.procedures),
        ]
    )
    agencies = [agency for province in provinces for agency in catalogue.agencies(province)]
    opened: set[str] = set()
    while agencies:
        ready = [agency for agency in agencies if not agency.parent or agency.parent in opened]
        await run.side_by_side([("agency", agency) for agency in ready])
        opened |= {agency.code for agency in ready}
        agencies = [agency for agency in agencies if agency.code not in opened]
    await run.side_by_side([("overlay", each) for each in catalogue.overlays])
    return run.report


async def publish_in_order(publisher: Publisher, definitions: Iterable[tuple[str, Any]], now: datetime) -> Report:
    """Of any kinds, one after the other."""
    run = _Run(publisher, now)
    for each in definitions:
        await run.side_by_side([each])
    return run.report


class _Run:
    def __init__(self, publisher: Publisher, now: datetime) -> None:
        self.report = Report()
        self._now = now
        self._publish: dict[str, tuple[Handler[Any, Any, Any], Publish]] = {
            "calendar": (publisher.calendars, publisher.publish_calendar),
            "territory": (publisher.territories, publisher.publish_territory),
            "procedure": (publisher.procedures, publisher.publish_procedure),
            "agency": (publisher.agencies, publisher.open_agency),
            "overlay": (publisher.overlays, publisher.adopt_overlay),
        }

    async def side_by_side(self, definitions: Iterable[tuple[str, Any]]) -> None:
        by_stream: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
        for kind, definition in definitions:
            by_stream[kind, KEYS[kind](definition)].append(definition)
        await asyncio.gather(*(self._stream(kind, key, each) for (kind, key), each in by_stream.items()))

    async def _stream(self, kind: str, key: str, definitions: list[Any]) -> None:
        handler, publish = self._publish[kind]
        for definition in definitions:
            since = getattr(definition, "valid_from", "") or getattr(definition, "announced_on", "")
            at = enacted(since or self._now.date().isoformat(), self._now)
            _, before = await handler.load(key)
            try:
                outcome = await publish(definition, at, ACTOR, _origin(kind, key, definition))
            except Rejected as rejected:
                self.report.refused.append(f"{kind} {key}: {rejected.reason} {rejected.facts}")
                continue
            if outcome.revision > before:
                self.report.published += 1
            else:
                self.report.unchanged += 1


def _origin(kind: str, key: str, definition: Any) -> Origin:
    """The request id follows from the content: the same content again is the same request."""
    content = SHAPES[kind].write(definition).SerializeToString(deterministic=True)
    digest = hashlib.sha256(content).hexdigest()
    request_id = str(uuid5(NAMESPACE_OID, f"{kind}-{key}:{digest}"))
    return Origin(request_id, digest, ACTOR, request_id, request_id)


def _digest(folder: Path, provinces: list[str]) -> str:
    found = hashlib.sha256(",".join(provinces).encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found.update(f"\0{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return found.hexdigest()
