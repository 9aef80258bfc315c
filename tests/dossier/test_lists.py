"""Lists of dossiers while they change: what is in a list all the time is listed once, whatever moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import true

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.calls.paging import Pages
from services.chassis.database.database import Database
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Caller
from services.chassis.deciding.codec import to_timestamp
from services.chassis.following.views import RunningView, position_token
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import ANY, NewEvent
from services.dossier.queries import begun, mine, work
from services.dossier.views import lists
from tests.dossier.world import RECEIVED
from tests.support.postgresql import Engine

OFFICIAL = Caller("official-1", "official", agency="P56.1")
NEW = dossier_pb2.SETTLEMENT_NEWLY_REGISTERED
MOVES = ("received", "extended", "supplement", "supplied", "refused", "submitted")


@dataclass
class Office:
    """The service's view, kept over a log that tests write."""

    view: RunningView
    store: MemoryStore
    runner: asyncio.Runner
    pages: Pages = field(default_factory=lambda: Pages("s" * 32))

    def tell(self, event: Message, stream: str) -> str:
        new = NewEvent(uuid4(), event.DESCRIPTOR.full_name, event.SerializeToString(), b"{}")
        appended = self.runner.run(self.store.append(stream, [new], ANY))
        return position_token(appended.position)

    def submitted(self, code: str, agency: str, at: datetime = RECEIVED, applicant: str = "citizen-1") -> str:
        return self.tell(
            facts.DossierSubmitted(
                code=code, applicant_id=applicant, reception_agency=agency, competent_agency=agency, at=to_timestamp(at)
            ),
            f"dossier-{code}",
        )

    def moved(self, move: str, code: str, days: int) -> str:
        due, now = to_timestamp(RECEIVED + timedelta(days=days)), to_timestamp(RECEIVED)
        about: dict[str, Any] = {"code": code, "at": now}
        events: dict[str, Message] = {
            "received": facts.DossierReceived(**about, due_at=due),
            "extended": facts.DeadlineExtended(**about, due_at=due),
            "supplement": facts.SupplementRequested(**about),
            "supplied": facts.SupplementSupplied(**about, due_at=due),
            "refused": facts.DossierRefused(**about),
        }
        return self.tell(events[move], f"dossier-{code}")

    def work(self, agency: str, request: pb.ListWorkRequest, caller: Caller = OFFICIAL) -> tuple[list[str], str]:
        listing = work(true(), agency, caller.account_id, request, RECEIVED)
        return self.read(request, caller, listing)

    def read(self, request: Any, caller: Caller, listing: Any) -> tuple[list[str], str]:
        page = self.runner.run(self.pages.read(request, caller, self.view, listing))
        return [getattr(row, "code", None) or row.draft_id for row in page.rows], page.token


@pytest.fixture(scope="module")
def office(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with asyncio.Runner() as runner:
        database = Database(engine.url(tmp_path_factory.mktemp("lists")), "lists")
        store = MemoryStore()
        view = RunningView(lists, database, store)
        runner.run(view.start())
        yield Office(view, store, runner)
        runner.run(view.stop())
        runner.run(database.close())


@settings(max_examples=60)
@given(data=st.data(), many=st.integers(1, 6), size=st.integers(1, 3))
def test_rows_that_move_while_paging_are_listed_once(office: Office, data: st.DataObject, many: int, size: int) -> None:
    agency = f"P56.{uuid4()}"
    codes = [f"{agency}-{number}" for number in range(many)]
    moves = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, many - 1), st.integers(0, 5)), max_size=4)
    head, there, listed, token = "", set(codes), [], ""

    def move() -> str:
        told = head
        for what, which, days in data.draw(moves):
            if what == "submitted":
                told = office.submitted(f"{agency}-new-{uuid4()}", agency)
            else:
                told = office.moved(what, codes[which], days)
                there.difference_update({codes[which]} if what == "refused" else ())
        return told

    for code in codes:
        head = office.submitted(code, agency)
    head = move()
    while True:
        page, token = office.work(agency, pb.ListWorkRequest(page_size=size, page_token=token, min_position=head))
        listed += page
        if not token:
            break
        head = move()
    assert len(set(listed)) == len(listed)
    assert there - set(listed) == set()


def test_an_official_who_receives_each_page_sees_all(office: Office) -> None:
    agency = f"P56.{uuid4()}"
    codes = [f"{agency}-{number}" for number in range(8)]
    head = [office.submitted(code, agency) for code in codes][-1]
    listed, token = [], ""
    while True:
        request = pb.ListWorkRequest(page_size=3, page_token=token, min_position=head, settlement=NEW)
        page, token = office.work(agency, request)
        listed += page
        if not token:
            break
        for code in page:
            head = office.moved("received", code, 5)
    assert listed == codes


def test_the_most_urgent_come_first_and_the_undated_last(office: Office) -> None:
    agency = f"P56.{uuid4()}"
    for number, days in enumerate((None, 3, 1, None, 2)):
        head = office.submitted(f"{agency}-{number}", agency, RECEIVED + timedelta(hours=number))
        if days:
            head = office.moved("received", f"{agency}-{number}", days)
    page, token = office.work(agency, pb.ListWorkRequest(min_position=head))
    assert ([code[-1] for code in page], token) == (["2", "4", "1", "0", "3"], "")


def test_a_draft_that_is_saved_again_keeps_its_place(office: Office) -> None:
    me = str(uuid4())

    def save(draft_id: str) -> str:
        return office.tell(facts.DraftSaved(draft_id=draft_id, applicant_id=me, at=to_timestamp(RECEIVED)), draft_id)

    ids = [f"{me}-{number}" for number in range(3)]
    head = [save(draft_id) for draft_id in ids][-1]
    caller, listed, token = Caller(me, "citizen"), [], ""
    while True:
        request = pb.ListDraftsRequest(page_size=1, page_token=token, min_position=head)
        page, token = office.read(request, caller, begun(me))
        listed += page
        if not token:
            break
        head = save(ids[0])
    assert listed == ids[::-1]


def test_a_token_is_for_its_list_its_filter_and_its_caller(office: Office) -> None:
    agency = f"P56.{uuid4()}"
    head = [office.submitted(f"{agency}-{number}", agency, applicant="citizen-9") for number in range(2)][-1]
    first = pb.ListWorkRequest(page_size=1, min_position=head)
    _, token = office.work(agency, first)
    assert office.work(agency, pb.ListWorkRequest(page_token=token))[0] == [f"{agency}-1"]  # of any size
    odd = ("0", "50", "-1", "x", "٣", token[:-1], token + "=", token + "!", f"{token[:9]}A{token[10:]}B")
    for request, caller in (
        (pb.ListWorkRequest(page_token=token, overdue=True), OFFICIAL),
        (pb.ListWorkRequest(page_token=token), replace(OFFICIAL, account_id="official-2")),
        (pb.ListWorkRequest(page_token=token), replace(OFFICIAL, agency="P56.2")),
        *((pb.ListWorkRequest(page_token=each), OFFICIAL) for each in odd),
    ):
        with pytest.raises(Rejected, match="INVALID_POSITION"):
            office.work(agency, request, caller)
    with pytest.raises(Rejected, match="INVALID_POSITION"):
        office.read(pb.ListMyDossiersRequest(page_token=token), OFFICIAL, mine("citizen-9", 0))
