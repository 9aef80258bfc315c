from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from services.chassis.decider import Sealed
from services.notification.messages.commands import ComposeMessage, MarkRead, RecordFailure, RecordSent, RetryMessage
from services.notification.messages.domain import message
from services.notification.messages.events import (
    MessageComposed,
    MessageRead,
    MessageSent,
    RetryRequested,
    SendAbandoned,
    SendFailed,
)
from services.notification.messages.values import RetryPolicy, message_id
from services.notification.values import Channel, Language, MessageKind
from tests.support.given import given

AT = datetime(2026, 3, 2, 2, tzinfo=UTC)
ME = "7d0f4a5e-0000-4000-8000-000000000001"
ADMIN = "7d0f4a5e-0000-4000-8000-000000000009"
SERVICE = "service:notification"
FACT = "5b0c2f36-0000-4000-8000-000000000001"
ID = message_id(FACT, ME)
POLICY = RetryPolicy(attempts=3, base=timedelta(seconds=30), cap=timedelta(minutes=10))

COMPOSE = ComposeMessage(
    account_id=ME,
    at=AT,
    by=SERVICE,
    template="received",
    template_version="0123456789abcdef",
    kind=MessageKind.PROGRESS,
    fact_id=FACT,
    fact_type="motcua.dossier.events.v1.DossierReceived",
    code="P56.1-20260302-0001",
    language=Language.VIETNAMESE,
    channels=(Channel.INBOX, Channel.EMAIL),
    subject="Hồ sơ đã được tiếp nhận",
    body="Kính gửi Ông/Bà",
)
COMPOSED = MessageComposed(
    message_id=ID,
    account_id=ME,
    at=AT,
    by=SERVICE,
    template="received",
    template_version="0123456789abcdef",
    kind=MessageKind.PROGRESS,
    fact_id=FACT,
    fact_type="motcua.dossier.events.v1.DossierReceived",
    code="P56.1-20260302-0001",
    language=Language.VIETNAMESE,
    channels=(Channel.INBOX, Channel.EMAIL),
    subject=Sealed("Hồ sơ đã được tiếp nhận"),
    body=Sealed("Kính gửi Ông/Bà"),
)
IN_INBOX = MessageSent(message_id=ID, account_id=ME, at=AT, by=SERVICE, channel=Channel.INBOX)
SENT = MessageSent(message_id=ID, account_id=ME, at=AT, by=SERVICE, channel=Channel.EMAIL)
FAILED = SendFailed(
    message_id=ID,
    account_id=ME,
    at=AT,
    by=SERVICE,
    channel=Channel.EMAIL,
    attempt=1,
    why="SMTP 451",
    retry_at=AT + timedelta(seconds=15),
)
ABANDONED = SendAbandoned(message_id=ID, account_id=ME, at=AT, by=SERVICE, channel=Channel.EMAIL, why="SMTP 550")
RETRY_REQUESTED = RetryRequested(message_id=ID, account_id=ME, at=AT, by=ADMIN, channel=Channel.EMAIL)
READ = MessageRead(message_id=ID, account_id=ME, at=AT, by=ME)

RECORD_SENT = RecordSent(message_id=ID, at=AT, by=SERVICE, channel=Channel.EMAIL)
RECORD_FAILURE = RecordFailure(
    message_id=ID, at=AT, by=SERVICE, channel=Channel.EMAIL, why="SMTP 451", permanent=False, policy=POLICY, jitter=0.5
)
RETRY = RetryMessage(message_id=ID, at=AT, by=ADMIN, channel=Channel.EMAIL)
MARK_READ = MarkRead(message_id=ID, at=AT, by=ME)


def test_a_message_is_composed_into_the_inbox() -> None:
    given(message).when(COMPOSE).then(COMPOSED, IN_INBOX)


def test_a_fact_is_told_once() -> None:
    given(message, COMPOSED, IN_INBOX).when(COMPOSE).then_rejected("ALREADY_COMPOSED", message_id=ID)


def test_the_id_follows_from_fact_and_recipient() -> None:
    assert message_id(FACT, ME) == ID != message_id(FACT, ADMIN) != message_id(ME, FACT)


def test_a_message_has_a_language() -> None:
    given(message).when(replace(COMPOSE, language=Language.UNSPECIFIED)).then_rejected("LANGUAGE_MISSING")


def test_a_message_has_a_kind() -> None:
    given(message).when(replace(COMPOSE, kind=MessageKind.UNSPECIFIED)).then_rejected("KIND_MISSING")


@pytest.mark.parametrize("channels", [(), (Channel.EMAIL,)])
def test_a_message_is_always_in_the_inbox(channels: tuple[Channel, ...]) -> None:
    given(message).when(replace(COMPOSE, channels=channels)).then_rejected("INBOX_REQUIRED", kind="PROGRESS")


def test_a_message_goes_once_by_each_channel() -> None:
    twice = (Channel.INBOX, Channel.EMAIL, Channel.EMAIL)
    rejected = given(message).when(replace(COMPOSE, channels=twice))
    rejected.then_rejected("CHANNEL_REPEATED", kind="PROGRESS", channel="EMAIL")


def test_a_message_names_its_channels() -> None:
    unnamed = (Channel.INBOX, Channel.UNSPECIFIED)
    given(message).when(replace(COMPOSE, channels=unnamed)).then_rejected("CHANNEL_MISSING", kind="PROGRESS")


def test_sending_is_recorded() -> None:
    given(message, COMPOSED, IN_INBOX).when(RECORD_SENT).then(SENT)


def test_sending_after_a_failure_is_recorded() -> None:
    given(message, COMPOSED, IN_INBOX, FAILED).when(RECORD_SENT).then(SENT)


def test_a_channel_is_used_once() -> None:
    given(message, COMPOSED, IN_INBOX, SENT).when(RECORD_SENT).then_rejected("ALREADY_SENT", channel="EMAIL")
    given(message, COMPOSED, IN_INBOX, SENT).when(RECORD_FAILURE).then_rejected("ALREADY_SENT", channel="EMAIL")


def test_only_a_chosen_channel_is_used() -> None:
    inbox_only = replace(COMPOSED, channels=(Channel.INBOX,))
    for command in (RECORD_SENT, RECORD_FAILURE, RETRY):
        given(message, inbox_only, IN_INBOX).when(command).then_rejected("CHANNEL_NOT_CHOSEN", channel="EMAIL")


def test_what_was_not_composed_is_not_found() -> None:
    for command in (RECORD_SENT, RECORD_FAILURE, RETRY, MARK_READ):
        given(message).when(command).then_rejected("NOT_FOUND", message_id=ID)


def test_a_failure_is_tried_again_later() -> None:
    given(message, COMPOSED, IN_INBOX).when(RECORD_FAILURE).then(FAILED)


def test_each_failure_doubles_the_wait() -> None:
    second = replace(FAILED, attempt=2, retry_at=AT + timedelta(seconds=30))
    given(message, COMPOSED, IN_INBOX, FAILED).when(RECORD_FAILURE).then(second)


def test_the_last_attempt_is_final() -> None:
    history = (COMPOSED, IN_INBOX, FAILED, replace(FAILED, attempt=2))
    last = replace(FAILED, attempt=3, retry_at=None)
    given(message, *history).when(RECORD_FAILURE).then(last, replace(ABANDONED, why="SMTP 451"))


def test_a_permanent_failure_is_final_at_once() -> None:
    refused = replace(RECORD_FAILURE, why="SMTP 550", permanent=True)
    final = replace(FAILED, why="SMTP 550", retry_at=None)
    given(message, COMPOSED, IN_INBOX).when(refused).then(final, ABANDONED)


def test_what_was_abandoned_is_not_sent() -> None:
    for command in (RECORD_SENT, RECORD_FAILURE):
        given(message, COMPOSED, IN_INBOX, ABANDONED).when(command).then_rejected("ABANDONED", channel="EMAIL")


def test_an_administrator_retries_what_was_abandoned() -> None:
    given(message, COMPOSED, IN_INBOX, FAILED, ABANDONED).when(RETRY).then(RETRY_REQUESTED)


def test_attempts_are_counted_anew_after_a_retry() -> None:
    history = (COMPOSED, IN_INBOX, FAILED, ABANDONED, RETRY_REQUESTED)
    given(message, *history).when(RECORD_FAILURE).then(FAILED)
    given(message, *history).when(RECORD_SENT).then(SENT)


def test_only_what_was_abandoned_is_retried() -> None:
    for history in ((COMPOSED, IN_INBOX), (COMPOSED, IN_INBOX, FAILED), (COMPOSED, IN_INBOX, SENT)):
        given(message, *history).when(RETRY).then_rejected("NOT_ABANDONED", channel="EMAIL")


def test_the_recipient_marks_a_message_as_read() -> None:
    given(message, COMPOSED, IN_INBOX).when(MARK_READ).then(READ)


def test_a_stranger_does_not_learn_that_it_exists() -> None:
    given(message, COMPOSED, IN_INBOX).when(replace(MARK_READ, by=ADMIN)).then_rejected("NOT_FOUND", message_id=ID)


def test_a_message_is_read_once() -> None:
    given(message, COMPOSED, IN_INBOX, READ).when(MARK_READ).then_rejected("ALREADY_READ", message_id=ID)


@for_all(attempt=st.integers(1, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_a_wait_is_within_the_backoff_and_the_cap(attempt: int, jitter: float) -> None:
    policy = RetryPolicy()
    ceiling = min(policy.cap, policy.base * 2 ** min(attempt - 1, 20))
    assert timedelta() <= policy.delay(attempt, jitter) <= ceiling
