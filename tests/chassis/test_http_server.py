"""An HTTP server on a loop of somebody else's: what its application holds open begins and ends with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from services.chassis.frame.http_server import HostedApp
from tests.support.waiting import eventually_here


async def test_what_the_application_holds_open_ends_with_the_server_whatever_ended_it() -> None:
    happened: list[str] = []

    @asynccontextmanager
    async def holding(_: Starlette) -> AsyncIterator[None]:
        happened.append("opened")
        yield
        happened.append("closed")

    app = HostedApp(Starlette(lifespan=holding), "127.0.0.1", 0)
    await app.start()
    assert app._owned._task
    app._owned._task.cancel()
    await eventually_here(lambda: len(happened) == 3)
    await app.stop()
    assert happened == ["opened", "closed", "opened", "closed"]
