from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from joserfc.jwk import OKPKey

from command.registry import service_classes
from services.catalogue.seed import seed
from services.chassis.access import access
from services.chassis.platform.platform import Platform
from tests.access.callers import Caller, callers
from tests.support.hosted import hosted
from tests.support.postgresql import settings_of
from tests.support.rpcs import NAMES, Client, client
from tests.support.tokens import signing_key


@pytest.fixture(scope="package")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, OKPKey]]:
    """All of them, with the law of one province and a key that signs tokens."""
    folder = tmp_path_factory.mktemp("access")

    async def prepare() -> OKPKey:
        platform = await Platform.open(settings_of(folder))
        await seed(platform, ["56"])
        made = await signing_key(platform.store)
        await platform.close()
        return made

    signing = asyncio.run(prepare())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(access, "KEY_WAIT_SECONDS", 0.01)  # impostors' keys never come
        with hosted(folder, service_classes(NAMES)) as host, client(host) as made:
            yield made, signing


@pytest.fixture(scope="package")
def every_caller(services: tuple[Client, OKPKey]) -> list[Caller]:
    made, signing = services
    return list(callers(signing, made.host.service_token()))
