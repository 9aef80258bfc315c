"""What the service does by the clock, over gRPC, with its letters, its page and what an operator is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest

from command.doctor import measures
from command.doctor.finding import Finding, Patient, State
from gateway.status.service import StatusService
from motcua.catalogue.events.v1 import definitions_pb2 as definitions
from motcua.catalogue.events.v1 import events_pb2 as catalogue
from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from motcua.notification.v1 import notification_service_pb2 as n
from motcua.notification.v1.notification_service_pb2_grpc import NotificationServiceStub
from motcua.types.v1 import types_pb2 as types
from services.chassis.deciding.codec import from_timestamp
from services.chassis.following.in_force import SHAPES
from services.chassis.frame.entrypoints import every
from services.chassis.telemetry import gauges
from services.dossier.service import DossierService
from services.law.deadlines import Term, Unit
from services.law.definitions import Channel, ChannelRule, Fee, FeeCondition, Text, UnpaidConsequence
from services.notification.service import NotificationService
from tests.catalogue.samples import CHARGE
from tests.dossier.test_service import PROCEDURE_OF_ONE_COMPONENT, SUCCESSOR, Site
from tests.dossier.world import ZONE
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys
from tests.support.waiting import eventually

WEEK = Term(7, Unit.DAYS)
THREE_DAYS = tuple(ChannelRule(channel, Term(3, Unit.WORKING_DAYS)) for channel in (Channel.ONLINE, Channel.COUNTER))
OWED = Fee(FeeCondition.PROCESSING, (CHARGE,), pay_within=WEEK, unpaid=UnpaidConsequence.STOP)
PAID_FOR = replace(
    PROCEDURE_OF_ONE_COMPONENT,
    code="1.000657",
    name=Text("Thủ tục có hạn nộp phí", "To be paid in time"),
    channels=THREE_DAYS,
    fee=OWED,
)
PAID_FIRST = replace(
    PAID_FOR,
    code="1.000658",
    fee=replace(OWED, condition=FeeCondition.RECEPTION, charges=(replace(CHARGE, per=""),)),
)
PAPER = [pb.GivenComponent(component_code="deed", source=types.COMPONENT_SOURCE_PAPER)]
REASON = "Nộp nhầm khoản lệ phí này"


class Jobs(Site):
    def at(self, moment: datetime) -> None:
        """The clock goes on from then."""
        self.shift.write_text(str((moment - datetime.now(ZONE)).total_seconds()))

    def do(self, name: str, who: Any, **fields: Any) -> Any:
        request = getattr(pb, f"{name}Request")(request_id=str(uuid4()), **fields)
        return getattr(self.stub, name)(request, metadata=who)

    def events(self, code: str, kind: Any) -> list[Any]:
        stored = self.host.run(self.host.platform.store.read(f"dossier-{code}"))
        return [kind.FromString(each.data) for each in stored if each.type == kind.DESCRIPTOR.full_name]

    def happened(self, code: str, kind: Any) -> Any:
        (event,) = eventually(lambda: self.events(code, kind))
        return event

    def publish(self, version: int, known_until: date, *closed: date) -> None:
        day = definitions.Weekday(hours=[definitions.Interval(start="07:30", end="17:00")])
        calendar = definitions.CalendarVersion(
            calendar_id="offices",
            version=version,
            zone="Asia/Ho_Chi_Minh",
            week=[day] * 7,
            known_until=known_until.isoformat(),
            closed=[each.isoformat() for each in closed],
            legal_basis=["1/2026/QĐ-TTg"],
        )
        self.put("calendar-offices", catalogue.CalendarPublished(calendar=calendar))

    def new(self, procedure: Any = PAID_FOR, **changes: Any) -> str:
        return self.submit(self.citizen(), procedure_code=procedure.code, **changes).code

    def page(self, code: str) -> str:
        address = self.host.platform.http_addresses["status"]
        return httpx.get(f"http://{address}/dossiers/{code}", params={"lang": "en"}).text

    def letters(self, code: str) -> list[str]:
        with grpc.insecure_channel(self.host.address("notification")) as channel:
            stub, me = NotificationServiceStub(channel), self.citizen()
            listed = stub.ListInbox(n.ListInboxRequest(page_size=100), metadata=me).messages
            ids = [each.message_id for each in listed if each.dossier_code == code]
            return [stub.GetMessage(n.GetMessageRequest(message_id=id_), metadata=me).message.body for id_ in ids]

    def shown(self, code: str) -> dossier_pb2.Dossier:
        return self.stub.GetDossier(pb.GetDossierRequest(code=code), metadata=self.citizen()).dossier

    def doctor(self) -> Finding:
        http = {"dossier": self.host.platform.http_addresses["dossier"]}
        patient = Patient(
            self.host.platform.settings, {"grpc": {"dossier": self.host.address("dossier")}, "http": http}
        )

        async def told() -> list[Finding]:
            return [found async for found in measures.examine(patient) if found.about == "calendars"]

        (finding,) = asyncio.run(told())
        return finding


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    monkeypatch.setattr(gauges, "KEPT_SECONDS", 0.0)
    keys, shift = MemoryKeys(), tmp_path / "shift"
    ring = {"key_ring": staticmethod(lambda *_: keys)}
    jobs = ("recount_deadlines", "forward_dossiers", "stop_unpaid")
    impatient = {name: every(seconds=0.1)(getattr(DossierService, name)) for name in jobs}
    classes = [
        type("Hosted", (DossierService,), ring | impatient),
        type("Hosted", (NotificationService,), ring),
        StatusService,
    ]
    with (
        hosted(tmp_path, classes, clock_shift_file=shift, public_url="https://motcua.test") as host,
        grpc.insecure_channel(host.address("dossier")) as channel,
    ):
        made = Jobs(host, DossierServiceStub(channel), keys, shift)
        for procedure in (PAID_FOR, PAID_FIRST):
            written: Any = SHAPES["procedure"].write(procedure)
            made.put(f"procedure-{procedure.code}", catalogue.ProcedurePublished(procedure=written))
        made.open()
        made.upload(made.citizen())
        yield made


def local(stamp: Any) -> datetime:
    return from_timestamp(stamp).astimezone(ZONE)


def test_a_new_calendar_counts_the_open_due_dates_again_and_the_operator_is_told_how_far_it_reaches(site: Jobs) -> None:
    code = site.new()
    received = site.do("ReceiveDossier", site.official(), code=code)
    due, today = local(received.due_at), datetime.now(ZONE).date()
    assert received.provisional
    told = site.doctor()
    assert (told.state, "offices" in told.what) == (State.BAD, True)
    site.publish(2, today + timedelta(days=89), due.date())
    moved = site.happened(code, facts.DeadlineRecounted)
    assert (local(moved.original_due_at), local(moved.due_at)) == (due, due + timedelta(days=1))
    assert (moved.calendar, moved.original_calendar, moved.provisional) == ("offices@2", "offices@1", False)
    assert list(moved.legal_basis) == ["1/2026/QĐ-TTg"]
    again = f"{local(moved.due_at):%H:%M ngày %d/%m/%Y}"
    eventually(lambda: any(f"Hẹn lại: {again}." in letter for letter in site.letters(code)))
    # The days are counted as the scrape finds them.
    eventually(lambda: "for 89 days" in site.doctor().what)
    assert site.doctor().state is State.DOUBTFUL
    site.publish(3, today + timedelta(days=90), due.date())
    eventually(lambda: site.doctor().state is State.GOOD)
    assert site.doctor().what == "1, with holidays announced for 90 days and more"
    # The newest counts none of the days until then differently.
    assert len(site.events(code, facts.DeadlineRecounted)) == 1


def test_what_the_counter_takes_after_three_is_forwarded_when_the_next_day_opens(site: Jobs) -> None:
    today = datetime.now(ZONE).date()
    site.at(datetime.combine(today, time(15, 1), ZONE))
    clerk, names = (
        site.official(),
        {"applicant_name": "Nguyễn Văn A", "applicant_kind": dossier_pb2.APPLICANT_KIND_CITIZEN},
    )
    applicant = str(uuid4())
    site.register(applicant)
    counter = {"channel": types.CHANNEL_COUNTER, "components": PAPER, "applicant_id": applicant, **names}
    code = site.submit(clerk, procedure_code=PAID_FOR.code, competent_agency=SUCCESSOR, **counter).code
    site.do("ReceiveDossier", clerk, code=code)
    opens = datetime.combine(today + timedelta(days=1), time(7, 30), ZONE)
    received = site.happened(code, facts.DossierReceived)
    assert local(received.forward_by) == opens
    assert local(received.at).date() == today
    site.at(opens - timedelta(seconds=1))
    passed = site.happened(code, facts.DossierTransferred)
    assert (passed.from_agency, passed.to_agency, passed.reached) == ("H29", SUCCESSOR, True)
    assert opens <= local(passed.at) < opens + timedelta(hours=1)
    assert not passed.HasField("due_at")  # the time counts from the reception


def test_a_fee_that_is_not_paid_in_time_stops_its_dossier_and_the_applicant_is_told_before_and_after(
    site: Jobs,
) -> None:
    clerk = site.official()
    item = pb.AssessedItem(name="Bản sao", amount=8_000)
    codes = [site.new() for _ in range(2)]
    for code in codes:
        site.do("ReceiveDossier", clerk, code=code)
        site.do("AssignStep", clerk, code=code, step_code="receive")
        fee = site.do("AssessFee", clerk, code=code, items=[item], condition=types.FEE_CONDITION_PROCESSING)
    unpaid, cancelled = codes
    first = site.new(PAID_FIRST)
    assert site.shown(unpaid).settlement == dossier_pb2.SETTLEMENT_FINANCIAL_OBLIGATION_REQUESTED
    by = local(site.happened(unpaid, facts.FeeAssessed).pay_by)
    warned = f"Hạn nộp: {by:%H:%M ngày %d/%m/%Y}. Quá hạn này mà chưa nộp, hồ sơ bị dừng giải quyết."
    eventually(lambda: any(warned in letter for letter in site.letters(unpaid)))
    eventually(lambda: f"{by.day} {by:%B %Y}" in site.page(unpaid))
    # Another exit of that state, before the time is over.
    site.do("CancelFee", clerk, code=cancelled, fee_id=fee.fee_id, reason=REASON)
    assert site.shown(cancelled).settlement == dossier_pb2.SETTLEMENT_BEING_PROCESSED
    site.at(by - timedelta(seconds=1))
    stopped = site.happened(unpaid, facts.ProcessingStopped)
    assert (stopped.cause, local(stopped.at) > by) == (dossier_pb2.STOP_CAUSE_NOT_PAID, True)
    assert site.history(unpaid)[-2:] == ["FeeCancelled", "ProcessingStopped"]
    why = site.shown(unpaid).stop
    assert (why.cause, why.explanation) == (
        dossier_pb2.STOP_CAUSE_NOT_PAID,
        "Đã hết thời hạn nộp phí, lệ phí mà chưa nộp.",
    )
    eventually(lambda: any("vì đã hết thời hạn nộp phí" in letter for letter in site.letters(unpaid)))
    eventually(lambda: "Processing stopped" in site.page(unpaid))
    # What reception waited for stops too; what was cancelled goes on.
    site.happened(first, facts.ProcessingStopped)
    assert site.history(first)[-1] == "ProcessingStopped"
    assert site.shown(cancelled).settlement == dossier_pb2.SETTLEMENT_BEING_PROCESSED
