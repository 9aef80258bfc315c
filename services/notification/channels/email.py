"""Sends e-mails by SMTP, and tells a failure that may pass from one that will not."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from email.utils import parseaddr
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import aiosmtplib

from services.chassis.text.contact import sent_to
from services.notification.channels.port import (
    AddressKind,
    Carrier,
    CarrierUnreachable,
    Dispatch,
    PermanentError,
    SendError,
    TransientError,
)
from services.notification.settings import EmailSettings
from services.notification.values import Channel

_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")


class Tls(Enum):
    NONE = "none"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    host: str
    port: int
    sender: str
    sender_name: str
    tls: Tls = Tls.STARTTLS
    username: str = ""
    password: str = ""
    # A file of certificate authorities; empty: the system's.
    ca_file: str = ""
    # For connecting, and for each answer; seconds.
    timeout: float = 20.0


def smtp_settings(settings: EmailSettings) -> SmtpSettings:
    """Raises ValueError for a URL that is none of a mail server's."""
    url = urlsplit(settings.smtp_url)
    options = dict(parse_qsl(url.query, strict_parsing=bool(url.query)))
    tls = Tls.IMPLICIT if url.scheme == "smtps" else Tls(options.pop("tls", Tls.STARTTLS.value))
    ca_file = options.pop("ca_file", "")
    if url.scheme not in ("smtp", "smtps") or not url.hostname or options:
        raise ValueError(
            "MOTCUA_SMTP_URL is not smtp[s]://[user:password@]host[:port][?tls=none|starttls][&ca_file=...]"
        )
    name, sender = parseaddr(settings.mail_from)
    return SmtpSettings(
        host=url.hostname,
        port=url.port or {Tls.IMPLICIT: 465, Tls.STARTTLS: 587, Tls.NONE: 25}[tls],
        sender=sender,
        sender_name=name or "Một cửa",
        tls=tls,
        username=unquote(url.username or ""),
        password=unquote(url.password or ""),
        ca_file=ca_file,
    )


class SmtpMailer:
    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._context = ssl.create_default_context(cafile=settings.ca_file or None)

    async def send(self, email: Dispatch) -> None:
        s = self._settings
        try:
            await aiosmtplib.send(
                bytes(build(email, s)),  # aiosmtplib would fold the message anew
                sender=s.sender,
                recipients=[sent_to(email.recipient)],
                hostname=s.host,
                port=s.port,
                username=s.username or None,
                password=s.password or None,
                timeout=s.timeout,
                use_tls=s.tls is Tls.IMPLICIT,
                start_tls=s.tls is Tls.STARTTLS,
                tls_context=None if s.tls is Tls.NONE else self._context,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise classified(error) from None  # the cause holds the address

    async def probe(self, seconds: float) -> str:
        s = self._settings
        client = aiosmtplib.SMTP(
            hostname=s.host,
            port=s.port,
            use_tls=s.tls is Tls.IMPLICIT,
            start_tls=s.tls is Tls.STARTTLS,
            cert_bundle=s.ca_file or None,
            timeout=seconds,
        )
        try:
            async with client:
                if s.username:
                    await client.login(s.username, s.password)
                await client.noop()
        except (aiosmtplib.SMTPException, OSError, ValueError) as refused:
            raise CarrierUnreachable(str(refused) or type(refused).__name__) from refused
        return f"{s.host}:{s.port} answers{', and takes the password' if s.username else ''}"


class _Policy(EmailPolicy):
    """Python 3.11 moves spaces where it folds long text that is not ASCII (github.com/python/cpython/issues/92081)."""

    def fold(self, name: str, value: Any) -> str:
        match name:
            case "Subject":
                folded = self._encoded(name, str(value))
            case "From":
                [sender] = value.addresses
                folded = f"{self._encoded(name, sender.display_name)}{self.linesep} <{sender.addr_spec}>"
            case _:
                return str(super().fold(name, value))
        return f"{name}: {folded}{self.linesep}"

    def fold_binary(self, name: str, value: Any) -> bytes:
        return self.fold(name, value).encode()

    def _encoded(self, name: str, text: str) -> str:
        return str(Header(text, "utf-8", maxlinelen=74, header_name=name).encode(linesep=self.linesep))


_POLICY = _Policy(linesep=SMTP.linesep, cte_type="7bit")


def build(email: Dispatch, settings: SmtpSettings) -> EmailMessage:
    """Its Message-ID follows from the message, so that a mail system can drop a copy sent again after a crash."""
    domain = settings.sender.rpartition("@")[2]
    message = EmailMessage(policy=_POLICY)
    message["Message-ID"] = f"<{email.message_id}@{domain}>"
    message["Date"] = email.at
    message["From"] = Address(settings.sender_name, addr_spec=settings.sender)
    message["To"] = sent_to(email.recipient)
    message["Subject"] = email.subject
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    message.set_content(email.text)
    message.add_alternative(email.html, subtype="html")
    message["Content-Language"] = email.language
    return message


def classified(error: Exception) -> SendError:
    """Only what the server says of this recipient or this content is final; the rest is the operators' to mend."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[refused, *_]):
            return classified(refused)
        case aiosmtplib.SMTPRecipientRefused() | aiosmtplib.SMTPDataError() if 500 <= error.code < 600:
            return PermanentError(_codes(error))
        case aiosmtplib.SMTPResponseException():
            return TransientError(_codes(error))
        case aiosmtplib.SMTPNotSupported():
            return PermanentError("SMTP extension missing")
        case TimeoutError():
            return TransientError("timeout")
        case aiosmtplib.SMTPServerDisconnected():
            return TransientError("disconnected")
        case ssl.SSLError():
            return TransientError("TLS failed")
        case OSError():
            return TransientError("no connection")
        case ValueError():
            return PermanentError("address or content not sendable")
        case _:
            return TransientError(type(error).__name__)


def _codes(error: aiosmtplib.SMTPResponseException) -> str:
    enhanced = _ENHANCED.match(error.message)
    return f"SMTP {error.code} {enhanced[1]}" if enhanced else f"SMTP {error.code}"


CARRIER = Carrier(
    channel=Channel.EMAIL,
    name="e-mail",
    work="emails",
    switch="smtp_url",
    secrets=("smtp_url",),
    chart="mail",
    address=AddressKind.EMAIL,
    html=True,
    open=lambda settings: SmtpMailer(smtp_settings(settings)),
    leaves={
        "aiosmtplib.send": "the operator's mail server: MOTCUA_SMTP_URL",
        "aiosmtplib.SMTP": "the same, asked by the doctor",
    },
    check="Check MOTCUA_SMTP_URL: host, port, password, ?tls= and ?ca_file=.",
)
