from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from motcua.warehouse.v1 import warehouse_pb2
from motcua.warehouse.v1 import warehouse_service_pb2 as pb
from services.chassis.decider import Sealed
from services.dossier import events as d
from services.dossier.values import Channel, StopCause
from services.law.days import local_day
from services.warehouse.values import DocumentSource, document_id
from tests.support.keys import MemoryKeys
from tests.support.postgresql import Engine
from tests.warehouse.samples import AGENCY, AT, CITIZEN, CT01, OFFICIAL, code, issued, received, reused, submitted
from tests.warehouse.test_service import refused
from tests.warehouse.world import World, warehouse

RESULT = document_id(DocumentSource.RESULT, code(1), "birth-certificate")
NEXT = AT + timedelta(days=1)
APRIL = AT + timedelta(days=30)


def stamp(number: int, at: datetime) -> d.Stamp:
    return d.Stamp(code=code(number), at=at, by=OFFICIAL, applicant_id=CITIZEN)


def history() -> list[d.Event]:
    """1 is settled and rated; 2, with a reuse, is withdrawn; 3 is late, settled in April; 4 pauses and is late still."""
    return [
        submitted(1, CT01),
        received(1),
        issued(1),
        d.DossierRated(**stamp(1, NEXT), score=4, comment=Sealed("")),
        submitted(2, CT01, reused("birth", RESULT), channel=Channel.ONLINE, at=NEXT),
        d.ProcessingStopped(**stamp(2, NEXT), cause=StopCause.WITHDRAWN, explanation=Sealed("Theo yêu cầu")),
        submitted(3, at=NEXT, province="79", competent_agency="P79.1"),
        d.DeadlinePassed(**stamp(3, NEXT), due_at=NEXT, agency="P79.1"),
        submitted(4, at=NEXT),
        d.SupplementRequested(**stamp(4, NEXT), component_codes=("ct01",), explanation=Sealed("Ảnh mờ")),
        d.SupplementSupplied(**stamp(4, NEXT), components=(CT01,), due_at=None),
        d.DeadlinePassed(**stamp(4, APRIL), due_at=APRIL, agency=AGENCY),
        issued(3, APRIL, on_time=False),
    ]


@pytest.fixture(scope="module")
def world(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("warehouse")
    with warehouse(folder, MemoryKeys()) as running:
        running.happened(*history())
        yield running


def ask(world: World, first: str, last: str, *group_by: Any, **filter_: str) -> list[dict[str, Any]]:
    request = pb.GetIndicatorsRequest(
        from_day=first, until_day=last, group_by=group_by, filter=warehouse_pb2.IndicatorFilter(**filter_)
    )
    return [shown(one) for one in world.stub.GetIndicators(request).indicators]


def shown(one: warehouse_pb2.Indicators) -> dict[str, Any]:
    found = MessageToDict(one, preserving_proto_field_name=True)
    found["counters"] = {name: int(n) for name, n in found.get("counters", {}).items()}
    return found


def test_a_period_is_counted_exactly(world: World) -> None:
    (found,) = ask(world, "2026-03-01", "2026-03-31")
    assert found == {
        "counters": {
            "submitted": 4,
            "submitted_counter": 3,
            "submitted_online": 1,
            "received": 1,
            "settled": 2,
            "settled_on_time": 2,
            "withdrawn": 1,
            "overdue": 1,
            "components": 4,
            "reused_components": 1,
            "ratings": 1,
            "satisfaction_sum": 4,
        },
        "overdue_open": "1",
        "rates": {
            "on_time_percent": 66.67,
            "online_percent": 25.0,
            "reuse_percent": 25.0,
            "satisfaction": 4.0,
            "reception_on_time_percent": 100.0,
        },
    }


def test_what_is_late_and_unfinished_counts_until_it_ends(world: World) -> None:
    (found,) = ask(world, "2026-04-01", "2026-04-30")
    assert found["counters"] == {"settled": 1, "settled_overdue": 1, "overdue": 1, "overdue_ended": 1}
    assert found["overdue_open"] == "1"
    assert found["rates"] == {"on_time_percent": 0.0}


def test_groups_by_day_and_month(world: World) -> None:
    day, month = warehouse_pb2.DIMENSION_DAY, warehouse_pb2.DIMENSION_MONTH
    days = ask(world, "2026-03-01", "2026-04-30", day)
    assert [(one["day"], one.get("overdue_open", "0")) for one in days] == [
        ("2026-03-02", "0"),
        ("2026-03-03", "1"),
        ("2026-04-01", "1"),
    ]
    months = ask(world, "2026-03-03", "2026-04-30", month)
    assert [(one["month"], one["counters"].get("submitted", 0), one["overdue_open"]) for one in months] == [
        ("2026-03", 3, "1"),
        ("2026-04", 0, "1"),
    ]


def test_groups_by_place_keep_what_is_late_from_before_the_period(world: World) -> None:
    found = ask(world, "2026-03-20", "2026-03-21", warehouse_pb2.DIMENSION_PROVINCE, warehouse_pb2.DIMENSION_AGENCY)
    assert found == [
        {
            "province": "79",
            "agency": "P79.1",
            "counters": {},
            "overdue_open": "1",
            "rates": {"on_time_percent": 0.0},
        }
    ]


def test_a_filter_restricts(world: World) -> None:
    (found,) = ask(world, "2026-03-01", "2026-04-30", province="79")
    assert found["counters"]["submitted"] == 1
    (nothing,) = ask(world, "2026-03-01", "2026-04-30", procedure_code="9.999999")
    assert nothing == {"counters": {}, "rates": {}}


def test_pages(world: World) -> None:
    request = pb.GetIndicatorsRequest(
        from_day="2026-03-01", until_day="2026-04-30", group_by=[warehouse_pb2.DIMENSION_DAY], page_size=2
    )
    first = world.stub.GetIndicators(request)
    request.page_token = first.next_page_token
    second = world.stub.GetIndicators(request)
    assert ([len(page.indicators) for page in (first, second)], second.next_page_token) == ([2, 1], "")
    assert first.as_of.ToDatetime(UTC) == APRIL


@pytest.mark.parametrize(
    ("first", "last"),
    [("2026-03-02", "2026-03-01"), ("20260302", "2026-03-03"), ("2026-02-30", "2026-03-03"), ("x", "2026-03-03")],
)
def test_a_period_has_a_first_and_a_last_day(world: World, first: str, last: str) -> None:
    with pytest.raises(grpc.RpcError) as call:
        ask(world, first, last)
    assert refused(call) == "PERIOD_INVALID"


def test_a_dimension_exists(world: World) -> None:
    with pytest.raises(grpc.RpcError) as call:
        ask(world, "2026-03-01", "2026-03-02", warehouse_pb2.DIMENSION_UNSPECIFIED)
    assert refused(call) == "INVALID_REQUEST"


def test_today_is_followed_and_resumed(world: World) -> None:
    groups = [warehouse_pb2.DIMENSION_AGENCY]
    stream = world.stub.WatchIndicators(pb.WatchIndicatorsRequest(group_by=groups), timeout=30)
    first = next(stream)  # late since April
    assert (first.indicators.agency, first.indicators.counters.submitted) == (AGENCY, 0)
    assert next(stream).caught_up
    now = datetime.now(UTC)
    world.happened(submitted(5, at=now))
    news = next(stream)
    assert (news.indicators.agency, news.indicators.counters.submitted) == (AGENCY, 1)
    assert news.resume_token.startswith(local_day(now))
    stream.cancel()
    world.happened(submitted(6, at=now, competent_agency="P56.9"))
    request = pb.WatchIndicatorsRequest(group_by=groups, resume_token=news.resume_token)
    resumed = world.stub.WatchIndicators(request, timeout=30)
    assert next(resumed).indicators.agency == "P56.9"
    assert next(resumed).caught_up
    resumed.cancel()


@pytest.mark.parametrize(
    ("token", "reason"), [("2026-03-02.999999", "POSITION_UNUSABLE"), ("2026-03-02.01", "INVALID_POSITION")]
)
def test_an_unusable_token_is_refused(world: World, token: str, reason: str) -> None:
    with pytest.raises(grpc.RpcError) as call:
        next(world.stub.WatchIndicators(pb.WatchIndicatorsRequest(resume_token=token), timeout=30))
    assert refused(call) == reason


def test_a_rebuilt_view_counts_the_same(engine: Engine, tmp_path: Path) -> None:
    keys = MemoryKeys()
    with warehouse(tmp_path, keys) as running:
        for event in history():  # each in a batch of its own
            running.happened(event)
        before = [running.rows(table) for table in ("counted_dossiers_v2", "indicators_v2")]
    engine.lose_views(tmp_path)
    with warehouse(tmp_path, keys) as rebuilt:
        rebuilt.settled()
        assert [rebuilt.rows(table) for table in ("counted_dossiers_v2", "indicators_v2")] == before
