"""What the channels by which messages leave the house are told: a class for each. What switches one on is empty where it is off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from services.chassis.network import addresses
from services.chassis.platform.settings import Room


def _mail_server(value: str) -> str:
    """channels/email.py reads it."""
    if value:
        found = addresses.options(addresses.server(value, ("smtp", "smtps")), ("tls", "ca_file"))
        if found.get("tls", "none") not in ("none", "starttls"):
            raise ValueError("?tls= is none or starttls")
    return value


def _sender(value: str) -> str:
    if not value.isprintable() or not re.fullmatch(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+", parseaddr(value)[1]):
        raise ValueError("it must be an address, or a name and an address as in `Name <address>`")
    return value


class EmailSettings(Room):
    smtp_url: Annotated[
        str, AfterValidator(_mail_server), Field(examples=["smtp://user:password@mail.example:587"])
    ] = ""
    """`smtp://user:password@host:port` of the mail server; no e-mail is sent if empty.

    STARTTLS unless the scheme is smtps or `?tls=none` says otherwise; `?ca_file=` names authorities of its own.
    """
    mail_from: Annotated[str, AfterValidator(_sender)] = "motcua@localhost"
    """The sender: an address, or a name and an address as in `Name <address>`."""

    def files(self) -> Iterator[tuple[str, Path | str | None]]:
        yield (
            "MOTCUA_SMTP_URL: ?ca_file=",
            addresses.options(urlsplit(self.smtp_url), ("tls", "ca_file")).get("ca_file"),
        )
        yield from super().files()


class ChannelSettings(EmailSettings):
    """Those of all channels."""
