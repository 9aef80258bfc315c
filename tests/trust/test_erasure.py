"""One person among a thousand dossiers is erased: nothing of them is left, and nothing else has changed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from joserfc.jwk import OKPKey

from command.registry import service_classes
from gateway.ledger.audit import checking
from gateway.ledger.audit.source import FolderSource
from gateway.ledger.keep.own_keys import log_key
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.identity.v1.identity_pb2 import ERASURE_OUTCOME_SHREDDED
from motcua.types.v1 import types_pb2 as types
from motcua.types.v1.types_pb2 import LANGUAGE_VIETNAMESE
from motcua.warehouse.v1.warehouse_pb2 import DOCUMENT_STATUS_ERASED
from services.catalogue.seed import seed
from services.chassis.calls.stated import DOSSIER
from services.chassis.decider import Sealed
from services.chassis.deciding.codec import Codec
from services.chassis.frame.dependencies import _View as View
from services.chassis.frame.entrypoints import On
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.chassis.store.port import NO_STREAM, NewEvent
from services.dossier import events as d
from services.dossier import values as v
from services.dossier.codec import dossier_codec
from services.identity.accounts.events import AccountRegistered
from services.identity.accounts.values import AccountKind
from services.identity.codec import account_codec
from services.identity.keys import SubjectKeys
from services.identity.vault import Vault
from services.registry import SERVICES
from tests.idempotency.world import AGENCY, OFFICIALS, PROCEDURE, STEPS, World
from tests.identity.sandboxes import SECRET, sandboxes
from tests.platform.log import Log, Rows, tables
from tests.support import grounds
from tests.support.hosted import hosted
from tests.support.papers import pdf
from tests.support.rpcs import RPCS, Answer, client
from tests.support.stating import parted, stating
from tests.support.tokens import signing_key
from tests.support.waiting import eventually
from tests.trust.scanner import Scanner

PERSONS, DOSSIERS_EACH = 200, 5
ADMINISTRATOR = str(uuid5(NAMESPACE_OID, "administrator"))
SUBMITTED = datetime(2026, 3, 2, 9, tzinfo=UTC)
# Not made from events alone: how far each follower came, numbers that were drawn, which samples were loaded.
OWN = ("seeds", "positions", "view_tables", "code_counters", "codes_given", "receipt_counters", "receipts_given")
SHARED = pdf("the very same file")


DIGITS = ("Không", "Một", "Hai", "Ba", "Bốn", "Năm", "Sáu", "Bảy", "Tám", "Chín")


@dataclass(frozen=True)
class Person:
    number: int

    @property
    def account_id(self) -> str:
        return str(uuid5(NAMESPACE_OID, f"person {self.number}"))

    @property
    def name(self) -> str:
        """Letters alone, as names are; of the one who is erased, what nothing else is called."""
        if not self.number:
            return NAME
        return "Nguyễn Văn " + " ".join(DIGITS[int(digit)] for digit in f"{self.number:04}")

    @property
    def email(self) -> str:
        return f"person-{self.number:04}@example.vn"

    @property
    def phone(self) -> str:
        return f"09{self.number:08}"

    @property
    def codes(self) -> list[str]:
        first = self.number * DOSSIERS_EACH
        return [f"{AGENCY}-20260302-{first + n:07}" for n in range(DOSSIERS_EACH)]

    @property
    def registered(self) -> AccountRegistered:
        return AccountRegistered(
            account_id=self.account_id,
            at=SUBMITTED,
            by="service:identity",
            kind=AccountKind.CITIZEN,
            full_name=Sealed(self.name),
            personal_number=Sealed(f"0560900{self.number:05}"),
            tax_code=Sealed(),
            email=Sealed(self.email),
            phone=Sealed(self.phone),
            level_of_assurance=2,
        )

    def submitted(self, code: str) -> d.DossierSubmitted:
        return d.DossierSubmitted(
            code=code, applicant_id=self.account_id, at=SUBMITTED, by=self.account_id, procedure_code=PROCEDURE,
            procedure_version=1, channel=v.Channel.ONLINE, applicant_kind=v.ApplicantKind.CITIZEN,
            applicant_name=Sealed(self.name), email=Sealed(self.email), phone=Sealed(self.phone),
            form=Sealed(json.dumps({"content": f"{self.name} at home"})), components=(), reuse_consent=False,
            place_of_submission="online", reception_agency=AGENCY, competent_agency=AGENCY, province="56",
            delivery_method=v.DeliveryMethod.ELECTRONIC, draft_id="",
        )  # fmt: skip


def followers() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every view and every reaction of every service, with the types of events that it follows."""
    for cls in service_classes(tuple(SERVICES)):
        for name, member in vars(cls).items():
            if isinstance(member, View):
                (projection, *_), _ = member._Extension__params  # what it was declared with; nameko makes it later
                yield projection.name, tuple(projection.folds)
            for entrypoint in getattr(member, "nameko_entrypoints", ()):
                if isinstance(entrypoint, On):
                    yield f"{cls.name}.{name}", tuple(entrypoint._types)  # type: ignore[attr-defined]


FOLLOWERS = dict(followers())
PEOPLE = [Person(number) for number in range(PERSONS)]
ERASED, OTHERS = PEOPLE[0], PEOPLE[1:]


async def populate(platform: Platform) -> None:
    """A thousand dossiers, appended as their services append them."""
    keys = SubjectKeys(Vault.of(platform))
    held = await keys.keys([person.account_id for person in PEOPLE], create=True)

    async def append(stream: str, codec: Codec[Any], event: Any) -> None:
        request_id = uuid4()
        id_, type_, data = codec.encode(event, request_id, 0, held)
        metadata = {
            "request_id": str(request_id),
            "request_hash": "-",
            "$correlationId": str(request_id),
            "actor": event.by,
        }
        await platform.store.append(stream, [NewEvent(id_, type_, data, json.dumps(metadata).encode())], NO_STREAM)

    await asyncio.gather(
        *(append(f"account-{person.account_id}", account_codec, person.registered) for person in PEOPLE),
        *(
            append(f"dossier-{code}", dossier_codec, person.submitted(code))
            for person in PEOPLE
            for code in person.codes
        ),
    )


@dataclass
class Site:
    folder: Path
    key: OKPKey
    settings: dict[str, Any]
    _stack: ExitStack = field(default_factory=ExitStack)

    def start(self) -> World:
        self.stop()
        host = self._stack.enter_context(hosted(self.folder, service_classes(tuple(SERVICES)), **self.settings))
        return World(self._stack.enter_context(client(host)), self.key)

    def stop(self) -> None:
        self._stack.close()

    def views(self) -> Rows:
        found = tables(self.folder / "views")
        return {name: rows for name, rows in found.items() if not name.partition(".")[2].startswith(OWN)}

    def follow(self) -> Rows:
        """The views, once every view and reaction has seen all that it follows."""
        eventually(self._settled)
        return self.views()

    def _settled(self) -> bool:
        # In this order: what a reaction did meanwhile stands in the log that is read afterwards.
        found = tables(self.folder / "views")
        reached = {row[0]: row[1] for name, rows in found.items() if name.endswith(".positions") for row in rows}
        newest: dict[str, int] = {}
        for _, kind, *_, position in Log(self.folder).rows:
            newest[kind] = position
        return all(
            reached.get(follower, 0) >= max((newest[kind] for kind in newest if kind.startswith(types)), default=0)
            for follower, types in FOLLOWERS.items()
        )


@dataclass
class Lived:
    """What the person has left behind, told by who asks for it."""

    code: str
    component: str
    result: str
    draft_id: str
    upload_id: str
    document_id: str = ""
    message_id: str = ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("erasure") / "data"

    async def prepare() -> OKPKey:
        platform = await Platform.open(Settings(data=folder))
        try:
            await seed(platform, ["56"])
            await populate(platform)
            return await signing_key(platform.store)
        finally:
            await platform.close()

    with sandboxes(folder.parent / "sandboxes", ()) as url:
        key = asyncio.run(prepare())
        shift = folder.parent / "shift"
        shift.write_text("0")
        settings = {
            "clock_shift_file": str(shift),
            "population_url": f"{url}/population",
            "population_secret": SECRET,
            "vnpay_url": f"{url}/vnpay",
            "vnpay_api_url": f"{url}/vnpay/api",
            # Far longer than the test: what takes effect, takes effect before a cache runs out.
            "key_cache_seconds": 3600,
        }
        made = Site(folder, key, settings)
        yield made
        made.stop()


NAME, EMAIL, PHONE, ANSWER, REASON = (
    "Trần Thị Đặng Vy", "vy.dang@rieng.example.vn", "0987123456", "Tôi ở nhờ nhà dì tại hẻm 7", "Bản chụp của bà Vy bị mờ",
)  # fmt: skip
PERSONAL = (NAME, EMAIL, PHONE, ANSWER, REASON, ERASED.name, ERASED.email, ERASED.phone)
FILE = pdf(ANSWER)


def live(world: World) -> Lived:
    """The person does, and officials do for the person, whatever leaves personal data behind."""
    me, official = ERASED.account_id, OFFICIALS["receptionist"]
    world.done("UpdateProfile", "citizen", me, email=EMAIL, phone=PHONE, language=LANGUAGE_VIETNAMESE)
    world.done("UpdatePreferences", "citizen", me, email=EMAIL, language=LANGUAGE_VIETNAMESE)
    draft = world.done("SaveDraft", "citizen", me, procedure_code=PROCEDURE, form={"content": ANSWER})
    growing = begin(world, "citizen", me, FILE + b"more")
    world.done("UploadChunk", "citizen", me, upload_id=growing, data=FILE)
    for person in (ERASED, OTHERS[0]):
        upload(world, "citizen", person.account_id, SHARED)
    sha256 = upload(world, "receptionist", official, FILE)
    attached = pb.GivenComponent(component_code="ct01", source=types.COMPONENT_SOURCE_ATTACHMENT, sha256=sha256)
    personal = {
        "applicant_name": NAME, "email": EMAIL, "phone": PHONE, "components": [attached],
        "form": {"subject_name": NAME, "subject_id": "056090000001", "content": ANSWER},
    }  # fmt: skip
    code = world.done("SubmitDossier", "receptionist", **(world.submission(me) | personal)).code
    world.done("ReceiveDossier", "receptionist", code=code)
    for step, role in STEPS:
        world.done("AssignStep", role, code=code, step_code=step)
        world.done("CompleteStep", role, code=code, step_code=step, note=REASON)
    approver = str(uuid4())
    world.done("ApproveDossier", "approver", code=code)
    result = upload(world, "approver", approver, pdf(f"result of {ANSWER}"))
    world.done("IssueResult", "approver", approver, code=code, result_number="1/KQ", sha256=result)
    return Lived(code, sha256, result, draft.draft_id, growing)


def begin(world: World, role: str, account_id: str, content: bytes) -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    begun = world.done("CreateUpload", role, account_id, media_type="application/pdf", size=len(content), sha256=sha256)
    return str(begun.upload.upload_id)


def upload(world: World, role: str, account_id: str, content: bytes) -> str:
    done = world.done("UploadChunk", role, account_id, upload_id=begin(world, role, account_id, content), data=content)
    assert done.upload.complete
    return str(done.upload.sha256)


@dataclass(frozen=True)
class Read:
    """An RPC that shows a person's data: whose token, what is asked, and what the reply holds before the erasure."""

    role: str
    ask: Callable[[Lived], dict[str, Any]]
    shows: tuple[str, ...] = ()
    # Of a reply after the erasure, beside that nothing personal is in it.
    left: Callable[[Any], bool] = lambda reply: "erased" in told(reply)


def told(reply: Any) -> str:
    return json.dumps(MessageToDict(reply, preserving_proto_field_name=True), ensure_ascii=False)


SETTLE = stating("settle")
ME = {"account_id": ERASED.account_id}
READS = {
    "GetMyAccount": Read("citizen", lambda _: {}, (ERASED.name, EMAIL, PHONE)),
    "GetAccount": Read("receptionist", lambda x: ME | SETTLE | {DOSSIER: x.code}, (ERASED.name, EMAIL, PHONE)),
    "ListAccounts": Read("administrator", lambda _: {"page_size": 200}, left=lambda reply: one_erased(reply.accounts)),
    "ListMyDataUses": Read("citizen", lambda _: {}, left=lambda reply: len(reply.data_uses) > 0),
    "GetDraft": Read("citizen", lambda x: {"draft_id": x.draft_id}, (ANSWER,)),
    "ListDrafts": Read("citizen", lambda _: {}, (ANSWER,)),
    "GetDossier": Read("receptionist", lambda x: {"code": x.code} | SETTLE, (NAME, EMAIL, PHONE, ANSWER)),
    "ListHistory": Read("receptionist", lambda x: {"code": x.code} | SETTLE, (NAME, EMAIL, PHONE, ANSWER, REASON)),
    "WatchDossier": Read("receptionist", lambda x: {"code": x.code} | SETTLE, (NAME, EMAIL, PHONE, ANSWER)),
    "GetAttachment": Read(
        "receptionist", lambda x: {"code": x.code, "sha256": x.component} | SETTLE,
        left=lambda reply: bool(reply.erased and not reply.data),
    ),
    "ListMyDossiers": Read(
        "citizen", lambda _: {"page_size": 200}, (NAME,), left=lambda reply: len(reply.dossiers) == 6
    ),
    "SearchDossiers": Read(
        "receptionist", lambda _: {"applicant_id": ERASED.account_id} | SETTLE, (NAME,),
        left=lambda reply: len(reply.dossiers) == 6 and "erased" in told(reply),
    ),
    "ListWork": Read("receptionist", lambda _: SETTLE, left=lambda reply: len(reply.dossiers) > 0),
    "TrackDossier": Read("citizen", lambda x: {"code": x.code}, left=lambda reply: reply.HasField("entry")),
    "ListInbox": Read("citizen", lambda _: {"page_size": 200}),
    "GetMessage": Read("citizen", lambda x: {"message_id": x.message_id}, (NAME,)),
    "GetPreferences": Read("citizen", lambda _: {}, (EMAIL,)),
    "ListMyDocuments": Read("citizen", lambda _: {}, left=lambda reply: not reply.documents),
    "ListDocuments": Read("receptionist", lambda x: ME | SETTLE | {DOSSIER: x.code}, left=lambda reply: not reply.documents),
    "GetDocument": Read(
        "receptionist", lambda x: {"document_id": x.document_id, DOSSIER: x.code} | SETTLE, ("1/KQ",),
        left=lambda reply: reply.document.status == DOCUMENT_STATUS_ERASED,
    ),
    "ReadDocument": Read(
        "receptionist", lambda x: {"document_id": x.document_id, DOSSIER: x.code} | SETTLE,
        left=lambda reply: reply.erased,
    ),
}  # fmt: skip
# What shows nobody's personal data: the law, the state's own organisation and work, money by codes, the platform itself.
IMPERSONAL = {
    "LintProcedure", "GetProcedure", "ListProcedures", "QuoteFee", "PreviewDeadline", "ListFeeOverlays", "GetAgency",
    "ListAgencies", "GetProcedureRepair", "GetCalendar", "ListProvinces", "ListCommunes",
    "ListAppointments", "ListSystems", "GetSigningKeys", "GetSubjectKeys",
    "GetPayment", "ListPayments", "ListUnmatchedMoney", "ReconcileDay",
    "ListFailures", "GetIndicators", "WatchIndicators", "ListParked", "RetryParked",
    # Files while they are uploaded: gone with the person, as if they had never begun.
    "CreateUpload", "UploadChunk", "GetUpload", "ReadUpload",
}  # fmt: skip


def one_erased(rows: Any) -> bool:
    return [row.account_id for row in rows if row.erased] in ([], [ERASED.account_id])


def read(world: World, name: str, lived: Lived) -> Answer:
    rpc = next(rpc for rpc in RPCS if rpc.descriptor.name == name)
    reading = READS[name]
    account_id = ERASED.account_id if reading.role == "citizen" else OFFICIALS.get(reading.role, ADMINISTRATOR)
    asked, stated = parted(reading.ask(lived))
    return world.client.call(rpc, rpc.request(**asked), world.bearer(account_id, reading.role), stated)


@dataclass
class Done:
    """The site before and after the erasure."""

    site: Site
    world: World
    lived: Lived
    before: dict[str, Answer]
    log: list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def erased(site: Site) -> Done:
    world = site.start()
    lived = live(world)
    world.client.host.run(grounds.look_up(world.client.host.platform.store, ERASED.account_id, AGENCY))

    def known() -> bool:
        inbox = world.done("ListInbox", "citizen", ERASED.account_id, page_size=200).messages
        documents = world.done("ListMyDocuments", "citizen", ERASED.account_id).documents
        told_of = [message for message in inbox if message.dossier_code == lived.code]
        results = [document for document in documents if document.source == 1]
        if told_of and results:
            lived.message_id, lived.document_id = told_of[0].message_id, results[0].document_id
        return len(told_of) >= 3 and bool(results) and len(inbox) >= 5

    eventually(known)
    before = {name: read(world, name, lived) for name in READS}
    log = Log(site.folder).rows
    world.done("RequestErasure", "citizen", ERASED.account_id)
    decided = {"outcome": ERASURE_OUTCOME_SHREDDED, "legal_basis": "Điều 14 Luật Bảo vệ dữ liệu cá nhân"}
    world.done("DecideErasure", "administrator", ADMINISTRATOR, **ME, **decided)
    service = f"Bearer {world.client.host.service_token()}"
    keys = next(rpc for rpc in RPCS if rpc.descriptor.name == "GetSubjectKeys")

    def gone() -> bool:
        [key] = world.client.call(keys, keys.request(subject_ids=[ERASED.account_id]), service).reply.keys
        uploads = read(world, "GetAttachment", lived)
        documents = read(world, "ListDocuments", lived)
        return key.destroyed and uploads.reply.erased and not documents.reply.documents

    eventually(gone)
    return Done(site, world, lived, before, log)


def test_every_rpc_is_considered() -> None:
    reads = {rpc.descriptor.name for rpc in RPCS if not rpc.access.mutation}
    assert set(READS) | IMPERSONAL >= reads
    assert set(READS) | IMPERSONAL <= {rpc.descriptor.name for rpc in RPCS}


@pytest.mark.parametrize("name", list(READS))
def test_what_was_shown_before_reads_erased(erased: Done, name: str) -> None:
    before, after = erased.before[name], read(erased.world, name, erased.lived)
    assert before.code is grpc.StatusCode.OK, str(before)
    assert [value for value in READS[name].shows if value not in told(before.reply)] == []
    if READS[name].role == "citizen":
        assert after.reason == "TOKEN_INVALID"
        return
    assert after.code is grpc.StatusCode.OK, str(after)
    assert [value for value in PERSONAL if value in told(after.reply)] == []
    assert READS[name].left(after.reply), told(after.reply)


def test_new_personal_data_is_refused(erased: Done) -> None:
    world, me = erased.world, ERASED.account_id
    sending = world.sending("SaveDraft", "citizen", me, procedure_code=PROCEDURE, form={"content": ANSWER})
    assert world.send(sending).reason == "TOKEN_INVALID"
    submission = world.sending("SubmitDossier", "receptionist", **world.submission(me))
    assert world.send(submission).reason == "SUBJECT_ERASED"
    refusal = world.sending("RefuseDossier", "receptionist", code=ERASED.codes[0], reason=REASON)
    assert world.send(refusal).reason == "SUBJECT_ERASED"


def test_everybody_else_s_data_still_opens(erased: Done) -> None:
    world = erased.world
    for person in OTHERS:
        for code in person.codes:
            found = world.done("GetDossier", "receptionist", code=code, **SETTLE).dossier
            applicant = found.applicant
            assert (applicant.name, applicant.email, applicant.phone) == (person.name, person.email, person.phone)
            assert (found.erased, dict(found.form)) == (False, {"content": f"{person.name} at home"})
    mine = world.done("GetMyAccount", "citizen", OTHERS[0].account_id).account
    assert (mine.full_name, mine.email, mine.erased) == (OTHERS[0].name, OTHERS[0].email, False)


def test_files_of_the_person_are_gone_and_equal_ones_of_others_are_not(erased: Done) -> None:
    blobs = erased.site.folder / "blobs"
    assert not (blobs / ERASED.account_id).exists()
    assert (blobs / OTHERS[0].account_id / hashlib.sha256(SHARED).hexdigest()).exists()
    assert not (blobs / f"upload-{erased.lived.upload_id}").exists()


def test_no_stored_event_was_touched(erased: Done) -> None:
    assert Log(erased.site.folder).rows[: len(erased.log)] == erased.log


def test_every_view_made_again_equals_the_running_one(erased: Done) -> None:
    site = erased.site
    before = site.follow()
    site.stop()
    ledger = site.folder / "ledger"
    key = asyncio.run(_log_key(site))
    assert checking.check(FolderSource(ledger), key).faults == []
    shutil.rmtree(site.folder / "views")
    world = site.start()
    differing: list[str] = []

    def same() -> bool:
        after = site.views()
        differing[:] = [name for name in before if after.get(name) != before[name]]
        return not differing

    try:
        eventually(same)
    except AssertionError:
        after = site.views()
        raise AssertionError({name: (before[name][:2], after.get(name, [])[:2]) for name in differing}) from None
    assert read(world, "GetDossier", erased.lived).reply.dossier.erased
    assert world.done("GetDossier", "receptionist", code=OTHERS[5].codes[0], **SETTLE).dossier.applicant.name
    site.stop()
    assert checking.check(FolderSource(ledger), key).faults == []


async def _log_key(site: Site) -> Any:
    return log_key(Settings(data=site.folder, **site.settings)).verifier


def test_nothing_of_the_person_lies_on_the_disk(erased: Done) -> None:
    erased.site.stop()
    scanner = Scanner()
    for value in PERSONAL:
        scanner.add(value, "personal")
    scanner.add(FILE, "file", hashed=False)
    assert [str(finding) for finding in scanner.scan(erased.site.folder)] == []
