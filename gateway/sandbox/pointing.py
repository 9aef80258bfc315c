"""The settings that lead the services to the sandboxes of the national systems, where no real one is configured."""

from __future__ import annotations

import hashlib
import hmac

from gateway.sandbox.players import PLAYERS
from services.chassis.platform.settings import Settings


def pointed(settings: Settings) -> Settings:
    """What is configured for a real system stays; outside of a trial everything does."""
    if not settings.sandbox:
        return settings
    led = {
        name: f"{settings.url}/sandbox/{player.name}{path}" for player in PLAYERS for name, path in player.leads.items()
    }
    shared = {name: shared_secret(settings, f"sandbox-{player.name}") for player in PLAYERS for name in player.secrets}
    return settings.model_copy(update={n: getattr(settings, n) or found for n, found in (led | shared).items()})


def shared_secret(settings: Settings, name: str) -> str:
    """The same in every process of the site: from its service secret, or from the data folder that they share."""
    if settings.service_secret:
        return hmac.new(settings.service_secret.encode(), f"motcua/{name}".encode(), hashlib.sha256).hexdigest()
    return settings.secret(name, "")
