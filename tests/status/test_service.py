"""The status page as a service, over a log that the dossier's own rules wrote."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.status.service import StatusService
from services.chassis.store.sqlite import SqliteStore
from services.dossier import commands as c
from services.dossier import values as v
from services.law.course import FeeCondition
from services.law.deadlines import Term, Unit
from tests.status import histories
from tests.status.histories import CODE, RECEPTION, START, submit, terms
from tests.status.log import execute, handler_over, write_catalogue
from tests.support.hosted import Host, hosted
from tests.support.postgresql import Engine, current

LAW = terms(Term(3, Unit.WORKING_DAYS), FeeCondition.RECEPTION)
OFFICIAL = v.Actor("official-5601", histories.ROLES, RECEPTION)
# Everything personal or internal that went into the log.
PERSONAL = (
    "Bí Mật",
    "bi-mat@vi.example",
    "0905123456",
    "056190001234",
    "bản chính",
    "applicant-5601",
    "official-5601",
    "payment-5601",
    "draft-5601",
    "fee-0",
    "ab" * 32,
)
# On a busy machine; by itself it takes milliseconds.
LIVE_SECONDS = 10
PATHS = ("/", f"/dossiers/{CODE}", "/boards", "/boards/56", "/boards/56/P56.1", "/procedures", "/procedures/1.001456")


async def seed(folder: Path) -> None:
    store = await SqliteStore.open(folder / "events.db")
    await write_catalogue(store)
    await execute(
        handler_over(store),
        CODE,
        submit(LAW),
        c.PayFee(
            by=v.Actor("service:payment"),
            at=START,
            fee_id="fee-0",
            amount=100_000,
            payment_id="payment-5601",
            terms=LAW,
        ),
        c.ReceiveDossier(by=OFFICIAL, at=START, receipt_number="R-5601", terms=LAW),
        c.AssignStep(by=OFFICIAL, at=START, step_code="check", assignee_id=OFFICIAL.actor_id, terms=LAW),
    )
    await store.close()


@pytest.fixture(scope="module")
def folder(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("status")
    asyncio.run(seed(folder))
    return folder


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[Host]:
    with hosted(folder, [StatusService], public_url="https://motcua.test") as host:
        yield host


@pytest.fixture
def client(host: Host) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{host.platform.http_addresses['status']}", timeout=30) as client:
        yield client


def test_the_page_shows_what_the_log_says_as_soon_as_the_service_serves(client: httpx.Client) -> None:
    page = client.get(f"/dossiers/{CODE}", params={"lang": "en"})
    assert page.status_code == 200
    assert "R-5601" in page.text
    assert "People’s Committee of Nha Trang Ward" in page.text


def test_an_unknown_code_is_not_found(client: httpx.Client) -> None:
    assert client.get("/dossiers/P56.22.336-20261109-9999999").status_code == 404
    assert client.get("/dossiers/P56.22.336-20261109-9999999/live").status_code == 404
    for unknown in ("/boards/99", "/boards/%00", "/boards/56/%00", "/dossiers/%00", "/procedures/%00"):
        assert client.get(unknown).status_code == 404, unknown


def test_the_chassis_keeps_its_own_addresses(client: httpx.Client) -> None:
    assert client.get("/livez").text == "ok"
    assert "motcua_" in client.get("/metrics").text


def test_a_printed_code_leads_to_the_public_address_and_holds(host: Host, client: httpx.Client) -> None:
    assert client.get(f"/dossiers/{CODE}/qr.svg").status_code == 200
    assert (host.platform.settings.data / "secrets" / "qr").exists()
    assert client.get(f"/dossiers/{CODE}", params={"seal": "forged"}).status_code == 403


def test_a_live_page_changes_when_the_log_does(host: Host, client: httpx.Client) -> None:
    asked = c.RequestSupplement(
        by=OFFICIAL, at=START, component_codes=("application",), explanation=histories.REASON, terms=LAW
    )
    with client.stream("GET", f"/dossiers/{CODE}/live", params={"after": 5, "lang": "en"}) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("event:")) == "event: freshness"
        began = time.monotonic()
        host.run(execute(handler_over(host.platform.store), CODE, asked))
        assert next(line for line in lines if line.startswith("id:")) == "id: 6"
        assert time.monotonic() - began < LIVE_SECONDS
    assert "Khánh Hòa Department of Finance" in client.get("/boards/56", params={"lang": "en"}).text


def test_nothing_personal_is_shown_or_kept(folder: Path, client: httpx.Client) -> None:
    shown = [client.get(path, params={"lang": language}).text for path in PATHS for language in ("vi", "en")]
    with client.stream("GET", f"/dossiers/{CODE}/live") as stream:
        lines = stream.iter_lines()
        for line in lines:
            shown.append(line)
            if line.startswith("id:"):
                break
        shown += [next(lines) for _ in range(20)]
    kept = current().raw(folder, "status")
    assert CODE.encode() in kept
    log = b"".join(path.read_bytes() for path in folder.glob("events.db*"))
    assert b"applicant-5601" in log
    for secret in PERSONAL:
        assert secret.encode() not in kept, secret
        assert not any(secret in text for text in shown), secret
