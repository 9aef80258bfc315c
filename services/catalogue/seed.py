"""The sample catalogue as facts: published through the deciders, once, however often it is asked for."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import structlog
from sqlalchemy import Column, MetaData, String, Table, insert, select

from services.catalogue import codec
from services.catalogue.checks import said
from services.catalogue.events import TerritoryPublished
from services.catalogue.loader import DATA, Catalogue, enacted, identity, load
from services.catalogue.publisher import Publisher, overlay_id
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.handler import Handler, Outcome
from services.chassis.following.in_force import SHAPES
from services.chassis.machine import threads
from services.chassis.platform.platform import Platform
from services.chassis.text.names import same_name
from services.law.days import local_day
from services.law.definitions import Agency, Territory

ACTOR = "service:catalogue"
# The statistical office's codes.
CODES = "19/2025/QĐ-TTg"

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
    # The definition and what was said of it.
    refused: list[tuple[Any, str]] = field(default_factory=list)


async def seed(platform: Platform, provinces: Iterable[str], folder: Path = DATA) -> Report | None:
    """Publish what `folder` defines, with the agencies of these provinces. None if this content was published before.

    Before the catalogue service starts or beside it. What the files change of an earlier content under the same version is refused
    and reported: the law in force is the one that was published.

    Raises CatalogueFaulty.
    """
    database = platform.database("catalogue")
    await database.create(metadata)
    wanted = sorted(provinces)
    digest = await threads.in_thread(_digest, folder, wanted)
    if await database.read(lambda db: db.execute(select(seeds).where(seeds.c.digest == digest)).first()):
        return None
    report = await publish(Publisher.of(platform), await threads.in_thread(load, folder), wanted, platform.clock.now())
    for definition, why in report.refused:
        log.warning(
            "a sample definition was refused", kind=type(definition).__name__, key=identity(definition), why=why
        )
    await database.write(lambda db: db.execute(insert(seeds).values(digest=digest)))
    return report


async def publish(publisher: Publisher, catalogue: Catalogue, provinces: Iterable[str], now: datetime) -> Report:
    """What others refer to comes first; within that, streams are written side by side."""
    provinces = list(provinces)
    earlier = {code: known for province in provinces for code, known in catalogue.earlier_agencies(province).items()}
    run = _Run(publisher, now, earlier)
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


async def publish_in_order(
    publisher: Publisher, definitions: Iterable[tuple[str, Any]], now: datetime, *, replaces: bool = False
) -> Report:
    """Of any kinds, one after the other."""
    run = _Run(publisher, now, {}, replaces)
    for each in definitions:
        await run.side_by_side([each])
    return run.report


class _Run:
    def __init__(self, publisher: Publisher, now: datetime, earlier: Mapping[str, str], replaces: bool = False) -> None:
        self.report = Report()
        self._now = now
        self._publisher = publisher
        self._earlier = earlier
        self._publish: dict[str, tuple[Handler[Any, Any, Any], Publish]] = {
            "calendar": (publisher.calendars, partial(publisher.publish_calendar, replaces=replaces)),
            "territory": (publisher.territories, publisher.publish_territory),
            "procedure": (publisher.procedures, partial(publisher.publish_procedure, replaces=replaces)),
            "agency": (publisher.agencies, publisher.open_agency),
            "overlay": (publisher.overlays, partial(publisher.adopt_overlay, replaces=replaces)),
        }

    async def side_by_side(self, definitions: Iterable[tuple[str, Any]]) -> None:
        by_stream: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
        for kind, definition in definitions:
            by_stream[kind, KEYS[kind](definition)].append(definition)
        await asyncio.gather(*(self._stream(kind, key, each) for (kind, key), each in by_stream.items()))

    async def _opened_earlier(self, agency: Agency) -> bool:
        """Whether it was opened while its commune had another code: that stays its code."""
        if agency.code not in self._earlier:
            return False
        state, _ = await self._publisher.agencies.load(self._earlier[agency.code])
        return any(same_name(each.definition.name.vi, agency.name.vi) for each in state.versions)

    async def _corrected(self, territory: Territory) -> None:
        """What was published with communes' earlier codes gets a version with today's, from tomorrow on."""
        code = territory.province.code
        published = [
            codec.territory_codec.decode(event.type, event.data)
            for event in await self._publisher.territories.read(code)
        ]
        versions = [event.territory for event in published if isinstance(event, TerritoryPublished)]
        if len(published) > len(versions) or not versions:
            return
        names = {unit.code: unit.name.vi for unit in versions[-1].communes}
        if not any(
            same_name(names.get(earlier, ""), unit.name.vi)
            for unit in territory.communes
            for earlier in unit.earlier_codes
        ):
            return
        tomorrow = (date.fromisoformat(local_day(self._now)) + timedelta(days=1)).isoformat()
        corrected = replace(territory, version=versions[-1].version + 1, valid_from=tomorrow, legal_basis=CODES)
        await self._publisher.publish_territory(corrected, self._now, ACTOR, _origin("territory", code, corrected))
        self.report.published += 1

    async def _stream(self, kind: str, key: str, definitions: list[Any]) -> None:
        handler, publish = self._publish[kind]
        for definition in definitions:
            since = getattr(definition, "valid_from", "") or getattr(definition, "announced_on", "")
            at = enacted(since or self._now.date().isoformat(), self._now)
            if kind == "agency" and await self._opened_earlier(definition):
                self.report.unchanged += 1
                continue
            _, before = await handler.load(key)
            try:
                outcome = await publish(definition, at, ACTOR, _origin(kind, key, definition))
            except Rejected as rejected:
                self.report.refused.append((definition, said(rejected)))
                continue
            if outcome.revision > before:
                self.report.published += 1
            else:
                self.report.unchanged += 1
        if kind == "territory":
            await self._corrected(definitions[-1])


def _origin(kind: str, key: str, definition: Any) -> Origin:
    """The request id follows from the content: the same content again is the same request."""
    content = SHAPES[kind].write(definition).SerializeToString(deterministic=True)
    digest = hashlib.sha256(content).hexdigest()
    request_id = str(uuid5(NAMESPACE_OID, f"{kind}-{key}:{digest}"))
    return Origin.outermost(request_id, digest, ACTOR)


def _digest(folder: Path, provinces: list[str]) -> str:
    found = hashlib.sha256(",".join(provinces).encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found.update(f"\0{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return found.hexdigest()
