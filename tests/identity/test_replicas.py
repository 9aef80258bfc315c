"""Two replicas of identity over one folder: what the other services ask is answered while one of them lives."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

from services.chassis import channels
from services.chassis.platform.platform import Platform
from services.chassis.platform.remote_keys import RemoteKeys
from services.chassis.platform.settings import Settings
from services.identity.service import IdentityService
from tests.support.hosted import hosted


def test_the_methods_that_are_tried_again_are_those_of_identity() -> None:
    assert f'"{IdentityService.rpcs.full_name}"' in channels.OPTIONS[0][1]


async def test_keys_are_found_when_a_replica_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with hosted(folder, [IdentityService]) as stays, ExitStack() as stack:
        goes = stack.enter_context(hosted(folder, [IdentityService]))
        address = f"ipv4:{stays.address('identity')},{goes.address('identity')}"
        platform = await Platform.open(Settings(data=folder, identity_address=address, key_cache_seconds=0))
        ring = RemoteKeys(platform, "dossier")
        before = await asked(ring, 10)
        going = asyncio.create_task(asyncio.to_thread(stack.close))
        during = await asked(ring, 40)
        await going
        after = await asked(ring, 10)
        assert len({key for keys in (before, during, after) for key in keys.values()}) == 60
        for keys in (before, during, after):
            assert await ring.keys(keys, create=False) == keys
        await platform.close()


async def asked(ring: RemoteKeys, people: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for _ in range(people):
        found |= await ring.keys([str(uuid4())], create=True)
    return found
