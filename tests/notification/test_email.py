"""The mailer against a real SMTP server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.notification.channels.email import CARRIER, SmtpMailer, SmtpSettings, Tls
from services.notification.channels.port import Dispatch, PermanentError, SendError, TransientError
from services.settings import SiteSettings
from tests.notification.carrier_contract import CarrierContract

HOST = "127.0.0.1"
ANSWERS = {
    "accepts": "",
    "busy": "450 4.2.1 <binh@example.vn> is busy",
    "refuses": "550 5.1.1 <binh@example.vn> unknown",
}
EMAIL = Dispatch(
    message_id="0f3c1c5e-0000-5000-8000-000000000001",
    at=datetime(2026, 3, 2, 2, 5, tzinfo=UTC),
    recipient="binh@example.vn",
    language="vi",
    subject="Hồ sơ đã được tiếp nhận, hẹn trả ngày 09/03/2026 — xin giữ lại mã hồ sơ để tra cứu",
    text="Kính gửi Ông/Bà,\n\nHồ sơ đã được tiếp nhận.\n",
    html="<p>Kính gửi Ông/Bà,</p>",
)


class Mailbox:
    """An SMTP handler that answers as told and keeps what it accepted."""

    def __init__(self, rcpt: str = "", data: str = "", hang: bool = False) -> None:
        self.rcpt, self.data, self.hang = rcpt, data, hang
        self.received: list[EmailMessage] = []
        self.secure: list[bool] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if not self.rcpt:
            envelope.rcpt_tos.append(address)
        return self.rcpt or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.hang:
            await asyncio.Event().wait()
        if self.data:
            return self.data
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        self.secure.append(session.ssl is not None)
        return "250 2.0.0 accepted"


def settings(port: int) -> SmtpSettings:
    return SmtpSettings(
        HOST,
        port,
        "mot-cua@khanhhoa.example.vn",
        "Trung tâm Phục vụ hành chính công tỉnh Khánh Hòa",
        Tls.NONE,
        timeout=5,
    )


@asynccontextmanager
async def listening(
    factory: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(factory, HOST, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def smtp(mailbox: Mailbox, **options: Any) -> AbstractAsyncContextManager[int]:
    return listening(lambda: SMTP(mailbox, **options))


async def failure(sending: Awaitable[None]) -> SendError:
    with pytest.raises(SendError) as failed:
        await sending
    return failed.value


def header(message: EmailMessage, name: str) -> str:
    """Read from the raw lines: Python 3.11's own reader adds spaces between the encoded words of names."""
    raw = dict(message.raw_items())[name]
    assert all(len(line) <= 76 for line in raw.splitlines())
    return str(make_header(decode_header(raw)))


@dataclass
class Remote:
    settings: SiteSettings
    mailbox: Mailbox

    def took(self) -> list[str]:
        return [message["Message-ID"] for message in self.mailbox.received]


class TestEmail(CarrierContract):
    carrier = CARRIER

    @asynccontextmanager
    async def remote(self, answer: str) -> AsyncIterator[Remote]:
        mailbox = Mailbox(rcpt=ANSWERS[answer])
        async with smtp(mailbox) as port:
            yield Remote(SiteSettings(smtp_url=f"smtp://{HOST}:{port}?tls=none"), mailbox)


async def test_an_email_arrives() -> None:
    mailbox = Mailbox()
    async with smtp(mailbox) as port:
        await SmtpMailer(settings(port)).send(EMAIL)
    [message] = mailbox.received
    assert message["Message-ID"] == "<0f3c1c5e-0000-5000-8000-000000000001@khanhhoa.example.vn>"
    assert header(message, "From") == "Trung tâm Phục vụ hành chính công tỉnh Khánh Hòa <mot-cua@khanhhoa.example.vn>"
    assert (message["To"], header(message, "Subject")) == (EMAIL.recipient, EMAIL.subject)
    assert message["Date"].datetime == EMAIL.at
    assert (message["Auto-Submitted"], message["Content-Language"]) == ("auto-generated", "vi")
    text, html = message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    assert text.get_content().replace("\r\n", "\n") == EMAIL.text
    assert html.get_content().strip() == EMAIL.html


async def test_the_same_message_has_the_same_message_id() -> None:
    mailbox = Mailbox()
    async with smtp(mailbox) as port:
        for _ in range(2):
            await SmtpMailer(settings(port)).send(EMAIL)
    first, second = mailbox.received
    assert first["Message-ID"] == second["Message-ID"]


@pytest.mark.parametrize(
    ("mailbox", "kind", "why"),
    [
        (Mailbox(rcpt="450 4.2.1 <binh@example.vn> is busy"), TransientError, "SMTP 450 4.2.1"),
        (Mailbox(rcpt="550 5.1.1 <binh@example.vn> unknown"), PermanentError, "SMTP 550 5.1.1"),
        (Mailbox(data="451 try later"), TransientError, "SMTP 451"),
        (Mailbox(data="554 5.7.1 binh@example.vn: looks like spam"), PermanentError, "SMTP 554 5.7.1"),
    ],
)
async def test_a_refusal_is_classified_without_the_address(mailbox: Mailbox, kind: type[SendError], why: str) -> None:
    async with smtp(mailbox) as port:
        error = await failure(SmtpMailer(settings(port)).send(EMAIL))
    assert (type(error), error.why) == (kind, why)
    assert "binh" not in f"{error!r}{error.__cause__!r}"
    assert mailbox.received == []


async def test_a_server_that_hangs_is_tried_later() -> None:
    async with smtp(Mailbox(hang=True)) as port:
        error = await failure(SmtpMailer(replace(settings(port), timeout=0.2)).send(EMAIL))
    assert (type(error), error.why) == (TransientError, "timeout")


async def test_a_server_that_hangs_up_is_tried_later() -> None:
    class HangsUp(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    async with listening(HangsUp) as port:
        error = await failure(SmtpMailer(settings(port)).send(EMAIL))
    assert type(error) is TransientError


async def test_a_server_that_is_closed_for_now_is_tried_later() -> None:
    class Closed(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(b"554 5.3.2 no service\r\n")

    async with listening(Closed) as port:
        error = await failure(SmtpMailer(settings(port)).send(EMAIL))
    assert (type(error), error.why) == (TransientError, "SMTP 554 5.3.2")


async def test_a_refused_connection_is_tried_later() -> None:
    async with smtp(Mailbox()) as port:
        pass
    error = await failure(SmtpMailer(settings(port)).send(EMAIL))
    assert (type(error), error.why) == (TransientError, "no connection")


async def test_an_address_that_breaks_the_header_is_refused() -> None:
    error = await failure(SmtpMailer(settings(1)).send(replace(EMAIL, recipient="a@b.vn\r\nBcc: c@d.vn")))
    assert type(error) is PermanentError


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(encoding))
    return path


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def authenticator(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"motcua", b"secret"), handled=False)


@pytest.mark.parametrize(("password", "accepted"), [("secret", 1), ("wrong", 0)])
async def test_starttls_and_a_login(certificate: Path, password: str, accepted: int) -> None:
    mailbox = Mailbox()
    options = {
        "tls_context": server_tls(certificate),
        "require_starttls": True,
        "auth_required": True,
        "authenticator": authenticator,
    }
    async with smtp(mailbox, **options) as port:
        secured = replace(
            settings(port), tls=Tls.STARTTLS, ca_file=str(certificate), username="motcua", password=password
        )
        sending = SmtpMailer(secured).send(EMAIL)
        if accepted:
            await sending
        else:
            error = await failure(sending)
            assert (type(error), error.why) == (TransientError, "SMTP 535 5.7.8")
    assert mailbox.secure == [True] * accepted


async def test_implicit_tls(certificate: Path) -> None:
    mailbox = Mailbox()
    async with listening(lambda: SMTP(mailbox), server_tls(certificate)) as port:
        await SmtpMailer(replace(settings(port), tls=Tls.IMPLICIT, ca_file=str(certificate))).send(EMAIL)
    assert len(mailbox.received) == 1


async def test_an_unknown_certificate_is_not_trusted(certificate: Path) -> None:
    mailbox = Mailbox()
    async with smtp(mailbox, tls_context=server_tls(certificate)) as port:
        error = await failure(SmtpMailer(replace(settings(port), tls=Tls.STARTTLS)).send(EMAIL))
    assert type(error) is TransientError
    assert mailbox.received == []


async def test_a_server_without_starttls_is_not_used() -> None:
    mailbox = Mailbox()
    async with smtp(mailbox) as port:
        error = await failure(SmtpMailer(replace(settings(port), tls=Tls.STARTTLS)).send(EMAIL))
    assert type(error) is TransientError
    assert mailbox.received == []
