"""People with dossiers at a whole site, and what is asked about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc

from gateway.sandbox.people import citizen
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.privacy.events.v1.events_pb2 import DataUsed
from motcua.types.v1 import types_pb2 as types
from motcua.warehouse.events.v1 import events_pb2 as warehouse
from services.chassis.store.port import START
from tests.access.callers import mint
from tests.idempotency.world import AGENCY, PROCEDURE, World
from tests.support import grounds
from tests.support.rpcs import RPCS, Answer
from tests.support.stating import parted, stating
from tests.support.waiting import eventually

ALL = ("receptionist", "processor", "approver", "cashier")
OTHER_AGENCY, PARENT, PROVINCE, ELSEWHERE = "P56.22.366.1", "P56.22.333", "P56", "P79.26.1"
# What is recorded of who opened or looked up whom.
RECORDED = tuple(
    event.DESCRIPTOR.full_name for event in (DataUsed, identity.PopulationLookedUp, identity.IdentityVerified)
)


@dataclass
class Lives:
    """People with a dossier each, and what the site holds of them."""

    world: World
    me: str
    code: str
    document_id: str
    sha256: str
    fee_id: str
    stranger: str
    stranger_s_code: str
    stranger_s_document: str
    ended_code: str
    long_ago: str
    person: Any
    person_s_code: str

    def official(self, agency: str = AGENCY, *roles: str, **claims: Any) -> str:
        given: dict[str, Any] = {"province": agency[1:3], "kind": "official", "roles": list(roles or ALL)}
        return f"Bearer {mint(self.world.key, agency=agency, **(given | claims))}"

    def system(
        self, *purposes: str, agencies: tuple[str, ...] = (), procedures: tuple[str, ...] = (), scoped: str = ""
    ) -> str:
        """Its token states the purposes; `scoped`: the only one with a scope."""
        client_id, host = f"system-{uuid4()}", self.world.client.host
        host.run(grounds.scope(host.platform.store, client_id, [scoped] if scoped else purposes, agencies, procedures))
        if agencies:
            eventually(lambda: host.platform.verifier.scopes_of(client_id))
        token = mint(self.world.key, sub=client_id, kind="system", roles=["system"], purposes=list(purposes))
        return f"Bearer {token}"

    def call(self, name: str, authorization: str, fields: dict[str, Any]) -> Answer:
        """`fields`: of the request, and what is stated beside it (tests/support/stating.py)."""
        rpc = RPC[name]
        asked, stated = parted(fields)
        if "request_id" in rpc.request.DESCRIPTOR.fields_by_name:
            asked = {"request_id": str(uuid4())} | asked
        return self.world.client.call(rpc, rpc.request(**asked), authorization, stated)

    def recorded(self) -> int:
        async def count() -> int:
            found, position = 0, START
            while events := await self.world.client.host.platform.store.read_all(position, RECORDED):
                found, position = found + len(events), events[-1].position
            return found

        return self.world.client.host.run(count())


RPC = {rpc.descriptor.name: rpc for rpc in RPCS}


def live(world: World) -> Lives:
    me, stranger, gone = world.account(), world.account(), world.account()
    code, stranger_s, ended = world.issued(me), world.issued(stranger), world.issued(gone)
    world.done("ReturnResult", "receptionist", code=ended, delivery_method=dossier_pb2.DELIVERY_METHOD_COUNTER)
    person, store = citizen(7), world.client.host.platform.store
    for one in (me, stranger, gone):
        world.client.host.run(grounds.look_up(store, one, AGENCY))
    known = world.done("LookUpPerson", "receptionist", **stating("walk-in"), **grounds.particulars(person)).account_id
    long_ago = f"{AGENCY}-20250302-0000001"
    world.client.host.run(grounds.submit(store, long_ago, me, AGENCY, procedure=PROCEDURE))
    world.client.host.run(grounds.end(store, long_ago, me, datetime.now(UTC) - timedelta(days=400)))
    fee = {"condition": types.FEE_CONDITION_RESULT, "items": [pb.AssessedItem(name="Lệ phí", amount=10_000)]}
    owing = world.begun(me)
    fee_id = world.done("AssessFee", "receptionist", code=owing, **fee).fee_id

    def document_of(account_id: str) -> str:
        found = world.done("ListMyDocuments", "citizen", account_id).documents
        return next((one.document_id for one in found if one.source == warehouse.DOCUMENT_SOURCE_RESULT), "")

    eventually(lambda: document_of(me) and document_of(stranger))
    eventually(lambda: world.done("ListPayments", "citizen", me).payments)
    sha256 = world.done("GetDossier", "citizen", me, code=code).dossier.results[0].sha256
    return Lives(
        world, me, code, document_of(me), sha256, fee_id, stranger, stranger_s, document_of(stranger), ended, long_ago,
        person, world.submitted(known, applicant_name=person.full_name),
    )  # fmt: skip


def rightful_code(lives: Lives, name: str) -> str:
    return lives.person_s_code if name == "LookUpPerson" else lives.code


def refused(lives: Lives, name: str, authorization: str, fields: dict[str, Any]) -> str:
    """The reason; nothing was shown, and nothing recorded."""
    before = lives.recorded()
    answer = lives.call(name, authorization, fields)
    assert answer.code is not grpc.StatusCode.OK, f"{name} was answered: {fields}"
    assert answer.code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), str(answer)
    assert answer.reason, str(answer)
    assert lives.recorded() == before, f"{name} left a record: {fields}"
    return answer.reason
