"""What messages and preferences speak of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from services.chassis.decider import Words
from services.notification.refusals import Refused


class Language(Enum):
    UNSPECIFIED = 0
    VIETNAMESE = 1
    ENGLISH = 2


class Channel(Enum):
    UNSPECIFIED = 0
    INBOX = 1
    EMAIL = 2

    @property
    def called(self) -> Words:
        """As refusals say it in each language; to programs it is the name."""
        vi, en = _CALLED[self]
        return Words.of(vi, en, self.name)


_CALLED = {
    Channel.UNSPECIFIED: ("chưa nêu", "not named"),
    Channel.INBOX: ("hộp thư đến", "inbox"),
    Channel.EMAIL: ("thư điện tử", "e-mail"),
}


class MessageKind(Enum):
    UNSPECIFIED = 0
    PROGRESS = 1
    ACTION = 2
    FEE = 3
    DELAY = 4
    OUTCOME = 5


CHANNELS = tuple(channel for channel in Channel if channel is not Channel.UNSPECIFIED)


@dataclass(frozen=True, slots=True)
class ChannelChoice:
    kind: MessageKind
    channels: tuple[Channel, ...]


def require_choice(choice: ChannelChoice) -> None:
    if Channel.UNSPECIFIED in choice.channels:
        raise Refused("CHANNEL_MISSING", kind=choice.kind.name)
    for channel in CHANNELS:
        if choice.channels.count(channel) > 1:
            raise Refused("CHANNEL_REPEATED", kind=choice.kind.name, channel=channel.called)
    if Channel.INBOX not in choice.channels:
        raise Refused("INBOX_REQUIRED", kind=choice.kind.name)
