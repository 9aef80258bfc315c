"""The platform loses its power again and again while it is used. Nothing that was acknowledged is lost or done twice."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.platform.deployment import Deployment
from tests.platform.proof import SIDE_BY_SIDE, Site, Witness, live_through, prove, require_rebuilt

pytestmark = pytest.mark.long

CRASHES = 20
# After the first acknowledgement since the start.
SHORTEST_SECONDS, LONGEST_SECONDS = 0.0, 2.0


@pytest.fixture(scope="module")
def seed() -> int:
    return int(os.environ.get("MOTCUA_TEST_SEED", random.randrange(2**32)))


def test_nothing_acknowledged_is_lost_or_done_twice(tmp_path: Path, seed: int) -> None:
    print(f"MOTCUA_TEST_SEED={seed}")
    limits = {"MOTCUA_EDGE_RATE": "5000", "MOTCUA_EDGE_BURST": "10000"}
    site = Site(Deployment(tmp_path / "data", settings=limits))
    site.deployment.start()
    try:
        asyncio.run(_prove(site, random.Random(seed)))
        require_rebuilt(site)
    finally:
        site.deployment.kill()


async def _prove(site: Site, rng: random.Random) -> None:
    async def power_cuts(witness: Witness) -> None:
        for _ in range(CRASHES):
            await witness.another()
            await asyncio.sleep(rng.uniform(SHORTEST_SECONDS, LONGEST_SECONDS))
            await asyncio.to_thread(site.deployment.kill)
            await asyncio.to_thread(site.deployment.launch)

    witness, day = await live_through(site.deployment, rng, power_cuts)
    print(f"{len(witness.journal)} changes acknowledged, {len(day.codes)} dossiers, {CRASHES} crashes")
    assert len(day.codes) > SIDE_BY_SIDE
    await prove(site, witness, day)
