"""The people of a running platform, and what they do there, by one transport or the other."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from gateway.sandbox.day.door import Door
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_pb2 import Dossier, HistoryEntry, Upload
from motcua.identity.v1 import identity_service_pb2 as identity
from motcua.payment.v1 import payment_service_pb2 as payment
from motcua.types.v1 import types_pb2 as types
from tests.platform.deployment import Deployment
from tests.platform.transport import Refused, Stated, Transport
from tests.support import papers
from tests.support.stating import stating
from tests.support.waiting import eventually

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
LOW_ASSURANCE = 9
ATTACHMENT = types.COMPONENT_SOURCE_ATTACHMENT
Form = dict[str, str | bool | int]

TEMPORARY_RESIDENCE = "1.004194"
TEMPORARY_RESIDENCE_FORM: Form = {
    "subject_name": "Nguyễn Thị Lan", "subject_id": "056190000123", "temporary_address": "12 Trần Phú, Nha Trang",
    "commune": "22336", "since": "2026-03-01", "until": "2027-03-01", "housing_in_database": False,
}  # fmt: skip
BIRTH = "1.001193"
BIRTH_FORM: Form = {
    "child_name": "Trần Minh An", "child_sex": "female", "child_birth_date": "2026-02-20", "birth_place": "Bệnh viện tỉnh",
    "birth_notice_number": "CS-1", "mother_name": "Lê Thị Hoa", "requester_relation": "mother",
}  # fmt: skip
HEALTH_CARD = "9.000001"
HEALTH_CARD_FORM: Form = {"child_name": "Trần Minh An", "child_birth_date": "2026-02-20", "hospital": "Bệnh viện tỉnh"}
SOCIAL_INSURANCE = "1.001613"
SOCIAL_INSURANCE_FORM: Form = {
    "subject_name": "Nguyễn Văn Bảy", "subject_id": "056085000321", "insurance_number": "5608500032",
    "ground": "twelve-months", "payment": "cash",
}  # fmt: skip
EXTRACT = "2.000635"
EXTRACT_FORM: Form = {"event_kind": "birth", "subject_name": "Trần Minh An", "copies": 2}


# A token lives 15 minutes.
FRESH_SECONDS = 300


def pdf(text: str, size: int = 0) -> bytes:
    """Another one each time."""
    return papers.pdf(f"{text} {uuid4()}", size)


def _run(coroutine: Coroutine[Any, Any, str]) -> str:
    """In a thread of its own: a browser's test has a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


class Clock:
    """The time that the platform's decisions see. Tokens live by the machine's."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self, local: str) -> None:
        """To a moment in Vietnam, such as 2026-03-02T09:00."""
        self._write(datetime.fromisoformat(f"{local}:00+07:00").timestamp() - time.time())

    def reset(self) -> None:
        """To the machine's own."""
        self._write(0)

    def _write(self, seconds: float) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.rename(self._path)


@dataclass
class People:
    """Tokens of the sandbox's sample persons and officials. A login each, and another before the token ends."""

    deployment: Deployment
    clock: Clock
    _next: Iterator[int] = field(default_factory=lambda: (n for n in itertools.count(1) if n % 10 != LOW_ASSURANCE))
    _tokens: dict[tuple[int, str], tuple[float, str]] = field(default_factory=dict)

    def somebody(self) -> str:
        """A citizen who was not here before."""
        return self.token(next(self._next))

    @cached_property
    def officials(self) -> list[dict[str, Any]]:
        return self.deployment.officials()

    def official(self, agency: str, role: str) -> str:
        for one in self.officials:
            if one["agency"] == agency and role in one["roles"]:
                return self.token(one["person"], one["appointment_id"])
        raise LookupError(f"{agency} has no {role}")

    @cached_property
    def commune(self) -> str:
        """A people's committee with a one-stop shop, which has a police station below it."""
        agencies = {one["agency"] for one in self.officials}
        return str(min(agency for agency in agencies if f"{agency}.1" in agencies and agency.count(".") == 2))

    def token(self, person: int, appointment_id: str = "", level: int = 2) -> str:
        of = (person, appointment_id)
        if of not in self._tokens or time.monotonic() - self._tokens[of][0] > FRESH_SECONDS:
            self._tokens[of] = (time.monotonic(), _run(self._log_in(*of, level)))
        return self._tokens[of][1]

    async def _log_in(self, person: int, appointment_id: str, level: int) -> str:
        door = Door(self.deployment.url)
        try:
            return await door.log_in(person, appointment_id, level=level)
        finally:
            await door.close()


@dataclass
class World:
    """What can be done, with the words of the protos."""

    transport: Transport
    people: People
    clock: Clock

    def call(self, token: str, request: Message, stated: Stated = ()) -> Any:
        """Give the request an id, and send it again as long as it is told to."""
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:  # type: ignore[attr-defined]
            request.request_id = str(uuid4())  # type: ignore[attr-defined]

        def once() -> list[Any] | None:
            try:
                return [self.transport.call(request, token, stated)]
            except Refused as refused:
                if refused.retry_seconds is None:
                    raise
                return None

        (reply,) = eventually(once)
        return reply

    def refusal(self, token: str, request: Message) -> Refused:
        try:
            reply = self.call(token, request)
        except Refused as refused:
            return refused
        raise AssertionError(f"accepted: {reply}")

    def upload(self, token: str, content: bytes) -> Upload:
        digest = hashlib.sha256(content).hexdigest()
        begun = self.call(
            token, pb.CreateUploadRequest(media_type="application/pdf", size=len(content), sha256=digest)
        ).upload
        done: Upload = self.call(token, pb.UploadChunkRequest(upload_id=begun.upload_id, data=content)).upload
        assert done.complete
        return done

    def attachment(self, token: str, component_code: str, text: str = "") -> pb.GivenComponent:
        uploaded = self.upload(token, pdf(text or component_code))
        return pb.GivenComponent(component_code=component_code, source=ATTACHMENT, sha256=uploaded.sha256)

    def submit(
        self, token: str, procedure: str, form: Form, *components: pb.GivenComponent, **more: Any
    ) -> pb.SubmitDossierResponse:
        request = pb.SubmitDossierRequest(
            procedure_code=procedure,
            channel=types.CHANNEL_ONLINE,
            form=ParseDict(form, Struct()),
            components=components,
            reception_agency=self.people.commune,
            delivery_method=dossier_pb2.DELIVERY_METHOD_ELECTRONIC,
        )
        request.MergeFrom(pb.SubmitDossierRequest(**more))
        reply: pb.SubmitDossierResponse = self.call(token, request)
        return reply

    def dossier(self, token: str, code: str) -> Dossier:
        found: Dossier = self.call(token, pb.GetDossierRequest(code=code), stating("settle")).dossier
        return found

    def history(self, token: str, code: str) -> list[HistoryEntry]:
        request = pb.ListHistoryRequest(code=code, page_size=200)
        return list(self.call(token, request, stating("settle")).entries)

    def told(self, token: str, code: str) -> list[str]:
        """The dossier's events, by name."""
        return [entry.event_type.rpartition(".")[2] for entry in self.history(token, code)]

    def by(self, code: str, role: str) -> Callable[[Message], Any]:
        """An official of the agency that holds the dossier does something."""
        reception = self.people.official(code.partition("-")[0], "receptionist")
        agency = self.dossier(reception, code).holder
        token = self.people.official(agency, role)
        return lambda request: self.call(token, request)

    def fee(self, token: str, code: str) -> str:
        """The id of the dossier's one fee, once the payment service knows of it."""
        (fee,) = self.dossier(token, code).fees

        def known() -> bool:
            try:
                self.call(token, payment.GetPaymentRequest(fee_id=fee.fee_id))
            except Refused as refused:
                if refused.reason != "PAYMENT_NOT_FOUND":
                    raise
                return False
            return True

        eventually(known)
        return str(fee.fee_id)

    def pay_online(self, token: str, code: str) -> None:
        fee_id = self.fee(token, code)
        checkout = self.call(token, payment.StartCheckoutRequest(fee_id=fee_id))
        paid = httpx.post(checkout.url.replace("/vpcpay.html?", "/pay?") + "&outcome=success")
        assert paid.status_code == 303, paid.text
        eventually(lambda: "FeePaid" in self.told(token, code))

    def receive(self, code: str) -> pb.ReceiveDossierResponse:
        reply: pb.ReceiveDossierResponse = self.by(code, "receptionist")(pb.ReceiveDossierRequest(code=code))
        return reply

    def transfer(self, code: str) -> None:
        reception = self.people.official(code.partition("-")[0], "receptionist")
        competent = self.dossier(reception, code).competent_agency
        request = pb.TransferDossierRequest(code=code, to_agency=competent, reason="Đúng thẩm quyền.")
        self.by(code, "receptionist")(request)

    def work(self, code: str, *steps: tuple[str, str]) -> None:
        """Each step by an official with its role."""
        for step, role in steps:
            act = self.by(code, role)
            act(pb.AssignStepRequest(code=code, step_code=step))
            act(pb.CompleteStepRequest(code=code, step_code=step))

    def decide(self, code: str, number: str = "01/KQ") -> pb.IssueResultResponse:
        """Approve, and issue the result."""
        reception = self.people.official(code.partition("-")[0], "receptionist")
        approver = self.people.official(self.dossier(reception, code).holder, "approver")
        self.call(approver, pb.ApproveDossierRequest(code=code))
        result = self.upload(approver, pdf(f"result {code}"))
        issued: pb.IssueResultResponse = self.call(
            approver, pb.IssueResultRequest(code=code, result_number=number, sha256=result.sha256)
        )
        return issued

    def hand_over(self, code: str) -> None:
        method = dossier_pb2.DELIVERY_METHOD_ELECTRONIC
        self.by(code, "receptionist")(pb.ReturnResultRequest(code=code, delivery_method=method))

    def account_id(self, token: str) -> str:
        return str(self.call(token, identity.GetMyAccountRequest()).account.account_id)


def local(moment: Any) -> str:
    """A timestamp as an official in Vietnam reads it."""
    return str(moment.ToDatetime(tzinfo=UTC).astimezone(ZONE).strftime("%Y-%m-%dT%H:%M"))
