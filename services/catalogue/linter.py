"""Everything that is wrong with a procedure's definition, at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from services.catalogue import form_lint
from services.catalogue.values import LARGEST_AMOUNT, LEAST_AMOUNT
from services.law import forms
from services.law.dated import first_day
from services.law.days import is_day
from services.law.deadlines import Term, Unit
from services.law.definitions import (
    AgencyKind,
    Authority,
    Channel,
    ChannelRule,
    Charge,
    ChargeBasis,
    Component,
    ComponentSource,
    Exemption,
    Fee,
    FeeCondition,
    Form,
    Ground,
    Level,
    OnlineLevel,
    PartialReason,
    Procedure,
    Result,
    Step,
    Text,
    UnpaidConsequence,
)

ROLES = ("receptionist", "processor", "approver", "cashier")
# What a database of the state or the warehouse holds, so that nobody may be made to bring it on paper.
HELD = frozenset(
    {
        "birth-certificate",
        "business-registration",
        "death-certificate",
        "driving-licence",
        "health-insurance-card",
        "household-business-registration",
        "land-certificate",
        "marital-status-confirmation",
        "marriage-certificate",
        "permanent-residence",
        "residence-confirmation",
        "temporary-residence",
        "vehicle-registration",
    }
)

_PROCEDURE_CODE = re.compile(r"\d\.\d{6}", re.ASCII)
_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_IDENTITY_CARD = re.compile(
    r"cccd|cmnd|căn cước|chứng minh nhân dân|identity[ -]card|citizen card|id[ -]card", re.IGNORECASE
)
_COUNCIL = re.compile(r"hđnd|hội đồng nhân dân|people['’]s council|the council", re.IGNORECASE)
_PATH = re.compile(r"[a-z][a-z_]*(\[\d+\])?(\.[a-z][a-z_]*(\[\d+\])?)*", re.ASCII)
MOST_MONTHS = 1200
MOST_USES = 100
OLDEST = 130


@dataclass(frozen=True, slots=True)
class Fault:
    code: str
    path: str
    text: Text


def lint(procedure: Procedure) -> Iterator[Fault]:
    yield from _identity(procedure)
    for index, authority in enumerate(procedure.authorities):
        yield from _authority(authority, f"authorities[{index}]")
    yield from _channels(procedure)
    yield from _fee(procedure.fee, procedure)
    for index, component in enumerate(procedure.components):
        yield from _component(component, f"components[{index}]", procedure)
    yield from _form(procedure.form, procedure)
    for index, step in enumerate(procedure.steps):
        yield from _step(step, f"steps[{index}]")
    yield from _children(procedure)
    yield from _codes(procedure)
    for index, unverified in enumerate(procedure.unverified):
        path = f"unverified[{index}]"
        yield from _text(unverified.reason, f"{path}.reason")
        if not _resolves(procedure, unverified.path):
            yield _fault(
                "UNVERIFIED_PATH",
                path,
                f"Không có mục {unverified.path!r} trong thủ tục.",
                f"The definition has nothing at {unverified.path!r}.",
            )


def _fault(code: str, path: str, vi: str, en: str) -> Fault:
    return Fault(code, path, Text(vi, en))


def _text(text: Text, path: str) -> Iterator[Fault]:
    if not text.vi.strip() or not text.en.strip():
        yield _fault("TEXT_MISSING", path, "Thiếu tên tiếng Việt hoặc tiếng Anh.", "Vietnamese or English is missing.")


def _identity(procedure: Procedure) -> Iterator[Fault]:
    if not _PROCEDURE_CODE.fullmatch(procedure.code):
        yield _fault(
            "CODE_INVALID", "code", "Mã thủ tục phải có dạng 1.001193.", "A procedure's code looks like 1.001193."
        )
    yield from _text(procedure.name, "name")
    yield from _text(procedure.sector.name, "sector.name")
    for path, value in (("valid_from", procedure.valid_from), ("valid_until", procedure.valid_until)):
        if not is_day(value) and (value or path == "valid_from"):
            yield _fault("DATE_INVALID", path, "Ngày phải có dạng 2026-08-08.", "A date looks like 2026-08-08.")
    missing = (
        ("AUTHORITY_MISSING", "authorities", "cơ quan có thẩm quyền", "no competent authority", procedure.authorities),
        ("RESULT_MISSING", "results", "kết quả", "no result", procedure.results),
        ("STEPS_MISSING", "steps", "quy trình nội bộ", "no internal steps", procedure.steps),
        ("LEGAL_BASIS_MISSING", "legal_basis", "căn cứ pháp lý", "no legal basis", procedure.legal_basis),
        ("CHANNEL_MISSING", "channels", "hình thức nộp hồ sơ", "no channel", procedure.channels),
    )
    for code, path, vi, en, given in missing:
        if not given:
            yield _fault(code, path, f"Thiếu {vi}.", f"It has {en}.")
    for index, result in enumerate(procedure.results):
        yield from _text(result.name, f"results[{index}].name")
        if not _CODE.fullmatch(result.document_kind):
            yield _code_fault(f"results[{index}].document_kind")
        yield from _kept(result, f"results[{index}]")


def _authority(authority: Authority, path: str) -> Iterator[Fault]:
    if authority.level is Level.UNSPECIFIED or authority.kind is AgencyKind.UNSPECIFIED:
        yield _fault(
            "AUTHORITY_VAGUE", path, "Thiếu cấp hoặc loại cơ quan.", "The authority's level or kind is missing."
        )
    if (authority.kind is AgencyKind.DEPARTMENT) != bool(authority.field):
        yield _fault(
            "AUTHORITY_FIELD",
            f"{path}.field",
            "Sở phải có lĩnh vực; cơ quan khác thì không.",
            "A department needs a field; no other agency has one.",
        )


def _channels(procedure: Procedure) -> Iterator[Fault]:
    for index, rule in enumerate(procedure.channels):
        path = f"channels[{index}]"
        if rule.channel is Channel.UNSPECIFIED:
            yield _fault("CHANNEL_VAGUE", path, "Thiếu hình thức nộp.", "The channel is not named.")
        yield from _rule_term(rule, path)
    online = any(rule.channel is Channel.ONLINE for rule in procedure.channels)
    if online and not procedure.form:
        yield _fault(
            "FORM_MISSING",
            "form",
            "Nộp trực tuyến phải có biểu mẫu điện tử.",
            "A procedure offered online needs an electronic form.",
        )
    if online != (procedure.level in (OnlineLevel.PARTIAL, OnlineLevel.FULL)):
        yield _fault(
            "ONLINE_LEVEL",
            "online_level",
            "Mức độ trực tuyến không khớp với hình thức nộp.",
            "The online level does not agree with the channels.",
        )
    lasts = not procedure.valid_until or procedure.valid_until >= first_day("full_online")
    if (procedure.level is OnlineLevel.PARTIAL and lasts) != (
        procedure.partial_reason is not PartialReason.UNSPECIFIED
    ):
        yield _fault(
            "PARTIAL_REASON",
            "partial_reason",
            "Trực tuyến một phần từ 01/7/2026 phải nêu lý do; toàn trình thì không.",
            "What is partly online on or after 1 July 2026 says why; nothing else does.",
        )
    if online and procedure.loa < 1:
        yield _fault(
            "LOA_MISSING", "loa", "Thiếu mức độ định danh.", "An online procedure states its level of assurance."
        )


def _rule_term(rule: ChannelRule, path: str) -> Iterator[Fault]:
    if (rule.term is None) != rule.term_not_listed:
        yield _fault(
            "TERM_MISSING",
            f"{path}.term",
            "Phải có thời hạn, hoặc ghi rõ pháp luật không quy định; không cả hai.",
            "It states a time, or that the law lists none; never both.",
        )
    if rule.term:
        yield from _term(rule.term, f"{path}.term")


def _term(term: Term, path: str) -> Iterator[Fault]:
    if term.unit is Unit.UNSPECIFIED:
        yield _fault(
            "TERM_WITHOUT_UNIT",
            path,
            f"Thời hạn {term.amount} thiếu đơn vị (ngày làm việc, ngày, giờ, tháng).",
            f"The time {term.amount} has no unit (working days, days, hours, months).",
        )
    if (term.amount < 1) != (term.unit is Unit.SAME_DAY) or term.amount < 0:
        yield _fault(
            "TERM_AMOUNT",
            path,
            "Thời hạn phải từ 1 trở lên; 'trong ngày' không có số lượng.",
            "A time is at least 1; 'same day' has no amount.",
        )


def _fee(fee: Fee | None, procedure: Procedure) -> Iterator[Fault]:
    if fee is None:
        yield _fault(
            "FEE_MISSING",
            "fee",
            "Thiếu phí, lệ phí; nếu không thu thì ghi rõ.",
            "It states no fee; a free procedure says so.",
        )
        return
    if (fee.condition is FeeCondition.UNSPECIFIED) == bool(fee.charges):
        yield _fault(
            "FEE_CONDITION",
            "fee.condition",
            "Có thu thì phải ghi thời điểm nộp; không thu thì không ghi.",
            "A fee says when it must be paid; a free procedure does not.",
        )
    for index, charge in enumerate(fee.charges):
        yield from _charge(charge, f"fee.charges[{index}]", procedure)
    for index, exemption in enumerate(fee.exemptions):
        path = f"fee.exemptions[{index}]"
        yield from _text(exemption.name, f"{path}.name")
        if not 1 <= exemption.percent <= 100 or not exemption.legal_basis:
            yield _fault(
                "EXEMPTION_INVALID",
                path,
                "Miễn, giảm phải từ 1 đến 100 % và có căn cứ pháp lý.",
                "An exemption is 1 to 100 % and has a legal basis.",
            )
        yield from _exemption(exemption, path, fee)
    yield from _pay_within(fee)


def _exemption(exemption: Exemption, path: str, fee: Fee) -> Iterator[Fault]:
    known = {charge.code for charge in fee.charges}
    for index, code in enumerate(exemption.charge_codes):
        if code not in known:
            yield _fault(
                "CHARGE_UNKNOWN",
                f"{path}.charge_codes[{index}]",
                f"Không có khoản thu {code!r}.",
                f"There is no charge {code!r}.",
            )
    days = (exemption.valid_from, exemption.valid_until)
    if not all(is_day(day) for day in days if day) or (all(days) and days[0] > days[1]):
        yield _fault(
            "EXEMPTION_DATES",
            path,
            "Ngày hiệu lực phải có dạng 2026-08-15, ngày cuối không trước ngày đầu.",
            "Its days are written as 2026-08-15, the last not before the first.",
        )
    if exemption.maximum and exemption.maximum < LEAST_AMOUNT:
        yield _fault(
            "AMOUNT_SUSPECT",
            f"{path}.maximum",
            f"{exemption.maximum} đồng là không hợp lý; có thể thiếu ba số 0.",
            f"{exemption.maximum} đồng cannot be right; perhaps thousands are meant.",
        )
    if not (0 <= exemption.uses <= MOST_USES and 0 <= exemption.use_months <= MOST_MONTHS) or (
        exemption.use_months and not exemption.uses
    ):
        yield _fault(
            "EXEMPTION_USES",
            f"{path}.uses",
            f"Số lần dùng từ 1 đến {MOST_USES} trong một năm, hoặc trong use_months từ 1 đến {MOST_MONTHS} tháng.",
            f"It may be used 1 to {MOST_USES} times a year, or within use_months of 1 to {MOST_MONTHS}.",
        )
    for index, ground in enumerate(exemption.grounds):
        yield from _ground(ground, f"{path}.grounds[{index}]")


def _ground(ground: Ground, path: str) -> Iterator[Fault]:
    aged = ground.age_from or ground.age_under
    ages = 0 <= ground.age_from <= OLDEST and 0 <= ground.age_under <= OLDEST
    ordered = not ground.age_under or ground.age_from < ground.age_under
    by_form = bool(aged) != bool(ground.form_value)
    if not (by_form or ground.document_kind or ground.account_level) or by_form != bool(ground.form_field):
        yield _fault(
            "GROUND_HALF",
            path,
            "Căn cứ phải nêu một trường của biểu mẫu cùng giá trị hoặc độ tuổi, một loại giấy tờ, hoặc mức tài khoản.",
            "A ground names a field of the form with its value or with an age, a document kind, or an account's level.",
        )
    if not (ages and ordered and ground.account_level in (0, 1, 2)):
        yield _fault(
            "GROUND_RANGE",
            path,
            f"Tuổi phải từ 0 đến {OLDEST}, dưới lớn hơn từ; mức tài khoản là 1 hoặc 2.",
            f"Ages lie between 0 and {OLDEST} in their order; an account's level is 1 or 2.",
        )
    if ground.form_value and not forms.is_plain(ground.form_value):
        yield _fault(
            "CIRCUMSTANCE_VALUE",
            f"{path}.form_value",
            "Giá trị phải là một chuỗi, số, true hoặc false viết theo JSON.",
            "The value is a string, a number, true or false, in JSON.",
        )


def _pay_within(fee: Fee) -> Iterator[Fault]:
    if fee.pay_within is not None:
        yield from _term(fee.pay_within, "fee.pay_within")
    stops = fee.unpaid is UnpaidConsequence.STOP
    if stops and (fee.pay_within is None or fee.condition is FeeCondition.RESULT):
        yield _fault(
            "UNPAID_CONSEQUENCE",
            "fee.unpaid",
            "Chỉ dừng hồ sơ khi có thời hạn nộp và khoản thu không gắn với việc trả kết quả.",
            "Only a fee with a time to pay stops a dossier, and not one that the result waits for.",
        )


def _charge(charge: Charge, path: str, procedure: Procedure) -> Iterator[Fault]:
    yield from _text(charge.name, f"{path}.name")
    if charge.basis is ChargeBasis.UNSPECIFIED:
        yield _fault("CHARGE_BASIS", f"{path}.basis", "Thiếu cách tính.", "It does not say how it is reckoned.")
    for where, amount in _amounts(charge, path):
        if amount < 0 or 0 < amount < LEAST_AMOUNT:
            yield _fault(
                "AMOUNT_SUSPECT",
                where,
                f"{amount} đồng là không hợp lý; có thể thiếu ba số 0.",
                f"{amount} đồng cannot be right; perhaps thousands are meant.",
            )
        if amount > LARGEST_AMOUNT:
            yield _fault(
                "AMOUNT_TOO_LARGE",
                where,
                f"Mức thu nhiều nhất là {LARGEST_AMOUNT} đồng.",
                f"A charge is {LARGEST_AMOUNT} đồng at most.",
            )
    for name, unit in (("per", charge.per), ("unit", charge.unit)):
        if unit and form_lint.uncounted(procedure.form, unit):
            yield _fault(
                "COUNT_UNASKED",
                f"{path}.{name}",
                f"Không trường nào của biểu mẫu đếm {unit!r} (count).",
                f"No field of the form counts {unit!r} (its hint count).",
            )
    if charge.basis is ChargeBasis.COUNCIL and charge.amount:
        yield _fault(
            "COUNCIL_AMOUNT",
            f"{path}.amount",
            "Mức thu do Hội đồng nhân dân quyết định nằm ở nghị quyết của tỉnh, không ở thủ tục.",
            "What the Council sets stands in the province's overlay, not in the definition.",
        )
    if (
        charge.basis is ChargeBasis.FIXED
        and charge.amount == 0
        and _COUNCIL.search(f"{charge.name.vi} {charge.name.en}")
    ):
        yield _fault(
            "FREE_BUT_COUNCIL",
            path,
            "Ghi miễn phí nhưng thực ra do Hội đồng nhân dân quyết định.",
            "It says free where the People's Council decides.",
        )
    if (charge.basis is ChargeBasis.TIERED) != bool(charge.tiers) or bool(charge.tiers) != bool(charge.unit):
        yield _fault(
            "TIERS_INVALID",
            f"{path}.tiers",
            "Thu theo bậc phải có bậc và đơn vị; cách khác thì không.",
            "A tiered charge has tiers and a unit; no other has.",
        )
    starts = [tier.start for tier in charge.tiers]
    if starts and (starts[0] != 1 or starts != sorted(set(starts))):
        yield _fault(
            "TIERS_ORDER", f"{path}.tiers", "Các bậc phải tăng dần, bắt đầu từ 1.", "Tiers ascend, the first from 1."
        )
    if not set(charge.channels) <= {rule.channel for rule in procedure.channels}:
        yield _fault(
            "CHARGE_CHANNEL",
            f"{path}.channels",
            "Thu ở hình thức nộp không có trong thủ tục.",
            "It is charged on a channel that is not offered.",
        )
    yield from _circumstance((charge.only_if, charge.unless), path, procedure)


def _amounts(charge: Charge, path: str) -> Iterator[tuple[str, int]]:
    yield f"{path}.amount", charge.amount
    yield f"{path}.maximum", charge.maximum
    for index, tier in enumerate(charge.tiers):
        yield f"{path}.tiers[{index}].amount", tier.amount


def _circumstance(codes: Iterable[str], path: str, procedure: Procedure) -> Iterator[Fault]:
    known = {circumstance.code for circumstance in procedure.circumstances}
    for code in codes:
        if code and code not in known:
            yield _fault(
                "CIRCUMSTANCE_UNKNOWN",
                path,
                f"Trường hợp {code!r} chưa được khai báo.",
                f"The circumstance {code!r} is not declared.",
            )


def _kept(kept: Component | Result, path: str) -> Iterator[Fault]:
    """What is said of how the warehouse keeps it."""
    if not 0 <= kept.valid_months <= MOST_MONTHS:
        yield _fault(
            "VALIDITY_IMPOSSIBLE",
            f"{path}.valid_months",
            f"Số tháng có giá trị phải từ 0 (không thời hạn) đến {MOST_MONTHS}.",
            f"It is good for 0 (for ever) to {MOST_MONTHS} months.",
        )
    if (kept.valid_months or kept.about_another) and not kept.document_kind:
        yield _fault(
            "DOCUMENT_KIND_MISSING",
            f"{path}.document_kind",
            "Giấy tờ có thời hạn, hoặc của người khác, thì phải có loại giấy tờ.",
            "What ends, or speaks about somebody else, needs a document kind.",
        )


def _is_past_day(name: str, procedure: Procedure) -> bool:
    try:
        rule = forms.parsed(procedure.form.schema)["properties"][name] if procedure.form else None
    except (forms.FormUnusable, LookupError, TypeError):
        return False
    return isinstance(rule, dict) and rule.get("type") == "string" and rule.get("format") == "past-date"


def _component(component: Component, path: str, procedure: Procedure) -> Iterator[Fault]:
    yield from _text(component.name, f"{path}.name")
    yield from _circumstance((component.only_if,), path, procedure)
    yield from _kept(component, path)
    if component.issued_on_field and not _is_past_day(component.issued_on_field, procedure):
        yield _fault(
            "ISSUED_ON_FIELD",
            f"{path}.issued_on_field",
            f"Biểu mẫu không có trường ngày {component.issued_on_field!r} (format past-date).",
            f"The form has no field {component.issued_on_field!r} that is a past-date.",
        )
    sources = set(component.sources)
    if not sources or ComponentSource.UNSPECIFIED in sources:
        yield _fault("SOURCE_MISSING", f"{path}.sources", "Thiếu nguồn.", "It does not say where it may come from.")
    brought = sources & {ComponentSource.PAPER, ComponentSource.ATTACHMENT}
    label = f"{component.code} {component.name.vi} {component.name.en}"
    if brought and (component.document_kind == "identity-card" or _IDENTITY_CARD.search(label)):
        yield _fault(
            "IDENTITY_CARD_COPY",
            path,
            "Không được yêu cầu bản sao căn cước: Cơ sở dữ liệu quốc gia về dân cư đã có.",
            "No copy of an identity card may be asked for: the national population database holds it.",
        )
    elif brought and component.document_kind in HELD and ComponentSource.WAREHOUSE not in sources:
        yield _fault(
            "PAPER_ONLY",
            path,
            "Giấy tờ đã có trong cơ sở dữ liệu thì phải được thay bằng dữ liệu.",
            "A database already holds this document: it must be accepted as data.",
        )
    if ComponentSource.WAREHOUSE in sources and not component.document_kind:
        yield _fault(
            "DOCUMENT_KIND_MISSING",
            f"{path}.document_kind",
            "Lấy từ kho dữ liệu thì phải có loại giấy tờ.",
            "What is taken from the warehouse needs a document kind.",
        )
    if ComponentSource.FORM in sources and not procedure.form:
        yield _fault("SOURCE_FORM", f"{path}.sources", "Thủ tục không có biểu mẫu.", "The procedure has no form.")
    online = any(rule.channel is Channel.ONLINE for rule in procedure.channels)
    if online and procedure.level is OnlineLevel.FULL and sources == {ComponentSource.PAPER}:
        yield _fault(
            "PAPER_ONLINE",
            f"{path}.sources",
            "Dịch vụ toàn trình không được đòi bản giấy.",
            "A full online service cannot ask for paper alone.",
        )


def _form(form: Form | None, procedure: Procedure) -> Iterator[Fault]:
    if form is None:
        return
    try:
        schema, ui = forms.parsed(form.schema), forms.parsed(form.ui)
    except forms.FormUnusable as unusable:
        yield _fault("FORM_NOT_JSON", "form", unusable.vi, unusable.en)
        return
    try:
        forms.compiled(form.schema)
    except forms.FormUnusable as unusable:
        yield _fault("SCHEMA_INVALID", "form.schema", unusable.vi, unusable.en)
        return
    if not isinstance(schema, dict) or schema.get("type") != "object" or not schema.get("properties"):
        yield _fault(
            "SCHEMA_EMPTY", "form.schema", "Biểu mẫu không hỏi gì.", "The form asks for nothing: an object is expected."
        )
        return
    for code, path, vi, en in form_lint.found(form, procedure):
        yield _fault(code, path, vi, en)
    properties: dict[str, Any] = schema["properties"]
    hinted = ui.get("fields") if isinstance(ui, dict) else None
    hinted = hinted if isinstance(hinted, dict) else {}
    shown = {name: hints for name, hints in hinted.items() if isinstance(hints, dict)}
    for name, rule in properties.items():
        if not (isinstance(rule, dict) and rule.get("title") and shown.get(name, {}).get("en")):
            yield _fault(
                "FIELD_WITHOUT_TITLE",
                f"form.schema.properties.{name}",
                "Trường thiếu tiêu đề tiếng Việt (title) hoặc tiếng Anh (ui.fields).",
                "The field lacks its Vietnamese title, or its English one in ui.fields.",
            )
    fields = [*schema.get("required", ()), *hinted]
    fields += [circumstance.form_field for circumstance in procedure.circumstances if circumstance.form_field]
    exemptions = procedure.fee.exemptions if procedure.fee else ()
    fields += [ground.form_field for exemption in exemptions for ground in exemption.grounds if ground.form_field]
    for field in dict.fromkeys(fields):
        if field not in properties:
            yield _fault(
                "FIELD_UNKNOWN",
                "form",
                f"Trường {field!r} không có trong biểu mẫu.",
                f"The form has no field {field!r}.",
            )


def _step(step: Step, path: str) -> Iterator[Fault]:
    yield from _text(step.name, f"{path}.name")
    if step.role not in ROLES:
        yield _fault(
            "STEP_WITHOUT_ROLE",
            f"{path}.role",
            f"Bước phải do một vai trò thực hiện: {', '.join(ROLES)}.",
            f"A step is done by one of: {', '.join(ROLES)}.",
        )
    if step.term:
        yield from _term(step.term, f"{path}.term")


def _children(procedure: Procedure) -> Iterator[Fault]:
    earlier: set[str] = set()
    for index, child in enumerate(procedure.children):
        path = f"children[{index}]"
        yield from _authority(child.authority, f"{path}.authority")
        if not _PROCEDURE_CODE.fullmatch(child.procedure_code) or child.procedure_code == procedure.code:
            yield _fault(
                "CHILD_PROCEDURE", path, "Thủ tục con không hợp lệ.", "It names no procedure other than its parent."
            )
        if not set(child.after) <= earlier:
            yield _fault(
                "CHILD_ORDER",
                f"{path}.after",
                "Chỉ được chờ các thủ tục con đứng trước.",
                "It may wait only for children listed before it.",
            )
        earlier.add(child.code)


def _codes(procedure: Procedure) -> Iterator[Fault]:
    fee = procedure.fee or Fee()
    channels = [rule.channel.name.lower() for rule in procedure.channels]
    groups = {
        "channels": channels,
        "circumstances": [circumstance.code for circumstance in procedure.circumstances],
        "fee.charges": [charge.code for charge in fee.charges],
        "fee.exemptions": [exemption.code for exemption in fee.exemptions],
        "components": [component.code for component in procedure.components],
        "steps": [step.code for step in procedure.steps],
        "children": [child.code for child in procedure.children],
    }
    if not _CODE.fullmatch(procedure.sector.code):
        yield _code_fault("sector.code")
    for path, codes in groups.items():
        for index, code in enumerate(codes):
            if not _CODE.fullmatch(code):
                yield _code_fault(f"{path}[{index}].code")
        for code, times in Counter(codes).items():
            if times > 1:
                yield _fault(
                    "CODE_TWICE",
                    path,
                    f"Mã {code!r} xuất hiện {times} lần.",
                    f"The code {code!r} occurs {times} times.",
                )
    for index, circumstance in enumerate(procedure.circumstances):
        path = f"circumstances[{index}]"
        yield from _text(circumstance.name, f"{path}.name")
        if bool(circumstance.form_field) != bool(circumstance.form_value):
            yield _fault(
                "CIRCUMSTANCE_HALF",
                path,
                "Phải có cả trường và giá trị của biểu mẫu.",
                "It names both a field of the form and its value.",
            )
        elif circumstance.form_value and not forms.is_plain(circumstance.form_value):
            yield _fault(
                "CIRCUMSTANCE_VALUE",
                f"{path}.form_value",
                "Giá trị phải là một chuỗi, số, true hoặc false viết theo JSON.",
                "The value is a string, a number, true or false, in JSON.",
            )


def _code_fault(path: str) -> Fault:
    return _fault(
        "CODE_INVALID", path, "Mã chỉ gồm chữ thường, số và gạch nối.", "A code is lower-case words joined by hyphens."
    )


def _resolves(root: object, path: str) -> bool:
    if not _PATH.fullmatch(path):
        return False
    found: Any = root
    for part in re.findall(r"[a-z_]+|\[\d+\]", path):
        try:
            found = found[int(part[1:-1])] if part.startswith("[") else getattr(found, part)
        except (AttributeError, IndexError, TypeError):
            return False
    return True
