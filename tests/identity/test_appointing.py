"""Who may be the first administrator, and that there is one first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from command.site.appoint import _office as office_of
from gateway.sandbox.people import citizen
from motcua.identity.events.v1 import events_pb2 as facts
from services.chassis.decider import Rejected
from services.chassis.following.views import RunningView, position_token
from services.chassis.platform.platform import Platform
from services.chassis.store.port import START
from services.identity.administration.commands import NameAdministrator
from services.identity.administration.domain import administration
from services.identity.administration.events import AdministratorNamed
from services.identity.appointing import Asked, Named, appoint_administrator
from services.identity.views import lists
from tests.support.given import given
from tests.support.grounds import open_agencies, tell
from tests.support.postgresql import settings_of

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
AN, BINH = citizen(0).personal_number, citizen(1).personal_number
NAMED = AdministratorNamed(account_id="an", at=AT, by="operator", appointment_id="first", agency="P56")
NAME = NameAdministrator(
    account_id="binh", at=AT, by="operator", appointment_id="second", agency="P56", appointed=False, none_is_left=False
)


def test_the_first_one_is_named_and_nobody_else() -> None:
    named = AdministratorNamed(account_id="binh", at=AT, by="operator", appointment_id="second", agency="P56")
    given(administration).when(NAME).then(named)
    given(administration, NAMED).when(NAME).then_rejected("ADMINISTRATOR_EXISTS")


def test_where_none_is_left_the_operator_says_so() -> None:
    again = NameAdministrator(
        account_id="binh",
        at=AT,
        by="operator",
        appointment_id="second",
        agency="P56",
        appointed=True,
        none_is_left=True,
    )
    given(administration, NAMED).when(again).then(
        AdministratorNamed(account_id="binh", at=AT, by="operator", appointment_id="second", agency="P56")
    )
    held = NameAdministrator(
        account_id="binh",
        at=AT,
        by="operator",
        appointment_id="second",
        agency="P56",
        appointed=True,
        none_is_left=True,
        in_force="first",
    )
    given(administration, NAMED).when(held).then_rejected("ADMINISTRATOR_IN_FORCE", appointment_id="first")
    a_trials = NameAdministrator(
        account_id="binh",
        at=AT,
        by="operator",
        appointment_id="second",
        agency="P56",
        appointed=True,
        none_is_left=False,
    )
    given(administration).when(a_trials).then_rejected("ADMINISTRATOR_EXISTS")


@pytest_asyncio.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    platform = await Platform.open(settings_of(tmp_path))
    await open_agencies(platform.store, "P56", "P56.1", "P79")
    yield platform
    await platform.close()


async def appoint(platform: Platform, number: str, agency: str = "P56", none_is_left: bool = False) -> Named:
    asked = Asked(number, agency, "Quản trị viên", "12/QĐ-UBND", none_is_left)
    return await appoint_administrator(platform, asked, await office_of(platform, agency))


@pytest.mark.parametrize(
    ("number", "agency", "reason"),
    [
        (AN[:-1], "P56", "IDENTIFIER_MALFORMED"),
        (AN, "P57", "AGENCY_UNKNOWN"),
        (AN, "P56.1", "SITE_AUTHORITY_REQUIRED"),
        (AN, "P79", "SITE_AUTHORITY_REQUIRED"),
        (AN, "", "AGENCY_UNKNOWN"),
    ],
)
async def test_who_is_refused_leaves_nothing(platform: Platform, number: str, agency: str, reason: str) -> None:
    before = await platform.store.head()
    with pytest.raises(Rejected) as refused:
        await appoint(platform, number, agency)
    assert (refused.value.reason, await platform.store.head()) == (reason, before)


async def test_of_several_at_once_one_is_appointed(platform: Platform) -> None:
    """By two operators and by a Job that is tried again."""
    done = await asyncio.gather(*(appoint(platform, n) for n in (AN, BINH, AN, BINH)), return_exceptions=True)
    appointed = {one.appointment_id for one in done if isinstance(one, Named)}
    assert len(appointed) == 1
    assert {one.reason for one in done if isinstance(one, Rejected)} <= {"ADMINISTRATOR_EXISTS"}
    stored = await platform.store.read_all(START, (facts.OfficialAppointed.DESCRIPTOR.full_name,))
    assert [facts.OfficialAppointed.FromString(event.data).appointment_id for event in stored] == [*appointed]


async def test_what_was_interrupted_is_finished(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the two streams."""
    append = platform.store.append

    async def interrupted(stream: str, *more: object) -> object:
        if stream.startswith("account-"):
            raise KeyboardInterrupt
        return await append(stream, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(platform.store, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            await appoint(platform, AN)
    assert (await appoint(platform, AN)).before
    (stored,) = await platform.store.read_all(START, (facts.OfficialAppointed.DESCRIPTOR.full_name,))
    assert facts.OfficialAppointed.FromString(stored.data).by == "operator"


async def test_the_lists_say_whether_one_is_left(platform: Platform) -> None:
    view = RunningView(lists, platform.database("identity"), platform.store)
    await view.start()
    try:
        first = await appoint(platform, AN)
        await view.reach(position_token(await platform.store.head()))
        with pytest.raises(Rejected, match="ADMINISTRATOR_IN_FORCE"):
            await appoint(platform, BINH, none_is_left=True)
        (stored,) = await platform.store.read_all(START, (facts.OfficialAppointed.DESCRIPTOR.full_name,))
        account_id = facts.OfficialAppointed.FromString(stored.data).account_id
        ended = facts.AppointmentEnded(account_id=account_id, by="binh", appointment_id=first.appointment_id)
        ended.at.FromDatetime(AT)
        await tell(platform.store, f"account-{account_id}", ended)
        await view.reach(position_token(await platform.store.head()))
        with pytest.raises(Rejected, match="ADMINISTRATOR_EXISTS"):
            await appoint(platform, BINH)
        second = await appoint(platform, BINH, none_is_left=True)
        assert (second.before, second.appointment_id != first.appointment_id) == (False, True)
    finally:
        await view.stop()
