"""A procedure without a fault, for tests to bend."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from services.law.deadlines import Term, Unit
from services.law.definitions import (
    AgencyKind,
    Authority,
    Channel,
    ChannelRule,
    Charge,
    ChargeBasis,
    Circumstance,
    Component,
    ComponentSource,
    Exemption,
    Fee,
    FeeCondition,
    Form,
    Json,
    Level,
    OnlineLevel,
    Procedure,
    Result,
    Sector,
    Step,
    Text,
)
from tests.support.shipped import shipped

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "title": "Họ tên"},
        "late": {"type": "boolean", "title": "Quá hạn"},
        "copies": {"type": "integer", "title": "Số bản", "minimum": 1},
    },
}
UI: dict[str, Any] = {
    "fields": {"name": {"en": "Name"}, "late": {"en": "Late"}, "copies": {"en": "Copies", "count": "copy"}}
}


def form(schema: object = SCHEMA, ui: object = UI) -> Form:
    return Form(Json(json.dumps(schema)), Json(json.dumps(ui)))


def text(vi: str = "Tên", en: str = "Name") -> Text:
    return Text(vi, en)


COMMUNE = Authority(Level.COMMUNE, AgencyKind.PEOPLES_COMMITTEE)
CHARGE = Charge("copy", text("Bản sao", "Copy"), ChargeBasis.FIXED, 8_000, per="copy")
COMPONENT = Component("notice", text("Giấy báo", "Notice"), True, (ComponentSource.PAPER, ComponentSource.ATTACHMENT))
PROCEDURE = Procedure(
    code="1.000656",
    version=1,
    name=text("Đăng ký khai tử", "Death registration"),
    sector=Sector("civil-status", text("Hộ tịch", "Civil status")),
    authorities=(COMMUNE,),
    valid_from="2025-07-01",
    channels=(
        ChannelRule(Channel.COUNTER, Term(3, Unit.WORKING_DAYS)),
        ChannelRule(Channel.ONLINE, Term(0, Unit.SAME_DAY)),
    ),
    fee=Fee(FeeCondition.RECEPTION, (CHARGE,), (Exemption("poor", text("Hộ nghèo", "Poor"), 50, "Luật"),)),
    circumstances=(Circumstance("late", text("Quá hạn", "Late"), "late", Json("true")),),
    components=(COMPONENT,),
    form=form(),
    steps=(Step("receive", text("Tiếp nhận", "Receive"), "receptionist", Term(1, Unit.HOURS)),),
    results=(Result("death-certificate", text("Trích lục khai tử", "Extract")),),
    online_level=OnlineLevel.FULL,
    loa=1,
    legal_basis=("60/2014/QH13",),
)


def charged(**changes: Any) -> Procedure:
    return replace(PROCEDURE, fee=Fee(FeeCondition.RECEPTION, (replace(CHARGE, **changes),)))


catalogue = shipped
