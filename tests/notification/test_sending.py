from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, insert

from services.notification.channels.email import SmtpSettings, Tls, smtp_settings
from services.notification.queries import take_due
from services.notification.sending import SEND_SECONDS, TAKEN
from services.notification.values import Channel
from services.notification.views import PENDING, deliveries, metadata
from services.settings import SiteSettings

NOW = datetime(2026, 3, 2, 2, 5, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
FROM = "Một cửa Khánh Hòa <mot-cua@khanhhoa.example.vn>"


def settings(url: str, sender: str = FROM) -> SmtpSettings:
    return smtp_settings(SiteSettings(data=Path("unused"), smtp_url=url, mail_from=sender))


def test_a_mail_server_is_given_by_its_url() -> None:
    found = settings("smtp://m%40e:p%2Fw@mail.example.vn?ca_file=/etc/ca.pem")
    assert (found.host, found.port, found.tls) == ("mail.example.vn", 587, Tls.STARTTLS)
    assert (found.username, found.password, found.ca_file) == ("m@e", "p/w", "/etc/ca.pem")
    assert (found.sender, found.sender_name) == ("mot-cua@khanhhoa.example.vn", "Một cửa Khánh Hòa")


def test_tls_follows_from_the_url() -> None:
    assert (settings("smtps://m").tls, settings("smtps://m").port) == (Tls.IMPLICIT, 465)
    assert (settings("smtp://m:2525?tls=none").tls, settings("smtp://m:2525?tls=none").port) == (Tls.NONE, 2525)
    assert settings("smtp://m?tls=none", "a@b.vn").sender_name == "Một cửa"


@pytest.mark.parametrize("url", ["http://mail", "smtp://", "smtp://m?tls=perhaps", "smtp://m?tsl=none", "smtp://m:x"])
def test_another_url_stops_the_start(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each part has its own words
        settings(url)


def test_what_one_sender_took_no_other_takes_in_time() -> None:
    with create_engine("sqlite://").begin() as db:
        metadata.create_all(db)
        for number in range(3):
            wait(db, f"m{number}", NOW - timedelta(minutes=number))
        wait(db, "later", LATER)
        assert take(db, NOW, 2) == ["m2", "m1"]
        assert take(db, NOW, 2) == ["m0"]
        assert take(db, NOW, 2) == []
        assert sorted(take(db, NOW + TAKEN, 9)) == ["m0", "m1", "m2"]
        assert take(db, NOW, 9, Channel.INBOX) == []
    assert timedelta(seconds=SEND_SECONDS) < TAKEN


def wait(db: Connection, message_id: str, due: datetime) -> None:
    row = {"message_id": message_id, "channel": Channel.EMAIL.value, "template": "t", "code": "c", "attempts": 0}
    row |= {"composed_at": due}
    db.execute(insert(deliveries).values(**row, status=PENDING, due_at=due, revision=0))


def take(db: Connection, now: datetime, most: int, channel: Channel = Channel.EMAIL) -> list[str]:
    return [row.message_id for row in take_due(db, channel, now, now + TAKEN, most)]
