import unicodedata
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from motcua.catalogue.v1 import catalogue_service_pb2 as catalogue
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.types.v1 import types_pb2 as types
from services.chassis.calls import requests
from services.chassis.calls.statuses import RequestInvalid

ID = str(uuid4())


def faults(request: Any) -> list[str]:
    with pytest.raises(RequestInvalid) as refused:
        requests.check(request)
    invalid = refused.value
    assert (invalid.reason, invalid.facts) == ("INVALID_REQUEST", {"count": str(len(invalid.violations))})
    assert all(violation.vi and violation.en for violation in invalid.violations)
    return [violation.field for violation in invalid.violations]


def submission(**fields: Any) -> pb.SubmitDossierRequest:
    known: dict[str, Any] = {
        "request_id": ID,
        "procedure_code": "1.001193",
        "channel": 2,
        "reception_agency": "H29",
        "delivery_method": 1,
    }
    return pb.SubmitDossierRequest(**(known | fields))


def form(value: Any) -> Struct:
    made = Struct()
    made["answer"] = value
    return made


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


def test_a_sound_request_passes() -> None:
    component = pb.GivenComponent(component_code="deed", source=types.COMPONENT_SOURCE_PAPER)
    answers = form({"name": "Nguyễn Văn A", "copies": 3, "married": False, "none": None, "children": [1.5, "x"]})
    requests.check(submission(components=[component], form=answers))


def test_all_faults_are_named_at_once() -> None:
    request = submission(request_id="no uuid", procedure_code="", channel=99, reception_agency="", delivery_method=0)
    assert faults(request) == ["request_id", "procedure_code", "channel", "reception_agency", "delivery_method"]


@pytest.mark.parametrize("request_id", ["{" + ID + "}", ID.replace("-", ""), "urn:uuid:" + ID, "x" * 36], ids=range(4))
def test_a_request_id_is_a_plain_uuid(request_id: str) -> None:
    assert faults(pb.ReceiveDossierRequest(request_id=request_id, code="x")) == ["request_id"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (submission(procedure_code="a\0b"), "procedure_code"),
        (submission(procedure_code="1" * 201), "procedure_code"),
        (submission(applicant_name="x" * 20_001), "applicant_name"),
        (submission(components=[{"component_code": "z\0", "source": 1}]), "components[0].component_code"),
        (submission(components=[{"component_code": "z" * 201, "source": 1}]), "components[0].component_code"),
        (submission(components=[{"component_code": "z", "source": 99}]), "components[0].source"),
        (submission(components=[{"component_code": "z", "source": 1}] * 201), "components"),
        (submission(delivery_method=77), "delivery_method"),
        (submission(form=form("a\0b")), "form"),
        (submission(form=form({"a\0b": 1})), "form"),
        (submission(form=form(float("inf"))), "form"),
        (submission(form=form(float("nan"))), "form"),
        (submission(form=form(1e308)), "form"),
        (submission(form=form(nested(20))), "form"),
        (submission(form=form("x" * 131_073)), "form"),
        (
            pb.RequestSupplementRequest(request_id=ID, code="x", component_codes=["y" * 3_000_000], explanation="e"),
            "component_codes[0]",
        ),
        (pb.ListWorkRequest(page_size=-1), "page_size"),
        (pb.ListWorkRequest(page_size=201), "page_size"),
        (catalogue.QuoteFeeRequest(counts={"a\0": 1}), "counts[0]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(request_: Any, field: str) -> None:
    assert field in faults(request_)


@pytest.mark.parametrize(("seconds", "nanos"), [(5 * 10**12, 0), (-1, 0), (4_102_444_800, 0), (0, -1), (0, 10**9)])
def test_moments_are_of_this_age(seconds: int, nanos: int) -> None:
    due = Timestamp(seconds=seconds, nanos=nanos)
    request = pb.ExtendDeadlineRequest(request_id=ID, code="x", due_at=due, reason="because it is so", signer="x")
    assert faults(request) == ["due_at"]


def test_a_page_has_fifty_rows_unless_the_caller_says_so() -> None:
    assert requests.page_size(pb.ListWorkRequest()) == 50
    assert requests.page_size(pb.ListWorkRequest(page_size=7)) == 7


DECOMPOSED, COMPOSED = "e\u0302\u0301", "ế"


@given(st.text(st.sampled_from("aế \u0302\u0301\u0323đe"), max_size=30))
def test_text_is_in_one_form_before_anything_reads_it(written: str) -> None:
    """Wherever it stands: fields, lists, maps and answers, with their names."""
    text = unicodedata.normalize("NFC", written)
    for request in (
        pb.RequestSupplementRequest(
            request_id=ID, code="x", component_codes=[written or "x"], explanation=written + "."
        ),
        catalogue.QuoteFeeRequest(
            procedure_code="1", province="56", channel=types.CHANNEL_COUNTER, counts={written or "x": 1}
        ),
        submission(form={"answer " + written: written, "in": {"list": [written, {"x": written}]}}),
    ):
        requests.check(request)
        assert unicodedata.is_normalized("NFC", str(MessageToDict(request)))
    request = submission(form={"answer": written})
    requests.check(request)
    assert request.form["answer"] == text


def test_two_answers_do_not_become_one() -> None:
    assert faults(submission(form={DECOMPOSED: "1", COMPOSED: "2"})) == [f"form.{DECOMPOSED}"]


def test_a_length_is_that_of_what_is_kept() -> None:
    request = pb.GetDossierRequest(code=DECOMPOSED * 200)
    requests.check(request)
    assert request.code == COMPOSED * 200
    assert faults(pb.GetDossierRequest(code=DECOMPOSED * 201)) == ["code"]
