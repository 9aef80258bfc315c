"""After a day in a real platform nothing of what people gave stands anywhere in clear, encoded or hashed.

Left out are the sandboxes: they are the national systems, which know people by themselves.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from command.trial.demo import Report, play
from gateway.sandbox.day import province
from gateway.sandbox.day.forms import answers
from gateway.sandbox.day.province import APPLICANTS
from gateway.sandbox.people import Citizen, citizen
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.identity.v1 import identity_service_pb2 as identity
from motcua.identity.v1.identity_pb2 import ERASURE_OUTCOME_REFUSED
from motcua.notification.v1 import notification_service_pb2 as notification
from motcua.types.v1 import types_pb2 as types
from services.chassis.platform.settings import Settings
from tests.notification.world import MailServer, mail_server
from tests.platform.conftest import MONDAY
from tests.platform.deployment import Deployment
from tests.platform.transport import SECONDS, Grpc, Json, Refused
from tests.platform.world import SOCIAL_INSURANCE, TEMPORARY_RESIDENCE, Clock, Form, People, World, pdf
from tests.support.stating import stating
from tests.support.waiting import eventually
from tests.trust.collector import collector
from tests.trust.scanner import Finding, Scanner

FORMATS = ("date", "date-time", "past-date", "birth-date", "phone")
DOSSIERS = 14
LEFT_OUT = ("sandbox",)
RESIDENCE_STEPS = ("receive", "verify", "approve")
INSURANCE_STEPS = ("receive", "settle", "approve")
OFFICIALS_FROM = 100_000


@dataclass
class Given:
    """All that went in."""

    scanner: Scanner = field(default_factory=Scanner)
    rng: Random = field(default_factory=lambda: Random("the day of the scan"))
    count: int = 0

    def text(self, value: str, label: str) -> str:
        self.scanner.add(value, label)
        self.count += 1
        return value

    def words(self, label: str) -> str:
        """A sentence that nobody else says."""
        return self.text(f"{label}: chuyện riêng của gia đình tôi số {self.rng.randrange(10**9):09}, đừng kể.", label)

    def name(self, label: str) -> str:
        """A person's, that nobody else has."""
        letters = "".join(self.rng.choices("abcdeghiklmnopqrstuvxy", k=12))
        return self.text(f"Nguyễn {letters.capitalize()}", label)

    def number(self, label: str) -> str:
        return self.text(f"0{self.rng.randrange(10**10, 10**11)}", label)

    def email(self) -> str:
        return self.text(f"rieng.tu.{self.rng.randrange(10**9)}@hop-thu.example.vn", "e-mail")

    def phone(self) -> str:
        return self.text(f"09{self.rng.randrange(10**8):08}", "phone")

    def content(self, label: str) -> str:
        """What a file says, in ASCII."""
        text = f"{label} of somebody {uuid4().hex} who lives at {uuid4().hex}"
        self.file(text.encode(), label)
        return text

    def file(self, content: bytes, label: str) -> None:
        # A file's name is its hash.
        self.scanner.add(content, f"file: {label}", hashed=False)
        self.count += 1

    def person(self, sample: Citizen) -> None:
        values = {"name": sample.full_name, "address": sample.address, "e-mail": sample.email, "phone": sample.phone}
        for label, value in (values | {"number": sample.personal_number}).items():
            self.text(value, label)

    def form(self, schema: dict[str, Any], answers: dict[str, Any]) -> None:
        """Free text, as long as it says something; dates and choices are anybody's."""
        for name, value in answers.items():
            rule = schema.get("properties", {}).get(name, {})
            free = not ({"enum", "const"} & rule.keys()) and rule.get("format") not in FORMATS
            if free and isinstance(value, str) and len(value) >= 12:
                self.text(value, f"form: {name}")


@dataclass
class Lived:
    data: Path
    given: Given
    traces: Path
    spans: set[str]
    mail: MailServer
    report: Report


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """A platform that has lived through a day, and was stopped. Its logs and traces are complete."""
    folder = tmp_path_factory.mktemp("trust")
    traces, given = folder / "traces.otlp", Given()
    with collector(traces) as (collecting, endpoint), mail_server() as (mail, smtp_url):
        environment = {
            "MOTCUA_CLOCK_SHIFT_FILE": str(folder / "shift"),
            "MOTCUA_EDGE_RATE": "2000",
            "MOTCUA_EDGE_BURST": "4000",
            "MOTCUA_LOG_LEVEL": "DEBUG",
            "MOTCUA_SMTP_URL": smtp_url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
        }
        platform = Deployment(folder / "data", settings=environment)
        clock = Clock(folder / "shift")
        clock.set(MONDAY)
        platform.start()
        try:
            report = _demo(platform, given)
            people = People(platform, clock)
            with (
                grpc.insecure_channel(f"localhost:{platform.port}") as channel,
                httpx.Client(base_url=platform.url, timeout=SECONDS) as http,
            ):
                for person, transport in ((1001, Grpc(channel)), (1002, Json(http))):
                    _live(World(transport, people, clock), person, given)
                    _rotate(platform, World(transport, people, clock), person)
                _browse(http, given)
                _mailed(mail, given)
            # Beside the data folder, where it is looked at, too.
            saved = platform.run("backup", str(folder / "backup"))
            assert saved.returncode == 0, saved.stderr + saved.stdout
        finally:
            platform.stop()
        yield Lived(platform.data, given, traces, collecting.names, mail, report)


def _demo(platform: Deployment, given: Given) -> Report:
    """A short day of a province, as `motcua demo` plays it; whose applicants and officials are known."""
    for index in range(APPLICANTS):
        given.person(citizen(index))
    document = province._document

    def drawn(schema: dict[str, Any], rng: Random) -> dict[str, Any]:
        filled = answers(schema, rng)
        given.form(schema, filled)
        return filled

    def written(text: str) -> bytes:
        content = document(text)
        given.file(content, text)
        return content

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(province, "answers", drawn)
        patch.setattr(province, "_document", written)
        settings = Settings(data=platform.data, port=platform.port)
        return asyncio.run(play(settings, DOSSIERS, "56", rate=10.0, quiet=True))


def _rotate(platform: Deployment, world: World, person: int) -> None:
    """The site's master key is changed while it runs: what was sealed before opens, and goes on to be sealed."""
    master = platform.data / "secrets" / "master"
    before = master.read_text()
    rotated = platform.run("keys", "rotate-master")
    assert rotated.returncode == 0, rotated.stderr + rotated.stdout
    assert before != master.read_text()
    me = world.people.token(person)
    assert world.call(me, identity.GetMyAccountRequest()).account.full_name == citizen(person).full_name
    world.call(
        me, pb.SaveDraftRequest(procedure_code=TEMPORARY_RESIDENCE, form=ParseDict({"subject_name": before}, Struct()))
    )


def _live(world: World, person: int, given: Given) -> None:
    """Everything that a person and officials may write, once."""
    given.person(citizen(person))
    me, now = world.people.token(person), world.call
    now(me, identity.UpdateProfileRequest(email=given.email(), phone=given.phone(), language=types.LANGUAGE_VIETNAMESE))
    preferences = notification.UpdatePreferencesRequest(email=given.email(), language=types.LANGUAGE_VIETNAMESE)
    now(me, preferences)
    residence: Form = {
        "subject_name": given.words("Họ tên")[:60], "subject_id": given.number("number of a relative"),
        "temporary_address": given.words("Địa chỉ"), "temporary_address_place_code": given.number("place code"),
        "commune": "22336", "since": "2026-03-01", "until": "2027-03-01",
        "housing_in_database": False,
    }  # fmt: skip
    draft = pb.SaveDraftRequest(procedure_code=TEMPORARY_RESIDENCE, form=ParseDict(residence, Struct()))
    now(me, draft)
    half = pdf(given.content("an upload that was never finished"), 100_000)
    begun = now(me, pb.CreateUploadRequest(media_type="application/pdf", size=len(half), sha256="ab" * 32)).upload
    now(me, pb.UploadChunkRequest(upload_id=begun.upload_id, data=half[:70_000]))

    # Paid, settled, rated.
    housing = world.attachment(me, "housing", given.content("housing"))
    contact = {"email": given.email(), "phone": given.phone()}
    code = world.submit(me, TEMPORARY_RESIDENCE, residence, housing, **contact).code
    world.pay_online(me, code)
    world.receive(code)
    transfer = pb.TransferDossierRequest(
        code=code, to_agency=world.dossier(me, code).competent_agency, reason=given.words("Chuyển")
    )
    world.by(code, "receptionist")(transfer)
    _work(world, code, given, *RESIDENCE_STEPS)
    world.clock.set("2026-03-10T09:00")
    due = Timestamp()
    due.FromJsonString("2026-04-04T17:00:00+07:00")
    apology = pb.ExtendDeadlineRequest(code=code, due_at=due, reason=given.words("Xin lỗi"), signer="Trưởng Công an")
    world.by(code, "approver")(apology)
    approver = world.people.official(world.dossier(me, code).holder, "approver")
    now(approver, pb.ApproveDossierRequest(code=code))
    result = world.upload(approver, pdf(given.content("result")))
    now(approver, pb.IssueResultRequest(code=code, result_number="01/KQ", sha256=result.sha256))
    world.hand_over(code)
    now(me, pb.RateDossierRequest(code=code, score=1, comment=given.words("Nhận xét")))
    parts = world.transport.stream(pb.GetAttachmentRequest(code=code, sha256=result.sha256), me)
    assert b"".join(part.data for part in parts).startswith(b"%PDF")

    world.clock.set(MONDAY)
    # Supplemented, asked back and declined, stopped.
    insurance: Form = {
        "subject_name": given.words("Tên")[:60], "subject_id": given.number("number of another"),
        "insurance_number": "5608500032", "ground": "twelve-months", "payment": "cash",
    }  # fmt: skip
    book = world.attachment(me, "insurance-book", given.content("book"))
    code = world.submit(me, SOCIAL_INSURANCE, insurance, book).code
    world.receive(code)
    world.transfer(code)
    _work(world, code, given, INSURANCE_STEPS[0])
    asked = pb.RequestSupplementRequest(
        code=code, component_codes=["insurance-book"], explanation=given.words("Bổ sung")
    )
    world.by(code, "processor")(asked)
    clearer = world.attachment(me, "insurance-book", given.content("clearer book"))
    now(me, pb.SupplySupplementRequest(code=code, components=[clearer]))
    now(me, pb.RequestWithdrawalRequest(code=code, reason=given.words("Rút")))
    world.by(code, "receptionist")(pb.DeclineWithdrawalRequest(code=code, explanation=given.words("Không cho rút")))
    stop = pb.StopProcessingRequest(
        code=code, cause=dossier_pb2.STOP_CAUSE_NOT_SUPPLIED, explanation=given.words("Dừng")
    )
    world.by(code, "approver")(stop)

    # Refused, with its fee sent back.
    housing = world.attachment(me, "housing", given.content("housing again"))
    code = world.submit(me, TEMPORARY_RESIDENCE, residence, housing).code
    world.pay_online(me, code)
    world.by(code, "receptionist")(pb.RefuseDossierRequest(code=code, reason=given.words("Từ chối")))
    eventually(lambda: "FeeRefunded" in world.told(me, code))

    # At the counter, with files that an official uploads.
    receptionist = world.people.official(world.people.commune, "receptionist")
    counter = pb.SubmitDossierRequest(
        procedure_code=TEMPORARY_RESIDENCE,
        channel=types.CHANNEL_COUNTER,
        applicant_id=world.account_id(me),
        applicant_kind=dossier_pb2.APPLICANT_KIND_CITIZEN,
        applicant_name=citizen(person).full_name,
        email=given.email(),
        phone=given.phone(),
        form=ParseDict(residence, Struct()),
        components=[
            world.attachment(receptionist, component, given.content(f"scan of {component}"))
            for component in ("housing", "ct01")
        ],
        reception_agency=world.people.commune,
        delivery_method=dossier_pb2.DELIVERY_METHOD_COUNTER,
    )
    _ask(world, person, me, given, now(receptionist, counter).code)


def _work(world: World, code: str, given: Given, *steps: str) -> None:
    for step, role in zip(steps, ("receptionist", "processor", "approver"), strict=False):
        act = world.by(code, role)
        act(pb.AssignStepRequest(code=code, step_code=step))
        act(pb.CompleteStepRequest(code=code, step_code=step, note=given.words("Ghi chú")))


def _ask(world: World, person: int, me: str, given: Given, code: str) -> None:
    """Look-ups, right and wrong, for a dossier at the counter, and what ends in an error."""
    sample, official = citizen(person), world.people.official(world.people.commune, "receptionist")
    basis, born, outcomes = "Điều 10 Luật Căn cước 2023", citizen(person).birth_date.isoformat(), []
    for number, name in (
        (sample.personal_number, sample.full_name),
        (sample.personal_number, given.name("Sai tên")),
        (given.number("number of nobody"), given.name("Không ai")),
        (given.text("not-a-number-056190", "malformed number"), sample.full_name),
    ):
        request = identity.LookUpPersonRequest(
            personal_number=number, full_name=name, birth_date=born, legal_basis=basis
        )
        outcomes.append(_outcome(world, official, request))
    assert outcomes == ["", "", "", "IDENTIFIER_MALFORMED"]
    account_id = world.account_id(me)
    world.call(official, identity.GetAccountRequest(account_id=account_id), stating("settle", code))
    wrong: Form = {"subject_name": given.words("Mẫu sai"), "subject_id": given.text("056190-wrong-id", "wrong id")}
    refused = world.refusal(me, pb.SubmitDossierRequest(
        procedure_code=TEMPORARY_RESIDENCE,
        channel=types.CHANNEL_ONLINE,
        form=ParseDict(wrong, Struct()),
        reception_agency=world.people.commune,
        delivery_method=dossier_pb2.DELIVERY_METHOD_ELECTRONIC,
    ))  # fmt: skip
    assert refused.violations or refused.reason
    assert world.refusal(me, identity.UpdateProfileRequest(email=given.text("no mail address@@", "wrong e-mail")))
    assert world.refusal(me, pb.ListMyDossiersRequest(page_token=given.number("page token")))
    world.call(me, notification.ListInboxRequest(page_size=200))
    world.call(me, identity.ListMyDataUsesRequest(page_size=200))
    world.call(me, identity.RequestErasureRequest())
    administrators = [one for one in world.people.officials if "administrator" in one["roles"]]
    admin = world.people.token(administrators[0]["person"], administrators[0]["appointment_id"])
    refusal = identity.DecideErasureRequest(
        account_id=account_id, outcome=ERASURE_OUTCOME_REFUSED, legal_basis="Điều 14 Luật Bảo vệ dữ liệu cá nhân"
    )
    world.call(admin, refusal)


def _outcome(world: World, token: str, request: identity.LookUpPersonRequest) -> str:
    try:
        world.call(token, request, stating("walk-in"))
    except Refused as refused:
        return refused.reason
    return ""


def _browse(http: httpx.Client, given: Given) -> None:
    """What people type where it does not belong."""
    for path, name in (("/", "code"), ("/procedures", "q"), ("/v1/dossiers", "page_token"), ("/login", "return_to")):
        for value in (given.number("typed number"), given.words("Gõ nhầm")):
            http.get(
                path, params={name: value}, headers={"referer": f"{http.base_url}?{name}={value[-20:].encode()!r}"}
            )


def _mailed(mail: MailServer, given: Given) -> None:
    """E-mails went out: what was said in them was in the platform's hands."""
    eventually(lambda: len(mail.accepted) >= 10)


def found(lived: Lived) -> list[Finding]:
    platform = list(lived.given.scanner.scan(lived.data, but=LEFT_OUT))
    beside = [*lived.given.scanner.scan(lived.traces.parent, but=(lived.data.name,))]
    return platform + beside


def test_the_day_was_lived(lived: Lived) -> None:
    assert lived.report.failures == []
    assert len(lived.report.completed) == DOSSIERS
    assert lived.given.count > 5 * APPLICANTS + 100
    assert {path.name for path in lived.data.iterdir()} >= {"events.db", "keys.db", "blobs", "views", "logs"}
    events = {json.loads(line).get("event") for line in (lived.data / "logs" / "motcua.jsonl").open()}
    assert events
    assert lived.traces.stat().st_size > 100_000
    assert {"motcua.dossier.v1.DossierService/SubmitDossier", "notification.tell"} <= lived.spans
    assert {message["To"] for message in lived.mail.accepted}


def test_no_personal_value_stands_anywhere(lived: Lived) -> None:
    assert [str(finding) for finding in found(lived)] == []


def test_what_is_planted_there_is_found(lived: Lived) -> None:
    """The same scan, of the same folder, with one value more in it."""
    planted = lived.data / "views" / "planted"
    planted.write_bytes(b"x" * 1000 + citizen(1001).full_name.encode())
    try:
        assert {finding.where for finding in found(lived)} == {"views/planted"}
    finally:
        planted.unlink()
