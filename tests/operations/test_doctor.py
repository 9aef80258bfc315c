"""Each thing is broken for real, and the doctor's line about it is read."""

from __future__ import annotations

import json
import sqlite3
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import create_engine

from command.doctor import _examine as examined
from command.doctor import administration, certificates, configuration, measures, neighbours, stores
from command.doctor.finding import Examination, Finding, Patient, State
from command.run.postgresql import PrivatePostgresql
from gateway.edge.certificates import make, save
from motcua.payment.events.v1.events_pb2 import PaymentConfirmed
from services.chassis.access.certificates import Files
from services.chassis.store.sqlite import SqliteStore
from services.identity.views import lists, systems
from services.settings import SiteSettings
from tests.platform.deployment import Deployment
from tests.support.authority import BOTH, Authority
from tests.support.postgresql import QUICK
from tests.support.waiting import free_port

HOUR = timedelta(hours=1)
METADATA = json.dumps(
    {"request_id": str(uuid4()), "$correlationId": str(uuid4()), "actor": "test", "site": "vn-56"}
).encode()


def settings(folder: Path, **given: Any) -> SiteSettings:
    return SiteSettings(data=folder, **given)


async def told(examination: Examination, patient: Patient) -> list[Finding]:
    return [finding async for finding in examination(patient)]


def about(findings: list[Finding], name: str) -> Finding:
    (found,) = (finding for finding in findings if finding.about == name)
    if found.state is not State.GOOD:
        assert found.why, f"{found} does not say why it matters"
        assert found.do, f"{found} does not say what to do"
    return found


async def one(examination: Examination, patient: Patient, name: str) -> Finding:
    return about(await told(examination, patient), name)


# Configuration


@pytest.mark.parametrize(
    ("given", "name", "state", "what"),
    [
        ({"public_url": "http://motcua.example", "sandbox": False}, "public address", State.BAD, "is not HTTPS"),
        ({"sandbox": False}, "public address", State.BAD, "is this machine"),
        ({"submission_cutover": date(2026, 1, 1)}, "cut-over", State.BAD, "no other address is named"),
        ({"public_url": "https://motcua.example"}, "sandbox", State.DOUBTFUL, "imitations"),
        ({"sandbox_until": date(2026, 1, 1)}, "sandbox", State.BAD, "ended on 2026-01-01"),
        ({"clock_shift_file": Path("shift")}, "clock", State.DOUBTFUL, "another time"),
        ({"public_url": "https://motcua.example"}, "ledger's name", State.DOUBTFUL, "nobody chose"),
        ({"public_url": "https://m.example", "sandbox": False}, "national systems", State.DOUBTFUL, "MOTCUA_VNEID_URL"),
        ({"master_key": "a" * 64, "master_key_previous": "b" * 64}, "secrets", State.DOUBTFUL, "PREVIOUS is set"),
    ],
)  # fmt: skip
async def test_settings_that_are_valid_and_wrong(
    tmp_path: Path, given: dict[str, Any], name: str, state: State, what: str
) -> None:
    found = [f for f in await told(configuration.examine, Patient(settings(tmp_path, **given))) if f.about == name]
    assert any(f.state is state and what in f.what and f.why and f.do for f in found), found


@pytest.mark.parametrize(
    ("cutover", "purposes", "suspended", "state", "what"),
    [
        ("2026-12-01", None, False, State.DOUBTFUL, "needed from 2026-12-01 on"),
        ("2026-12-01", "submit read", False, State.DOUBTFUL, "needed from 2026-12-01 on"),
        ("2026-12-01", "submit-national", True, State.DOUBTFUL, "needed from 2026-12-01 on"),
        ("2026-11-30", None, False, State.BAD, "has been needed from 2026-11-30 on"),
        ("2026-11-30", "submit-nationally", False, State.BAD, "has been needed from 2026-11-30 on"),
        ("2026-11-30", "read submit-national", False, State.GOOD, "may submit from 2026-11-30 on: the portal"),
    ],
)
async def test_nobody_is_registered_to_submit_for_the_national_portal(
    tmp_path: Path, cutover: str, purposes: str | None, suspended: bool, state: State, what: str
) -> None:
    """The day by the platform's clock: of the cut-over in Vietnam, of the day before in UTC."""
    shift = datetime(2026, 11, 29, 17, 30, tzinfo=UTC) - datetime.now(UTC)
    (tmp_path / "shift").write_text(str(shift.total_seconds()))
    (tmp_path / "views").mkdir()
    engine = create_engine(f"sqlite:///{tmp_path / 'views' / 'identity.db'}")
    with engine.begin() as db:
        lists.metadata.create_all(db)
        if purposes is not None:
            row: dict[str, Any] = {
                "client_id": "portal",
                "name": "the portal",
                "operator_agency": "",
                "kid": "",
                "public_jwk": "",
            }
            row |= {"purposes": purposes, "scopes": b"", "suspended": suspended, "certificate_required": False}
            db.execute(systems.insert().values(**row, registered_at=datetime.now(UTC), revision=0))
    engine.dispose()
    given = settings(tmp_path, submission_cutover=date.fromisoformat(cutover), clock_shift_file=tmp_path / "shift")
    found = await one(administration.examine, Patient(given), "national portal")
    assert (found.state, what in found.what) == (state, True), found


async def test_a_secret_that_others_may_read(tmp_path: Path) -> None:
    given = settings(tmp_path)
    given.secret("master", "")
    assert (await one(configuration.examine, Patient(given), "secrets")).state is State.GOOD
    (tmp_path / "secrets" / "master").chmod(0o644)
    found = await one(configuration.examine, Patient(given), "secrets")
    assert (found.state, found.do) == (State.BAD, f"chmod 0600 {tmp_path}/secrets/master")


async def test_secrets_that_a_pod_made_for_itself(tmp_path: Path) -> None:
    given = settings(tmp_path, event_store="kurrentdb://nowhere:2113?tls=false")
    given.secret("service", "")
    found = await one(configuration.examine, Patient(given), "secrets")
    assert (found.state, "a pod loses them" in found.why) == (State.DOUBTFUL, True)


# Certificates


def site(files: Files, folder: Path) -> Patient:
    given = settings(folder, tls_certificate=files.certificate, tls_key=files.key, tls_authority=files.certificate)
    given = given.model_copy(update={"tls_authority": files.authority})
    return Patient(given, {"grpc": {"dossier": "127.0.0.1:1"}})


def given_for(folder: Path, days: int) -> Files:
    """A certificate of the site that ends in so many days, and began a hundred days before."""
    began = datetime.now(UTC) - timedelta(days=100)
    authority = make(name="site authority", days=1000, now=began)
    files = Files(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")
    save(authority, files.authority, folder / "ca.key")
    name = "dossier.vn-56.internal"
    save(
        make(name=name, days=100 + days, now=began, issuer=authority, names=(name,), uses=BOTH),
        files.certificate,
        files.key,
    )
    return files


@pytest.mark.parametrize(
    ("days", "state", "what"),
    [
        (90, State.GOOD, "ends in 90 days"),
        (10, State.DOUBTFUL, "ends in 10 days"),
        (2, State.BAD, "ends in 48 hours"),
        (-1, State.BAD, "certificate has expired"),
    ],
)
async def test_a_certificate_ends(tmp_path: Path, days: int, state: State, what: str) -> None:
    found = await one(certificates.examine, site(given_for(tmp_path, days), tmp_path), "site's certificate")
    assert (found.state, what in found.what) == (state, True), found


async def test_a_certificate_of_another_authority(tmp_path: Path) -> None:
    files, other = given_for(tmp_path, 90), Authority(tmp_path / "other")
    patient = site(Files(files.certificate, files.key, other.certificate), tmp_path)
    found = await one(certificates.examine, patient, "site's certificate")
    assert (found.state, "unable to get local issuer" in found.what) == (State.BAD, True), found


async def test_a_certificate_for_another_part(tmp_path: Path) -> None:
    files = Authority(tmp_path / "authority").give("payment", "payment.vn-56.internal")
    found = await one(certificates.examine, site(files, tmp_path), "site's certificate")
    assert found.state is State.BAD
    assert found.do == "Issue it with the DNS name dossier.vn-56.internal."


async def test_a_key_of_another_certificate_is_refused_with_the_settings(tmp_path: Path) -> None:
    files, other = given_for(tmp_path, 90), Authority(tmp_path / "other").give("dossier", "dossier.vn-56.internal")
    with pytest.raises(ValueError, match="is not the key of"):
        settings(tmp_path, tls_certificate=files.certificate, tls_key=other.key, tls_authority=files.authority)


async def test_a_site_without_certificates(tmp_path: Path) -> None:
    patient = Patient(settings(tmp_path, event_store="kurrentdb://nowhere:2113?tls=false"))
    assert (await one(certificates.examine, patient, "site's certificates")).state is State.DOUBTFUL


# Neighbours: what answers, and what its clock says


@contextmanager
def serving(status: int, clock: timedelta = timedelta(), files: Files | None = None) -> Iterator[str]:
    """An edge, whose clock differs."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)
            self.send_header("date", format_datetime(datetime.now(UTC) + clock, usegmt=True))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'https' if files else 'http'}://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_an_edge_that_serves_with_the_same_clock(tmp_path: Path) -> None:
    with serving(200) as url:
        findings = await told(neighbours.examine, Patient(settings(tmp_path, public_url=url)))
    assert about(findings, "edge").state is State.GOOD
    assert about(findings, "clock").state is not State.BAD


@pytest.mark.parametrize(("shift", "word"), [(HOUR, "ahead"), (-HOUR, "behind")])
async def test_a_shifted_clock(tmp_path: Path, shift: timedelta, word: str) -> None:
    with serving(200, shift) as url:
        found = await one(neighbours.examine, Patient(settings(tmp_path, public_url=url)), "clock")
    assert (found.state, f"is {word} by 60 minutes" in found.what) == (State.BAD, True), found


async def test_an_edge_that_waits_for_services(tmp_path: Path) -> None:
    with serving(503) as url:
        found = await one(neighbours.examine, Patient(settings(tmp_path, public_url=url)), "edge")
    assert (found.state, "answered 503" in found.what) == (State.BAD, True)


async def test_a_public_certificate_that_nobody_knows(tmp_path: Path) -> None:
    files = Authority(tmp_path / "authority").give("server", "localhost")
    with serving(200, files=files) as url:
        found = await one(certificates.examine, Patient(settings(tmp_path, public_url=url)), "edge's certificate")
    assert (found.state, "unable to get local issuer" in found.what) == (State.BAD, True), found


async def test_nobody_answers(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    given = settings(
        tmp_path,
        public_url=nowhere,
        identity_address=nowhere.removeprefix("http://"),
        vneid_url=nowhere,
        population_url=nowhere,
        vnpay_api_url=nowhere,
        smtp_url=f"smtp://{nowhere.removeprefix('http://')}?tls=none",
        clamd_url=nowhere.replace("http", "tcp"),
        ledger_witnesses="",
    )
    findings = await told(neighbours.examine, Patient(given))
    names = ("edge", "identity", "e-mail", "malware scanner", "VNeID", "population database", "payment provider")
    assert {finding.about: finding.state for finding in findings} == dict.fromkeys(names, State.BAD)
    assert all(finding.why and finding.do for finding in findings)


async def test_a_mail_server_that_answers_and_one_that_wants_another_password(tmp_path: Path) -> None:
    controller = Controller(object(), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        where = f"127.0.0.1:{controller.port}?tls=none"
        for credentials, state in (("", State.GOOD), ("motcua:wrong@", State.BAD)):
            given = settings(tmp_path, public_url="http://127.0.0.1:1", smtp_url=f"smtp://{credentials}{where}")
            assert (await one(neighbours.examine, Patient(given), "e-mail")).state is state
    finally:
        controller.stop()


# Stores


async def test_the_database_is_stopped(tmp_path: Path) -> None:
    server = PrivatePostgresql(tmp_path / "postgresql", QUICK)
    server.start()
    given = settings(tmp_path, database=server.url)
    patient = Patient(given, {"grpc": {"status": "127.0.0.1:1"}})
    try:
        findings = await told(stores.examine, patient)
        lacking = about(findings, "database status")
        assert (lacking.state, lacking.do.startswith("motcua migrate")) == (State.DOUBTFUL, True), lacking
        assert about(findings, "clock").state is State.GOOD
    finally:
        server.stop()
    stopped = await one(stores.examine, patient, "database status")
    assert (stopped.state, "views stand still" in stopped.why) == (State.BAD, True)


async def test_an_event_from_the_future(tmp_path: Path) -> None:
    await (await SqliteStore.open(tmp_path / "events.db")).close()
    insert(tmp_path, "motcua.test.Happened", b"", datetime.now(UTC) + HOUR)
    found = await one(stores.examine, Patient(settings(tmp_path)), "clock")
    assert (found.state, "event store's clock is ahead by 60 minutes" in found.what) == (State.BAD, True), found


async def test_a_log_that_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_bytes(b"not a database at all" * 1000)
    assert (await one(stores.examine, Patient(settings(tmp_path)), "event store")).state is State.BAD


async def test_a_bucket_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setattr("command.doctor.stores.SECONDS", 1.0)
    found = await one(stores.examine, Patient(settings(tmp_path, blobs="s3://motcua-nowhere")), "files")
    assert (found.state, "AWS_ENDPOINT_URL" in found.do) == (State.BAD, True)


async def test_no_backup(tmp_path: Path) -> None:
    found = await one(stores.examine, Patient(settings(tmp_path), backup=str(tmp_path / "backup")), "backup")
    assert (found.state, found.do) == (State.BAD, f"motcua backup {tmp_path}/backup")
    (tmp_path / "backup").mkdir()
    found = await one(stores.examine, Patient(settings(tmp_path), backup=str(tmp_path / "backup")), "backup")
    assert (found.state, found.what.endswith("holds none")) == (State.BAD, True)


# A platform that runs


def insert(folder: Path, type_: str, data: bytes, at: datetime) -> None:
    """An event that no service would write, straight into the log."""
    with closing(sqlite3.connect(folder / "events.db", timeout=30)) as events, events:
        events.execute(
            "INSERT INTO events (stream, revision, id, type, data, metadata, recorded_at) VALUES (?, 0, ?, ?, ?, ?, ?)",
            (f"dossier-{uuid4()}", uuid4().bytes, type_, data, METADATA, round(at.timestamp() * 1e6)),
        )


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path_factory.mktemp("doctor") / "data")
    deployment.start()
    yield deployment
    deployment.kill()


def running(platform: Deployment) -> Patient:
    return Patient(
        settings(platform.data, port=platform.port), json.loads((platform.data / "running.json").read_text())
    )


def test_a_platform_that_is_well(platform: Deployment) -> None:
    done = platform.run("doctor", "--json")
    findings = json.loads(done.stdout)["findings"]
    assert (done.returncode, done.stderr, [f for f in findings if f["state"] == "bad"]) == (0, "", [])
    names = {finding["about"] for finding in findings}
    assert {
        "event store",
        "edge",
        "view",
        "reaction",
        "parked facts",
        "periodic work",
        "ledger",
        "ledger's key",
    } <= names


async def test_the_ledger_of_another_key(platform: Deployment) -> None:
    patient = running(platform)
    given = patient.settings.model_copy(update={"ledger_key": "5" * 64})
    found = await one(measures.examine, Patient(given, patient.running), "ledger's key")
    assert (found.state, "ours is" in found.what) == (State.BAD, True)


async def test_a_process_that_died(platform: Deployment) -> None:
    patient = running(platform)
    http = {**patient.running["http"], "payment": f"127.0.0.1:{free_port()}"}
    found = await one(measures.examine, Patient(patient.settings, {**patient.running, "http": http}), "payment")
    assert (found.state, found.why) == (State.BAD, "Nobody knows how it is.")


async def test_a_view_that_stands_still_and_a_fact_that_is_parked(
    platform: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dossier's event that nothing can read, and a payment of a dossier that there never was."""
    long_ago = datetime.now(UTC) - HOUR
    paid = PaymentConfirmed(fee_id="fee", code="P56.22.366-20260302-0000001", payment_id="payment")
    insert(platform.data, paid.DESCRIPTOR.full_name, paid.SerializeToString(), long_ago)
    insert(platform.data, "motcua.dossier.events.v1.DossierReceived", b"\xff\xff", long_ago)
    ends = time.monotonic() + 60
    while True:
        findings = await told(measures.examine, running(platform))
        bad = {finding.about for finding in findings if finding.state is State.BAD}
        if {"view", "parked facts", "ledger", "background"} <= bad:
            break
        assert time.monotonic() < ends, findings
    stalled = [finding for finding in findings if finding.about == "view" and finding.state is State.BAD]
    assert any("60 minutes behind" in finding.what for finding in stalled), stalled
    idle = [finding.what for finding in findings if finding.about == "background"]
    assert "follower ledger is not at work" in idle
    parked = about(findings, "parked facts")
    assert (parked.what, "motcua parked retry" in parked.do) == ("1 of dossier.note_money", True)
    capsys.readouterr()
    assert await examined(running(platform), as_json=False) == 1
    said = capsys.readouterr().out
    assert "✗ parked facts 1 of dossier.note_money" in said
    assert "→ motcua parked list" in said


async def test_a_pod_is_not_asked_what_it_cannot_reach(tmp_path: Path) -> None:
    """Its NetworkPolicy leads to its stores and its peers, not to the edge; and the other services' settings are not its own."""
    given = settings(tmp_path, public_url="https://motcua.example", sandbox=False, blobs="s3://nowhere")
    patient = Patient(given, {"grpc": {"status": f"127.0.0.1:{free_port()}"}, "http": {}})
    findings = [
        finding
        for examination in (configuration, certificates, stores, neighbours, measures)
        for finding in await told(examination.examine, patient)
    ]
    assert {finding.about for finding in findings if finding.state is not State.GOOD} == {
        "event store", "status", "running",
    }  # fmt: skip


async def test_nothing_runs(tmp_path: Path) -> None:
    found = await one(measures.examine, Patient(settings(tmp_path)), "running")
    assert (found.state, "kubectl exec" in found.do) == (State.DOUBTFUL, True)
