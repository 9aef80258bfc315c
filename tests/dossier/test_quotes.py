"""The price that is shown is the price that is assessed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from motcua.catalogue.events.v1 import events_pb2 as stored
from motcua.catalogue.v1 import catalogue_service_pb2 as pb
from motcua.types.v1 import types_pb2 as types
from services.catalogue import answers
from services.catalogue.views import Definitions
from services.chassis.calls.answers import form_answers
from services.chassis.decider import Rejected
from services.chassis.following.in_force import SHAPES, definitions_view
from services.dossier.law import Law, Question
from services.dossier.values import Channel
from services.law.cases import Eligibility
from tests.catalogue.samples import catalogue
from tests.support.facts import fact_of

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
AGENCY = next(iter(catalogue().agencies("56")))
PRICED = sorted(each.code for each in catalogue().procedures if each.fee and each.fee.charges)
KINDS = ("disability-certificate", "merit-certificate", "driving-licence")
dates = st.sampled_from(["1950-01-01", "1990", "2011-08", "2021-08-15", "2027-01-01", "hôm nay"])
values = dates | st.booleans() | st.integers(0, 3) | st.sampled_from(["step-parent", "lost", "none", "relative", ""])


@cache
def law() -> tuple[Law, Definitions]:
    """Both services' views of the sample catalogue, folded from the same facts."""
    with create_engine("sqlite://").connect() as db:
        definitions_view.metadata.create_all(db)
        known = catalogue()
        told: list[tuple[str, Callable[[Any], Any], Any]] = [
            *(("calendar", lambda x: stored.CalendarPublished(calendar=x), each) for each in known.calendars),
            *(("territory", lambda x: stored.TerritoryPublished(territory=x), each) for each in known.territories),
            *(("procedure", lambda x: stored.ProcedurePublished(procedure=x), each) for each in known.procedures),
            *(("agency", lambda x: stored.AgencyOpened(agency=x), each) for each in known.agencies("56")),
            *(("overlay", lambda x: stored.FeeOverlayAdopted(overlay=x), each) for each in known.overlays),
        ]
        for number, (kind, event, definition) in enumerate(told):
            message = event(SHAPES[kind].write(definition))
            fact = fact_of(message, stream=f"{kind}-{number}", revision=number, event_id=uuid4())
            definitions_view.folds[message.DESCRIPTOR.full_name](db, [fact])
        return Law(db), Definitions(db)


@st.composite
def forms(draw: Callable[[Any], Any], code: str) -> dict[str, Any]:
    """Answers of the fields that bear on the fee, right or not."""
    procedure = next(each for each in catalogue().procedures if each.code == code)
    assert procedure.fee
    named = {ground.form_field for exemption in procedure.fee.exemptions for ground in exemption.grounds}
    named |= {circumstance.form_field for circumstance in procedure.circumstances}
    named |= {"pages", "copies", "birth_date"}
    found: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=dict.fromkeys(sorted(named - {""}), values)))
    return found


@settings(max_examples=300)
@given(
    st.sampled_from(PRICED).flatmap(lambda code: st.tuples(st.just(code), forms(code))),
    st.sampled_from(Channel),
    st.sampled_from(["2026-03-02", "2026-08-14", "2026-08-15", "2027-02-28", "2027-03-01"]),
    st.sampled_from([0, 1, 2]),
    st.sets(st.sampled_from(KINDS)),
)
def test_the_quote_and_the_assessment_agree(
    asked: tuple[str, dict[str, Any]], channel: Channel, day: str, level: int, kinds: set[str]
) -> None:
    code, answered = asked
    assessing, quoting = law()
    at = datetime.fromisoformat(f"{day}T10:00").replace(tzinfo=ZONE)
    request = pb.QuoteFeeRequest(
        procedure_code=code,
        province="56",
        channel=types.Channel.ValueType(channel.value),
        form=ParseDict(answered, Struct()),
        account_level=level,
        document_kinds=sorted(kinds),
    )
    procedure = assessing.in_force(code, at)
    if channel.value not in {rule.channel.value for rule in procedure.channels}:
        with pytest.raises(Rejected, match="CHANNEL_NOT_OFFERED"):
            answers.fee(quoting, request, day)
        return
    eligibility = Eligibility(level, kinds)
    terms = assessing.terms(
        Question(
            procedure=procedure,
            channel=channel,
            agency=AGENCY,
            answers=form_answers(request.form),
            at=at,
            eligibility=eligibility,
        )
    )
    quoted = None
    try:
        quoted = answers.fee(quoting, request, day)
    except Rejected as rejected:
        # Then an official assesses it.
        refused = rejected.reason
    if quoted is None:
        assert (refused in ("FEE_NOT_SET", "COUNT_MISSING"), terms.fee_items) == (True, ())
        return
    assert [(x.charge_code, x.amount, x.waived) for x in terms.fee_items] == [
        (x.charge_code, x.amount, x.waived) for x in quoted.items if x.amount or x.waived
    ]
    assert quoted.total == quoted.total_if_confirmed == sum(item.amount for item in terms.fee_items)
    follows = {exemption.code for exemption in quoted.exemptions if exemption.follows}
    assert set(terms.waiver.exemption_codes) == {item.exemption_code for item in quoted.items} - {""}
    assert set(terms.waiver.exemption_codes) <= follows


def test_a_claim_is_quoted_beside_what_is_assessed_without_it() -> None:
    assessing, quoting = law()
    request = pb.QuoteFeeRequest(
        procedure_code="3.000333", province="56", channel=types.CHANNEL_COUNTER, exemptions=["student"]
    )
    quoted = answers.fee(quoting, request, "2026-03-02")
    assert (quoted.total, quoted.total_if_confirmed) == (200_000, 100_000)
    assert [(x.code, x.follows, x.by_official) for x in quoted.exemptions] == [
        ("poor", False, False),
        ("student", False, True),
    ]
    at = datetime(2026, 3, 2, 10, tzinfo=ZONE)
    granted = Eligibility(confirmed={"student"})
    terms = assessing.terms(
        Question(
            procedure=assessing.in_force("3.000333", at),
            channel=Channel.COUNTER,
            agency=AGENCY,
            answers={},
            at=at,
            eligibility=granted,
        )
    )
    assert [(item.amount, item.waived) for item in terms.fee_items] == [(100_000, 100_000)]
