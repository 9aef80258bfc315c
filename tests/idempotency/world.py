"""All services with real state, and what brings a subject to where a mutation may happen."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import grpc
from google.protobuf.message import Message
from joserfc.jwk import OKPKey

from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.types.v1 import types_pb2 as types
from services.chassis.decider import Sealed
from services.chassis.deciding.codec import Codec
from services.chassis.store.port import NO_STREAM, START, NewEvent
from services.identity.accounts.events import AccountRegistered
from services.identity.accounts.values import AccountKind
from services.identity.codec import account_codec
from services.identity.keys import SubjectKeys
from services.identity.vault import Vault
from tests.access import callers
from tests.access.callers import mint
from tests.support.grounds import scope
from tests.support.papers import pdf
from tests.support.rpcs import MUTATIONS, RPCS, Answer, Client, Rpc
from tests.support.shipped import shipped
from tests.support.stating import parted
from tests.support.waiting import eventually

AGENCY = "P56.22.333.1"
PROCEDURE = "1.010041"
ANSWERS = {"subject_name": "Nguyễn Văn An", "subject_id": "056090000001", "content": "Xác nhận nơi cư trú"}
LAW_PROVINCES = {int(territory.province.code) for territory in shipped().territories}
STEPS = (("receive", "receptionist"), ("update", "processor"), ("approve", "approver"))
# One of each role; steps are completed by whom they are assigned to.
OFFICIALS = {role: str(uuid5(NAMESPACE_OID, role)) for role in (*callers.OFFICIALS, "citizen", "system")}
BY_NAME = {rpc.descriptor.name: rpc for rpc in RPCS}


@dataclass
class Sending:
    """A request whose time has come, who sends it, and somebody else of the same kind."""

    rpc: Rpc
    request: Message
    sender: str
    stranger: str
    stated: dict[str, str] = field(default_factory=dict)
    """Beside the request."""

    @property
    def request_id(self) -> str:
        return str(self.request.request_id)  # type: ignore[attr-defined]


@dataclass
class World:
    client: Client
    key: OKPKey
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(50))
    # Codes that no province has.
    provinces: Iterator[int] = field(
        default_factory=lambda: itertools.filterfalse(LAW_PROVINCES.__contains__, range(10, 99))
    )
    _effects: defaultdict[str | None, list[UUID]] = field(default_factory=lambda: defaultdict(list))
    _position: int = START

    def wait(self, **time: float) -> None:
        """The services' time goes on."""
        path = self.client.host.platform.settings.clock_shift_file
        assert path
        path.write_text(str(float(path.read_text()) + timedelta(**time).total_seconds()))

    # Callers

    def bearer(self, account_id: str, *roles: str, purpose: str = "") -> str:
        kind = roles[0] if roles[0] in ("citizen", "system") else "official"
        agency = "P56" if {"editor", "administrator"} & set(roles) else AGENCY
        office = {"agency": agency, "province": "56"} if kind == "official" else {}
        return f"Bearer {mint(self.key, sub=account_id, kind=kind, roles=list(roles), purposes=[purpose], **office)}"

    def sending(self, name: str, role: str, account_id: str = "", /, *, stating: str = "", **fields: Any) -> Sending:
        rpc = next(one for one in MUTATIONS if one.descriptor.name == name)
        asked, stated = parted(fields)
        request = rpc.request(request_id=str(uuid4()), **asked)
        sender = self.bearer(account_id or OFFICIALS[role], role, purpose=stating)
        return Sending(rpc, request, sender, self.bearer(str(uuid4()), role, purpose=stating), stated)

    # Calls

    def send(self, sending: Sending) -> Answer:
        return self.client.call(sending.rpc, sending.request, sending.sender, sending.stated)

    def done(self, name: str, role: str, account_id: str = "", /, **fields: Any) -> Any:
        """The reply to what must succeed."""
        rpc = BY_NAME[name]
        if "request_id" in rpc.request.DESCRIPTOR.fields_by_name:
            fields = {"request_id": str(uuid4())} | fields
        asked, stated = parted(fields)
        sender = self.bearer(account_id or OFFICIALS[role], role)
        answer = self.client.call(rpc, rpc.request(**asked), sender, stated)
        assert answer.code is grpc.StatusCode.OK, f"{name}: {answer}"
        return answer.reply

    # Facts

    def given(self, category: str, id_: str, codec: Codec[Any], *events: Any) -> None:
        """A stream's history, stored as its service would."""

        async def store() -> None:
            platform = self.client.host.platform
            subjects = codec.subjects(events)
            keys = await SubjectKeys(Vault.of(platform)).keys(subjects, create=True) if subjects else {}
            request_id = uuid4()
            encoded = []
            for index, event in enumerate(events):
                event_id, type_, data = codec.encode(event, request_id, index, keys)
                metadata = {"request_id": str(request_id), "request_hash": "", "$correlationId": str(request_id)}
                encoded.append(NewEvent(event_id, type_, data, json.dumps(metadata).encode()))
            await platform.store.append(f"{category}-{id_}", encoded, NO_STREAM)

        self.client.host.run(store())

    def effects(self, request_id: str) -> list[UUID]:
        """The events that the request led to, on whatever streams."""

        async def look() -> list[UUID]:
            """At what came since the last time: the log grows with every test."""
            while events := await self.client.host.platform.store.read_all(self._position):
                for event in events:
                    metadata = json.loads(event.metadata)
                    for id_ in {metadata.get("request_id"), metadata.get("$causationId")}:
                        self._effects[id_].append(event.id)
                self._position = events[-1].position
            return list(self._effects[request_id])

        return self.client.host.run(look())

    def account(self) -> str:
        account_id, at = str(uuid4()), datetime.now(UTC)
        names = ("Nguyễn Văn An", "", "", "an@example.vn", "0912345678")
        registered = AccountRegistered(
            account_id=account_id,
            at=at,
            by="service:identity",
            kind=AccountKind.CITIZEN,
            **dict(
                zip(("full_name", "personal_number", "tax_code", "email", "phone"), map(Sealed, names), strict=True)
            ),
            level_of_assurance=2,
        )
        self.given("account", account_id, account_codec, registered)
        return account_id

    def scope(self, client_id: str, *purposes: str) -> None:
        """Registers a system, for all procedures of the agency."""
        host = self.client.host
        if not host.platform.verifier.scopes_of(client_id):
            host.run(scope(host.platform.store, client_id, purposes, [AGENCY]))
            eventually(lambda: host.platform.verifier.scopes_of(client_id))

    # Dossiers

    def submission(self, applicant_id: str) -> dict[str, Any]:
        paper = pb.GivenComponent(component_code="ct01", source=types.COMPONENT_SOURCE_PAPER)
        fields: dict[str, Any] = {
            "procedure_code": PROCEDURE,
            "channel": types.CHANNEL_COUNTER,
            "applicant_id": applicant_id,
            "applicant_name": "Nguyễn Văn An",
            "applicant_kind": dossier_pb2.APPLICANT_KIND_CITIZEN,
            "components": [paper],
            "reception_agency": AGENCY,
            "delivery_method": dossier_pb2.DELIVERY_METHOD_COUNTER,
            "form": ANSWERS,
        }
        return fields

    def begun(self, applicant_id: str = "") -> str:
        """It is being processed."""
        code = self.received(applicant_id)
        self.done("AssignStep", STEPS[0][1], code=code, step_code=STEPS[0][0])
        return code

    def submitted(self, applicant_id: str = "", **other: Any) -> str:
        fields = self.submission(applicant_id or self.account()) | other
        return str(self.done("SubmitDossier", "receptionist", **fields).code)

    def received(self, applicant_id: str = "") -> str:
        code = self.submitted(applicant_id)
        self.done("ReceiveDossier", "receptionist", code=code)
        return code

    def processed(self, applicant_id: str = "") -> str:
        code = self.received(applicant_id)
        for step, role in STEPS:
            self.done("AssignStep", role, code=code, step_code=step)
            self.done("CompleteStep", role, code=code, step_code=step)
        return code

    def approved(self, applicant_id: str = "") -> str:
        code = self.processed(applicant_id)
        self.done("ApproveDossier", "approver", code=code)
        return code

    def uploaded(self, account_id: str) -> str:
        content = pdf(str(uuid4()))
        sha256 = hashlib.sha256(content).hexdigest()
        begun = self.done(
            "CreateUpload", "approver", account_id, media_type="application/pdf", size=len(content), sha256=sha256
        )
        self.done("UploadChunk", "approver", account_id, upload_id=begun.upload.upload_id, data=content)
        return sha256

    def issued(self, applicant_id: str = "") -> str:
        code, approver = self.approved(applicant_id), str(uuid4())
        sha256 = self.uploaded(approver)
        self.done("IssueResult", "approver", approver, code=code, result_number="1/KQ", sha256=sha256)
        return code


def day(offset: int) -> str:
    """Later than every day of this test, whose time goes on by some days."""
    return (datetime.now(UTC) + timedelta(days=100 + offset)).date().isoformat()
