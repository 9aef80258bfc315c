"""What an agency is called, and which version is in force, on a day: each view that keeps agencies says what was decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, MetaData, String, Table, create_engine

from gateway.status.catalogue import Catalogue
from gateway.status.views import catalogue as status
from motcua.catalogue.events.v1 import definitions_pb2, events_pb2
from services.catalogue.commands import AgencyCommand, ChangeAgency, CloseAgency, WithdrawAgencyVersion
from services.catalogue.domain.agency import agencies
from services.catalogue.events import AgencyEvent, AgencyOpened
from services.catalogue.views import Definitions
from services.chassis.decider import Rejected
from services.chassis.deciding.codec import Shape
from services.chassis.following.agency_names import called, drop, put
from services.chassis.following.in_force import definitions_view
from services.law.definitions import Text
from services.law.validity import Validity, in_turn, nearest
from tests.catalogue.test_domain import AGENCY, AT, BY
from tests.support.facts import fact_of

FIRST = AGENCY.valid_from
names = Table(
    "names",
    MetaData(),
    Column("code", String, primary_key=True),
    Column("vi", String, nullable=False),
    Column("en", String, nullable=False),
)


def named(code: str, version: int, since: str, name: str) -> definitions_pb2.Agency:
    text = definitions_pb2.Text(vi=name, en=f"{name} (en)")
    return definitions_pb2.Agency(code=code, version=version, valid_from=since, name=text)


@pytest.fixture
def db() -> Any:
    with create_engine("sqlite://").begin() as opened:
        names.create(opened)
        yield opened


def name(db: Connection, day: str, code: str = "H29.1") -> tuple[str, str] | None:
    row = called(db, names, code, day)
    return (row.vi, row.en) if row else None


def test_an_agency_is_called_by_the_version_of_the_day(db: Connection) -> None:
    assert name(db, "2026-01-01") is None
    for version, since in enumerate(("2020-01-01", "2026-09-01", "2026-10-01"), 1):
        put(db, names, named("H29.1", version if version > 1 else 0, since, f"Tên {version}"))
    put(db, names, named("H29.12", 0, "2020-01-01", "Cơ quan khác"))
    said = [name(db, day) for day in ("2019-12-31", "2026-08-31", "2026-09-01", "2026-09-30", "2026-10-01")]
    assert said == [(f"Tên {n}", f"Tên {n} (en)") for n in (1, 1, 2, 2, 3)]
    assert name(db, "2026-09-01", "H29.12") == ("Cơ quan khác", "Cơ quan khác (en)")
    assert name(db, "2026-09-01", "H29") is None


def test_a_version_that_is_withdrawn_or_told_again_takes_its_old_name_along(db: Connection) -> None:
    put(db, names, named("H29.1", 1, "2020-01-01", "Cũ"))
    put(db, names, named("H29.1", 2, "2026-09-01", "Sai"))
    drop(db, names, "H29.1", 2)
    assert name(db, "2026-09-01") == ("Cũ", "Cũ (en)")
    for version in range(3, 12):
        put(db, names, named("H29.1", version, "2026-09-01", f"Tên {version}"))
    # Of the same day the newest counts, not the one that is last by its letters.
    assert name(db, "2026-09-01") == ("Tên 11", "Tên 11 (en)")
    put(db, names, named("H29.1", 11, "2026-11-01", "Sau"))
    assert (name(db, "2026-10-31"), name(db, "2026-11-01")) == (("Tên 10", "Tên 10 (en)"), ("Sau", "Sau (en)"))
    drop(db, names, "H29.1", 1)
    assert name(db, "2020-01-01") == ("Tên 3", "Tên 3 (en)")


DAYS = st.integers(0, 40).map(lambda days: (date(2026, 8, 1) + timedelta(days=days)).isoformat())
STEPS = st.lists(
    st.tuples(st.sampled_from(["change", "replace", "withdraw", "close"]), DAYS, st.integers(1, 6)), max_size=12
)


@forall(STEPS, DAYS)
@settings(max_examples=60)
def test_every_view_knows_the_agency_of_a_day_as_it_was_decided(steps: list[tuple[str, str, int]], day: str) -> None:
    state = agencies.evolve(agencies.initial, opened := AgencyOpened(agency=AGENCY, at=AT, by=BY))
    told: list[AgencyEvent] = [opened]
    for step, since, number in steps:
        title = Text(f"Tên {state.last_version + 1}", "Name")
        commands: dict[str, AgencyCommand] = {
            "change": ChangeAgency(
                code=AGENCY.code,
                name=title,
                calendar_id="",
                calendar_known=True,
                valid_from=since,
                legal_basis="1/QĐ",
                at=AT,
                by=BY,
            ),
            "replace": ChangeAgency(
                code=AGENCY.code,
                name=title,
                calendar_id="",
                calendar_known=True,
                valid_from=since,
                legal_basis="1/QĐ",
                at=AT,
                by=BY,
                replaces=True,
            ),
            "withdraw": WithdrawAgencyVersion(code=AGENCY.code, version=number, reason="Nhập sai", at=AT, by=BY),
            "close": CloseAgency(
                code=AGENCY.code,
                successor="H29.2",
                successor_open=True,
                valid_until=since,
                legal_basis="1/QĐ",
                at=AT,
                by=BY,
            ),
        }
        try:
            for event in agencies.decide(commands[step], state):
                state = agencies.evolve(state, event)
                told.append(event)
        except Rejected:
            continue
    shapes = {kind: Shape(kind, getattr(events_pb2, kind.__name__)) for kind in get_args(AgencyEvent)}
    with create_engine("sqlite://").begin() as db:
        names.create(db)
        definitions_view.metadata.create_all(db)
        status.metadata.create_all(db)
        for revision, event in enumerate(told):
            fact = fact_of(shapes[type(event)].write(event), revision=revision)
            for view in (definitions_view, status):
                view.folds[fact.event_type](db, [fact])
            match fact.event:
                case events_pb2.AgencyOpened() | events_pb2.AgencyChanged():
                    put(db, names, fact.event.agency)
                case events_pb2.AgencyVersionWithdrawn():
                    drop(db, names, fact.event.code, fact.event.version)
        spans = in_turn([each.validity.ended(state.until) if state.until else each.validity for each in state.versions])
        dated = [replace(each, validity=span) for each, span in zip(state.versions, spans, strict=True)]
        expected = nearest(dated, day).definition.name.vi
        kept, shown = Definitions(db), Catalogue(db)
        assert kept.known_agency(AGENCY.code, day).message.name.vi == expected
        open_then = any(day in span for span in spans)
        assert shown.serves(AGENCY.province, AGENCY.code, day) is open_then
        if open_then:
            row = called(db, names, AGENCY.code, day)
            assert row is not None
            assert row.vi == expected


def test_versions_follow_one_another() -> None:
    stated = [
        Validity("2026-01-01"),
        Validity("2026-03-01"),
        Validity("2026-02-01"),
        Validity("2026-05-02", "2026-05-01"),
    ]
    assert in_turn(stated) == [
        Validity("2026-01-01", "2026-01-31"),
        Validity("2026-03-01"),
        Validity("2026-02-01", "2026-02-28"),
        Validity("2026-05-02", "2026-05-01"),
    ]
