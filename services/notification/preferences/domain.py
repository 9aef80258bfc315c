"""Preferences: in which language and by which channels a person is told."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from services.chassis.decider import Decider, Sealed
from services.notification.preferences.commands import UpdatePreferences
from services.notification.preferences.events import PreferencesChanged
from services.notification.refusals import Refused
from services.notification.values import CHANNELS, Channel, ChannelChoice, Language, MessageKind, require_choice


def _decide_preferences(c: UpdatePreferences, state: None) -> Sequence[PreferencesChanged]:
    if c.by != c.account_id:
        raise Refused("NOT_OWN_PREFERENCES")
    if c.language is Language.UNSPECIFIED:
        raise Refused("LANGUAGE_MISSING")
    kinds = [choice.kind for choice in c.choices]
    if MessageKind.UNSPECIFIED in kinds:
        raise Refused("KIND_MISSING")
    for kind in MessageKind:
        if kinds.count(kind) > 1:
            raise Refused("KIND_REPEATED", kind=kind.name)
    for choice in c.choices:
        require_choice(choice)
    return [
        PreferencesChanged(
            account_id=c.account_id, at=c.at, by=c.by, language=c.language, choices=c.choices, email=Sealed(c.email)
        )
    ]


def _evolve_preferences(state: None, event: PreferencesChanged) -> None:
    """Nothing that was chosen before bears on what may be chosen now."""


preferences = Decider[UpdatePreferences, None, PreferencesChanged](None, _decide_preferences, _evolve_preferences)


def channels_for(
    kind: MessageKind, choices: Sequence[ChannelChoice], reaching: Collection[Channel]
) -> tuple[Channel, ...]:
    """By which channels a person is told: as chosen, else by all; beside the inbox by those that are on and reach the person."""
    chosen = next((choice.channels for choice in choices if choice.kind is kind), CHANNELS)
    return tuple(channel for channel in chosen if channel is Channel.INBOX or channel in reaching)
