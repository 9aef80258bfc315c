"""Today's indicators, followed: every group as it is now, then each that changes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection

from motcua.warehouse.v1 import warehouse_pb2
from motcua.warehouse.v1 import warehouse_service_pb2 as pb
from services.chassis.clock import Clock
from services.chassis.following.views import RunningView
from services.chassis.frame.watching import HEARTBEAT_SECONDS
from services.chassis.machine import moments
from services.law.days import local_day
from services.warehouse.groups import Period, as_of, groups_query, indicators_of, names_of
from services.warehouse.refusals import Refused

# Changes within this time are sent as one.
PACE_SECONDS = 1.0
_TOKEN = re.compile(r"(\d{4}-\d{2}-\d{2})\.(0|[1-9]\d{0,18})", re.ASCII)


def resume_token_of(day: str, position: int) -> str:
    return f"{day}.{position}"


def _parsed(token: str) -> tuple[str, int]:
    """Raises Rejected INVALID_POSITION."""
    if not token:
        return "", -1
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise Refused("INVALID_POSITION", position=token[:40])
    return match[1], int(match[2])


async def watched(
    request: pb.WatchIndicatorsRequest, view: RunningView, clock: Clock
) -> AsyncIterator[pb.WatchIndicatorsResponse]:
    """Groups in the order of their last change, so that a token stands for all that was sent before it.

    A new day begins with every group anew. Raises Rejected INVALID_POSITION, POSITION_UNUSABLE, RequestInvalid.
    """
    names, (day, seen) = names_of(request.group_by), _parsed(request.resume_token)
    if seen > view.position:
        oldest = resume_token_of(local_day(clock.now()), 0)
        raise Refused("POSITION_UNUSABLE", position=request.resume_token, oldest=oldest)
    caught_up = False
    while True:
        today, generation = local_day(clock.now()), view.generation
        if day != today:
            day, seen = today, -1
        rows, counted_until = await view.read(partial(_changed, request.filter, day, names, seen))
        for row in rows:
            seen = int(row.changed)
            yield pb.WatchIndicatorsResponse(
                indicators=indicators_of(row, names), as_of=counted_until, resume_token=resume_token_of(day, seen)
            )
        token = resume_token_of(day, max(seen, 0))
        if not caught_up:
            caught_up = True
            yield pb.WatchIndicatorsResponse(caught_up=True, as_of=counted_until, resume_token=token)
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await view.changed(generation)
        except TimeoutError:
            yield pb.WatchIndicatorsResponse(heartbeat=True, as_of=counted_until, resume_token=token)
        else:
            await moments.sleep(PACE_SECONDS)


def _changed(
    chosen: warehouse_pb2.IndicatorFilter, day: str, names: tuple[str, ...], seen: int, db: Connection
) -> tuple[list[Any], Timestamp | None]:
    rows = db.execute(groups_query(Period(day, day), chosen, names, seen)).all()
    by_change = sorted(rows, key=lambda row: (int(row.changed), *(getattr(row, name) for name in names)))
    return by_change, as_of(db)
