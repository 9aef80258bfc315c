"""The national systems that identity asks, as the settings name them when they are asked.

Read: vneid_url, vneid_client_id, vneid_client_secret, vneid_trusted_clients, vneid_hosts; population_url, population_secret;
url, for the sandboxes and for the address that VNeID sends people back to. An empty secret is the one in the data folder, which
sandboxes share.
"""

from __future__ import annotations

import httpx

from services.chassis.clock import MACHINE
from services.chassis.platform.parts import Parts
from services.chassis.platform.platform import Platform
from services.identity.oidc import Provider, ProviderSettings
from services.identity.population import HttpPopulation, PopulationSettings

POPULATION_CLIENT = "motcua"
CALLBACK = "/login/callback"


class National:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._http = httpx.AsyncClient()
        self._provider: Provider | None = None

    @classmethod
    def of(cls, parts: Parts) -> National:
        return cls(parts.platform)

    async def close(self) -> None:
        await self._http.aclose()

    @property
    def provider(self) -> Provider:
        settings = self._platform.settings
        wanted = ProviderSettings(
            settings.vneid_url or f"{settings.url}/sandbox/vneid",
            settings.vneid_client_id,
            settings.secret("vneid", settings.vneid_client_secret),
            settings.url + CALLBACK,
            tuple(settings.vneid_trusted_clients.split()),
            tuple(settings.vneid_hosts.split()),
        )
        if self._provider is None or self._provider.settings != wanted:
            # It remembers VNeID's addresses and keys, so it stays while the settings do.
            self._provider = Provider(wanted, self._http, MACHINE.now)
        return self._provider

    @property
    def population(self) -> HttpPopulation:
        settings = self._platform.settings
        wanted = PopulationSettings(
            settings.population_url or f"{settings.url}/sandbox/population",
            POPULATION_CLIENT,
            settings.secret("population", settings.population_secret),
        )
        return HttpPopulation(wanted, self._http)
