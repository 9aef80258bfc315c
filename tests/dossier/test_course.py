"""One course: of whatever history, the dossier's state, its row in the lists and its public page say the same of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import given, settings
from sqlalchemy import create_engine, select

from gateway.status.fold import folded
from motcua.dossier.events.v1 import events_pb2
from services.chassis.database.database import utc
from services.chassis.deciding.facts import message_class
from services.chassis.following.course import fact_of as course_fact_of
from services.chassis.privacy.public_view import is_public, public_view
from services.dossier.codec import dossier_codec
from services.dossier.domain import dossier
from services.dossier.events import Event
from services.dossier.views import dossiers, due_dates, fees, lists
from services.law import course
from services.law.course import FACTS, UNMOVED, Course, Settlement, Stage
from tests.status.histories import APPLICANT, CODE, histories
from tests.support.facts import fact_of

KEYS = {APPLICANT.actor_id: b"k" * 32}
ENGINE = create_engine("sqlite://")
DB = ENGINE.connect()
lists.metadata.create_all(DB)


def stored(history: list[Event]) -> list[Any]:
    encoded = [dossier_codec.encode(event, UUID(int=1), index, KEYS) for index, event in enumerate(history)]
    return [message_class(type_).FromString(data) for _, type_, data in encoded]


def follow(messages: list[Any]) -> Any:
    for table in (dossiers, fees, due_dates):
        DB.execute(table.delete())
    for revision, message in enumerate(messages):
        fact = fact_of(message, stream=f"dossier-{CODE}", revision=revision)
        lists.folds[message.DESCRIPTOR.full_name](DB, [fact])
    return DB.execute(select(dossiers)).one()


def moment(at: datetime | None) -> datetime | None:
    return utc(at) if at else None


SHARED = ("procedure_version", "reception_agency", "competent_agency", "holder", "calendar", "provisional")
MOMENTS = ("due_at", "forward_by", "reception_due_at")


@settings(max_examples=60)
@given(history=histories())
def test_the_row_the_page_and_the_state_agree_after_every_event(history: list[Event]) -> None:
    messages = stored(history)
    for length in {len(history) // 3, len(history) * 2 // 3, len(history)} - {0}:
        state, page = dossier.fold(history[:length]), folded(map(public_view, messages[:length]))
        row = follow(messages[:length])
        assert page
        for each in Course.__dataclass_fields__.keys() - {"fees"}:
            assert getattr(page, each) == getattr(state, each), each
        shown = [(fee.amount, fee.condition, fee.finance) for fee in page.fees]
        assert shown == [(fee.amount, fee.condition, fee.finance) for fee in state.fees]
        assert (row.settlement, row.back_to) == (state.settlement.value, state.back_to.value)
        assert row.finance == state.finance.value == state.finance.__class__[page.finance.name].value
        assert [getattr(row, name) for name in SHARED] == [getattr(state, name) for name in SHARED]
        assert [moment(getattr(row, name)) for name in MOMENTS] == [getattr(state, name) for name in MOMENTS]
        assert row.passed is (state.passed is not None and state.passed == state.due_at)
        assert row.reception_passed is (state.reception_passed is not None)
        assert row.revision == state.revision == page.revision


def test_every_event_moves_the_course_or_is_said_to_leave_it() -> None:
    assert {event.__name__ for event in get_args(Event)} == FACTS.keys() | UNMOVED
    assert not FACTS.keys() & UNMOVED


def test_an_event_that_nobody_thought_of_is_refused() -> None:
    class DossierLost:
        pass

    with pytest.raises(TypeError, match="DossierLost"):
        course.reader([DossierLost])
    with pytest.raises(TypeError, match="DraftSaved"):
        course_fact_of(events_pb2.DraftSaved())


def test_the_course_is_folded_from_what_is_public_but_for_which_fee_is_meant() -> None:
    hidden = {
        (name, field)
        for name, fact in FACTS.items()
        for field in fact.__dataclass_fields__
        if not is_public(events_pb2.DESCRIPTOR.message_types_by_name[name].fields_by_name[field])
    }
    assert {field for _, field in hidden} == {"fee_id"}


def test_a_state_is_in_one_stage_and_what_pauses_is_open() -> None:
    assert {state for state in Settlement if not state.stage} == {Settlement.ABSENT}
    for state in set(Settlement) - {Settlement.ABSENT}:
        assert [state.open, state.settled, state.ended].count(True) == 1
        assert state.open or not state.paused
    assert Stage(0) not in [state.stage for state in Settlement if state.value]
