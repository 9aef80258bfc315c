from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.chassis.decider import Sealed
from services.notification.preferences.commands import UpdatePreferences
from services.notification.preferences.domain import channels_for, preferences
from services.notification.preferences.events import PreferencesChanged
from services.notification.values import CHANNELS, Channel, ChannelChoice, Language, MessageKind
from tests.support.given import given

AT = datetime(2026, 3, 2, 2, tzinfo=UTC)
ME = "7d0f4a5e-0000-4000-8000-000000000001"
QUIET = (ChannelChoice(MessageKind.PROGRESS, (Channel.INBOX,)), ChannelChoice(MessageKind.ACTION, CHANNELS))

REACHING = (Channel.EMAIL,)

UPDATE = UpdatePreferences(
    account_id=ME, at=AT, by=ME, language=Language.ENGLISH, choices=QUIET, email="binh@example.vn"
)
CHANGED = PreferencesChanged(
    account_id=ME, at=AT, by=ME, language=Language.ENGLISH, choices=QUIET, email=Sealed("binh@example.vn")
)


def test_preferences_are_chosen() -> None:
    given(preferences).when(UPDATE).then(CHANGED)


def test_preferences_are_replaced_as_a_whole() -> None:
    empty = replace(UPDATE, language=Language.VIETNAMESE, choices=(), email="")
    changed = PreferencesChanged(
        account_id=ME, at=AT, by=ME, language=Language.VIETNAMESE, choices=(), email=Sealed("")
    )
    given(preferences, CHANGED).when(empty).then(changed)


def test_nobody_chooses_for_another() -> None:
    given(preferences).when(replace(UPDATE, by="somebody-else")).then_rejected("NOT_OWN_PREFERENCES")


def test_a_language_is_chosen() -> None:
    given(preferences).when(replace(UPDATE, language=Language.UNSPECIFIED)).then_rejected("LANGUAGE_MISSING")


def test_a_choice_names_its_kind() -> None:
    choice = ChannelChoice(MessageKind.UNSPECIFIED, CHANNELS)
    given(preferences).when(replace(UPDATE, choices=(choice,))).then_rejected("KIND_MISSING")


def test_a_kind_is_chosen_once() -> None:
    given(preferences).when(replace(UPDATE, choices=QUIET + QUIET[:1])).then_rejected("KIND_REPEATED", kind="PROGRESS")


@pytest.mark.parametrize("chosen", [(), (Channel.EMAIL,)])
def test_the_inbox_cannot_be_left_out(chosen: tuple[Channel, ...]) -> None:
    choice = ChannelChoice(MessageKind.ACTION, chosen)
    given(preferences).when(replace(UPDATE, choices=(choice,))).then_rejected("INBOX_REQUIRED", kind="ACTION")


def test_a_channel_is_named_once() -> None:
    choice = ChannelChoice(MessageKind.FEE, (Channel.INBOX, Channel.INBOX))
    rejected = given(preferences).when(replace(UPDATE, choices=(choice,)))
    rejected.then_rejected("CHANNEL_REPEATED", kind="FEE", channel="INBOX")


def test_a_channel_is_named() -> None:
    choice = ChannelChoice(MessageKind.FEE, (Channel.INBOX, Channel.UNSPECIFIED))
    given(preferences).when(replace(UPDATE, choices=(choice,))).then_rejected("CHANNEL_MISSING", kind="FEE")


def test_a_person_is_told_as_chosen() -> None:
    assert channels_for(MessageKind.PROGRESS, QUIET, REACHING) == (Channel.INBOX,)
    assert channels_for(MessageKind.ACTION, QUIET, REACHING) == (Channel.INBOX, Channel.EMAIL)


def test_without_a_choice_a_person_is_told_by_every_channel() -> None:
    assert channels_for(MessageKind.DELAY, QUIET, REACHING) == (Channel.INBOX, Channel.EMAIL)


def test_without_an_address_there_is_no_email() -> None:
    assert channels_for(MessageKind.ACTION, QUIET, ()) == (Channel.INBOX,)
