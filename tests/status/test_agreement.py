"""The page says of every legal history what the dossier's own rules say."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given, settings

from gateway.status.fold import folded
from gateway.status.model import DossierPage, Finance
from services.chassis.deciding.facts import message_class
from services.chassis.privacy.public_view import public_view
from services.dossier.codec import dossier_codec
from services.dossier.domain import dossier
from services.dossier.domain.state import Dossier
from services.dossier.events import Event
from tests.status.histories import APPLICANT, PERSONAL, histories

REQUEST = UUID(int=1)
KEYS = {APPLICANT.actor_id: b"k" * 32}


def page_of(history: list[Event]) -> DossierPage:
    stored = [dossier_codec.encode(event, REQUEST, index, KEYS) for index, event in enumerate(history)]
    messages = []
    for _, type_, data in stored:
        message = message_class(type_)()
        message.ParseFromString(data)
        messages.append(public_view(message))
    page = folded(messages)
    assert page
    return page


def shown(page: DossierPage) -> dict[str, object]:
    return {
        "settlement": page.settlement.name,
        "finance": page.finance.name,
        "paused": page.pause is not None,
        "due_at": page.due_at,
        "received_at": page.received_at,
        "competent_agency": page.competent_agency,
        "procedure_version": page.procedure_version,
        "revision": page.revision,
    }


def decided(state: Dossier) -> dict[str, object]:
    return {
        "settlement": state.settlement.name,
        "finance": state.finance.name,
        "paused": state.paused,
        "due_at": state.due_at,
        "received_at": state.received_at,
        "competent_agency": state.competent_agency,
        "procedure_version": state.procedure_version,
        "revision": state.revision,
    }


@settings(max_examples=150)
@given(history=histories())
def test_the_page_agrees_with_the_rules_after_every_event(history: list[Event]) -> None:
    for count in range(1, len(history) + 1):
        assert shown(page_of(history[:count])) == decided(dossier.fold(history[:count]))
    assert PERSONAL not in repr(page_of(history))


def test_finance_has_the_words_of_the_rules() -> None:
    assert {finance.name for finance in Finance} == {"NOTHING_DUE", "DUE", "PAID", "REFUNDED"}
