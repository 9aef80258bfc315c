"""The model of a province's day: who applies for what, by which channel, and how applicants and officials behave.

Behaviour follows from the dossier's code alone, so that a day that was interrupted goes on as it would have gone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import grpc
import httpx
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from gateway.sandbox.day.door import Door, Person, refusal
from gateway.sandbox.day.forms import answers
from motcua.catalogue.v1 import catalogue_service_pb2 as catalogue
from motcua.catalogue.v1 import definitions_pb2 as law
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.payment.v1 import payment_service_pb2 as payment
from motcua.types.v1 import types_pb2 as types

ONLINE_SHARE = 0.8
PAYS_ONLINE = 0.75
REFUSED = 0.05
SUPPLEMENTED = 0.12
WITHDRAWN = 0.04
RATED = 0.6
# A province's pool of applicants; the sandbox has a million persons.
APPLICANTS = 150
# Sample persons whose number ends in 9 have a login of low assurance only.
LOW_ASSURANCE = 9
WAIT_SECONDS = 0.15
CATALOGUE_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 90.0

S = dossier_pb2.Settlement
ENDED = frozenset({S.SETTLEMENT_NOT_RECEIVED, S.SETTLEMENT_PROCESSING_STOPPED, S.SETTLEMENT_RESULT_RETURNED})

OVERTAKEN = frozenset(
    {"WRONG_STATE", "FEE_UNPAID", "STEP_UNKNOWN", "FEE_SETTLED", "FEE_CANCELLED", "FEE_REFUNDED", "REVISION_CONFLICT"}
)


class Stuck(Exception):
    """A dossier that nobody can move on."""


@dataclass(frozen=True, slots=True)
class Procedure:
    """A procedure that can be asked for online, with what its form asks."""

    code: str
    definition: law.Procedure
    schema: dict[str, Any]


class Province:
    """The people of one province: applicants, and officials by agency and role."""

    def __init__(
        self,
        door: Door,
        officials: dict[tuple[str, str], Person],
        shops: Sequence[str],
        procedures: Sequence[Procedure],
    ) -> None:
        self.door = door
        self.procedures = procedures
        self.shops = shops
        """The communes' one-stop shops: where people apply, whoever is competent."""
        self._officials = officials
        self._persons = [Person(door, index) for index in range(APPLICANTS) if index % 10 != LOW_ASSURANCE]
        self._by_account: dict[str, Person] = {}

    @classmethod
    async def open(cls, door: Door, province: str) -> Province:
        """From the catalogue and from the sample officials of a deployment with sandboxes. Raises Stuck.

        The catalogue lists what was published a moment afterwards: until then this waits.
        """
        officials = await _sample_officials(door, province)
        ends = time.monotonic() + CATALOGUE_SECONDS
        while True:
            agencies = await _agencies(door, province)
            shops = [one.code for one in agencies if one.commune and (one.code, "receptionist") in officials]
            procedures = await _procedures(door)
            if shops and procedures:
                return cls(door, officials, shops, procedures)
            if time.monotonic() > ends:
                missing = "procedure that can be asked for online" if shops else "one-stop shop of a commune"
                raise Stuck(f"the catalogue lists no {missing} for province {province}: publish one")
            await asyncio.sleep(WAIT_SECONDS)

    def official(self, agency: str, role: str) -> Person:
        """Raises Stuck."""
        try:
            return self._officials[agency, role]
        except KeyError:
            raise Stuck(f"{agency} has no {role}") from None

    def applicant(self, rng: random.Random) -> Person:
        return rng.choice(self._persons)

    async def by_account(self, account_id: str) -> Person:
        """Raises Stuck for an account that is none of the pool's."""
        for person in self._persons:
            if account_id in self._by_account:
                break
            self._by_account[await person.account_id()] = person
        if account_id not in self._by_account:
            raise Stuck(f"the applicant {account_id} is none of this day's")
        return self._by_account[account_id]

    async def _work(self, by: Person, page: str) -> Any:
        return await by.call(self.door.dossiers.ListWork, pb.ListWorkRequest(page_size=200, page_token=page))

    async def unfinished(self) -> list[tuple[str, str]]:
        """The open dossiers of all agencies, each with the agency that holds it."""
        found = []
        for agency, role in self._officials:
            if role != "receptionist":
                continue
            by = self.official(agency, role)
            rows = await _pages(partial(self._work, by), "dossiers")
            found += [(row.code, agency) for row in rows]
        return found


async def _sample_officials(door: Door, province: str) -> dict[tuple[str, str], Person]:
    """By agency and role. Raises Stuck if there are none in the province."""
    reply = await door.http.get(f"{door.url}/sandbox/officials")
    if reply.status_code == httpx.codes.NOT_FOUND:
        raise Stuck(f"{door.url} has no sandbox: only a trial has sample officials and applicants")
    listed = reply.raise_for_status().json()
    if not any(official["province"] == province for official in listed):
        raise Stuck(f"no sample official works in province {province}: start the trial with --province {province}")
    persons: dict[tuple[str, str], Person] = {}
    for official in listed:
        person = Person(door, official["person"], official["appointment_id"])
        for role in official["roles"]:
            persons[official["agency"], role] = person
    return persons


async def _agencies(door: Door, province: str) -> list[law.Agency]:
    """The province's one-stop shops."""
    rows = await _pages(
        lambda page: door.call(
            door.catalogue.ListAgencies,
            catalogue.ListAgenciesRequest(province=province, one_stop_shop=True, page_size=200, page_token=page),
        ),
        "agencies",
    )
    return [row.agency for row in rows]


async def _procedures(door: Door) -> list[Procedure]:
    """Those that can be asked for online by a form."""
    online = types.CHANNEL_ONLINE
    summaries = await _pages(
        lambda page: door.call(
            door.catalogue.ListProcedures, catalogue.ListProceduresRequest(channel=online, page_token=page)
        ),
        "procedures",
    )
    found = []
    for summary in summaries:
        request = catalogue.GetProcedureRequest(code=summary.code)
        definition = (await door.call(door.catalogue.GetProcedure, request)).procedure
        # What an interlinked procedure opens is not settled as one.
        if definition.form.schema and not definition.children:
            found.append(Procedure(summary.code, definition, json.loads(definition.form.schema)))
    return found


async def _pages(call: Callable[[str], Awaitable[Any]], field: str) -> list[Any]:
    """All rows of a list."""
    rows: list[Any] = []
    page = ""
    while True:
        reply = await call(page)
        rows += getattr(reply, field)
        page = reply.next_page_token
        if not page:
            return rows


def _chance(code: str, what: str) -> float:
    """A number in [0, 1) that belongs to this dossier and question."""
    return zlib.crc32(f"{code}:{what}".encode()) / 2**32


def _document(text: str) -> bytes:
    """A small PDF."""
    drawn = b"BT /F1 18 Tf 60 760 Td (" + text.encode("ascii", "replace") + b") Tj ET"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(drawn), drawn),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    body, rows = b"%PDF-1.4\n", b"0000000000 65535 f \n"
    for number, content in enumerate(objects, 1):
        rows += b"%010d 00000 n \n" % len(body)
        body += b"%d 0 obj%s\nendobj\n" % (number, content)
    return body + b"xref\n0 6\n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (rows, len(body))


async def upload(person: Person, door: Door, content: bytes) -> pb.GivenComponent:
    """Upload a PDF; returns a component that refers to it."""
    sha256 = hashlib.sha256(content).hexdigest()
    began = await person.call(
        door.dossiers.CreateUpload,
        pb.CreateUploadRequest(media_type="application/pdf", size=len(content), sha256=sha256),
    )
    if not began.upload.complete:
        await person.call(
            door.dossiers.UploadChunk, pb.UploadChunkRequest(upload_id=began.upload.upload_id, data=content)
        )
    return pb.GivenComponent(source=types.COMPONENT_SOURCE_ATTACHMENT, sha256=sha256)


async def apply(province: Province, rng: random.Random) -> str:
    """One application, online or at the counter; returns the code. Raises grpc.aio.AioRpcError, Stuck."""
    door, procedure, person = province.door, rng.choice(province.procedures), province.applicant(rng)
    reception = rng.choice(province.shops)
    online = rng.random() < ONLINE_SHARE
    by = person if online else province.official(reception, "receptionist")
    form = answers(procedure.schema, rng)
    components = []
    for rule in procedure.definition.components:
        by_hand = {types.COMPONENT_SOURCE_PAPER, types.COMPONENT_SOURCE_ATTACHMENT}
        if by_hand & set(rule.sources):
            component = await upload(by, door, _document(f"{procedure.code} {rule.code} {rng.randrange(10**6)}"))
            component.component_code = rule.code
            components.append(component)
    request = pb.SubmitDossierRequest(
        request_id=str(uuid4()),
        procedure_code=procedure.code,
        channel=types.CHANNEL_ONLINE if online else types.CHANNEL_COUNTER,
        form=ParseDict(form, Struct()),
        components=components,
        reception_agency=reception,
        delivery_method=dossier_pb2.DELIVERY_METHOD_ELECTRONIC,
        reuse_consent=True,
    )
    if not online:
        request.applicant_id = await person.account_id()
        request.applicant_kind = dossier_pb2.APPLICANT_KIND_CITIZEN
        request.applicant_name = person.full_name
    reply = await by.call(door.dossiers.SubmitDossier, request)
    return str(reply.code)


async def settle(province: Province, code: str, holder: str) -> dossier_pb2.Dossier:
    """Do what officials and the applicant do until the dossier has ended; returns it. Raises Stuck, AioRpcError."""
    waited = 0.0
    found = await _read(province, code, holder)
    while found.settlement not in ENDED:
        try:
            await _act(province, found)
        except grpc.aio.AioRpcError as error:
            # Somebody was faster, or what another service is to say has not arrived.
            if refusal(error) not in OVERTAKEN:
                raise
        before, found = found, await _read(province, code, found.holder)
        if found.revision > before.revision:
            waited = 0.0
            continue
        waited += WAIT_SECONDS
        if waited > LONGEST_WAIT_SECONDS:
            raise Stuck(f"{code} stays in state {S.Name(found.settlement)}")
        await asyncio.sleep(WAIT_SECONDS)
    await _rate(province, found)
    return found


async def _read(province: Province, code: str, holder: str) -> dossier_pb2.Dossier:
    """As an official of the agency that held it reads it."""
    reader = province.official(holder, "receptionist")
    request = pb.GetDossierRequest(code=code)
    reply: pb.GetDossierResponse = await reader.call(province.door.dossiers.GetDossier, request, "settle")
    return reply.dossier


async def _act(province: Province, dossier: dossier_pb2.Dossier) -> None:
    """The next thing that somebody does."""
    match dossier.settlement:
        case S.SETTLEMENT_NEWLY_REGISTERED:
            await _receive(province, dossier)
        case S.SETTLEMENT_RECEIVED | S.SETTLEMENT_BEING_PROCESSED:
            await _process(province, dossier)
        case S.SETTLEMENT_SUPPLEMENT_REQUESTED:
            await _supply(province, dossier)
        case S.SETTLEMENT_FINANCIAL_OBLIGATION_REQUESTED:
            await _pay(province, dossier)
        case S.SETTLEMENT_WITHDRAWAL_REQUESTED:
            by = province.official(dossier.holder, "receptionist")
            request = pb.GrantWithdrawalRequest(request_id=_id(dossier, "grant"), code=dossier.code)
            await by.call(province.door.dossiers.GrantWithdrawal, request)
        case S.SETTLEMENT_PROCESSED:
            await _return(province, dossier)


def _id(dossier: dossier_pb2.Dossier, act: str) -> str:
    """The same act on the same revision is the same request, however often this day is begun again."""
    return str(uuid5(NAMESPACE_URL, f"{dossier.code}:{dossier.revision}:{act}"))


async def _receive(province: Province, dossier: dossier_pb2.Dossier) -> None:
    owed = [fee for fee in dossier.fees if fee.finance == dossier_pb2.Finance.FINANCE_DUE]
    if any(fee.condition == types.FEE_CONDITION_RECEPTION for fee in owed):
        await _pay(province, dossier)
        return
    by = province.official(dossier.holder, "receptionist")
    if _chance(dossier.code, "refused") < REFUSED:
        refuse = pb.RefuseDossierRequest(
            request_id=_id(dossier, "refuse"),
            code=dossier.code,
            reason="Thông tin trong tờ khai không khớp với giấy tờ đã nộp, đề nghị kiểm tra lại.",
        )
        await by.call(province.door.dossiers.RefuseDossier, refuse)
        return
    request = pb.ReceiveDossierRequest(request_id=_id(dossier, "receive"), code=dossier.code)
    await by.call(province.door.dossiers.ReceiveDossier, request)


async def _process(province: Province, dossier: dossier_pb2.Dossier) -> None:
    door = province.door
    if dossier.holder != dossier.competent_agency:
        by = province.official(dossier.holder, "receptionist")
        request: Any = pb.TransferDossierRequest(
            request_id=_id(dossier, "transfer"),
            code=dossier.code,
            to_agency=dossier.competent_agency,
            reason="Chuyển đến cơ quan có thẩm quyền giải quyết.",
        )
        await by.call(door.dossiers.TransferDossier, request)
        return
    done = sum(1 for step in dossier.steps if step.HasField("completed_at"))
    if done == 1 and not dossier.paused and await _interrupted(province, dossier):
        return
    open_step = next((step for step in dossier.steps if not step.HasField("completed_at")), None)
    definition = next(p.definition for p in province.procedures if p.code == dossier.procedure_code)
    if open_step is not None:
        by = province.official(dossier.holder, open_step.role)
        if open_step.assignee_id == await by.account_id():
            request = pb.CompleteStepRequest(
                request_id=_id(dossier, "complete"), code=dossier.code, step_code=open_step.step_code
            )
            await by.call(door.dossiers.CompleteStep, request)
            return
    if done < len(definition.steps):
        step = definition.steps[done]
        request = pb.AssignStepRequest(request_id=_id(dossier, "assign"), code=dossier.code, step_code=step.code)
        await province.official(dossier.holder, step.role).call(door.dossiers.AssignStep, request)
        return
    await _decide(province, dossier)


async def _interrupted(province: Province, dossier: dossier_pb2.Dossier) -> bool:
    """What may come between: a supplement, a withdrawal. Once, and it depends on the dossier."""
    door = province.door
    asked = any(component.size == SUPPLEMENT_SIZE for component in dossier.components)
    codes = [component.component_code for component in dossier.components if component.sha256]
    if codes and not asked and _chance(dossier.code, "supplement") < SUPPLEMENTED:
        request: Any = pb.RequestSupplementRequest(
            request_id=_id(dossier, "supplement"),
            code=dossier.code,
            component_codes=codes[:1],
            explanation="Bản chụp bị mờ, đề nghị gửi lại bản rõ nét hơn.",
        )
        await province.official(dossier.holder, "receptionist").call(door.dossiers.RequestSupplement, request)
        return True
    if _chance(dossier.code, "withdrawn") < WITHDRAWN:
        person = await province.by_account(dossier.applicant.applicant_id)
        request = pb.RequestWithdrawalRequest(
            request_id=_id(dossier, "withdraw"), code=dossier.code, reason="Tôi không còn nhu cầu nữa."
        )
        await person.call(door.dossiers.RequestWithdrawal, request)
        return True
    return False


# Supplements are told from first submissions by their size, so that each dossier is asked once.
SUPPLEMENT_SIZE = 4096


async def _supply(province: Province, dossier: dossier_pb2.Dossier) -> None:
    person = await province.by_account(dossier.applicant.applicant_id)
    components = []
    for code in dossier.missing_component_codes:
        content = _document(f"{dossier.code} {code}").ljust(SUPPLEMENT_SIZE, b"\n")
        component = await upload(person, province.door, content)
        component.component_code = code
        components.append(component)
    request = pb.SupplySupplementRequest(request_id=_id(dossier, "supply"), code=dossier.code, components=components)
    await person.call(province.door.dossiers.SupplySupplement, request)


async def _pay(province: Province, dossier: dossier_pb2.Dossier) -> None:
    door = province.door
    for fee in dossier.fees:
        if fee.finance != dossier_pb2.Finance.FINANCE_DUE:
            continue
        try:
            if _chance(dossier.code, "pays") < PAYS_ONLINE:
                person = await province.by_account(dossier.applicant.applicant_id)
                await pay_online(door, person, fee.fee_id)
            else:
                cashier = province.official(dossier.holder, "cashier")
                cash = payment.ReceiveCashRequest(request_id=str(uuid4()), fee_id=fee.fee_id, amount=fee.amount)
                await cashier.call(door.payments.ReceiveCash, cash)
        except grpc.aio.AioRpcError as error:
            # The payment service hears of a fee a moment after it was assessed, the dossier of a payment likewise.
            if error.code() not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION):
                raise


async def pay_online(door: Door, person: Person, fee_id: str, outcome: str = "success") -> None:
    """Check out, and pay at the provider's sandbox."""
    reply = await person.call(
        door.payments.StartCheckout, payment.StartCheckoutRequest(request_id=str(uuid4()), fee_id=fee_id)
    )
    await door.post(reply.url.replace("/vpcpay.html?", "/pay?") + f"&outcome={outcome}")


async def _decide(province: Province, dossier: dossier_pb2.Dossier) -> None:
    door, by = province.door, province.official(dossier.holder, "approver")
    approve = pb.ApproveDossierRequest(request_id=_id(dossier, "approve"), code=dossier.code)
    try:
        await by.call(door.dossiers.ApproveDossier, approve)
    except grpc.aio.AioRpcError as error:
        if refusal(error) != "ALREADY_APPROVED":
            raise
    result = await upload(by, door, _document(f"KET QUA {dossier.code}"))
    issue = pb.IssueResultRequest(
        request_id=_id(dossier, "issue"),
        code=dossier.code,
        result_number=f"{_chance(dossier.code, 'number') * 1e6:06.0f}/KQ",
        sha256=result.sha256,
    )
    await by.call(door.dossiers.IssueResult, issue)


async def _return(province: Province, dossier: dossier_pb2.Dossier) -> None:
    if any(fee.finance == dossier_pb2.Finance.FINANCE_DUE for fee in dossier.fees):
        await _pay(province, dossier)
        return
    by = province.official(dossier.holder, "receptionist")
    request = pb.ReturnResultRequest(
        request_id=_id(dossier, "return"),
        code=dossier.code,
        delivery_method=dossier_pb2.DELIVERY_METHOD_ELECTRONIC,
    )
    await by.call(province.door.dossiers.ReturnResult, request)


async def _rate(province: Province, dossier: dossier_pb2.Dossier) -> None:
    if dossier.score or _chance(dossier.code, "rated") >= RATED:
        return
    try:
        person = await province.by_account(dossier.applicant.applicant_id)
    except Stuck:
        return  # another day's applicant
    score = 5 if _chance(dossier.code, "score") < 0.7 else 4 if _chance(dossier.code, "score") < 0.9 else 2
    request = pb.RateDossierRequest(request_id=_id(dossier, "rate"), code=dossier.code, score=score)
    await person.call(province.door.dossiers.RateDossier, request)
