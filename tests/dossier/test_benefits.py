"""An exemption that a person may use once a year: over gRPC, at the year's end in Vietnam, and side by side."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from motcua.catalogue.events.v1 import events_pb2 as catalogue
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from services.chassis.following.in_force import SHAPES
from services.dossier.service import DossierService
from services.law.definitions import (
    Charge,
    ChargeBasis,
    Exemption,
    Fee,
    FeeCondition,
    Ground,
    Json,
    Text,
)
from services.law.fees import in_period
from tests.dossier.test_jobs import Jobs
from tests.dossier.test_service import PROCEDURE_OF_ONE_COMPONENT, refused, submission
from tests.dossier.world import at
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys

ONCE = Exemption(
    "second-hand", Text("Mỗi năm một lần", "Once a year"), 50, "Luật", (Ground("late", Json("true")),), uses=1
)
BY_HAND = Exemption("card", Text("Có thẻ", "With a card"), 100, "Luật", uses=1)
YEARLY = replace(
    PROCEDURE_OF_ONE_COMPONENT,
    code="1.000659",
    fee=Fee(FeeCondition.RECEPTION, (Charge("fee", Text("Lệ phí", "Fee"), ChargeBasis.FIXED, 8_000),), (ONCE, BY_HAND)),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    folder, keys = tmp_path_factory.mktemp("benefits"), MemoryKeys()
    service = type("Hosted", (DossierService,), {"key_ring": staticmethod(lambda *_: keys)})
    shift: Path = folder / "shift"
    with (
        hosted(folder, [service], clock_shift_file=shift) as host,
        grpc.insecure_channel(host.address("dossier")) as channel,
    ):
        made = Jobs(host, DossierServiceStub(channel), keys, shift)
        written: Any = SHAPES["procedure"].write(YEARLY)
        made.put("procedure-2", catalogue.ProcedurePublished(procedure=written))
        made.open()
        for citizen in ("citizen-1", "citizen-2", "citizen-3"):
            made.upload(made.citizen(citizen))
        made.register("citizen-3")
        yield made


def submit(site: Jobs, who: str, *, late: bool = True) -> str:
    request = submission(procedure_code=YEARLY.code)
    request.form["late"] = late
    return site.stub.SubmitDossier(request, metadata=site.citizen(who)).code


def owed(site: Jobs, code: str, who: str) -> int:
    found = site.stub.GetDossier(pb.GetDossierRequest(code=code), metadata=site.citizen(who)).dossier
    return sum(fee.amount for fee in found.fees)


def test_it_is_used_once_in_a_calendar_year_of_vietnam(site: Jobs) -> None:
    me, prices = "citizen-1", []
    for moment in ("2026-12-31T23:40", "2026-12-31T23:50", "2027-01-01T00:01", "2027-01-01T07:30"):
        site.at(at(moment))
        prices.append(owed(site, submit(site, me), me))
    assert prices == [4_000, 8_000, 4_000, 8_000]


def test_of_two_dossiers_side_by_side_one_uses_it(site: Jobs) -> None:
    site.now(0)
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: submit(site, "citizen-2"), range(4)))
    assert sorted(owed(site, code, "citizen-2") for code in codes) == [4_000, 8_000, 8_000, 8_000]


def test_an_official_grants_it_once_and_a_dossier_that_was_refused_used_nothing(site: Jobs) -> None:
    site.now(0)
    clerk, me = site.official(), "citizen-3"

    def waive(code: str) -> Any:
        dossier = site.stub.GetDossier(pb.GetDossierRequest(code=code), metadata=site.citizen(me)).dossier
        fields = {"fee_id": dossier.fees[-1].fee_id, "exemption_code": "card", "reason": "Xuất trình thẻ còn hạn"}
        return site.do("WaiveFee", clerk, code=code, **fields)

    first, second = submit(site, me, late=False), submit(site, me, late=False)
    assert waive(first).waived == 8_000
    assert refused(lambda: waive(second)) == "EXEMPTION_USED"
    site.do("RefuseDossier", clerk, code=first, reason="Không thuộc thẩm quyền của phường")
    assert waive(second).waived == 8_000
    # The form's own is another exemption.
    assert owed(site, submit(site, me), me) == 4_000


@pytest.mark.parametrize(
    ("months", "used", "day", "counts"),
    [
        (0, "2026-01-01", "2026-12-31", True),
        (0, "2026-12-31", "2027-01-01", False),
        (12, "2026-03-16", "2027-03-15", True),
        (12, "2026-03-15", "2027-03-15", False),
        (1, "2027-02-28", "2027-03-31", False),
        (1, "2027-03-01", "2027-03-31", True),
    ],
)
def test_a_definition_may_count_months_instead_of_the_calendar_year(
    months: int, used: str, day: str, counts: bool
) -> None:
    assert in_period(replace(ONCE, use_months=months), used, day) is counts
