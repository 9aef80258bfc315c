"""`motcua appoint`: the first administrator, by the site's operator."""

from __future__ import annotations

import asyncio
import time

from command.console import fail, harmless, out
from motcua.catalogue.events.v1 import events_pb2 as catalogue
from motcua.identity.v1 import errors_pb2
from services.catalogue.loader import organisations
from services.catalogue.publisher import Publisher
from services.chassis.calls.statuses import Errors
from services.chassis.database.database import DatabaseUnavailable
from services.chassis.decider import Rejected
from services.chassis.deciding.facts import message_of
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.chassis.site.identity import identity_of
from services.chassis.store.port import StoreUnavailable
from services.identity.appointing import Asked, appoint_administrator
from services.identity.values import Office
from services.law.days import local_day

AGAIN_SECONDS = 2.0
ERRORS = Errors(errors_pb2.IdentityError.DESCRIPTOR)


def authority_of(site: str) -> str:
    """A province's, as the shipped catalogue calls it; the nation's has no fixed name."""
    return organisations().get(site.removeprefix("vn-"), "")


async def appoint(settings: Settings, asked: Asked, patience: float) -> int:
    """`patience`: so many seconds it waits for a site that is just being installed."""
    if settings.event_store == "sqlite:" and not (settings.data / "events.db").exists():
        fail(
            f"There is no site in {settings.data}.", "Set MOTCUA_DATA to its data folder, or start it first: motcua up"
        )
    ends = time.monotonic() + patience
    platform = await Platform.open(settings)
    try:
        while True:
            missing = await _missing(platform)
            if not missing or time.monotonic() >= ends:
                break
            await asyncio.sleep(AGAIN_SECONDS)
        if missing:
            fail(missing, "It must have been started once: is it running? `--wait 600` waits for that.")
        named = await appoint_administrator(platform, asked, await _office(platform, asked.agency))
    except Rejected as rejected:
        fail(harmless(ERRORS.status(rejected).message), _next(rejected))
    finally:
        await platform.close()
    said = f"since {named.since:%Y-%m-%d}; nothing is changed" if named.before else "from now on"
    out.print(
        f"Administrator of {harmless(asked.agency)}, appointment {named.appointment_id}: {said}.", highlight=False
    )
    out.print(
        f"They log in at {settings.url}/login?scope=appointment:{named.appointment_id}", highlight=False, soft_wrap=True
    )
    return 0


async def _missing(platform: Platform) -> str:
    """What the site lacks before anybody can be appointed."""
    try:
        identity = await identity_of(platform.store, platform.settings.site)
        if identity is None or "keys" not in identity.stores:
            return "The site has no keys yet: its identity service was never started."
        await platform.database("keys", durable=True).ping()
    except (StoreUnavailable, DatabaseUnavailable) as unavailable:
        return harmless(f"{unavailable}")
    return ""


async def _office(platform: Platform, agency: str) -> Office | None:
    """As the catalogue has it now."""
    state, _ = await Publisher.of(platform).agencies.load(agency)
    if state.validity is None or local_day(platform.clock.now()) not in state.validity:
        return None
    opened = [message_of(event) for event in await platform.store.read(f"agency-{agency}")]
    return next(
        (Office(agency, fact.agency.province) for fact in opened if isinstance(fact, catalogue.AgencyOpened)), None
    )


def _next(rejected: Rejected) -> str:
    match rejected.reason:
        case "AGENCY_UNKNOWN":
            return "Load the catalogue first (motcua catalogue load --into-store), or name another one with --agency."
        case "SITE_AUTHORITY_REQUIRED":
            return "Name the agency that has none above it: whoever it appoints, appoints the others."
    return ""
