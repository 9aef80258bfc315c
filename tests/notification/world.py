"""A notification service that runs, the facts it hears of, and a mail server that answers as told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4, uuid5

import grpc
from aiosmtpd.smtp import SMTP
from google.protobuf.message import Message

from motcua.catalogue.events.v1 import definitions_pb2 as definitions
from motcua.catalogue.events.v1 import events_pb2 as catalogue
from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.notification.v1 import notification_pb2
from motcua.notification.v1 import notification_service_pb2 as pb
from motcua.notification.v1.notification_service_pb2_grpc import NotificationServiceStub
from services.chassis.deciding.codec import to_timestamp
from services.chassis.privacy.sealing import seal, sealed_fields
from services.chassis.store.port import ANY, NewEvent
from services.notification.service import NotificationService
from tests.support.hosted import Host, hosted
from tests.support.keys import MemoryKeys
from tests.support.tokens import mint, signing_key

T = TypeVar("T")

ME = "7d0f4a5e-0000-4000-8000-000000000001"
OTHER = "7d0f4a5e-0000-4000-8000-000000000002"
SENDER = "mot-cua@khanhhoa.example.vn"
ADMIN = "7d0f4a5e-0000-4000-8000-000000000009"
CODE = "P56.22.336-20260302-0000001"
AT = datetime(2026, 3, 2, 2, 5, tzinfo=UTC)
DUE = AT + timedelta(days=7)
FACTS = UUID("0b1f1b0a-0000-4000-8000-000000000000")


@dataclass
class MailServer:
    """Answers each address from its script, then accepts; `hang` holds an address's e-mails for ever."""

    scripts: dict[str, list[str]] = field(default_factory=dict)
    hang: set[str] = field(default_factory=set)
    accepted: list[EmailMessage] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        self.tried.append(address)
        if address in self.hang:
            await asyncio.Event().wait()
        if script := self.scripts.get(address):
            return script.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.accepted.append(message)
        return "250 2.0.0 accepted"

    def to(self, address: str) -> list[EmailMessage]:
        return [message for message in self.accepted if message["To"] == address]


@contextmanager
def mail_server() -> Iterator[tuple[MailServer, str]]:
    server = MailServer()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mail server")
    thread.start()
    listening = loop.create_server(lambda: SMTP(server), "127.0.0.1", 0)
    port = asyncio.run_coroutine_threadsafe(listening, loop).result().sockets[0].getsockname()[1]
    try:
        yield server, f"smtp://127.0.0.1:{port}?tls=none"
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class World:
    def __init__(self, host: Host, keys: MemoryKeys) -> None:
        self.host = host
        self._keys = keys
        self._signing_key = host.run(signing_key(host.platform.store))
        self._channel = grpc.insecure_channel(host.address("notification"))
        self.stub = NotificationServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def append(self, stream: str, event: Message, **sealed: str) -> UUID:
        """Store a fact as its own service would; the same one again changes nothing."""
        event_id = uuid5(FACTS, f"{stream}/{event.DESCRIPTOR.full_name}/{event!s}")
        return self.append_as(event_id, stream, event, **sealed)

    def append_as(self, event_id: UUID, stream: str, event: Any, **sealed: str) -> UUID:
        async def store() -> None:
            for name, text in sealed.items():
                subject = getattr(event, sealed_fields(event.DESCRIPTOR)[name])
                keys = await self._keys.keys([subject], create=True)
                setattr(event, name, seal(text.encode(), keys[subject], event_id, name))
            new = NewEvent(event_id, event.DESCRIPTOR.full_name, event.SerializeToString(), b'{"request_id": "test"}')
            await self.host.platform.store.append(stream, [new], ANY)

        self.host.run(store())
        return event_id

    def publish_law(self) -> None:
        procedure = definitions.Procedure(
            code="1.004222",
            version=3,
            name=definitions.Text(vi="Đăng ký thường trú", en="Permanent residence"),
            components=[
                definitions.Component(code="ct01", name=definitions.Text(vi="Tờ khai CT01", en="Declaration CT01"))
            ],
        )
        agency = definitions.Agency(
            code="P56.22.336",
            name=definitions.Text(vi="UBND phường Nha Trang", en="People's Committee of Nha Trang ward"),
        )
        self.append("procedure-1.004222", catalogue.ProcedurePublished(procedure=procedure))
        self.append("agency-P56.22.336", catalogue.AgencyOpened(agency=agency))

    def register(self, account_id: str = ME, email: str = "", language: int = 0) -> None:
        stream = f"account-{account_id}"
        self.append(stream, identity.AccountRegistered(account_id=account_id), full_name="Nguyễn Thị Bình", email=email)
        if language:
            changed = identity.ProfileChanged(account_id=account_id, language=identity.Language.ValueType(language))
            self.append(stream, changed, email=email)

    def submit(self, code: str = CODE, applicant_id: str = ME, email: str = "") -> UUID:
        event = dossier.DossierSubmitted(
            code=code,
            applicant_id=applicant_id,
            at=to_timestamp(AT),
            procedure_code="1.004222",
            procedure_version=3,
            applicant_kind=dossier.APPLICANT_KIND_CITIZEN,
            reception_agency="P56.22.336",
            delivery_method=dossier.DELIVERY_METHOD_COUNTER,
        )
        return self.append(f"dossier-{code}", event, applicant_name="Nguyễn Thị Bình", email=email, form="{}")

    def receive(self, code: str = CODE, applicant_id: str = ME) -> UUID:
        event = dossier.DossierReceived(
            code=code,
            applicant_id=applicant_id,
            at=to_timestamp(AT),
            receipt_number=f"TN-{code}",
            due_at=to_timestamp(DUE),
            agency="P56.22.336",
            procedure_version=3,
        )
        return self.append(f"dossier-{code}", event)

    def as_(self, account_id: str = ME, role: str = "citizen") -> tuple[tuple[str, str], ...]:
        token = mint(self._signing_key, role, kind="citizen", account_id=account_id)
        return (("authorization", f"Bearer {token}"),)

    def inbox(self, account_id: str = ME, **request: Any) -> list[notification_pb2.MessageSummary]:
        return list(self.stub.ListInbox(pb.ListInboxRequest(**request), metadata=self.as_(account_id)).messages)

    def message(self, message_id: str, account_id: str = ME) -> notification_pb2.Message:
        return self.stub.GetMessage(pb.GetMessageRequest(message_id=message_id), metadata=self.as_(account_id)).message

    def failures(self, **request: Any) -> list[notification_pb2.Failure]:
        listed = self.stub.ListFailures(pb.ListFailuresRequest(**request), metadata=self.as_(ADMIN, "administrator"))
        return list(listed.failures)


def request_id() -> str:
    return str(uuid4())


@contextmanager
def world(folder: Path, keys: MemoryKeys | None = None, smtp_url: str = "", **settings: str) -> Iterator[World]:
    ring = keys or MemoryKeys()
    service = type("Hosted", (NotificationService,), {"key_ring": staticmethod(lambda *_: ring)})
    with hosted(folder, [service], smtp_url=smtp_url, mail_from=SENDER, **settings) as host:
        made = World(host, ring)
        try:
            yield made
        finally:
            made.close()
