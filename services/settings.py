"""Every setting of a site, from the environment, checked before anything starts. A room of settings is named here once."""

from __future__ import annotations

from services.chassis.platform.settings import Settings
from services.notification.settings import ChannelSettings


class SiteSettings(ChannelSettings, Settings):
    """What the command reads. Whoever needs a room of it asks for that (`Room.of`)."""
