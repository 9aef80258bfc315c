"""An office opens from nothing, without the sandbox's shortcuts: the first administrator, officials, a system."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import OKPKey

from command.doctor import administration
from command.doctor.finding import Finding, Patient, State
from gateway.sandbox.people import Citizen, citizen
from motcua.identity.events.v1 import events_pb2 as facts
from services.chassis.platform.settings import Settings
from services.identity.national import CALLBACK
from tests.identity.sandboxes import SECRET, sandboxes
from tests.platform.deployment import Deployment
from tests.platform.log import Log
from tests.support.waiting import eventually

ADMINISTRATOR, RECEPTIONIST, OTHER = citizen(0), citizen(1), citizen(2)
CATALOGUE = """
calendars:
  - calendar_id: general
    version: 1
    name: {vi: Lịch làm việc hành chính, en: General administration}
    zone: Asia/Ho_Chi_Minh
    known_until: 2027-12-31
    week: [&full {hours: [{start: "07:30", end: "11:30"}]}, *full, *full, *full, *full, &off {hours: []}, *off]
    closed: []
    worked: []
    legal_basis: [45/2019/QH14]
territories:
  - province: {code: "01", kind: city, name: {vi: Hà Nội, en: Hanoi}}
    communes: [{code: "00004", kind: ward, name: {vi: Phường Ba Đình, en: Ba Dinh}}]
    version: 1
    valid_from: 2025-07-01
    legal_basis: 202/2025/QH15
agencies:
  - {code: H26, name: {vi: Trung tâm, en: Centre}, kind: peoples-committee, level: province, province: "01",
     calendar_id: general, one_stop_shop: true, valid_from: 2025-07-01}
  - {code: H26.1, name: {vi: Sở Nội vụ, en: Department}, kind: department, level: province, province: "01",
     calendar_id: general, parent: H26, valid_from: 2025-07-01}
"""


@dataclass
class Office:
    """A site that nobody has opened yet, beside a VNeID that is not the site's own."""

    site: Deployment

    def log_in(self, person: Citizen, **query: str) -> dict[str, Any]:
        with httpx.Client(base_url=self.site.url) as browser:
            begun = browser.get("/login", params=query)
            at_vneid = httpx.get(f"{begun.headers['location']}&login_hint={person.personal_number}")
            answer = browser.get(at_vneid.headers["location"])
        return {"status": answer.status_code, **answer.json()}

    def token(self, person: Citizen, **query: str) -> str:
        return str(self.log_in(person, **query)["access_token"])

    def call(self, method: str, path: str, token: str, **body: Any) -> httpx.Response:
        asked = {"request_id": str(uuid.uuid4()), **body} if method == "POST" else None
        return httpx.request(method, self.site.url + path, headers={"authorization": f"Bearer {token}"}, json=asked)

    def account_id(self, person: Citizen) -> str:
        return str(self.call("GET", "/v1/accounts/me", self.token(person)).json()["account"]["accountId"])

    def appoint(self, person: Citizen, *more: str, decision: str = "12/QĐ-UBND") -> tuple[int, str]:
        ran = self.site.run("appoint", person.personal_number, "--decision", decision, *more)
        assert person.personal_number not in ran.stdout + ran.stderr
        return ran.returncode, ran.stdout + ran.stderr

    def said_of_administrators(self) -> Finding:
        async def told() -> Finding:
            (found,) = [
                each async for each in administration.examine(Patient(Settings(data=self.site.data, site="vn-01")))
            ]
            return found

        return asyncio.run(told())


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("opening")
    site = Deployment(folder / "data")
    with sandboxes(folder / "vneid", (site.url + CALLBACK,)) as national:
        site.settings = {
            "MOTCUA_SITE": "vn-01",
            "MOTCUA_SANDBOX": "false",
            "MOTCUA_EDGE_HOST": "127.0.0.1",
            "MOTCUA_VNEID_URL": f"{national}/vneid",
            "MOTCUA_VNEID_CLIENT_SECRET": SECRET,
        }
        site.launch()
        try:
            eventually(site.serves)
            yield Office(site)
        finally:
            site.kill()


def test_an_office_opens(office: Office, tmp_path: Path) -> None:
    site = office.site
    # Nobody can do anything yet.
    found = office.said_of_administrators()
    assert (found.state, found.what, "motcua appoint" in found.do) == (State.BAD, "the site has none", True)
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    loaded = site.run("catalogue", "load", str(tmp_path / "catalogue.yaml"), "--into-store")
    assert (loaded.returncode, loaded.stdout) == (0, "4 published, 0 unchanged, 0 refused\n"), loaded.stderr

    # What the first start did not need is nobody's to make.
    assert "lacks" not in site.run("doctor").stdout

    # Before the first login, by number alone.
    code, said = office.appoint(ADMINISTRATOR)
    assert code == 0, said
    link = said.split("/login?scope=")[1].split()[0]
    (appointed,) = Log(site.data).of(facts.OfficialAppointed)
    assert (appointed.event.by, f"appointment:{appointed.event.appointment_id}") == ("operator", link)
    told = [json.loads(row[3]) for row in Log(site.data).rows if row[4].startswith(("account-", "administration-"))]
    assert [each["actor"] for each in told] == ["operator", "operator"]

    # Again it changes nothing; another one is refused, and nothing of that is kept.
    rows = len(Log(site.data).rows)
    code, said = office.appoint(ADMINISTRATOR, "--title", "Chủ tịch")
    assert (code, "nothing is changed" in said, link in said) == (0, True, True)
    code, said = office.appoint(OTHER)
    assert (code, "has had its first administrator" in said) == (1, True)
    assert len(Log(site.data).rows) == rows
    assert eventually(lambda: office.said_of_administrators().state is State.GOOD)

    # They appoint others, who logged in once, and register systems: also where the code tells no province.
    administrator = office.token(ADMINISTRATOR, scope=link)
    official = office.account_id(RECEPTIONIST)
    made = office.call(
        "POST",
        f"/v1/accounts/{official}/appointments",
        administrator,
        roles=["ROLE_RECEPTIONIST"],
        agency="H26.1",
        province="01",
        title="Công chức một cửa",
        decision_number="13/QĐ-UBND",
    )
    assert made.status_code == 200, made.text
    scope = f"appointment:{made.json()['appointmentId']}"
    assert office.log_in(RECEPTIONIST, scope=scope)["scope"] == scope
    system = {"client_id": "portal", "name": "Cổng", "operator_agency": "H26.1", "purposes": ["submit"]}
    key = json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=False))
    scopes = [{"purpose": "submit", "agencies": ["H26.1"], "all_procedures": True}]
    registered = office.call("POST", "/v1/systems", administrator, public_jwk=key, scopes=scopes, **system)
    assert registered.status_code == 200, registered.text
    suspended = office.call("POST", "/v1/systems/portal:suspend", administrator, reason="Thử nghiệm")
    assert suspended.status_code == 200, suspended.text


def test_who_is_gone_is_followed_by_another(office: Office) -> None:
    """Another administrator ends the first one's appointment, and whatever is typed again does not bring it back."""
    first, other = office.account_id(ADMINISTRATOR), office.account_id(OTHER)
    (named,) = Log(office.site.data).of(facts.AdministratorNamed)
    scope = f"appointment:{named.event.appointment_id}"
    duties = {
        "roles": ["ROLE_ADMINISTRATOR"],
        "agency": "H26",
        "province": "01",
        "title": "Phó",
        "decision_number": "14",
    }
    token = office.token(ADMINISTRATOR, scope=scope)
    second = office.call("POST", f"/v1/accounts/{other}/appointments", token, **duties).json()["appointmentId"]
    token = office.token(OTHER, scope=f"appointment:{second}")
    path = f"/v1/accounts/{first}/appointments/{named.event.appointment_id}:end"
    ended = office.call("POST", path, token, reason="Nghỉ hưu")
    assert ended.status_code == 200, ended.text
    # What the chart would type at the next upgrade does not bring the first one back.
    code, said = office.appoint(ADMINISTRATOR)
    assert (code, "nothing is changed" in said) == (0, True)
    assert office.log_in(ADMINISTRATOR, scope=scope)["status"] == 400


def test_the_only_one_who_cannot_act_is_replaced(office: Office) -> None:
    """A number that nobody has: no login will ever end it."""
    log = Log(office.site.data)
    held = [each.event.appointment_id for each in log.of(facts.OfficialAppointed)]
    slip = replace(OTHER, personal_number="001090000009")
    code, said = office.appoint(slip, "--instead-of", "none")
    assert (code, "none" in said) == (1, True)
    code, said = office.appoint(slip, "--none-is-left")
    in_office = next(each for each in held if each in said)
    assert (code, f"--instead-of {in_office}" in said) == (1, True)
    code, said = office.appoint(slip, "--instead-of", in_office)
    assert code == 0, said
    named = said.split("/login?scope=appointment:")[1].split()[0]
    code, said = eventually(lambda: _when(0, office.appoint(ADMINISTRATOR, "--instead-of", named)))
    ended = [each.event for each in Log(office.site.data).of(facts.AppointmentEnded)]
    assert [(each.appointment_id, each.by) for each in ended[-2:]] == [(in_office, "operator"), (named, "operator")]
    # Again it changes nothing.
    rows = len(Log(office.site.data).rows)
    assert office.appoint(ADMINISTRATOR, "--instead-of", named)[0] == 0
    assert len(Log(office.site.data).rows) == rows


def _when(code: int, done: tuple[int, str]) -> tuple[int, str] | None:
    """The lists follow the log a moment later."""
    return done if done[0] == code else None
