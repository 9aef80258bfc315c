"""A site that has lived, its parts put together by hand: as it was stopped, as it was killed, as it was before, and another one."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select

from command.backup import durable
from command.schemas import views
from command.site import belonging
from gateway.ledger.format.errors import LedgerError
from services.chassis.database import positions
from services.chassis.following.views import create, fold
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.chassis.site.refusal import SiteRefused
from services.registry import SERVICES
from tests.backup.site import Site, settings_of, site

ALL = tuple(SERVICES)
EVENTS_OF_A_DOSSIER = 3


@dataclass(frozen=True)
class Lived:
    """Folders of one site, but for `other`."""

    stopped: Path
    killed: Path
    older: Path
    other: Path
    content: dict[str, Any]
    """Of `stopped` and `killed`."""


async def live(folder: Path) -> Lived:
    site_, stopped, killed, older = (folder / name for name in ("site", "stopped", "killed", "older"))
    await _day(site_, 0)
    shutil.copytree(site_, older)
    await _day(site_, 4, killed)
    shutil.copytree(site_, stopped)
    await _day(folder / "other", 0)
    return Lived(stopped, killed, older, folder / "other", await content_of(settings_of(stopped)))


async def _day(folder: Path, start: int, killed: Path | None = None) -> None:
    settings = settings_of(folder)
    await belonging.require(settings, ALL, aside=None)
    async with site(settings) as at:
        watch = await belonging.begin(at.platform, ALL)
        await at.play(4, start=start)
        await at.upload(f"sender-{start}", b"half of it", 4)
        await at.publish((start + 4) * EVENTS_OF_A_DOSSIER)
        await fold_all(at.platform)
        await watch.finish()
        if killed:
            shutil.copytree(folder, killed)


async def fold_all(platform: Platform) -> None:
    """As the services do that follow the log."""
    for service, view in views():
        database = platform.database(service)
        await create(view, database)
        old = await database.write(partial(positions.load, follower=view.name))
        events = await platform.store.read_all(old, tuple(view.folds), 100_000)
        if events:
            await database.write(partial(fold, view=view, events=events, old=old, new=events[-1].position))


async def content_of(settings: Settings) -> dict[str, Any]:
    """All that people see of a site that started, or must still be able to."""
    async with site(settings) as at:
        await belonging.begin(at.platform, ALL)
        await fold_all(at.platform)
        async with at.ledger():
            found = await _content(at)
    return found


async def _content(at: Site) -> dict[str, Any]:
    found: dict[str, Any] = {"head": await at.platform.store.head(), "checkpoint": await at.checkpoint()}
    for name in ("keys", "dossier-uploads"):
        rows = await at.platform.database(name, durable=True).read(partial(durable.save, name=name))
        found[name] = {table: some for table, some in rows.items() if some}
    for service, view in views():
        for table in view.tables:
            rows_of = select(table).order_by(*table.primary_key.columns)
            rows = await at.platform.database(service).read(lambda db, query=rows_of: db.execute(query).all())  # type: ignore[misc]
            found[f"{service}.{table.name}"] = [tuple(row) for row in rows]
    return found


async def started(folder: Path, **given: Any) -> tuple[str, dict[str, Any], list[str]]:
    """Why it does not start; or what it then has. And what was set aside."""
    settings, said = settings_of(folder, **given), list[str]()
    await asyncio.sleep(0)  # what the test copied before is not the site's work
    try:
        await belonging.require(settings, ALL, aside=said.append)
        return "", await content_of(settings), said
    except (SiteRefused, LedgerError) as refused:
        return str(refused), {}, said
