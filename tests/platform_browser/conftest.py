"""One running platform with an open dossier, and a browser in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from motcua.dossier.v1 import dossier_service_pb2 as pb
from tests.platform.deployment import Deployment
from tests.platform.transport import SECONDS, Json
from tests.platform.world import BIRTH, BIRTH_FORM, Clock, People, World
from tests.support import chromium
from tests.support.waiting import eventually


@dataclass
class Office:
    """A one-stop shop whose officials act through the JSON API."""

    url: str
    world: World
    citizen: str

    def submitted(self) -> str:
        """The code of a new dossier, which has its page."""
        code = str(self.world.submit(self.citizen, BIRTH, BIRTH_FORM).code)
        eventually(lambda: httpx.get(f"{self.url}/dossiers/{code}").status_code == 200)
        return code

    @property
    def agency(self) -> str:
        return self.world.people.commune


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    chromium.require()
    folder = tmp_path_factory.mktemp("platform")
    deployment = Deployment(folder / "data", settings={"MOTCUA_EDGE_RATE": "2000", "MOTCUA_EDGE_BURST": "4000"})
    deployment.start()
    clock = Clock(folder / "shift")
    people = People(deployment, clock)
    with httpx.Client(base_url=deployment.url, timeout=SECONDS) as http:
        world = World(Json(http), people, clock)
        office = Office(deployment.url, world, people.somebody())
        world.receive(office.submitted())  # and logs in everybody, which cannot be done beside Playwright's loop
        yield office
    deployment.stop()


# Its loop must end before the next module has one.
@pytest.fixture(scope="module")
def playwright(office: Office) -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=chromium.PATH, args=chromium.FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def received(office: Office) -> str:
    """The code of a dossier that has been received."""
    code = office.submitted()
    office.world.call(office.world.people.official(office.agency, "receptionist"), pb.ReceiveDossierRequest(code=code))
    return code
