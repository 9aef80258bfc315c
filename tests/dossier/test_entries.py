"""What an entry of a dossier's history says of an event: every field that is set, with its type, and numbers exactly."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.dossier.v1 import dossier_pb2
from services.chassis.deciding.facts import message_class
from services.chassis.privacy.sealing import ERASED, sealed_fields
from services.dossier.entries import fields_of, public_entry_of
from tests.support.facts import fact_of
from tests.support.messages import messages

EVENTS = [
    message_class(f"motcua.dossier.events.v1.{name}")
    for name, message in facts.DESCRIPTOR.message_types_by_name.items()
    if {"at", "by"} <= set(message.fields_by_name)
]
AT = Timestamp(seconds=1_772_416_800)
ASSESSED = facts.FeeAssessed(
    code="H29-1",
    at=AT,
    amount=2**53 + 1,
    items=[facts.FeeItem(name="Lệ phí", amount=2**53 + 1)],
    condition=facts.FEE_CONDITION_RESULT,
    stops_unpaid=True,
)


def told(fields: Any) -> dict[str, Any]:
    return {field.name: plain(field.value) for field in fields}


def plain(value: dossier_pb2.HistoryValue) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "list":
        return [plain(each) for each in value.list.values]
    if kind == "fields":
        return told(value.fields.fields)
    return getattr(value, str(kind))


def test_a_value_keeps_its_type_and_every_digit() -> None:
    assert told(fields_of(ASSESSED, {})) == {
        "code": "H29-1",
        "at": AT,
        "amount": 9_007_199_254_740_993,
        "items": [{"name": "Lệ phí", "amount": 9_007_199_254_740_993}],
        "condition": "FEE_CONDITION_RESULT",
        "stops_unpaid": True,
    }


def test_what_is_sealed_is_told_where_it_was_opened() -> None:
    submitted = facts.DossierSubmitted(code="H29-1", applicant_name=b"sealed", form=b"sealed", email=b"sealed")
    opened = {"applicant_name": "Nguyễn Văn A", "form": '{"children": [{"name": "An"}]}'}
    assert told(fields_of(submitted, opened)) == {
        "code": "H29-1",
        "applicant_name": "Nguyễn Văn A",
        "form": ParseDict({"children": [{"name": "An"}]}, Struct()),
    }
    assert told(fields_of(submitted, {"form": ERASED})) == {"code": "H29-1", "form": ERASED}


def test_everybody_sees_no_more_than_is_public() -> None:
    entry = public_entry_of(fact_of(facts.DossierRefused(code="H29-1", at=AT, by="official-1", reason=b"sealed")))
    assert entry.by == ""
    assert {field.name for field in entry.fields} <= {"code", "at", "agency"}


@given(data=st.data())
def test_every_field_that_is_set_is_told(data: st.DataObject) -> None:
    fact = data.draw(st.sampled_from(EVENTS).flatmap(messages))
    found = told(fields_of(fact, dict.fromkeys(sealed_fields(fact.DESCRIPTOR), "{}")))
    assert list(found) == [field.name for field, _ in fact.ListFields()]
