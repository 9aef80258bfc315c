"""Every command of identity, accepted and refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.chassis.decider import Sealed
from services.identity.accounts.commands import (
    AppointOfficial,
    ChangeProfile,
    DecideErasure,
    EndAppointment,
    NoteRepresentation,
    RecordLogin,
    RecordLookup,
    RequestErasure,
)
from services.identity.accounts.domain import account
from services.identity.accounts.events import (
    AccountRegistered,
    AppointmentEnded,
    ErasureDecided,
    ErasureRequested,
    IdentityVerified,
    LoginSucceeded,
    OfficialAppointed,
    PopulationLookedUp,
    ProfileChanged,
    RepresentationNoted,
)
from services.identity.accounts.values import (
    AccountKind,
    ErasureOutcome,
    Language,
    LookupGap,
    LookupOutcome,
    PersonField,
    Role,
    VerifiedData,
)
from services.identity.signing_keys.commands import RotateSigningKey
from services.identity.signing_keys.domain import signing_keys
from services.identity.signing_keys.events import SigningKeyIntroduced, SigningKeyRetired
from services.identity.systems.commands import (
    RegisterSystem,
    ReinstateSystem,
    RotateSystemKey,
    SuspendSystem,
    UpdateSystem,
)
from services.identity.systems.domain import system
from services.identity.systems.events import (
    SystemChanged,
    SystemKeyRotated,
    SystemRegistered,
    SystemReinstated,
    SystemSuspended,
)
from services.identity.systems.values import PurposeScope
from services.identity.values import EVERYWHERE, Office, Reach
from tests.support.given import given

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY = timedelta(days=1)
AN, BINH = "0b1f8a4e-0000-4000-8000-000000000001", "0b1f8a4e-0000-4000-8000-000000000002"

log_in = RecordLogin(
    account_id=AN,
    at=AT,
    kind=AccountKind.CITIZEN,
    full_name="Nguyễn Văn An",
    personal_number="056090123456",
    tax_code="",
    email="an@example.com",
    phone="0901234567",
    level_of_assurance=2,
)
registered = AccountRegistered(
    account_id=AN,
    at=AT,
    by=AN,
    kind=AccountKind.CITIZEN,
    full_name=Sealed("Nguyễn Văn An"),
    personal_number=Sealed("056090123456"),
    tax_code=Sealed(""),
    email=Sealed("an@example.com"),
    phone=Sealed("0901234567"),
    level_of_assurance=2,
)
logged_in = LoginSucceeded(account_id=AN, at=AT, by=AN, level_of_assurance=2, appointment_id="")
organisation = replace(registered, kind=AccountKind.ORGANISATION, tax_code=Sealed("0100233488"))
appoint = AppointOfficial(
    account_id=AN,
    at=AT,
    by=BINH,
    appointment_id="ap-1",
    roles=(Role.RECEPTIONIST,),
    agency="P56.22.336",
    province="56",
    starts_at=AT,
    ends_at=AT + 365 * DAY,
    title="Công chức một cửa",
    decision_number="12/QĐ",
    reach=Reach("P56.22", "56"),
    office=Office("P56.22.336", "56"),
)
appointed = OfficialAppointed(
    account_id=AN,
    at=AT,
    by=BINH,
    appointment_id="ap-1",
    roles=(Role.RECEPTIONIST,),
    agency="P56.22.336",
    province="56",
    starts_at=AT,
    ends_at=AT + 365 * DAY,
    title="Công chức một cửa",
    decision_number="12/QĐ",
)
end = EndAppointment(
    account_id=AN, at=AT + DAY, by=BINH, appointment_id="ap-1", reason="Chuyển công tác", reach=Reach("P56", "56")
)
ended = AppointmentEnded(account_id=AN, at=AT + DAY, by=BINH, appointment_id="ap-1", reason=Sealed("Chuyển công tác"))
look_up = RecordLookup(
    account_id=AN,
    at=AT,
    by=BINH,
    agency="P56.22.336",
    purpose="Tiếp nhận hồ sơ",
    legal_basis="Điều 10 Luật Căn cước 2023",
    outcome=LookupOutcome.FOUND,
    personal_number="056090123456",
    dossier_code="G09.20-20260302-0000001",
    verified=(VerifiedData("residence", "{}", AT + DAY),),
    wanted=(PersonField.RESIDENCE,),
)
looked_up = PopulationLookedUp(
    account_id=AN,
    at=AT,
    by=BINH,
    agency="P56.22.336",
    purpose="Tiếp nhận hồ sơ",
    legal_basis="Điều 10 Luật Căn cước 2023",
    outcome=LookupOutcome.FOUND,
    personal_number=Sealed("056090123456"),
    dossier_code="G09.20-20260302-0000001",
    wanted=(PersonField.RESIDENCE,),
)
asked_erasure = ErasureRequested(account_id=AN, at=AT, by=AN)
erased = ErasureDecided(account_id=AN, at=AT, by=BINH, outcome=ErasureOutcome.SHREDDED, legal_basis="")


def test_the_first_login_registers() -> None:
    given(account).when(log_in).then(registered, logged_in)


def test_a_later_login_is_only_a_login() -> None:
    given(account, registered).when(log_in).then(logged_in)


def test_an_organisation_registers_with_its_tax_code() -> None:
    command = replace(log_in, kind=AccountKind.ORGANISATION, tax_code="0100233488")
    given(account).when(command).then(organisation, logged_in)


def test_an_official_logs_in_for_an_appointment() -> None:
    command = replace(log_in, appointment_id="ap-1")
    given(account, registered, appointed).when(command).then(replace(logged_in, appointment_id="ap-1"))


@pytest.mark.parametrize(
    ("change", "reason", "facts"),
    [
        ({"personal_number": "05609012345"}, "IDENTIFIER_MALFORMED", {"field": "personal_number"}),
        ({"personal_number": "05609012345٣"}, "IDENTIFIER_MALFORMED", {"field": "personal_number"}),
        ({"kind": AccountKind.ORGANISATION}, "IDENTIFIER_MALFORMED", {"field": "tax_code"}),
        ({"kind": AccountKind.ORGANISATION, "tax_code": "0100233480"}, "IDENTIFIER_MALFORMED", {"field": "tax_code"}),
        (
            {"kind": AccountKind.ORGANISATION, "tax_code": "0100233488000"},
            "IDENTIFIER_MALFORMED",
            {"field": "tax_code"},
        ),
        ({"full_name": " "}, "FIELD_MISSING", {"field": "full_name"}),
        ({"level_of_assurance": 3}, "LEVEL_OF_ASSURANCE_UNKNOWN", {"level": "3"}),
        ({"appointment_id": "ap-9"}, "APPOINTMENT_UNKNOWN", {"appointment_id": "ap-9"}),
    ],
)
def test_a_first_login_is_refused(change: dict[str, Any], reason: str, facts: dict[str, str]) -> None:
    given(account).when(replace(log_in, **change)).then_rejected(reason, **facts)


def test_nobody_acts_before_the_term_or_after_it() -> None:
    early, late = AT - DAY, AT + 365 * DAY
    history = given(account, registered, appointed)
    history.when(replace(log_in, appointment_id="ap-1", at=early)).then_rejected(
        "APPOINTMENT_NOT_STARTED", appointment_id="ap-1", starts_at=AT.isoformat()
    )
    history.when(replace(log_in, appointment_id="ap-1", at=late)).then_rejected(
        "APPOINTMENT_OVER", appointment_id="ap-1", since=late.isoformat()
    )


def test_nobody_acts_for_an_ended_appointment() -> None:
    given(account, registered, appointed, ended).when(
        replace(log_in, appointment_id="ap-1", at=AT + 2 * DAY)
    ).then_rejected("APPOINTMENT_OVER", appointment_id="ap-1", since=(AT + DAY).isoformat())


change_profile = ChangeProfile(
    account_id=AN, at=AT, by=AN, email="an@example.vn", phone="+84901234567", language=Language.ENGLISH
)


def test_a_profile_changes() -> None:
    given(account, registered).when(change_profile).then(
        ProfileChanged(
            account_id=AN,
            at=AT,
            by=AN,
            email=Sealed("an@example.vn"),
            phone=Sealed("+84901234567"),
            language=Language.ENGLISH,
        )
    )


def test_contact_data_can_be_withdrawn() -> None:
    given(account, registered).when(replace(change_profile, email="", phone="")).then(
        ProfileChanged(account_id=AN, at=AT, by=AN, email=Sealed(""), phone=Sealed(""), language=Language.ENGLISH)
    )


def test_a_profile_change_is_refused() -> None:
    history = given(account, registered)
    history.when(replace(change_profile, language=Language.UNSPECIFIED)).then_rejected("LANGUAGE_MISSING")
    given(account).when(change_profile).then_rejected("ACCOUNT_UNKNOWN", account_id=AN)


def test_an_official_is_appointed() -> None:
    given(account, registered).when(appoint).then(appointed)


def test_an_appointment_may_be_open_ended_and_of_a_ministry() -> None:
    of_a_ministry = replace(appoint, agency="G01.2", province="", reach=Reach("G01"), office=Office("G01.2", ""))
    given(account, registered).when(replace(of_a_ministry, ends_at=None)).then(
        replace(appointed, ends_at=None, agency="G01.2", province="")
    )


@pytest.mark.parametrize(
    ("reach", "office"),
    [
        (Reach("P56.22", "56"), Office("P56.22", "56")),
        (Reach("P56.22", "56"), Office("P56.22.336", "56")),
        (Reach("P56", "56"), Office("P56.22.336", "56")),
        (Reach("P56"), Office("P56.1", "56")),
        (EVERYWHERE, Office("P79.1", "79")),
    ],
)
def test_an_administrator_appoints_and_ends_within_the_reach(reach: Reach, office: Office) -> None:
    at_home = replace(appoint, reach=reach, office=office, agency=office.code, province=office.province)
    made = replace(appointed, agency=office.code, province=office.province)
    given(account, registered).when(at_home).then(made)
    given(account, registered, made).when(replace(end, reach=reach)).then(ended)


@pytest.mark.parametrize(
    ("reach", "office"),
    [
        (Reach("P56.22", "56"), Office("P56.1", "56")),
        (Reach("P56.22", "56"), Office("P56", "56")),
        (Reach("P56.22", "56"), Office("P56.223", "56")),
        (Reach("P56", "56"), Office("P79", "79")),
        (Reach("P5", "56"), Office("P56", "56")),
        (Reach("P56", "79"), Office("P56.1", "56")),
        (Reach("P56", "56"), Office("G01", "")),
        (Reach("G01"), Office("P56", "56")),
        (Reach("", "56"), Office("P56", "56")),
        (Reach(), Office("P56", "56")),
    ],
)
def test_an_administrator_neither_appoints_nor_ends_beyond_the_reach(reach: Reach, office: Office) -> None:
    beyond = replace(appoint, reach=reach, office=office, agency=office.code, province=office.province)
    facts = {"agency": office.code, "own": reach.agency}
    given(account, registered).when(beyond).then_rejected("BEYOND_REACH", **facts)
    made = replace(appointed, agency=office.code, province=office.province)
    given(account, registered, made).when(replace(end, reach=reach)).then_rejected("BEYOND_REACH", **facts)


def test_an_appointment_is_at_an_agency_that_exists_in_its_province() -> None:
    person = given(account, registered)
    person.when(replace(appoint, office=None)).then_rejected("AGENCY_UNKNOWN", agency="P56.22.336")
    for province, told in (("", "-"), ("79", "79")):
        person.when(replace(appoint, province=province)).then_rejected(
            "PROVINCE_MISMATCH", agency="P56.22.336", expected="56", province=told
        )


def test_a_restricted_person_is_not_appointed() -> None:
    restricted = ErasureDecided(
        account_id=AN, at=AT, by=BINH, outcome=ErasureOutcome.RESTRICTED, legal_basis="Luật Lưu trữ 2024"
    )
    given(account, registered, asked_erasure, restricted).when(appoint).then_rejected("ACCOUNT_RESTRICTED")
    lifted = replace(restricted, outcome=ErasureOutcome.REFUSED)
    given(account, registered, asked_erasure, restricted, asked_erasure, lifted).when(appoint).then(appointed)


def test_nobody_decides_about_the_own_data() -> None:
    own = replace(decide_erasure, by=AN)
    given(account, registered, asked_erasure).when(own).then_rejected("OWN_AFFAIR")


@pytest.mark.parametrize("legal_basis", ["x", "Điều 10", "Luật", "theo quy định", "Luật " + "!" * 20])
def test_a_legal_basis_cites_an_act(legal_basis: str) -> None:
    keep = replace(decide_erasure, outcome=ErasureOutcome.RESTRICTED, legal_basis=legal_basis)
    given(account, registered, asked_erasure).when(keep).then_rejected(
        "LEGAL_BASIS_UNKNOWN", why="it cites no act by its name"
    )


def test_whom_a_person_represents_is_noted_once_also_before_the_first_login() -> None:
    note = NoteRepresentation(account_id=AN, at=AT, by="company", organisation_id="company")
    noted = RepresentationNoted(account_id=AN, at=AT, by="company", organisation_id="company")
    given(account).when(note).then(noted)
    given(account, noted).when(note).then_nothing()
    assert account.fold((noted, replace(noted, organisation_id="other"))).represents == {"company", "other"}


def test_a_role_named_twice_is_given_once() -> None:
    given(account, registered).when(replace(appoint, roles=(Role.CASHIER, Role.CASHIER))).then(
        replace(appointed, roles=(Role.CASHIER,))
    )


@pytest.mark.parametrize(
    ("change", "reason", "facts"),
    [
        ({"by": AN}, "SELF_APPOINTMENT", {}),
        ({"roles": ()}, "ROLES_MISSING", {}),
        ({"roles": (Role.RECEPTIONIST, Role.SERVICE)}, "ROLE_NOT_APPOINTABLE", {"role": "service"}),
        ({"agency": ""}, "FIELD_MISSING", {"field": "agency"}),
        ({"title": ""}, "FIELD_MISSING", {"field": "title"}),
        ({"decision_number": ""}, "FIELD_MISSING", {"field": "decision_number"}),
        ({"province": "056"}, "PROVINCE_MALFORMED", {"province": "056"}),
        ({"ends_at": AT}, "TERM_INVERTED", {"starts_at": AT.isoformat(), "ends_at": AT.isoformat()}),
        ({"starts_at": AT - 2 * DAY, "ends_at": AT - DAY}, "TERM_OVER", {"ends_at": (AT - DAY).isoformat()}),
    ],
)
def test_an_appointment_is_refused(change: dict[str, Any], reason: str, facts: dict[str, str]) -> None:
    given(account, registered).when(replace(appoint, **change)).then_rejected(reason, **facts)


def test_an_organisation_or_a_stranger_is_not_appointed() -> None:
    given(account, organisation).when(appoint).then_rejected("CITIZEN_REQUIRED")
    given(account).when(appoint).then_rejected("ACCOUNT_UNKNOWN", account_id=AN)


def test_the_same_role_at_the_same_agency_and_time_is_refused() -> None:
    again = replace(appoint, appointment_id="ap-2", starts_at=AT + 364 * DAY, ends_at=None)
    given(account, registered, appointed).when(again).then_rejected(
        "APPOINTMENT_EXISTS", appointment_id="ap-1", role="receptionist"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"starts_at": AT + 365 * DAY, "ends_at": None},
        {"agency": "P56.1"},
        {"roles": (Role.CASHIER,)},
    ],
)
def test_another_term_agency_or_role_is_accepted(change: dict[str, Any]) -> None:
    given(account, registered, appointed).when(replace(appoint, appointment_id="ap-2", **change)).then(
        replace(appointed, appointment_id="ap-2", **change)
    )


def test_an_ended_appointment_frees_its_role() -> None:
    again: dict[str, Any] = {"appointment_id": "ap-2", "at": AT + 2 * DAY, "starts_at": AT + 2 * DAY}
    given(account, registered, appointed, ended).when(replace(appoint, **again)).then(replace(appointed, **again))


def test_an_appointment_ends() -> None:
    given(account, registered, appointed).when(end).then(ended)


def test_also_of_who_never_logged_in() -> None:
    given(account, appointed).when(end).then(ended)
    given(account).when(end).then_rejected("ACCOUNT_UNKNOWN", account_id=AN)


def test_an_end_is_refused() -> None:
    history = given(account, registered, appointed)
    history.when(replace(end, by=AN)).then_rejected("SELF_APPOINTMENT")
    history.when(replace(end, reason="")).then_rejected("FIELD_MISSING", field="reason")
    history.when(replace(end, appointment_id="ap-9")).then_rejected("APPOINTMENT_UNKNOWN", appointment_id="ap-9")
    over = AT + 365 * DAY
    history.when(replace(end, at=over)).then_rejected("APPOINTMENT_OVER", appointment_id="ap-1", since=over.isoformat())
    given(account, registered, appointed, ended).when(end).then_rejected(
        "APPOINTMENT_OVER", appointment_id="ap-1", since=(AT + DAY).isoformat()
    )


def test_a_lookup_leaves_a_fact_and_what_it_confirmed() -> None:
    given(account, registered).when(look_up).then(
        looked_up,
        IdentityVerified(
            account_id=AN, at=AT, by=BINH, component_kind="residence", data=Sealed("{}"), valid_until=AT + DAY
        ),
    )


def test_a_person_without_an_account_can_be_looked_up_and_log_in_later() -> None:
    given(account).when(replace(look_up, verified=())).then(looked_up)
    given(account, looked_up).when(log_in).then(registered, logged_in)


@pytest.mark.parametrize(
    ("outcome", "gap"),
    [
        (LookupOutcome.NOT_FOUND, LookupGap.UNSPECIFIED),
        (LookupOutcome.NO_MATCH, LookupGap.UNSPECIFIED),
        (LookupOutcome.NOT_ENOUGH_BASIS, LookupGap.RECORD_DISPUTED),
    ],
)
def test_a_lookup_without_a_match_confirms_nothing(outcome: LookupOutcome, gap: LookupGap) -> None:
    given(account).when(replace(look_up, outcome=outcome, gap=gap)).then(replace(looked_up, outcome=outcome, gap=gap))


@pytest.mark.parametrize(
    ("change", "reason", "facts"),
    [
        ({"purpose": " "}, "FIELD_MISSING", {"field": "purpose"}),
        ({"legal_basis": ""}, "FIELD_MISSING", {"field": "legal_basis"}),
        ({"personal_number": "x"}, "IDENTIFIER_MALFORMED", {"field": "personal_number"}),
        (
            {"verified": (VerifiedData("residence", "{}", AT),)},
            "VERIFICATION_EXPIRED",
            {"component_kind": "residence"},
        ),
    ],
)
def test_a_lookup_is_refused(change: dict[str, Any], reason: str, facts: dict[str, str]) -> None:
    given(account, registered).when(replace(look_up, **change)).then_rejected(reason, **facts)


ask_erasure = RequestErasure(account_id=AN, at=AT, by=AN)
decide_erasure = DecideErasure(account_id=AN, at=AT, by=BINH, outcome=ErasureOutcome.SHREDDED, legal_basis="")


def test_erasure_is_asked_once_at_a_time() -> None:
    given(account, registered).when(ask_erasure).then(asked_erasure)
    given(account, registered, asked_erasure).when(ask_erasure).then_rejected("ERASURE_PENDING")
    refused = ErasureDecided(
        account_id=AN, at=AT, by=BINH, outcome=ErasureOutcome.REFUSED, legal_basis="Luật Lưu trữ 2024"
    )
    given(account, registered, asked_erasure, refused).when(ask_erasure).then(asked_erasure)


@pytest.mark.parametrize("outcome", [ErasureOutcome.REFUSED, ErasureOutcome.RESTRICTED])
def test_keeping_the_data_needs_a_legal_basis(outcome: ErasureOutcome) -> None:
    history = given(account, registered, asked_erasure)
    keep = replace(decide_erasure, outcome=outcome)
    history.when(keep).then_rejected("FIELD_MISSING", field="legal_basis")
    history.when(replace(keep, legal_basis="Luật Lưu trữ 2024")).then(
        ErasureDecided(account_id=AN, at=AT, by=BINH, outcome=outcome, legal_basis="Luật Lưu trữ 2024")
    )


def test_data_is_shredded_on_request_only_and_not_of_an_official_in_office() -> None:
    given(account, registered, asked_erasure).when(decide_erasure).then(erased)
    given(account, registered).when(decide_erasure).then_rejected("ERASURE_NOT_REQUESTED")
    given(account, registered, appointed, asked_erasure).when(decide_erasure).then_rejected(
        "OFFICIAL_IN_OFFICE", appointment_id="ap-1"
    )


@pytest.mark.parametrize("command", [log_in, change_profile, appoint, end, look_up, ask_erasure, decide_erasure])
def test_an_erased_account_accepts_nothing(command: Any) -> None:
    given(account, registered, asked_erasure, erased).when(command).then_rejected("ACCOUNT_ERASED")


register = RegisterSystem(
    client_id="tax.g12",
    at=AT,
    by=BINH,
    name="Hệ thống thuế",
    operator_agency="G12.18",
    purposes=("settle", "look-up"),
    kid="k1",
    public_jwk="{}",
)
system_registered = SystemRegistered(
    client_id="tax.g12",
    at=AT,
    by=BINH,
    name="Hệ thống thuế",
    operator_agency="G12.18",
    purposes=("settle", "look-up"),
    kid="k1",
    public_jwk="{}",
)
rotate = RotateSystemKey(
    client_id="tax.g12", at=AT, by=BINH, kid="k2", public_jwk="{}", previous_until=AT + DAY, reach=Reach("G12")
)
rotated = SystemKeyRotated(client_id="tax.g12", at=AT, by=BINH, kid="k2", public_jwk="{}", previous_until=AT + DAY)
suspend = SuspendSystem(client_id="tax.g12", at=AT, by=BINH, reason="Lộ khóa", reach=Reach("G12"))
suspended = SystemSuspended(client_id="tax.g12", at=AT, by=BINH, reason="Lộ khóa")
reinstate = ReinstateSystem(client_id="tax.g12", at=AT, by=BINH, reason="Đã thay khóa", reach=Reach("G12"))
reinstated = SystemReinstated(client_id="tax.g12", at=AT, by=BINH, reason="Đã thay khóa")


def test_a_system_registers() -> None:
    given(system).when(register).then(system_registered)


@pytest.mark.parametrize(
    ("change", "reason", "facts"),
    [
        ({"client_id": "Tax"}, "CLIENT_ID_MALFORMED", {"client_id": "Tax"}),
        ({"client_id": "a\n"}, "CLIENT_ID_MALFORMED", {"client_id": "a\n"}),
        ({"name": ""}, "FIELD_MISSING", {"field": "name"}),
        ({"operator_agency": ""}, "FIELD_MISSING", {"field": "operator_agency"}),
        ({"purposes": ()}, "PURPOSES_MISSING", {}),
        ({"purposes": ("settle", "Anything")}, "PURPOSE_MALFORMED", {"purpose": "Anything"}),
        ({"purposes": ("settle", "settle")}, "PURPOSE_MALFORMED", {"purpose": "settle"}),
    ],
)
def test_a_registration_is_refused(change: dict[str, Any], reason: str, facts: dict[str, str]) -> None:
    given(system).when(replace(register, **change)).then_rejected(reason, **facts)


def test_a_system_registers_once() -> None:
    given(system, system_registered).when(register).then_rejected("SYSTEM_EXISTS", client_id="tax.g12")


def test_a_key_rotates_with_an_overlap() -> None:
    given(system, system_registered).when(rotate).then(rotated)
    state = system.fold((system_registered, rotated))
    assert [key.kid for key in state.accepted_keys(AT)] == ["k1", "k2"]
    assert [key.kid for key in state.accepted_keys(AT + DAY)] == ["k2"]


def test_a_key_rotates_at_once() -> None:
    at_once = replace(rotated, previous_until=None)
    given(system, system_registered).when(replace(rotate, previous_until=None)).then(at_once)
    assert [key.kid for key in system.fold((system_registered, at_once)).accepted_keys(AT)] == ["k2"]


def test_a_later_rotation_never_lengthens_an_older_keys_life() -> None:
    third = SystemKeyRotated(
        client_id="tax.g12", at=AT, by=BINH, kid="k3", public_jwk="{}", previous_until=AT + 20 * DAY
    )
    state = system.fold((system_registered, rotated, third))
    assert [key.kid for key in state.accepted_keys(AT + 2 * DAY)] == ["k2", "k3"]


def test_a_rotation_is_refused() -> None:
    history = given(system, system_registered, rotated)
    history.when(replace(rotate, kid="k1")).then_rejected("KEY_REUSED", kid="k1")
    history.when(replace(rotate, kid="k3", previous_until=AT)).then_rejected("TERM_OVER", ends_at=AT.isoformat())
    history.when(replace(rotate, kid="k3", previous_until=AT + 31 * DAY)).then_rejected("OVERLAP_TOO_LONG", days="30")
    given(system, system_registered, suspended).when(rotate).then_rejected("SYSTEM_IS_SUSPENDED", client_id="tax.g12")


def test_a_suspended_system_changes_its_key_and_returns() -> None:
    given(system, system_registered).when(suspend).then(suspended)
    at_once = replace(rotated, previous_until=None)
    given(system, system_registered, suspended).when(replace(rotate, previous_until=None)).then(at_once)
    given(system, system_registered, suspended, at_once).when(reinstate).then(reinstated)
    assert system.fold((system_registered, suspended)).accepted_keys(AT) == ()


def test_a_suspension_and_a_reinstatement_are_refused() -> None:
    given(system, system_registered, suspended).when(suspend).then_rejected("SYSTEM_IS_SUSPENDED", client_id="tax.g12")
    given(system, system_registered).when(reinstate).then_rejected("SYSTEM_NOT_SUSPENDED", client_id="tax.g12")
    given(system, system_registered).when(replace(suspend, reason="")).then_rejected("FIELD_MISSING", field="reason")
    given(system, system_registered, suspended).when(replace(reinstate, reason="")).then_rejected(
        "FIELD_MISSING", field="reason"
    )


change = UpdateSystem(
    client_id="tax.g12", at=AT, by=BINH, purposes=("settle", "reconcile"), certificate_required=True, reach=Reach("G12")
)
changed = SystemChanged(
    client_id="tax.g12", at=AT, by=BINH, purposes=("settle", "reconcile"), certificate_required=True
)


def test_a_system_is_registered_for_something_else() -> None:
    given(system, system_registered).when(change).then(changed)
    given(system, system_registered, suspended).when(change).then(changed)
    state = system.fold((system_registered, changed))
    assert (state.purposes, state.certificate_required) == (("settle", "reconcile"), True)
    assert state.accepted_keys(AT) == system.fold((system_registered,)).accepted_keys(AT)


def test_a_system_is_always_registered_for_something() -> None:
    given(system, system_registered).when(replace(change, purposes=())).then_rejected("PURPOSES_MISSING")
    for purpose in ("Settle", "settle-", ""):
        given(system, system_registered).when(replace(change, purposes=(purpose,))).then_rejected(
            "PURPOSE_MALFORMED", purpose=purpose
        )
    given(system, system_registered).when(replace(change, purposes=("settle", "settle"))).then_rejected(
        "PURPOSE_MALFORMED", purpose="settle"
    )


SCOPES = (PurposeScope("settle", ("P56",), ("1.004222",)), PurposeScope("look-up", ("P56.22",), all_procedures=True))


def test_a_system_has_its_purposes_for_agencies_and_procedures() -> None:
    given(system).when(replace(register, scopes=SCOPES)).then(replace(system_registered, scopes=SCOPES))
    fewer = SCOPES[:1]
    given(system, system_registered).when(replace(change, scopes=fewer)).then(replace(changed, scopes=fewer))


@pytest.mark.parametrize(
    ("reach", "beyond"),
    [
        (Reach("G12"), ""),
        (Reach("P56", "56"), ""),
        (Reach("P56"), ""),
        (Reach("P56.22", "56"), "P56"),
        (Reach("P56", "79"), "P56"),
        (Reach("G01"), "P56"),
        (Reach("P79", "79"), "P56"),
        (Reach(), "P56"),
    ],
)
def test_a_system_is_ruled_by_who_answers_for_it_or_for_all_that_it_serves(reach: Reach, beyond: str) -> None:
    history = (replace(system_registered, scopes=SCOPES),)
    for command, made in ((change, changed), (rotate, rotated), (suspend, suspended)):
        outcome = given(system, *history).when(replace(command, reach=reach))
        if beyond:
            outcome.then_rejected("BEYOND_REACH", agency=beyond, own=reach.agency)
        else:
            outcome.then(made)
    # What serves nobody yet is anybody's to put right, within their own reach.
    given(system, system_registered).when(replace(suspend, reach=reach)).then(suspended)


@pytest.mark.parametrize(
    ("scope", "why"),
    [
        (PurposeScope("inspect", ("P56",), all_procedures=True), "the system has no such purpose"),
        (PurposeScope("settle", (), all_procedures=True), "it names no agency"),
        (PurposeScope("settle", ("P56",)), "it names either procedures or all of them"),
        (PurposeScope("settle", ("P56",), ("1.1",), True), "it names either procedures or all of them"),
    ],
)
def test_a_scope_is_refused(scope: PurposeScope, why: str) -> None:
    for refused in (
        given(system).when(replace(register, scopes=(scope,))),
        given(system, system_registered).when(replace(change, scopes=(scope,))),
    ):
        refused.then_rejected("SCOPE_MALFORMED", purpose=scope.purpose, why=why)
    twice = given(system).when(replace(register, scopes=(SCOPES[0], SCOPES[0])))
    twice.then_rejected("SCOPE_MALFORMED", purpose="settle", why="it is stated twice")


def test_a_system_may_be_registered_to_show_a_certificate() -> None:
    given(system).when(replace(register, certificate_required=True)).then(
        replace(system_registered, certificate_required=True)
    )


@pytest.mark.parametrize("command", [change, rotate, suspend, reinstate])
def test_an_unknown_system_is_refused(command: Any) -> None:
    given(system).when(command).then_rejected("SYSTEM_UNKNOWN", client_id="tax.g12")


LEAD, LIFE, SKEW = timedelta(hours=1), timedelta(minutes=15), timedelta(minutes=1)
first_key = RotateSigningKey(at=AT, by=BINH, kid="s1", public_jwk="{}", lead=LEAD, token_lifetime=LIFE)
first_introduced = SigningKeyIntroduced(kid="s1", at=AT, by=BINH, public_jwk="{}", signs_from=AT)
second_key = replace(first_key, at=AT + DAY, kid="s2")
second_introduced = SigningKeyIntroduced(kid="s2", at=AT + DAY, by=BINH, public_jwk="{}", signs_from=AT + DAY + LEAD)
first_retired = SigningKeyRetired(
    kid="s1", at=AT + DAY, by=BINH, signs_until=AT + DAY + LEAD, verifies_until=AT + DAY + LEAD + LIFE + SKEW
)


def test_the_first_key_signs_at_once() -> None:
    given(signing_keys).when(first_key).then(first_introduced)


def test_the_next_key_is_published_before_it_signs() -> None:
    given(signing_keys, first_introduced).when(second_key).then(second_introduced, first_retired)


def test_at_every_moment_one_key_signs_and_every_live_token_verifies() -> None:
    keys = signing_keys.fold((first_introduced, second_introduced, first_retired))
    moment = AT
    while moment < AT + 2 * DAY:
        signing = keys.signing(moment)
        assert signing is not None
        assert signing.kid == ("s1" if moment < AT + DAY + LEAD else "s2")
        assert signing in keys.published(moment + LIFE)
        moment += timedelta(minutes=1)
    assert [key.kid for key in keys.published(AT + 2 * DAY)] == ["s2"]


def test_a_compromised_key_stops_at_once() -> None:
    now = AT + DAY
    given(signing_keys, first_introduced).when(replace(second_key, compromised=True)).then(
        SigningKeyIntroduced(kid="s2", at=now, by=BINH, public_jwk="{}", signs_from=now),
        SigningKeyRetired(kid="s1", at=now, by=BINH, signs_until=now, verifies_until=now),
    )


def test_a_compromise_in_the_middle_of_a_rotation_stops_both_keys() -> None:
    now = AT + DAY + timedelta(minutes=5)
    third = replace(first_key, at=now, kid="s3", compromised=True)
    given(signing_keys, first_introduced, second_introduced, first_retired).when(third).then(
        SigningKeyIntroduced(kid="s3", at=now, by=BINH, public_jwk="{}", signs_from=now),
        SigningKeyRetired(kid="s1", at=now, by=BINH, signs_until=now, verifies_until=now),
        SigningKeyRetired(kid="s2", at=now, by=BINH, signs_until=now, verifies_until=now),
    )


def test_a_signing_key_rotation_is_refused() -> None:
    given(signing_keys, first_introduced).when(replace(first_key, at=AT + DAY)).then_rejected("KEY_REUSED", kid="s1")
    given(signing_keys, first_introduced, second_introduced, first_retired).when(
        replace(second_key, kid="s3")
    ).then_rejected("ROTATION_PENDING", kid="s2", signs_from=(AT + DAY + LEAD).isoformat())
