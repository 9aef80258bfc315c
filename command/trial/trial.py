"""What a trial needs beside empty services: the sample catalogue, and officials who work in one province."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator

from command.trial import sample_system
from gateway.sandbox.mount import officials_file
from gateway.sandbox.people import citizen
from services.catalogue.loader import load
from services.catalogue.publisher import Publisher
from services.catalogue.seed import publish, seed
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.chassis.site.refusal import SiteRefused
from services.identity.accounts.values import AccountKind, Role
from services.identity.bootstrap import TrialAppointment, TrialOfficial, TrialSystem, ensure_trial_accounts
from services.identity.tokens import Person
from services.law.definitions import Agency, Level

# Sample persons from here on are officials, those before are applicants.
FIRST_OFFICIAL = 100_000
# So many of the province's communes are staffed.
COMMUNES = 4
FRONT = (Role.RECEPTIONIST, Role.CASHIER)
BACK = (Role.PROCESSOR, Role.APPROVER)
HEAD = (Role.EDITOR, Role.ADMINISTRATOR)
SYSTEM_PURPOSES = ("submit", "settle", "synchronise")


async def prepare(platform: Platform, province: str, *, kept: bool = True) -> None:
    """Once per data folder and province; again it changes nothing.

    Where nothing is `kept` on this machine, all is sent to the log again, which knows it.
    """
    if kept:
        await seed(platform, [province])
    else:
        catalogue = await asyncio.to_thread(load)
        await publish(Publisher.of(platform), catalogue, [province], platform.clock.now())
    path = officials_file(platform.settings.data)
    try:
        known = json.loads(path.read_text()) if path.exists() else []
    except ValueError:
        raise SiteRefused(f"{path} is damaged: remove it, the sample officials are written anew") from None
    if any(official["province"] == province for official in known):
        return
    catalogue = await asyncio.to_thread(load)
    staff = list(_staff(list(catalogue.agencies(province)), 2 * len(known)))
    committee = staff[-1][1].agency
    appointments = await ensure_trial_accounts(
        platform, [official for _, official in staff], [_system(platform.settings, committee)]
    )
    rows = [_row(person, made) for (person, _), made in zip(staff, appointments, strict=True)]
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps([*known, *rows], ensure_ascii=False, indent=1))
    fresh.replace(path)


def _staff(agencies: list[Agency], taken: int) -> Iterator[tuple[int, TrialOfficial]]:
    """Two officials for every provincial agency and for the agencies of a few communes; one who looks after the platform."""
    communes = sorted({agency.commune for agency in agencies if agency.commune})[:COMMUNES]
    indices = (index for index in itertools.count(FIRST_OFFICIAL + taken) if citizen(index).level_of_assurance > 1)
    for agency in agencies:
        if agency.level is not Level.PROVINCE and agency.commune not in communes:
            continue
        for roles, title in ((FRONT, "Công chức một cửa"), (BACK, "Công chức chuyên môn")):
            index = next(indices)
            yield index, TrialOfficial(_person(index), roles, agency.code, agency.province, title)
    committee = next(agency for agency in agencies if not agency.parent)
    index = next(indices)
    yield index, TrialOfficial(_person(index), HEAD, committee.code, committee.province, "Quản trị hệ thống")


def _person(index: int) -> Person:
    sample = citizen(index)
    return Person(
        AccountKind.CITIZEN,
        sample.personal_number,
        "",
        sample.full_name,
        sample.email,
        sample.phone,
        sample.level_of_assurance,
    )


def _system(settings: Settings, agency: str) -> TrialSystem:
    key = sample_system.key(settings)
    public = json.dumps(key.as_dict(private=False))
    return TrialSystem(sample_system.CLIENT_ID, "Hệ thống mẫu", agency, SYSTEM_PURPOSES, public, (agency,))


def _row(person: int, made: TrialAppointment) -> dict[str, object]:
    official = made.official
    return {
        "person": person,
        "appointment_id": made.appointment_id,
        "agency": official.agency,
        "province": official.province,
        "roles": [role.name.lower() for role in official.roles],
    }
