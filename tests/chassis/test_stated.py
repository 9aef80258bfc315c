"""What is stated beside a request: two headers, read as texts of requests are, once each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.calls import requests
from services.chassis.calls.stated import DOSSIER, PURPOSE, Stated, stated_in
from services.chassis.calls.statuses import RequestInvalid, Violation
from services.chassis.text.dossier_codes import code_in

CODE = "P56.22.366-20260302-0000001"
SETTLE = (PURPOSE, "settle")


def read(*metadata: tuple[str, str]) -> tuple[Stated, list[str]]:
    violations: list[Violation] = []
    return stated_in(metadata, violations), [violation.field for violation in violations]


@pytest.mark.parametrize(
    ("metadata", "stated", "faults"),
    [
        ((), Stated(), []),
        ((SETTLE, ("authorization", "Bearer x")), Stated("settle"), []),
        ((SETTLE, (DOSSIER, CODE)), Stated("settle", CODE), []),
        (((DOSSIER, f" Mã: {CODE} "),), Stated("", CODE), []),
        ((SETTLE, SETTLE), Stated("settle"), [PURPOSE]),
        ((SETTLE, (PURPOSE, "inspect"), (DOSSIER, "")), Stated("inspect"), [PURPOSE]),
        (((DOSSIER, f"{CODE} {CODE[:-1]}2"),), Stated("", f"{CODE} {CODE[:-1]}2"), [DOSSIER]),
        (((PURPOSE, "x" * 201),), Stated("x" * 201), [PURPOSE]),
        (((PURPOSE, "a\0b"),), Stated("a\0b"), [PURPOSE]),
    ],
)
def test_headers_are_read_as_texts_are(
    metadata: tuple[tuple[str, str], ...], stated: Stated, faults: list[str]
) -> None:
    assert read(*metadata) == (stated, faults)


@given(st.lists(st.tuples(st.sampled_from([PURPOSE, DOSSIER, "x-purpose"]), st.text(max_size=300)), max_size=4))
def test_whatever_is_sent_is_bounded_or_a_fault(metadata: list[tuple[str, str]]) -> None:
    stated, faults = read(*metadata)
    for name, value in ((PURPOSE, stated.purpose), (DOSSIER, stated.dossier)):
        sent = [written for header, written in metadata if header == name]
        assert bool(value) <= bool(sent)
        assert name in faults or (len(sent) <= 1 and len(value) <= requests.LONGEST_NAME)
    if DOSSIER not in faults and code_in(stated.dossier):
        assert stated.dossier == code_in(stated.dossier)


def test_faults_beside_a_request_are_told_with_its_own() -> None:
    with pytest.raises(RequestInvalid) as refused:
        requests.check(pb.GetDossierRequest(), [Violation(PURPOSE, "hai lần", "twice")])
    assert [violation.field for violation in refused.value.violations] == [PURPOSE, "code"]
