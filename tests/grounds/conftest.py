"""A site with all services and lives at it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from joserfc.jwk import OKPKey

from command.registry import service_classes
from services.catalogue.seed import seed
from services.chassis.platform.platform import Platform
from tests.grounds.lives import Lives, live
from tests.idempotency.world import World
from tests.identity.sandboxes import SECRET, sandboxes
from tests.support.hosted import hosted
from tests.support.postgresql import settings_of
from tests.support.rpcs import NAMES, client
from tests.support.tokens import signing_key


@pytest.fixture(scope="package")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    folder = tmp_path_factory.mktemp("grounds")

    async def prepare() -> OKPKey:
        platform = await Platform.open(settings_of(folder))
        await seed(platform, ["56"])
        made = await signing_key(platform.store)
        await platform.close()
        return made

    key = asyncio.run(prepare())
    shift = folder / "shift"
    shift.write_text("0")
    with sandboxes(folder.parent / "population", ()) as url:
        settings = {
            "clock_shift_file": shift,
            "population_url": f"{url}/population",
            "population_secret": SECRET,
        }
        with hosted(folder, service_classes(NAMES), **settings) as host, client(host) as calling:
            yield live(World(calling, key))
