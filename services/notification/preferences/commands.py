"""What is asked about preferences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.notification.values import ChannelChoice, Language


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePreferences:
    account_id: str
    at: datetime
    by: str
    language: Language
    choices: tuple[ChannelChoice, ...]
    email: str
