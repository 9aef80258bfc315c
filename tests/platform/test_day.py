"""The day of a province begins when the trial's catalogue can be read, and says why where it never will be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway.sandbox.day import province
from gateway.sandbox.day.door import Door
from gateway.sandbox.day.province import Province, Stuck
from motcua.catalogue.v1 import catalogue_service_pb2 as pb
from tests.platform.deployment import Deployment

NEVER = 1_000_000


@pytest_asyncio.fixture
async def door(platform: Deployment) -> AsyncIterator[Door]:
    opened = Door(platform.url)
    yield opened
    await opened.close()


class Behind:
    """A catalogue whose view has not folded yet what was published, when it is asked the first times."""

    def __init__(self, now: Any, *, agencies: int = 0, procedures: int = 0) -> None:
        self._now = now
        self.left = {"ListAgencies": agencies, "ListProcedures": procedures}

    def __getattr__(self, method: str) -> Any:
        async def call(request: Any, **more: Any) -> Any:
            if self.left.get(method, 0) > 0:
                self.left[method] -= 1
                return getattr(pb, f"{method}Response")()
            return await getattr(self._now, method)(request, **more)

        return call


async def test_it_waits_for_the_catalogue(door: Door) -> None:
    at_once = await Province.open(door, "56")
    door.catalogue = Behind(door.catalogue, agencies=2, procedures=4)  # type: ignore[assignment]
    later = await Province.open(door, "56")
    assert door.catalogue.left == {"ListAgencies": 0, "ListProcedures": 0}  # type: ignore[attr-defined]
    assert later.shops == at_once.shops != []
    assert later.procedures == at_once.procedures != []


@pytest.mark.parametrize(
    ("behind", "missing"),
    [
        ({"agencies": NEVER}, "one-stop shop of a commune"),
        ({"procedures": NEVER}, "procedure that can be asked for online"),
    ],
    ids=["agencies", "procedures"],
)
async def test_a_catalogue_that_stays_empty(
    door: Door, behind: dict[str, int], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(province, "CATALOGUE_SECONDS", 0.3)
    door.catalogue = Behind(door.catalogue, **behind)  # type: ignore[assignment]
    with pytest.raises(Stuck, match=f"the catalogue lists no {missing} for province 56"):
        await Province.open(door, "56")


def test_a_province_without_sample_officials(platform: Deployment) -> None:
    played = platform.run("demo", "--dossiers", "1", "--province", "01")
    assert played.returncode == 1
    assert "no sample official works in province 01: start the trial with --province 01" in played.stdout
    assert "Traceback" not in played.stdout + played.stderr
