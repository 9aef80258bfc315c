"""What a refusal for the dossier's state says: the state and what may be done now, in both languages."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.rpc import error_details_pb2

from motcua.dossier.v1 import dossier_service_pb2, errors_pb2
from services.chassis.calls.statuses import Errors
from services.chassis.decider import Rejected
from services.dossier import commands as c
from services.dossier.domain import dossier
from services.dossier.domain.settlements import DOINGS, NAMES, NOW, wrong_state
from services.dossier.domain.state import Dossier
from services.law.course import Settlement
from tests.dossier import world as w
from tests.support.given import given

TEXTS = Path(__file__).parents[2] / "gateway/status/texts"
COMMANDS: dict[str, Any] = {
    "SubmitDossier": w.submit(),
    "ReceiveDossier": w.receive(),
    "RefuseDossier": c.RefuseDossier(by=w.OFFICIAL, at=w.RECEIVED, reason=w.REASON),
    "CorrectForm": w.correct(),
    "RequestSupplement": w.request_supplement(),
    "SupplySupplement": w.supply(),
    "AssignStep": w.assign(),
    "CompleteStep": w.complete(),
    "TransferDossier": w.transfer(),
    "AssessFee": w.assess(),
    "CancelFee": c.CancelFee(by=w.OFFICIAL, at=w.RECEIVED, fee_id="fee-1", reason=w.REASON, terms=w.TERMS),
    "WaiveFee": c.WaiveFee(
        by=w.OFFICIAL,
        at=w.RECEIVED,
        fee_id="fee-1",
        left_id="fee-2",
        exemption_code="poor",
        reason=w.REASON,
        terms=w.TERMS,
    ),
    "ApproveDossier": w.approve(),
    "IssueResult": w.issue(),
    "ReturnResult": w.hand_over(),
    "RequestWithdrawal": w.withdraw(),
    "GrantWithdrawal": c.GrantWithdrawal(by=w.OFFICIAL, at=w.RECEIVED),
    "DeclineWithdrawal": c.DeclineWithdrawal(by=w.OFFICIAL, at=w.RECEIVED, explanation=w.REASON),
    "StopProcessing": w.stop(),
    "RateDossier": w.rate(),
}


def told(rejected: Rejected) -> dict[str, str]:
    details = Errors(errors_pb2.DossierError.DESCRIPTOR).status(rejected).details
    texts = [text for each in details if each.Unpack(text := error_details_pb2.LocalizedMessage())]
    return {text.locale: text.message for text in texts}


@pytest.mark.parametrize("state", Settlement, ids=lambda each: each.name)
def test_what_may_be_done_now_is_what_the_rules_let_be_done(state: Settlement) -> None:
    at = Dossier(
        settlement=state,
        code=w.CODE,
        applicant_id=w.APPLICANT.actor_id,
        reception_agency=w.COMMUNE,
        competent_agency=w.COMMUNE,
        holder=w.COMMUNE,
        received_at=None if state in (Settlement.NEWLY_REGISTERED, Settlement.ABSENT) else w.RECEIVED,
    )
    deciding = replace(dossier, initial=at)
    for rpc in NOW[state]:
        refused = given(deciding).when(COMMANDS[rpc]).rejected
        assert refused is None or refused.reason not in ("WRONG_STATE", "NO_RESULT", "ALREADY_SUBMITTED"), rpc


def test_every_state_and_doing_has_its_words() -> None:
    assert set(NAMES) == set(NOW) == set(Settlement)
    rpcs = {rpc for rpcs in NOW.values() for rpc in rpcs}
    assert rpcs <= set(DOINGS) == set(COMMANDS)
    assert rpcs <= set(dossier_service_pb2.DESCRIPTOR.services_by_name["DossierService"].methods_by_name)
    for language, at in (("vi", 0), ("en", 1)):
        page = tomllib.loads((TEXTS / f"{language}.toml").read_text("utf-8"))["settlement"]
        assert {state.value: names[at] for state, names in NAMES.items() if state.value} == {
            int(number): says["name"] for number, says in page.items()
        }


def test_the_state_is_named_in_each_language() -> None:
    assert told(wrong_state(Settlement.WITHDRAWAL_REQUESTED)) == {
        "vi": "Không thể làm việc này khi hồ sơ ở trạng thái “Công dân yêu cầu rút hồ sơ”. Việc có thể làm lúc này:"
        " đồng ý cho rút (GrantWithdrawal), không cho rút (DeclineWithdrawal).",
        "en": "This cannot be done while the dossier is in the state 'Withdrawal requested'. What may be done now:"
        " grant the withdrawal (GrantWithdrawal), decline the withdrawal (DeclineWithdrawal).",
    }
    facts = {"state": "RECEIVED", "now": "AssignStep, TransferDossier"}
    assert wrong_state(Settlement.RECEIVED).facts == facts
