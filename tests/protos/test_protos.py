"""Rules of the API that buf does not know."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from gateway.edge.api import Api, Method, files, read
from motcua.options.v1 import options_pb2
from scripts.build_protos import ROOT, build

build()
DESCRIPTORS = read(ROOT / "build" / "descriptors.binpb")
FILES = [file for file in files(DESCRIPTORS) if file.package.startswith("motcua.")]
METHODS = [method for methods in Api.read(DESCRIPTORS).methods.values() for method in methods]
EVENTS = [message for file in FILES if ".events." in file.package for message in file.message_types_by_name.values()]
ERRORS = [enum for file in FILES for enum in file.enum_types_by_name.values() if enum.name.endswith("Error")]

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)


@every_method
def test_a_method_says_who_may_call_it(method: Method) -> None:
    assert method.access.roles
    assert options_pb2.ROLE_UNSPECIFIED not in method.access.roles


@every_method
def test_a_system_states_a_purpose(method: Method) -> None:
    assert (options_pb2.ROLE_SYSTEM in method.access.roles) == bool(method.access.purpose)


@every_method
def test_a_method_has_a_path_in_json(method: Method) -> None:
    if not method.internal:
        assert path(method)[1].startswith("/v1/")


@every_method
def test_a_mutation_can_be_sent_twice(method: Method) -> None:
    if method.access.mutation:
        request, response = method.descriptor.input_type, method.descriptor.output_type
        assert request.fields_by_name["request_id"].type == FieldDescriptor.TYPE_STRING
        assert path(method)[0] != "get"
        assert method.http.body == "*"
        assert response.fields_by_name["revision"].type == FieldDescriptor.TYPE_INT64
        assert response.fields_by_name["position"].type == FieldDescriptor.TYPE_STRING


@every_method
def test_a_list_comes_in_pages(method: Method) -> None:
    if method.descriptor.name.startswith("List") and not method.internal:
        assert {"page_size", "page_token"} <= set(method.descriptor.input_type.fields_by_name)
        assert "next_page_token" in method.descriptor.output_type.fields_by_name


def test_no_two_methods_share_a_path() -> None:
    paths = [path(method) for method in METHODS if method.http.WhichOneof("pattern")]
    assert len(set(paths)) == len(paths)


def path(method: Method) -> tuple[str, str]:
    verb = method.http.WhichOneof("pattern")
    assert verb in ("get", "post", "put", "patch", "delete")
    return verb, getattr(method.http, verb)


@pytest.mark.parametrize("enum", ERRORS, ids=lambda enum: enum.full_name)
def test_a_refusal_says_what_it_means_in_both_languages(enum: EnumDescriptor) -> None:
    for value in enum.values:
        error = value.GetOptions().Extensions[options_pb2.error]
        if value.number:
            assert all((error.code, error.vi, error.en, error.action_vi, error.action_en)), value.name


def test_personal_data_lies_beside_its_subject() -> None:
    for event in EVENTS:
        for field in event.fields:
            options = field.GetOptions()
            if options.HasExtension(options_pb2.sealed):
                assert field.type == FieldDescriptor.TYPE_BYTES, field.full_name
                assert options.Extensions[options_pb2.sealed].subject in event.fields_by_name, field.full_name
                assert not options.Extensions[options_pb2.public], field.full_name
