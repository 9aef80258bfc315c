"""Recorded histories, one file for each version, only ever added to: what was stored keeps its meaning.

The first is of the version before its release, a day of a province's communes in the sandbox.
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from command.registry import service_classes
from services.chassis.database.database import Database
from services.chassis.deciding.facts import message_of
from services.chassis.following.views import Projection, RunningView
from services.chassis.frame.dependencies import _Decisions
from services.chassis.privacy.sealing import ERASED, Keys, open_message, sealed_fields
from services.chassis.store.port import NO_STREAM, NewEvent, RecordedEvent
from services.chassis.store.sqlite import SqliteStore
from tests.support.postgresql import Engine

HISTORIES = sorted(Path(__file__).parent.glob("*.jsonl.gz"))
# Where each dossier stood when it was recorded.
SETTLED = {
    "0.1.0": {
        "P56.22.333-20261122-0000001": "RESULT_RETURNED",
        "P56.22.333.1-20261122-0000001": "RESULT_RETURNED",
        "P56.22.333.1-20261122-0000002": "RESULT_RETURNED",
        "P56.22.390.1-20261122-0000001": "RESULT_RETURNED",
    }
}
CLASSES = service_classes()


def recorded(path: Path) -> list[RecordedEvent]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        events = [json.loads(line) for line in file]
    return [
        RecordedEvent(
            UUID(event["id"]),
            event["type"],
            base64.b64decode(event["data"]),
            json.dumps(event["metadata"]).encode(),
            event["stream"],
            event["revision"],
            position,
            datetime.fromtimestamp(event["recorded_at"] / 1e6, UTC),
        )
        for position, event in enumerate(events, 1)
    ]


def version(path: Path) -> str:
    return path.name.removesuffix(".jsonl.gz")


def deciders() -> dict[str, Any]:
    """By the category of their streams."""
    provided = (thing for cls in CLASSES for thing in vars(cls).values())
    return {thing._category: thing for thing in provided if isinstance(thing, _Decisions)}


def projections() -> list[Projection]:
    modules = [module for name, module in sys.modules.items() if name.startswith(("services.", "gateway."))]
    found = {id(thing): thing for module in modules for thing in vars(module).values() if isinstance(thing, Projection)}
    return list(found.values())


class NoKeys:
    """Everybody is erased."""

    async def keys(self, subjects: Collection[str], *, create: bool) -> Keys:
        return {}


@pytest.fixture(scope="module", params=HISTORIES, ids=version)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture(scope="module")
def history(path: Path) -> Sequence[RecordedEvent]:
    return recorded(path)


def test_every_event_is_read_whole(history: Sequence[RecordedEvent]) -> None:
    for event in history:
        message = message_of(event)
        before = len(event.data)
        message.DiscardUnknownFields()
        assert len(message.SerializeToString()) == before, event


def test_every_stream_is_folded_as_it_was(path: Path, history: Sequence[RecordedEvent]) -> None:
    by_category = deciders()
    streams = {
        stream: list(events) for stream, events in groupby(sorted(history, key=lambda e: e.stream), lambda e: e.stream)
    }
    settled, folded = {}, 0
    for stream, events in streams.items():
        category, _, id_ = stream.partition("-")
        if provider := by_category.get(category):
            state = provider._decider.fold(provider._codec.decode(event.type, event.data) for event in events)
            folded += len(events)
            if category == "dossier":
                settled[id_] = state.settlement.name
    assert settled == SETTLED[version(path)]
    assert folded > len(history) / 2


async def test_every_view_is_filled_and_nobody_s_key_is_needed(
    history: Sequence[RecordedEvent], engine: Engine, tmp_path: Path
) -> None:
    store = await SqliteStore.open(tmp_path / "events.db")
    for stream, events in groupby(sorted(history, key=lambda e: e.stream), lambda e: e.stream):
        new = [NewEvent(event.id, event.type, event.data, event.metadata) for event in events]
        await store.append(stream, new, NO_STREAM)
    database = Database(engine.url(tmp_path), "views")
    assert len(projections()) > len(CLASSES)
    for projection in projections():
        view = RunningView(projection, database, store)
        await view.start()
        await view.caught_up.wait()
        await view.stop()
        tables = projection.metadata.sorted_tables
        followed = Counter(event.type for event in history if event.type in projection.folds)
        rows = await database.read(lambda db, tables=tables: sum(len(db.execute(t.select()).all()) for t in tables))  # type: ignore[misc]
        assert bool(rows) == bool(followed), projection.name
    await database.close()
    await store.close()


async def test_an_erased_person_reads_as_erased(history: Sequence[RecordedEvent]) -> None:
    sealed = 0
    for event in history:
        message = message_of(event)
        shown = await open_message(message, event.id, NoKeys())
        assert set(shown.values()) <= {ERASED}
        sealed += len(shown)
        assert len(shown) == sum(bool(getattr(message, name)) for name in sealed_fields(message.DESCRIPTOR))
    assert sealed
