"""The world a measurement needs before its first call: the law, people with sealed names, keys and tokens."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from google.protobuf.message import Message

from motcua.catalogue.events.v1 import events_pb2 as catalogue_pb2
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1.dossier_service_pb2 import SubmitDossierRequest
from motcua.identity.events.v1 import events_pb2 as identity_pb2
from motcua.types.v1 import types_pb2 as types
from services.catalogue.events import AgencyOpened, CalendarPublished, ProcedurePublished
from services.catalogue.loader import load
from services.chassis.deciding.codec import Shape, to_timestamp
from services.chassis.privacy.sealing import KEY_BYTES, Keys, seal
from services.chassis.store.port import NO_STREAM, EventStore, NewEvent
from services.identity.tokens import AccessClaims, generate_signing_key, mint, public_jwk
from services.law.definitions import AgencyKind, Level

PROVINCE = "56"
PROCEDURE = "1.004222"  # permanent residence: a form with rules, a fee
PEOPLE = 500
BY = "service:loadtests"


class LocalKeys:
    """Subjects' keys without a call to identity, as a service has them when its cache is warm."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes] = {}

    async def keys(self, subjects: Collection[str], *, create: bool) -> Keys:
        return {subject: self.key(subject) for subject in subjects if create or subject in self._keys}

    def key(self, subject: str) -> bytes:
        return self._keys.setdefault(subject, os.urandom(KEY_BYTES))


@dataclass(frozen=True, slots=True)
class World:
    """What a client knows: a token for each applicant, where they apply, an official's there, and what verifies the tokens."""

    tokens: tuple[str, ...]
    agency: str
    jwk: str
    official: str

    def requests(self) -> Iterator[tuple[SubmitDossierRequest, tuple[tuple[str, str], ...]]]:
        """Submissions of one applicant after the other, each with its call's metadata."""
        template = _request(self.agency)
        for token in itertools.cycle(self.tokens):
            request = SubmitDossierRequest(request_id=str(uuid4()))
            request.MergeFrom(template)
            yield request, (("authorization", f"Bearer {token}"),)


async def build(store: EventStore, keys: LocalKeys) -> World:
    """Write it as the other services would."""
    now = datetime.now(UTC)
    law = load()
    agencies = list(law.agencies(PROVINCE))
    for event in _law_events(law, agencies, now):
        await _append(store, event)
    signing = generate_signing_key()
    introduced = identity_pb2.SigningKeyIntroduced(
        kid=str(signing.kid), at=to_timestamp(now), by=BY, public_jwk=public_jwk(signing), signs_from=to_timestamp(now)
    )
    await _append(store, introduced)
    tokens = []
    for number in range(PEOPLE):
        account_id = str(uuid4())
        await _register(store, keys, account_id, number, now)
        claims = AccessClaims(account_id, "citizen", ("citizen",), level_of_assurance=2)
        tokens.append(mint(signing, claims, now, str(uuid4())))
    police = next(a for a in agencies if (a.level, a.kind) == (Level.COMMUNE, AgencyKind.POLICE))
    processor = AccessClaims(str(uuid4()), "official", ("processor",), police.code, PROVINCE, level_of_assurance=2)
    return World(tuple(tokens), police.code, public_jwk(signing), mint(signing, processor, now, str(uuid4())))


def _law_events(law: Any, agencies: list[Any], now: datetime) -> Iterator[Message]:
    at = now - timedelta(days=1)
    calendar = Shape(CalendarPublished, catalogue_pb2.CalendarPublished)
    agency = Shape(AgencyOpened, catalogue_pb2.AgencyOpened)
    procedure = Shape(ProcedurePublished, catalogue_pb2.ProcedurePublished)
    yield from (calendar.write(CalendarPublished(calendar=each, at=at, by=BY)) for each in law.calendars)
    yield from (agency.write(AgencyOpened(agency=each, at=at, by=BY)) for each in agencies)
    yield from (procedure.write(ProcedurePublished(procedure=each, at=at, by=BY)) for each in law.procedures)


async def _register(store: EventStore, keys: LocalKeys, account_id: str, number: int, now: datetime) -> None:
    event_id = uuid4()
    name = seal(f"Nguyễn Văn Tải {number}".encode(), keys.key(account_id), event_id, "full_name")
    kind = identity_pb2.AccountKind.ACCOUNT_KIND_CITIZEN
    registered = identity_pb2.AccountRegistered(
        account_id=account_id, at=to_timestamp(now), by=BY, kind=kind, full_name=name, level_of_assurance=2
    )
    await store.append(f"account-{account_id}", [_new(registered, event_id)], NO_STREAM)


async def _append(store: EventStore, event: Message) -> None:
    event_id = uuid4()
    await store.append(f"seed-{event_id}", [_new(event, event_id)], NO_STREAM)


def _new(event: Message, event_id: Any) -> NewEvent:
    return NewEvent(event_id, event.DESCRIPTOR.full_name, event.SerializeToString(), b"{}")


def _request(agency: str) -> SubmitDossierRequest:
    request = SubmitDossierRequest(
        procedure_code=PROCEDURE,
        channel=types.CHANNEL_ONLINE,
        email="tai@example.vn",
        phone="0912345678",
        reception_agency=agency,
        delivery_method=dossier_pb2.DELIVERY_METHOD_ELECTRONIC,
        reuse_consent=True,
    )
    request.form.update(
        {
            "subject_name": "Nguyễn Văn Tải",
            "subject_id": "056090000001",
            "birth_date": "1990-02-01",
            "phone": "0912345678",
            "new_address": "12 Trần Phú, Nha Trang",
            "commune": "22333",
            "housing_kind": "own",
            "housing_in_database": True,
            "request": "Đăng ký thường trú tại chỗ ở hợp pháp",
        }
    )
    return request
