"""Which documents can take a component's place, for whom, and until when."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine

from motcua.warehouse.events.v1 import events_pb2 as warehouse
from services.chassis.deciding.codec import to_timestamp
from services.chassis.deciding.facts import Fact
from services.dossier.holdings import document_gone, document_kept, holdings_of, metadata
from tests.support.facts import fact_of

ISSUED, LAST = datetime(2026, 3, 2, 2, tzinfo=UTC), datetime(2026, 9, 2, 16, 59, 59, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def fact(event: Any) -> Fact[Any]:
    return fact_of(event, stream=f"document-{event.document_id}")


@pytest.fixture
def db() -> Connection:
    connection = create_engine("sqlite://", creator=lambda: sqlite3.connect(":memory:")).connect()
    metadata.create_all(connection)
    kept: dict[str, Any] = {"valid_from": to_timestamp(ISSUED), "document_kind": "confirmation"}
    document_kept(
        connection,
        fact(warehouse.DocumentKept(document_id="mine", account_id="me", valid_until=to_timestamp(LAST), **kept)),
    )
    document_kept(
        connection, fact(warehouse.DocumentKept(document_id="a child's", account_id="x", guardian_id="me", **kept))
    )
    return connection


@pytest.mark.parametrize(
    ("at", "own"),
    [(ISSUED - SECOND, {}), (ISSUED, {"confirmation": "mine"}), (LAST, {"confirmation": "mine"}), (LAST + SECOND, {})],
)
def test_a_document_is_reused_while_it_is_valid(db: Connection, at: datetime, own: dict[str, str]) -> None:
    assert holdings_of(db, ["me"])["me"].own("me", at) == own


def test_a_child_s_is_the_guardian_s_to_use_and_the_child_s_own(db: Connection) -> None:
    found = holdings_of(db, ["me", "x", "somebody"])
    assert found["me"].others("me", LAST) == {"confirmation": frozenset({"a child's"})}
    assert (found["x"].own("x", LAST), found["x"].others("x", LAST)) == ({"confirmation": "a child's"}, {})
    assert found["somebody"].rows == ()
    document_gone(db, fact(warehouse.DocumentRevoked(document_id="a child's")))
    assert holdings_of(db, ["me"])["me"].others("me", LAST) == {}
