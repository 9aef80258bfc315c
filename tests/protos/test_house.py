"""What the house keeps in all of its APIs, which buf does not know: over every descriptor there is.

A list of exceptions is compared exactly: what is mended leaves it, and nothing joins it unseen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor

from gateway.edge.api import Method
from services.chassis.calls import requests
from services.chassis.calls.masks import updatable
from tests.protos.test_protos import FILES, METHODS, every_method, path

API: list[FileDescriptor] = [
    file for file in FILES if ".events." not in file.package and ".options." not in file.package
]
REQUIRED = field_behavior_pb2.REQUIRED


def inside(message: Descriptor, seen: set[str]) -> Iterator[FieldDescriptor]:
    """The fields of a message and of all that it holds of ours."""
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    for field in message.fields:
        yield field
        if field.message_type is not None and not field.message_type.full_name.startswith("google."):
            yield from inside(field.message_type, seen)


def fields_of(*roots: Descriptor) -> dict[str, FieldDescriptor]:
    seen: set[str] = set()
    return {field.full_name: field for root in roots for field in inside(root, seen)}


ASKED = fields_of(*(method.descriptor.input_type for method in METHODS))
FIELDS = ASKED | fields_of(*(method.descriptor.output_type for method in METHODS))
OURS = {name: field for name, field in FIELDS.items() if ".events." not in name}


def service_of(name: str) -> str:
    return name.split(".")[1]


def stored(field: FieldDescriptor) -> bool:
    kind = field.message_type or field.enum_type
    return kind is not None and ".events." in kind.file.package


def test_no_api_holds_what_is_stored() -> None:
    assert {name for name, field in OURS.items() if stored(field)} == set()


def test_a_message_of_an_api_is_reached_by_one_of_its_methods() -> None:
    reached = {name.rpartition(".")[0] for name in FIELDS}
    reached |= {kind.full_name for one in METHODS for kind in (one.descriptor.input_type, one.descriptor.output_type)}
    assert {name for file in API for name in _messages(file) if name not in reached} == set()


def _messages(file: FileDescriptor) -> Iterator[str]:
    return (message.full_name for message in file.message_types_by_name.values() if message.fields)


@every_method
def test_a_change_may_say_what_it_is_based_on_and_says_where_it_led(method: Method) -> None:
    if not method.access.mutation:
        return
    request, response = method.descriptor.input_type.fields_by_name, method.descriptor.output_type.fields_by_name
    behaviours = request["request_id"].GetOptions().Extensions[field_behavior_pb2.field_behavior]
    assert REQUIRED in behaviours
    assert {"revision", "position"} <= set(response)
    if "expected_revision" in request:
        assert request["expected_revision"].has_presence
        assert request["expected_revision"].type == FieldDescriptor.TYPE_INT64


# What begins something has no revision to be based on; a peer says which one it holds.
BEGINNING = {"SubmitDossier", "RegisterSystem", "OpenAgency", "LookUpPerson", "ConfirmSynchronisation"}


def test_what_changes_something_there_is_may_say_which_revision_is_meant() -> None:
    missing = {
        method.descriptor.name
        for method in METHODS
        if method.access.mutation and "expected_revision" not in method.descriptor.input_type.fields_by_name
    }
    assert missing == BEGINNING


@every_method
def test_a_list_comes_in_pages_and_may_wait_for_a_position(method: Method) -> None:
    request, response = method.descriptor.input_type, method.descriptor.output_type
    if "next_page_token" in response.fields_by_name or "page_token" in request.fields_by_name:
        assert {"page_size", "page_token"} <= set(request.fields_by_name)
        assert "next_page_token" in response.fields_by_name
    if re.match("List|Search", method.descriptor.name):
        assert "next_page_token" in response.fields_by_name
    rows = [field for field in response.fields if field.is_repeated and field.message_type is not None]
    if method.http.get and rows and not method.internal and method.descriptor.name not in WHOLE:
        assert "next_page_token" in response.fields_by_name


# Few rows, all of them at once.
WHOLE = {"GetSigningKeys"}

# What names them as its content. All else states a purpose in headers (services/chassis/calls/stated.py).
CONTENT = {
    ("identity", "RegisterSystemRequest.purposes"),
    ("identity", "UpdateSystemRequest.purposes"),
    ("identity", "PurposeScope.purpose"),
    ("identity", "LookUpPersonRequest.legal_basis"),
    ("identity", "DecideErasureRequest.legal_basis"),
}


def test_purposes_are_stated_in_headers() -> None:
    found = {
        (service_of(name), ".".join(name.split(".")[-2:]))
        for name, field in ASKED.items()
        if field.name in ("purpose", "purposes", "legal_basis", "dossier_purpose")
    }
    assert {one for one in found if not (one[0] == "catalogue" and one[1].endswith(".legal_basis"))} == CONTENT


# Services whose API still has money as numbers, and days as texts.
NUMBERS = {"catalogue", "dossier", "payment", "types"}
TEXTS = {"catalogue", "dossier", "identity", "payment", "warehouse"}
_MONEY = re.compile(r"(^|_)(amount|waived|owed|paid|price|total)$")
_DAY = re.compile(r"_on$|_day$|^day$|_date$|^valid_(from|until)$")


def test_money_is_money() -> None:
    assert _services(FieldDescriptor.TYPE_INT64, _MONEY) == NUMBERS


def test_a_day_is_a_date() -> None:
    assert _services(FieldDescriptor.TYPE_STRING, _DAY) == TEXTS


def _services(kind: int, wanted: re.Pattern[str]) -> set[str]:
    return {service_of(name) for name, field in OURS.items() if field.type == kind and wanted.search(field.name)}


def test_a_moment_is_a_timestamp() -> None:
    for name, field in OURS.items():
        if re.search(r"_at$|_since$|^(at|as_of)$", field.name):
            assert field.message_type is not None, name
            assert field.message_type.full_name == "google.protobuf.Timestamp", name


def test_enums_are_prefixed_and_begin_with_none() -> None:
    enums: list[EnumDescriptor] = [enum for file in FILES for enum in file.enum_types_by_name.values()]
    for enum in enums:
        prefix = re.sub("(?<!^)(?=[A-Z])", "_", enum.name).upper()
        assert enum.values_by_number[0].name == f"{prefix}_UNSPECIFIED", enum.full_name
        assert all(value.name.startswith(f"{prefix}_") for value in enum.values), enum.full_name


@every_method
def test_an_update_has_a_mask_and_is_a_patch(method: Method) -> None:
    request = method.descriptor.input_type
    mask = request.fields_by_name.get("update_mask")
    updates = method.descriptor.name.startswith("Update")
    assert updates == (mask is not None) == (method.http.WhichOneof("pattern") == "patch")
    if mask:
        assert mask.message_type is not None
        assert mask.message_type.full_name == "google.protobuf.FieldMask"
        assert updatable(request)


@every_method
def test_a_path_says_what_is_done(method: Method) -> None:
    """Resources are nouns in kebab-case; what is no reading, creation or update is a verb after a colon: the method's name,
    of which words of the resource may be left out (docs/adr/0025-the-contract.md).
    """
    if method.internal:
        return
    verb, template = path(method)
    stem, _, custom = re.sub(r"\{[^}]*\}", "{}", template).partition(":")
    assert re.fullmatch(r"/v1(/[a-z]+(-[a-z]+)*|/\{\})+", stem), template
    words = re.findall("[A-Z][a-z]*", method.descriptor.name)
    reading = not method.access.mutation and words[0] in (
        "Get",
        "Read",
        "List",
        "Search",
        "Watch",
        "Track",
        "Reconcile",
        "Preview",
    )
    assert reading == (verb == "get"), template
    if custom:
        assert re.fullmatch("[a-z]+([A-Z][a-z]*)*", custom), template
        spelled = [word.capitalize() for word in re.findall("[a-z]+|[A-Z][a-z]*", custom)]
        assert spelled[0] == words[0], template
        left = iter(words)
        assert all(word in left for word in spelled), template
    elif verb == "post":
        assert words[0] in CREATING, template
        assert not stem.endswith("{}"), template


# Each adds one to the collection of the path.
CREATING = {"Save", "Create", "Submit", "Register", "Appoint", "Open", "Publish", "Adopt"}


def test_every_text_says_what_it_is() -> None:
    for method in METHODS:
        requests.require_kinds(method.descriptor.input_type)
