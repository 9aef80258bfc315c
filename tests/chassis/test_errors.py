"""Every refusal that the code can give is listed in a proto, and is small enough to be sent."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from google.rpc import error_details_pb2

from motcua.dossier.v1 import errors_pb2 as dossier_errors
from services.chassis.access.access import ENDED_NEXT, token_invalid
from services.chassis.calls.statuses import Errors, RequestInvalid, Violation
from services.chassis.decider import Rejected

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/service.py"))
# Reasons of the chassis that a service's enum lists: of the rules that two services share, and of its own operations.
LAW, OPERATIONS = "catalogue", "operations"


def refusals(path: Path) -> Iterator[tuple[str, set[str] | None]]:
    """The literals that name a reason, with the names of their facts; None where those are unpacked."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        place = {"Rejected": 0, "Refused": 0, "FileFaulty": 0, "RequestInvalid": 1}.get(node.func.id)
        if place is not None and len(node.args) > place and isinstance(node.args[place], ast.Constant):
            names = [keyword.arg for keyword in node.keywords]
            facts = None if None in names else {name for name in names if name} | ({"count"} if place else set())
            yield node.args[place].value, facts  # type: ignore[attr-defined]


def reasons(path: Path) -> Iterator[str]:
    return (reason for reason, _ in refusals(path))


def places(text: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", text))


def listed(service: str) -> set[str]:
    return set(Errors(_enum(service))._errors)


def _enum(service: str) -> Any:
    return next(iter(import_module(f"motcua.{service}.v1.errors_pb2").DESCRIPTOR.enum_types_by_name.values()))


def given_in(folder: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*.py"):
        for reason in reasons(path):
            found.setdefault(reason, set()).add(str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_every_reason_of_a_service_is_in_its_proto(service: str) -> None:
    given = given_in(ROOT / "services" / service)
    assert {reason: where for reason, where in given.items() if reason not in listed(service)} == {}


def test_every_reason_of_the_chassis_is_in_a_proto() -> None:
    common = set(Errors(None)._errors)
    for reason, paths in given_in(ROOT / "services" / "chassis").items():
        for path in paths:
            known = common
            known |= listed(LAW) if "/law/" in path else set()
            known |= listed(OPERATIONS) if path.endswith("operations.py") else set()
            assert reason in known, path


def test_the_walk_finds_reasons() -> None:
    assert {"NOT_FOUND", "FORM_INVALID", "STEP_UNKNOWN"} <= set(given_in(ROOT / "services" / "dossier"))


@pytest.mark.parametrize("service", [*SERVICES, ""])
def test_texts_have_places_for_what_is_given_with_the_reason_only(service: str) -> None:
    errors = Errors(_enum(service))._errors if service else Errors(None)._errors
    wanted = {}
    for reason, error in errors.items():
        texts = {language: places(f"{what} {action}") for language, what, action in _texts(error)}
        assert texts["vi"] == texts["en"], reason
        wanted[reason] = texts["en"]
    for path in (ROOT / "services" / (service or "chassis")).rglob("*.py"):
        for reason, facts in refusals(path):
            if facts is not None and reason in wanted:
                assert wanted[reason] <= facts, f"{path}: {reason}"


def _texts(error: Any) -> list[tuple[str, str, str]]:
    return [("vi", error.vi, error.action_vi), ("en", error.en, error.action_en)]


ERRORS = Errors(dossier_errors.DossierError.DESCRIPTOR)


def details(rejected: Rejected) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for packed in ERRORS.status(rejected).details:
        kind = packed.TypeName().rpartition(".")[2]
        message = getattr(error_details_pb2, kind)()
        packed.Unpack(message)
        found.setdefault(kind, []).append(message)
    return found


def test_a_refusal_says_what_is_wrong_and_what_to_do_in_two_languages() -> None:
    rejected = Rejected("WRONG_AGENCY", agency="P56")
    status, found = ERRORS.status(rejected), details(rejected)
    assert (status.code, status.message) == (
        7,
        "The dossier belongs to the agency P56. An official of that agency must do this.",
    )
    assert {message.locale: message.message for message in found["LocalizedMessage"]} == {
        "vi": "Hồ sơ thuộc cơ quan P56. Cán bộ của cơ quan đó phải thực hiện.",
        "en": status.message,
    }
    (info,) = found["ErrorInfo"]
    assert (info.reason, info.domain, dict(info.metadata)) == ("WRONG_AGENCY", "motcua", {"agency": "P56"})
    assert "RetryInfo" not in found


def test_a_reason_of_ours_is_in_both_languages() -> None:
    """A bare text among the facts of a reason would stand in English within the Vietnamese."""
    for path in (ROOT / "services").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Rejected":
                for keyword in node.keywords:
                    bare = isinstance(keyword.value, ast.Constant)
                    assert not (keyword.arg in ("why", "then") and bare), f"{path}:{node.lineno}"


def test_names_of_the_protos_are_told_in_words_and_stay_names_to_programs() -> None:
    found = details(Rejected("STEP_ROLE_MISSING", step="sign", role="approver"))
    assert {text.locale: text.message for text in found["LocalizedMessage"]} == {
        "vi": "Bước sign cần vai trò người có thẩm quyền ký. Giao cho người có vai trò đó.",
        "en": "The step sign needs the role approver. Let someone with that role do it.",
    }
    assert dict(found["ErrorInfo"][0].metadata) == {"step": "sign", "role": "approver"}


def test_what_a_caller_wrote_is_filled_by_nothing() -> None:
    status = ERRORS.status(Rejected("SAME_AGENCY", agency="{agency}{code}", code="x"))
    assert status.message == "The dossier is at {agency}{code} already. Choose another agency."


def test_an_ended_appointment_is_not_told_to_log_in_again() -> None:
    ended = Errors(None).status(token_invalid("nhiệm vụ đã kết thúc", "the appointment has ended", ENDED_NEXT))
    texts = [text for each in ended.details if each.Unpack(text := error_details_pb2.LocalizedMessage())]
    assert [text.message for text in texts] == [
        "Mã truy cập không hợp lệ: nhiệm vụ đã kết thúc. Đăng nhập với nhiệm vụ khác đang hiệu lực, hoặc đề nghị quản trị viên"
        " giao nhiệm vụ mới (AppointOfficial).",
        "The access token is not valid: the appointment has ended. Log in for another appointment in force, or ask an"
        " administrator for a new one (AppointOfficial).",
    ]


def test_what_to_do_names_what_it_speaks_of() -> None:
    errors = Errors(_enum("identity"))
    told = errors.status(Rejected("PURPOSE_UNKNOWN", purpose="nonsense", known="settle, submit"))
    assert told.message == "There is no purpose nonsense for systems. Choose from: settle, submit."


def test_what_passes_says_when_to_come_back() -> None:
    (retry,) = details(Rejected("OVERLOADED"))["RetryInfo"]
    assert retry.retry_delay.seconds == 1


def test_all_violations_are_named() -> None:
    invalid = RequestInvalid([Violation("a", "Sai.", "Wrong."), Violation("b", "Thiếu.", "Missing.")])
    (bad,) = details(invalid)["BadRequest"]
    assert [(v.field, v.description) for v in bad.field_violations] == [
        ("a", "Sai. / Wrong."),
        ("b", "Thiếu. / Missing."),
    ]


@pytest.mark.parametrize(
    "rejected",
    [
        Rejected("COMPONENT_MISSING", components="ệ" * 100_000),
        RequestInvalid([Violation("x" * 5000, "ệ" * 5000, "y" * 5000)] * 1000),
        RequestInvalid([Violation("form.name", "Quá dài.", "It is too long.")] * 1000, "FORM_INVALID"),
    ],
)
def test_a_refusal_fits_into_a_trailer(rejected: Rejected) -> None:
    assert ERRORS.status(rejected).ByteSize() <= 6_000
    assert isinstance(rejected, RequestInvalid) is ("BadRequest" in details(rejected))


def test_a_reason_that_no_proto_lists_is_an_error() -> None:
    with pytest.raises(KeyError):
        ERRORS.status(Rejected("NONSENSE"))
