"""The domain and its contract say the same."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

from motcua.options.v1 import errors_pb2 as common_errors_pb2
from motcua.payment.events.v1 import events_pb2
from motcua.payment.v1 import errors_pb2
from services.payment import domain, events


def test_facts_have_the_fields_of_their_messages() -> None:
    messages = {
        name: {field.name for field in message.fields}
        for name, message in events_pb2.DESCRIPTOR.message_types_by_name.items()
    }
    facts = {fact.__name__: {f.name for f in fields(fact)} for fact in (*get_args(events.Event), events.FeeItem)}
    assert facts == messages


def test_enums_have_the_numbers_of_their_protos() -> None:
    for enum in (events.PaymentMethod, events.CancelCause, events.RefundCause, events.CallbackFault):
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.__name__).upper()
        numbers = dict(events_pb2.DESCRIPTOR.enum_types_by_name[enum.__name__].values_by_name.items())
        stated = {name.removeprefix(f"{prefix}_"): value.number for name, value in numbers.items() if value.number}
        assert stated == {member.name: member.value for member in enum}


def test_every_refusal_has_its_text_and_every_text_its_refusal() -> None:
    sources = "".join(path.read_text("utf-8") for path in Path(domain.__file__).parent.glob("*.py"))
    raised = set(re.findall(r'Refused\(\s*"([A-Z_]+)"', sources))
    common = {name.removeprefix("COMMON_ERROR_") for name, _ in common_errors_pb2.CommonError.items()}
    names = {name.removeprefix("PAYMENT_ERROR_") for name, _ in errors_pb2.PaymentError.items()}
    assert raised - common == names - {"UNSPECIFIED"}
