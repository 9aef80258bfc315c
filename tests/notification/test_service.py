"""The service as a whole: facts in, messages out, over gRPC and SMTP."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import grpc
import pytest
from sqlalchemy import select

from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.notification.v1 import notification_pb2 as n
from motcua.notification.v1 import notification_service_pb2 as pb
from motcua.notification.v1.notification_pb2 import DeliveryStatus
from motcua.types.v1.types_pb2 import (
    LANGUAGE_ENGLISH,
    LANGUAGE_VIETNAMESE,
    MOMENT_ORDER_NEWEST_FIRST,
    MOMENT_ORDER_OLDEST_FIRST,
)
from services.chassis.deciding.codec import to_timestamp
from services.chassis.following.reactions import parked
from services.notification import sending
from services.notification.messages.values import RetryPolicy, message_id
from services.notification.values import CHANNELS
from tests.notification.world import (
    ADMIN,
    AT,
    CODE,
    DUE,
    ME,
    OTHER,
    World,
    mail_server,
    request_id,
    world,
)
from tests.support.keys import MemoryKeys
from tests.support.waiting import eventually

MAIL = "binh@example.vn"
INBOX, EMAIL = n.MESSAGE_CHANNEL_INBOX, n.MESSAGE_CHANNEL_EMAIL
SENT, PENDING = DeliveryStatus.DELIVERY_STATUS_SENT, DeliveryStatus.DELIVERY_STATUS_PENDING
ABANDONED = DeliveryStatus.DELIVERY_STATUS_ABANDONED
QUICK = RetryPolicy(attempts=3, base=timedelta(milliseconds=10), cap=timedelta(milliseconds=50))


def refusal(refused: pytest.ExceptionInfo[grpc.RpcError]) -> grpc.StatusCode:
    code: grpc.StatusCode = refused.value.code()
    return code


def email_of(w: World, id_: UUID, account_id: str = ME) -> int:
    deliveries = w.message(message_id(str(id_), account_id), account_id).deliveries
    return next((delivery.status for delivery in deliveries if delivery.channel == EMAIL), 0)


def test_a_fact_is_told_once_in_the_inbox_and_by_email(tmp_path: Path) -> None:
    with mail_server() as (server, url), world(tmp_path, smtp_url=url) as w:
        w.publish_law()
        w.submit(email=MAIL)
        told = w.receive()
        eventually(lambda: len(w.inbox()) == 2 and len(server.to(MAIL)) == 2)
        newest = w.inbox()[0]
        assert newest.message_id == message_id(str(told), ME)
        message = w.message(newest.message_id)
        assert message.kind == n.MESSAGE_KIND_PROGRESS
        assert message.dossier_code == CODE
        assert message.language == LANGUAGE_VIETNAMESE
        for words in ("Nguyễn Thị Bình", "Đăng ký thường trú", "UBND phường Nha Trang", "09:05 ngày 09/03/2026"):
            assert words in message.body
        assert f"http://localhost:8080/dossiers/{CODE}?lang=vi\n" in message.body
        eventually(lambda: email_of(w, told) == SENT)
        [mail] = [mail for mail in server.accepted if newest.message_id in mail["Message-ID"]]
        assert mail["Content-Language"] == "vi"
        plain = mail.get_body(("plain",))
        assert plain is not None
        assert plain.get_content().split() == message.body.split()


def test_the_same_fact_again_is_not_told_again(tmp_path: Path) -> None:
    keys = MemoryKeys()
    with mail_server() as (server, url):
        with world(tmp_path, keys, url) as w:
            w.publish_law()
            w.submit(email=MAIL)
            eventually(lambda: len(server.to(MAIL)) == 1 and len(w.inbox()) == 1)
            eventually(lambda: w.message(w.inbox()[0].message_id).deliveries[1].status == SENT)
        for database in (tmp_path / "views").glob("notification.db*"):
            database.unlink()  # every view and every reaction begins anew
        with world(tmp_path, keys, url) as w:
            told = w.receive()
            eventually(lambda: email_of(w, told) == SENT if len(w.inbox()) == 2 else 0)
            assert len(server.to(MAIL)) == 2
            history = w.host.run(w.host.platform.store.read(f"message-{w.inbox()[1].message_id}"))
            assert [event.type.rpartition(".")[2] for event in history] == ["MessageComposed", *["MessageSent"] * 2]


def test_english_and_the_accounts_address(tmp_path: Path) -> None:
    with mail_server() as (server, url), world(tmp_path, smtp_url=url) as w:
        w.publish_law()
        w.register(email="account@example.vn", language=2)
        w.submit()
        asked = dossier.SupplementRequested(code=CODE, applicant_id=ME, at=to_timestamp(AT), component_codes=["ct01"])
        w.append(f"dossier-{CODE}", asked, explanation="Thiếu chữ ký")
        eventually(lambda: len(server.to("account@example.vn")) == 2)
        body = w.message(w.inbox()[0].message_id).body
        assert w.inbox()[0].language == LANGUAGE_ENGLISH
        assert "Declaration CT01" in body
        assert "Thiếu chữ ký" in body
        assert "Permanent residence" in body


def test_a_failure_that_passes_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "POLICY", QUICK)
    with mail_server() as (server, url), world(tmp_path, smtp_url=url) as w:
        server.scripts[MAIL] = ["451 4.7.1 come back", "421 4.3.2 busy"]
        told = w.submit(email=MAIL)
        eventually(lambda: w.inbox() and email_of(w, told) == SENT)
        assert len(server.to(MAIL)) == 1
        assert server.tried == [MAIL] * 3
        eventually(lambda: not w.failures())


def test_a_final_failure_is_abandoned_until_somebody_retries(tmp_path: Path) -> None:
    with mail_server() as (server, url), world(tmp_path, smtp_url=url) as w:
        server.scripts[MAIL] = ["550 5.1.1 no such user"]
        told = w.submit(email=MAIL)
        [failure] = eventually(lambda: w.failures(abandoned_only=True))
        id_ = message_id(str(told), ME)
        assert (failure.message_id, failure.channel, failure.attempts) == (id_, EMAIL, 1)
        assert (failure.why, failure.status, failure.template) == ("SMTP 550 5.1.1", ABANDONED, "submitted")
        assert not failure.HasField("retry_at")
        asked = {"channel": EMAIL, "dossier_code": CODE, "template": "submitted", "order": MOMENT_ORDER_OLDEST_FIRST}
        assert w.failures(**asked) == [failure]
        for other in ({"channel": INBOX}, {"dossier_code": f"{CODE[:-1]}2"}, {"template": "received"}):
            assert w.failures(**(asked | other)) == []
        retry = pb.RetryMessageRequest(request_id=request_id(), message_id=id_, channel=EMAIL)
        admin = w.as_(ADMIN, "administrator")
        first = w.stub.RetryMessage(retry, metadata=admin)
        assert w.stub.RetryMessage(retry, metadata=admin) == first
        eventually(lambda: email_of(w, told) == SENT)
        assert len(server.to(MAIL)) == 1
        retry.request_id = request_id()
        with pytest.raises(grpc.RpcError) as refused:
            w.stub.RetryMessage(retry, metadata=admin)
        assert refusal(refused) is grpc.StatusCode.FAILED_PRECONDITION


def test_attempts_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "POLICY", QUICK)
    with mail_server() as (server, url), world(tmp_path, smtp_url=url) as w:
        server.scripts[MAIL] = ["451 4.7.1 come back"] * 5
        w.submit(email=MAIL)
        [failure] = eventually(lambda: w.failures(abandoned_only=True))
        assert (failure.attempts, failure.why) == (3, "SMTP 451 4.7.1")


def test_a_server_that_hangs_on_one_delays_nobody_else(tmp_path: Path) -> None:
    with mail_server() as (server, url), world(tmp_path, smtp_url=url) as w:
        server.hang.add(MAIL)
        stuck = w.submit(email=MAIL)
        eventually(lambda: server.tried == [MAIL])
        other = f"{CODE[:-1]}2"
        told = w.submit(other, OTHER, "other@example.vn")
        eventually(lambda: len(server.to("other@example.vn")) == 1)
        eventually(lambda: email_of(w, told, OTHER) == SENT)
        assert len(w.inbox()) == 1
        assert email_of(w, stuck) == PENDING
        w.receive()
        eventually(lambda: len(w.inbox()) == 2)


def test_what_waited_is_sent_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TAKEN", timedelta(seconds=2))
    keys = MemoryKeys()
    with mail_server() as (server, url):
        server.hang.add(MAIL)
        with world(tmp_path, keys, url) as w:
            first = w.submit(email=MAIL)
            eventually(lambda: server.tried == [MAIL])  # stopped in the middle of sending
        server.hang.clear()
        with world(tmp_path, keys, url) as w:
            assert len(w.inbox()) == 1
            second = w.receive()
            eventually(lambda: email_of(w, first) == SENT)
            eventually(lambda: len(w.inbox()) == 2 and email_of(w, second) == SENT)
            assert len(server.to(MAIL)) == 2


def test_preferences(tmp_path: Path) -> None:
    with mail_server() as (server, url), world(tmp_path, smtp_url=url) as w:
        me = w.as_()
        default = w.stub.GetPreferences(pb.GetPreferencesRequest(), metadata=me).preferences
        assert (default.language, default.email, default.revision) == (LANGUAGE_VIETNAMESE, "", -1)
        assert [(choice.kind, list(choice.channels)) for choice in default.choices] == [
            (kind, [channel.value for channel in CHANNELS]) for kind in range(1, 6)
        ]
        quiet = n.ChannelChoice(kind=n.MESSAGE_KIND_PROGRESS, channels=[INBOX])
        change = pb.UpdatePreferencesRequest(
            request_id=request_id(), language=LANGUAGE_ENGLISH, choices=[quiet], email="new@example.vn"
        )
        w.stub.UpdatePreferences(change, metadata=me)
        chosen = w.stub.GetPreferences(pb.GetPreferencesRequest(), metadata=me).preferences
        assert (chosen.language, chosen.email, chosen.revision) == (LANGUAGE_ENGLISH, "new@example.vn", 0)
        assert chosen.choices[0] == quiet
        assert len(chosen.choices) == 5
        w.stub.UpdatePreferences(
            pb.UpdatePreferencesRequest(request_id=request_id(), language=LANGUAGE_VIETNAMESE), metadata=me
        )
        kept = w.stub.GetPreferences(pb.GetPreferencesRequest(), metadata=me).preferences
        assert (kept.language, kept.email, kept.choices) == (LANGUAGE_VIETNAMESE, "new@example.vn", chosen.choices)
        w.submit(email=MAIL)
        assessed = dossier.FeeAssessed(
            code=CODE, applicant_id=ME, at=to_timestamp(AT), amount=20_000, condition=dossier.FEE_CONDITION_RECEPTION
        )
        fee = w.append(f"dossier-{CODE}", assessed)
        eventually(lambda: len(w.inbox()) == 2 and email_of(w, fee) == SENT)
        assert [mail["To"] for mail in server.accepted] == ["new@example.vn"]  # the fee, and not the progress
        for wrong in (
            n.ChannelChoice(kind=n.MESSAGE_KIND_FEE, channels=[EMAIL]),
            n.ChannelChoice(kind=n.MESSAGE_KIND_FEE, channels=[INBOX, 77]),  # type: ignore[list-item]
            n.ChannelChoice(kind=77, channels=[INBOX]),  # type: ignore[arg-type]
        ):
            request = pb.UpdatePreferencesRequest(request_id=request_id(), language=LANGUAGE_ENGLISH, choices=[wrong])
            with pytest.raises(grpc.RpcError) as refused:
                w.stub.UpdatePreferences(request, metadata=me)
            assert refusal(refused) is grpc.StatusCode.INVALID_ARGUMENT


def test_the_inbox(tmp_path: Path) -> None:
    with world(tmp_path) as w:  # e-mail is switched off
        w.submit(email=MAIL)
        told = w.receive()
        eventually(lambda: len(w.inbox()) == 2)
        id_ = message_id(str(told), ME)
        assert [delivery.channel for delivery in w.message(id_).deliveries] == [INBOX]
        first = w.stub.ListInbox(pb.ListInboxRequest(page_size=1), metadata=w.as_())
        assert (len(first.messages), first.unread) == (1, 2)
        newest, oldest = w.inbox()
        assert w.inbox(order=MOMENT_ORDER_NEWEST_FIRST) == w.inbox(dossier_code=CODE) == [newest, oldest]
        assert w.inbox(order=MOMENT_ORDER_OLDEST_FIRST) == [oldest, newest]
        assert w.inbox(kind=n.MESSAGE_KIND_PROGRESS) == [newest, oldest]
        assert w.inbox(kind=n.MESSAGE_KIND_FEE) == w.inbox(dossier_code=f"{CODE[:-1]}2") == []
        turned = pb.ListInboxRequest(page_token=first.next_page_token, order=MOMENT_ORDER_OLDEST_FIRST)
        with pytest.raises(grpc.RpcError) as refused:
            w.stub.ListInbox(turned, metadata=w.as_())
        assert refusal(refused) is grpc.StatusCode.INVALID_ARGUMENT
        rest = w.stub.ListInbox(pb.ListInboxRequest(page_size=1, page_token=first.next_page_token), metadata=w.as_())
        assert (len(rest.messages), rest.next_page_token) == (1, "")
        mark = pb.MarkReadRequest(request_id=request_id(), message_id=id_)
        with pytest.raises(grpc.RpcError) as refused:
            w.stub.MarkRead(mark, metadata=w.as_(OTHER))
        assert refusal(refused) is grpc.StatusCode.NOT_FOUND
        position = w.stub.MarkRead(mark, metadata=w.as_()).position
        unread = w.stub.ListInbox(pb.ListInboxRequest(unread_only=True, min_position=position), metadata=w.as_())
        assert (len(unread.messages), unread.unread) == (1, 1)
        assert unread.messages[0].message_id != id_
        assert w.message(id_).HasField("read_at")
        for stranger, asked in ((OTHER, id_), (ME, str(uuid4()))):
            with pytest.raises(grpc.RpcError) as refused:
                w.message(asked, stranger)
            assert refusal(refused) is grpc.StatusCode.NOT_FOUND
        assert w.inbox(OTHER) == []
        with pytest.raises(grpc.RpcError) as refused:
            w.stub.ListFailures(pb.ListFailuresRequest(), metadata=w.as_())
        assert refusal(refused) is grpc.StatusCode.PERMISSION_DENIED


def test_an_erased_person_reads_as_erased_and_is_told_no_more(tmp_path: Path) -> None:
    keys = MemoryKeys()
    with mail_server() as (server, url), world(tmp_path, keys, url) as w:
        server.scripts[MAIL] = ["550 5.1.1 no such user"]
        told = w.submit(email=MAIL)
        eventually(lambda: w.failures(abandoned_only=True))
        keys.erase(ME)
        id_ = message_id(str(told), ME)
        assert (w.message(id_).subject, w.message(id_).body) == ("erased", "erased")
        assert [summary.subject for summary in w.inbox()] == ["erased"]
        retry = pb.RetryMessageRequest(request_id=request_id(), message_id=id_, channel=EMAIL)
        w.stub.RetryMessage(retry, metadata=w.as_(ADMIN, "administrator"))
        eventually(lambda: [failure.why for failure in w.failures(abandoned_only=True)] == ["no address"])
        w.receive()
        told = w.submit(f"{CODE[:-1]}2", OTHER)
        eventually(lambda: w.inbox(OTHER))
        assert len(w.inbox()) == 1
        assert server.accepted == []
        database = w.host.platform.database("notification")
        assert w.host.run(database.read(lambda db: list(db.execute(select(parked))))) == []


def test_due_dates_are_local(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        w.submit()
        passed = dossier.DeadlinePassed(code=CODE, applicant_id=ME, at=to_timestamp(DUE), due_at=to_timestamp(DUE))
        w.append(f"dossier-{CODE}", passed)
        eventually(lambda: len(w.inbox()) == 2)
        assert DUE.strftime("%d/%m/%Y") in w.message(w.inbox()[0].message_id).body
