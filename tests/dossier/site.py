"""A dossier service that holds dossiers told in commands, for tests of who may read them."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from joserfc.jwk import OKPKey

from motcua.catalogue.events.v1 import definitions_pb2 as definitions
from motcua.catalogue.events.v1 import events_pb2 as catalogue
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from motcua.privacy.events.v1.events_pb2 import DataUsed
from services.chassis.blobs.sealed import SealedBlobs
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.handler import Handler
from services.chassis.store.port import ANY, NewEvent
from services.dossier import commands as c
from services.dossier.codec import dossier_codec
from services.dossier.domain import dossier
from services.dossier.domain.state import Dossier
from services.dossier.service import DossierService
from tests.access.callers import mint
from tests.dossier import world as w
from tests.support.grounds import scope
from tests.support.hosted import Host, hosted
from tests.support.keys import MemoryKeys
from tests.support.tokens import signing_key
from tests.support.waiting import eventually

Metadata = tuple[tuple[str, str], ...]
ROLES = ("receptionist", "processor", "approver", "cashier")


@dataclass
class Site:
    host: Host
    stub: DossierServiceStub
    key: OKPKey
    handler: Handler[Any, Any, Any]
    keys: MemoryKeys
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # Callers

    def bearer(self, **claims: Any) -> Metadata:
        return (("authorization", f"Bearer {mint(self.key, **claims)}"),)

    def official(self, agency: str, **claims: Any) -> Metadata:
        return self.bearer(**{"kind": "official", "roles": list(ROLES), "agency": agency} | claims)

    def person(self, account_id: str, kind: str = "citizen") -> Metadata:
        return self.bearer(kind=kind, roles=[kind], sub=account_id)

    def system(self, *purposes: str) -> Metadata:
        """Registered for all procedures in the province."""
        client_id = f"tax-{uuid4()}"
        self.host.run(scope(self.host.platform.store, client_id, purposes, ["P56"]))
        eventually(lambda: self.host.platform.verifier.scopes_of(client_id))
        return self.bearer(kind="system", roles=["system"], sub=client_id, purposes=list(purposes))

    # Facts

    def put(self, stream: str, event: Message) -> None:
        metadata = json.dumps({"request_id": str(uuid4()), "actor": "service:test"}).encode()
        new = NewEvent(uuid4(), event.DESCRIPTOR.full_name, event.SerializeToString(), metadata)
        self.host.run(self.host.platform.store.append(stream, [new], ANY))

    def open_agency(self, code: str, province: str) -> None:
        agency = definitions.Agency(code=code, province=province, commune="", valid_from="2020-01-01")
        agency.name.vi = agency.name.en = code
        agency.level, agency.kind = definitions.LEVEL_PROVINCE, definitions.AGENCY_KIND_PEOPLES_COMMITTEE
        self.put(f"agency-{code}", catalogue.AgencyOpened(agency=agency))

    def new_code(self) -> str:
        return f"{w.COMMUNE}-20260302-{next(self._numbers):07d}"

    def told(self, code: str, commands: Sequence[c.Command]) -> Dossier:
        """The dossier after those of the commands that its rules allow."""
        for command in commands:
            try:
                origin = Origin.outermost(str(uuid4()), "test", "service:test")
                self.host.run(self.handler.execute(code, command, origin))
            except Rejected:
                continue
        state, _ = self.host.run(self.handler.load(code))
        return dossier.initial if state is None else state

    def keep(self, subject: str, content: bytes) -> str:
        """A file of the person's; returns its hash."""
        sha256 = hashlib.sha256(content).hexdigest()

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        self.host.run(SealedBlobs(self.host.platform.blobs, self.keys).put(subject, sha256, pieces()))
        return sha256

    def head(self) -> str:
        return f"p{self.host.run(self.host.platform.store.head())}"

    def uses(self, code: str) -> list[DataUsed]:
        stored = self.host.run(self.host.platform.store.read(f"use-{code}"))
        return [DataUsed.FromString(event.data) for event in stored]


@contextmanager
def site_in(folder: Path) -> Iterator[Site]:
    keys = MemoryKeys()
    service = type("Hosted", (DossierService,), {"key_ring": staticmethod(lambda *_: keys)})
    with hosted(folder, [service]) as host, grpc.insecure_channel(host.address("dossier")) as channel:
        key = host.run(signing_key(host.platform.store))
        handler: Handler[Any, Any, Any] = Handler(
            "dossier", dossier, dossier_codec, host.platform.store, keys, "vn-56", "test", w.RECEIVED.now
        )
        yield Site(host, DossierServiceStub(channel), key, handler, keys)


def refusal_of(call: Any) -> tuple[str, list[str]]:
    """Reason and named fields of what refuses the call; ("", []) if nothing does."""
    try:
        call()
    except grpc.RpcError as error:
        raised: Any = error
        (packed,) = (value for name, value in raised.trailing_metadata() if name == "grpc-status-details-bin")
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        details = Status.FromString(packed).details
        assert details[0].Unpack(info)
        for detail in details[1:]:
            detail.Unpack(bad)
        return info.reason, [violation.field for violation in bad.field_violations]
    return "", []
