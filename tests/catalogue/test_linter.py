from __future__ import annotations

import inspect
import re
from dataclasses import replace
from typing import Any

import pytest

from services.catalogue import linter
from services.catalogue.linter import lint
from services.law.deadlines import Term, Unit
from services.law.definitions import (
    AgencyKind,
    Authority,
    Channel,
    ChannelRule,
    Charge,
    ChargeBasis,
    Child,
    Circumstance,
    Component,
    ComponentSource,
    Exemption,
    Fee,
    FeeCondition,
    Form,
    Ground,
    Json,
    Level,
    OnlineLevel,
    PartialReason,
    Procedure,
    Result,
    Step,
    Tier,
    UnpaidConsequence,
    Unverified,
)
from tests.catalogue.samples import CHARGE, COMMUNE, COMPONENT, PROCEDURE, SCHEMA, UI, catalogue, charged, form, text

PAPER, WAREHOUSE = ComponentSource.PAPER, ComponentSource.WAREHOUSE


def faults(procedure: Procedure) -> list[tuple[str, str]]:
    return [(fault.code, fault.path) for fault in lint(procedure)]


def exempted(**changes: Any) -> Procedure:
    exemption = replace(Exemption("poor", text(), 50, "Luật"), **changes)
    return replace(PROCEDURE, fee=Fee(FeeCondition.RECEPTION, (CHARGE,), (exemption,)))


def paid(
    within: Term | None,
    unpaid: UnpaidConsequence = UnpaidConsequence.UNSPECIFIED,
    condition: FeeCondition = FeeCondition.RECEPTION,
) -> Procedure:
    return replace(PROCEDURE, fee=Fee(condition, (CHARGE,), pay_within=within, unpaid=unpaid))


def asking(**changes: Any) -> Procedure:
    return replace(PROCEDURE, components=(replace(COMPONENT, **changes),))


def on(*rules: ChannelRule) -> Procedure:
    return replace(PROCEDURE, channels=rules, online_level=OnlineLevel.INFORMATION, fee=Fee())


def test_a_ground_that_no_answer_can_have_is_a_fault() -> None:
    assert faults(exempted(grounds=(Ground("late", Json('"có"')),))) == [
        ("VALUE_IMPOSSIBLE", "fee.exemptions[0].grounds[0].form_value")
    ]


def test_the_sample_is_clean() -> None:
    assert faults(PROCEDURE) == []


@pytest.mark.parametrize("procedure", catalogue().procedures, ids=lambda procedure: procedure.code)
def test_every_published_sample_is_clean(procedure: Procedure) -> None:
    assert faults(procedure) == []


COUNTER = ChannelRule(Channel.COUNTER, Term(3, Unit.WORKING_DAYS))
CASES: list[tuple[Procedure, list[tuple[str, str]]]] = [
    (replace(PROCEDURE, code="1.00656"), [("CODE_INVALID", "code")]),
    (replace(PROCEDURE, name=text("Tên", " ")), [("TEXT_MISSING", "name")]),
    (replace(PROCEDURE, valid_from=""), [("DATE_INVALID", "valid_from")]),
    (replace(PROCEDURE, valid_until="20260808"), [("DATE_INVALID", "valid_until")]),
    (replace(PROCEDURE, authorities=()), [("AUTHORITY_MISSING", "authorities")]),
    (replace(PROCEDURE, results=()), [("RESULT_MISSING", "results")]),
    (replace(PROCEDURE, steps=()), [("STEPS_MISSING", "steps")]),
    (replace(PROCEDURE, legal_basis=()), [("LEGAL_BASIS_MISSING", "legal_basis")]),
    (on(), [("CHANNEL_MISSING", "channels")]),
    (replace(PROCEDURE, results=(Result("Giấy", text()),)), [("CODE_INVALID", "results[0].document_kind")]),
    (
        replace(PROCEDURE, authorities=(Authority(Level.COMMUNE, AgencyKind.UNSPECIFIED),)),
        [("AUTHORITY_VAGUE", "authorities[0]")],
    ),
    (
        replace(PROCEDURE, authorities=(Authority(Level.PROVINCE, AgencyKind.DEPARTMENT),)),
        [("AUTHORITY_FIELD", "authorities[0].field")],
    ),
    (on(ChannelRule(Channel.UNSPECIFIED, Term(1, Unit.DAYS))), [("CHANNEL_VAGUE", "channels[0]")]),
    (on(ChannelRule(Channel.COUNTER)), [("TERM_MISSING", "channels[0].term")]),
    (on(replace(COUNTER, term_not_listed=True)), [("TERM_MISSING", "channels[0].term")]),
    (on(ChannelRule(Channel.COUNTER, term_not_listed=True)), []),
    (on(replace(COUNTER, term=Term(3, Unit.UNSPECIFIED))), [("TERM_WITHOUT_UNIT", "channels[0].term")]),
    (on(replace(COUNTER, term=Term(0, Unit.DAYS))), [("TERM_AMOUNT", "channels[0].term")]),
    (on(replace(COUNTER, term=Term(1, Unit.SAME_DAY))), [("TERM_AMOUNT", "channels[0].term")]),
    (replace(PROCEDURE, form=None), [("FORM_MISSING", "form")]),
    (replace(PROCEDURE, online_level=OnlineLevel.INFORMATION), [("ONLINE_LEVEL", "online_level")]),
    (replace(PROCEDURE, online_level=OnlineLevel.UNSPECIFIED), []),
    (replace(PROCEDURE, online_level=OnlineLevel.PARTIAL), [("PARTIAL_REASON", "partial_reason")]),
    (replace(PROCEDURE, online_level=OnlineLevel.PARTIAL, valid_until="2026-06-30"), []),
    (
        replace(PROCEDURE, online_level=OnlineLevel.PARTIAL, valid_until="2026-07-01"),
        [("PARTIAL_REASON", "partial_reason")],
    ),
    (replace(PROCEDURE, online_level=OnlineLevel.PARTIAL, partial_reason=PartialReason.PRESENCE), []),
    (replace(PROCEDURE, partial_reason=PartialReason.PRESENCE), [("PARTIAL_REASON", "partial_reason")]),
    (replace(PROCEDURE, loa=0), [("LOA_MISSING", "loa")]),
    (replace(PROCEDURE, fee=None), [("FEE_MISSING", "fee")]),
    (replace(PROCEDURE, fee=Fee()), []),
    (replace(PROCEDURE, fee=Fee(FeeCondition.RESULT)), [("FEE_CONDITION", "fee.condition")]),
    (replace(PROCEDURE, fee=Fee(charges=(CHARGE,))), [("FEE_CONDITION", "fee.condition")]),
    (
        replace(PROCEDURE, fee=Fee(exemptions=(Exemption("poor", text(), 101, "Luật"),))),
        [("EXEMPTION_INVALID", "fee.exemptions[0]")],
    ),
    (exempted(), []),
    (exempted(charge_codes=("copies",)), [("CHARGE_UNKNOWN", "fee.exemptions[0].charge_codes[0]")]),
    (exempted(valid_from="15/8/2026"), [("EXEMPTION_DATES", "fee.exemptions[0]")]),
    (exempted(valid_from="2026-08-15", valid_until="2026-08-14"), [("EXEMPTION_DATES", "fee.exemptions[0]")]),
    (exempted(uses=1, use_months=12), []),
    *(
        (exempted(uses=uses, use_months=months), [("EXEMPTION_USES", "fee.exemptions[0].uses")])
        for uses, months in ((-1, 0), (1_000, 0), (0, 12), (1, -1))
    ),
    (exempted(maximum=12), [("AMOUNT_SUSPECT", "fee.exemptions[0].maximum")]),
    *(
        (exempted(grounds=(ground,)), [("GROUND_HALF", "fee.exemptions[0].grounds[0]")])
        for ground in (Ground(), Ground("late"), Ground(form_value=Json("true")), Ground(age_under=6))
    ),
    (exempted(grounds=(Ground("late", Json("true")), Ground("name", age_from=60), Ground(account_level=2))), []),
    (exempted(grounds=(Ground("born", age_under=6),)), [("FIELD_UNKNOWN", "form")]),
    (exempted(grounds=(Ground("name", age_from=6, age_under=6),)), [("GROUND_RANGE", "fee.exemptions[0].grounds[0]")]),
    (exempted(grounds=(Ground(account_level=3),)), [("GROUND_RANGE", "fee.exemptions[0].grounds[0]")]),
    (
        exempted(grounds=(Ground("late", Json("{")),)),
        [("CIRCUMSTANCE_VALUE", "fee.exemptions[0].grounds[0].form_value")],
    ),
    (paid(Term(5, Unit.WORKING_DAYS), UnpaidConsequence.STOP), []),
    (paid(None, UnpaidConsequence.STOP), [("UNPAID_CONSEQUENCE", "fee.unpaid")]),
    (paid(Term(5, Unit.DAYS), UnpaidConsequence.STOP, FeeCondition.RESULT), [("UNPAID_CONSEQUENCE", "fee.unpaid")]),
    (paid(Term(0, Unit.DAYS)), [("TERM_AMOUNT", "fee.pay_within")]),
    (charged(basis=ChargeBasis.UNSPECIFIED), [("CHARGE_BASIS", "fee.charges[0].basis")]),
    (charged(amount=135), [("AMOUNT_SUSPECT", "fee.charges[0].amount")]),
    (charged(amount=-1), [("AMOUNT_SUSPECT", "fee.charges[0].amount")]),
    (charged(amount=0), []),
    (charged(amount=10**13), [("AMOUNT_TOO_LARGE", "fee.charges[0].amount")]),
    (charged(per="page"), [("COUNT_UNASKED", "fee.charges[0].per")]),
    (
        charged(amount=0, basis=ChargeBasis.TIERED, unit="copy", tiers=(Tier(1, 2),)),
        [("AMOUNT_SUSPECT", "fee.charges[0].tiers[0].amount")],
    ),
    (charged(basis=ChargeBasis.COUNCIL), [("COUNCIL_AMOUNT", "fee.charges[0].amount")]),
    (
        charged(amount=0, name=text("Miễn phí (theo nghị quyết của HĐND tỉnh)", "Free")),
        [("FREE_BUT_COUNCIL", "fee.charges[0]")],
    ),
    (charged(basis=ChargeBasis.TIERED), [("TIERS_INVALID", "fee.charges[0].tiers")]),
    (charged(unit="copy"), [("TIERS_INVALID", "fee.charges[0].tiers")]),
    (
        charged(basis=ChargeBasis.TIERED, unit="copy", tiers=(Tier(2, 2_000), Tier(1, 1_000))),
        [("TIERS_ORDER", "fee.charges[0].tiers")],
    ),
    (charged(channels=(Channel.POST,)), [("CHARGE_CHANNEL", "fee.charges[0].channels")]),
    (charged(only_if="lost"), [("CIRCUMSTANCE_UNKNOWN", "fee.charges[0]")]),
    (charged(unless="late"), []),
    (asking(only_if="lost"), [("CIRCUMSTANCE_UNKNOWN", "components[0]")]),
    (asking(sources=()), [("SOURCE_MISSING", "components[0].sources")]),
    (asking(name=text("Bản sao CCCD", "Copy")), [("IDENTITY_CARD_COPY", "components[0]")]),
    (asking(name=text("CMND photo", "Copy")), [("IDENTITY_CARD_COPY", "components[0]")]),
    (asking(name=text("Giấy tờ", "Copy of the identity card")), [("IDENTITY_CARD_COPY", "components[0]")]),
    (asking(document_kind="identity-card"), [("IDENTITY_CARD_COPY", "components[0]")]),
    (
        asking(name=text("Thẻ căn cước", "Identity card"), sources=(WAREHOUSE,), document_kind="identity-card"),
        [],
    ),
    (asking(document_kind="land-certificate"), [("PAPER_ONLY", "components[0]")]),
    (asking(document_kind="land-certificate", sources=(PAPER, WAREHOUSE)), []),
    (asking(sources=(WAREHOUSE,)), [("DOCUMENT_KIND_MISSING", "components[0].document_kind")]),
    (asking(about_another=True), [("DOCUMENT_KIND_MISSING", "components[0].document_kind")]),
    (
        asking(document_kind="permit", valid_months=-1),
        [("VALIDITY_IMPOSSIBLE", "components[0].valid_months")],
    ),
    (asking(issued_on_field="issued"), [("ISSUED_ON_FIELD", "components[0].issued_on_field")]),
    (
        replace(
            on(COUNTER), form=None, circumstances=(), components=(replace(COMPONENT, sources=(ComponentSource.FORM,)),)
        ),
        [("SOURCE_FORM", "components[0].sources")],
    ),
    (asking(sources=(PAPER,)), [("PAPER_ONLINE", "components[0].sources")]),
    (replace(PROCEDURE, form=Form(Json("{"), Json("{}"))), [("FORM_NOT_JSON", "form")]),
    (replace(PROCEDURE, form=form({"type": "wrong"})), [("SCHEMA_INVALID", "form.schema")]),
    (replace(PROCEDURE, form=form({"$ref": "#/$defs/none"})), [("SCHEMA_INVALID", "form.schema")]),
    (replace(PROCEDURE, form=form({"type": "object"})), [("SCHEMA_EMPTY", "form.schema")]),
    (
        replace(PROCEDURE, form=form(ui={"fields": {name: UI["fields"][name] for name in ("name", "copies")}})),
        [("FIELD_WITHOUT_TITLE", "form.schema.properties.late")],
    ),
    (replace(PROCEDURE, form=form({**SCHEMA, "required": ["age"]})), [("FIELD_UNKNOWN", "form")]),
    (
        replace(PROCEDURE, circumstances=(Circumstance("lost", text(), "lost", Json("true")),)),
        [("FIELD_UNKNOWN", "form")],
    ),
    (
        replace(PROCEDURE, circumstances=(Circumstance("late", text(), "late"),)),
        [("CIRCUMSTANCE_HALF", "circumstances[0]")],
    ),
    (
        replace(PROCEDURE, circumstances=(Circumstance("late", text(), "late", Json("[" * 20_000)),)),
        [("CIRCUMSTANCE_VALUE", "circumstances[0].form_value")],
    ),
    (replace(PROCEDURE, steps=(Step("check", text(), "clerk"),)), [("STEP_WITHOUT_ROLE", "steps[0].role")]),
    (replace(PROCEDURE, steps=(Step("check", text(), ""),)), [("STEP_WITHOUT_ROLE", "steps[0].role")]),
    (
        replace(PROCEDURE, steps=(Step("check", text(), "processor", Term(2, Unit.UNSPECIFIED)),)),
        [("TERM_WITHOUT_UNIT", "steps[0].term")],
    ),
    (
        replace(PROCEDURE, children=(Child("birth", PROCEDURE.code, COMMUNE),)),
        [("CHILD_PROCEDURE", "children[0]")],
    ),
    (
        replace(PROCEDURE, children=(Child("birth", "1.001193", COMMUNE, ("residence",)),)),
        [("CHILD_ORDER", "children[0].after")],
    ),
    (replace(PROCEDURE, components=(COMPONENT, COMPONENT)), [("CODE_TWICE", "components")]),
    (asking(code="Giấy báo"), [("CODE_INVALID", "components[0].code")]),
    (
        replace(PROCEDURE, unverified=(Unverified("channels[7].term", text()),)),
        [("UNVERIFIED_PATH", "unverified[0]")],
    ),
    (replace(PROCEDURE, unverified=(Unverified("channels[0].term", text()),)), []),
]


@pytest.mark.parametrize(("procedure", "expected"), CASES)
def test_each_fault_is_found_and_no_other(procedure: Procedure, expected: list[tuple[str, str]]) -> None:
    assert faults(procedure) == expected


def test_every_fault_has_a_case() -> None:
    named = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', inspect.getsource(linter)))
    assert {code for _, expected in CASES for code, _ in expected} == named


def test_all_faults_at_once_in_both_languages() -> None:
    charge = Charge("copy", text(), ChargeBasis.FIXED, 135)
    identity = Component("identity", text("Bản sao CMND", "Copy"), True, (PAPER,))
    broken = replace(
        PROCEDURE,
        authorities=(),
        channels=(ChannelRule(Channel.ONLINE, Term(3, Unit.UNSPECIFIED)),),
        fee=Fee(FeeCondition.RECEPTION, (charge,)),
        components=(identity,),
        form=None,
        steps=(),
    )
    assert [fault.code for fault in lint(broken)] == [
        "AUTHORITY_MISSING",
        "STEPS_MISSING",
        "TERM_WITHOUT_UNIT",
        "FORM_MISSING",
        "AMOUNT_SUSPECT",
        "IDENTITY_CARD_COPY",
        "PAPER_ONLINE",
    ]
    assert all(fault.text.vi and fault.text.en for fault in lint(broken))
