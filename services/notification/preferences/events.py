"""What was preferred. It has its protobuf twin in motcua.notification.events.v1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.chassis.decider import Sealed
from services.notification.values import ChannelChoice, Language


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencesChanged:
    account_id: str
    at: datetime
    by: str
    language: Language
    choices: tuple[ChannelChoice, ...]
    email: Sealed
