"""The OpenAPI document of the JSON API, made from the same descriptors that the edge transcodes by."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import EnumValueDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import code_pb2

from gateway.edge.api import Api, Method
from gateway.edge.replies import DOMAIN, RETRY_SECONDS
from gateway.openapi.comments import comments
from gateway.openapi.schemas import SCALARS, Schema, Schemas, is_required, short
from motcua.options.v1 import errors_pb2, options_pb2
from services.chassis.access.access import role_name
from services.chassis.calls import requests
from services.chassis.calls.stated import DOSSIER, PURPOSE
from services.chassis.grounds.uses import purposes

ABOUT = """\
The API in JSON. Everything here can be called by gRPC as well, on the same port, by the same names.

* Field names are lowerCamelCase; the protos' own snake_case is understood too.
* 64-bit integers are written as text and read as text or numbers. Times are RFC 3339. Money is whole đồng.
* Fields that the API does not know are ignored in a body and refused in a query.
* A change carries `requestId`, a UUID of the caller's: the same request sent again has one effect and the same reply.
* An official or a system who reads others' data states a registered purpose in the header `motcua-purpose`, and, where that asks
  for one, the code of the person's dossier in `motcua-dossier`. Other calls do not read them.
* A stream is answered line by line, one JSON object each.
* A refusal is a `google.rpc.Status`; its ErrorInfo names the reason, its LocalizedMessage
  says it in the caller's language.
"""
# google/rpc/code.proto says which HTTP status belongs to which code.
HTTP = {
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNAUTHENTICATED: 401,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.ABORTED: 409,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.CANCELLED: 499,
    code_pb2.UNKNOWN: 500,
    code_pb2.INTERNAL: 500,
    code_pb2.DATA_LOSS: 500,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DEADLINE_EXCEEDED: 504,
}
STATUS: Schema = {
    "type": "object",
    "description": "google.rpc.Status",
    "properties": {
        "code": {"type": "integer", "description": "The gRPC code."},
        "message": {"type": "string"},
        "details": {
            "type": "array",
            "items": {"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]},
        },
    },
    "required": ["code", "message"],
}
PARAMETER = re.compile(r"\{(\w+)(?:=[^}]*)?\}")


def document(descriptors: FileDescriptorSet) -> dict[str, Any]:
    about = comments(descriptors)
    schemas = Schemas(about)
    api = Api.read(descriptors)
    paths: dict[str, dict[str, Any]] = {}
    responses: dict[str, dict[str, Any]] = {}
    for methods in api.methods.values():
        errors = errors_of(methods[0])
        responses |= {name: response for _, name, response in errors}
        for method in methods:
            if verb := method.http.WhichOneof("pattern"):
                operations = paths.setdefault(path_of(method, getattr(method.http, verb)), {})
                operations[verb] = operation(method, verb, schemas, [(http, name) for http, name, _ in errors])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Motcua", "version": "v1", "description": ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag(service), "description": about.get(service, "")} for service in api.methods],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {"Status": STATUS} | dict(sorted(schemas.components.items())),
            "responses": dict(sorted(responses.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def operation(method: Method, verb: str, schemas: Schemas, errors: list[tuple[int, str]]) -> dict[str, Any]:
    descriptor, access = method.descriptor, method.access
    about = schemas.comments.get(descriptor.full_name, "")
    roles = list(map(role_name, access.roles))
    in_path = frozenset(PARAMETER.findall(getattr(method.http, verb)))
    found: dict[str, Any] = {
        "operationId": f"{descriptor.containing_service.name}_{descriptor.name}",
        "tags": [tag(method.service)],
        "summary": about.split(". ")[0].rstrip("."),
        "description": about,
        "x-grpc": method.path,
        "x-roles": roles,
        "parameters": list(parameters(method, in_path, schemas)),
        "security": [{"token": []}, *([{}] if "public" in roles else [])],
    }
    if access.purpose:
        found["x-purpose"] = access.purpose
    if access.opens:
        found["x-opens"] = access.opens
    if descriptor.server_streaming:
        found["x-stream"] = True
    if method.http.body == "*":
        body = schemas.message(descriptor.input_type, without=in_path)
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    answer = schemas.reference(descriptor.output_type, written=True)
    described = "One object a line." if descriptor.server_streaming else "Done."
    found["responses"] = {"200": {"description": described, "content": {"application/json": {"schema": answer}}}}
    found["responses"] |= {str(http): {"$ref": f"#/components/responses/{name}"} for http, name in errors}
    return found


def parameters(method: Method, in_path: frozenset[str], schemas: Schemas) -> Iterator[dict[str, Any]]:
    for field in method.descriptor.input_type.fields:
        schema = schemas.field(field, written=False)
        about = schema.get("description", "")
        schema = {key: value for key, value in schema.items() if key != "description"}
        common = {"name": field.json_name, "description": about}
        if field.name in in_path:
            schema = schema | ({"minLength": 1, "pattern": "^[^/]+$"} if schema["type"] == "string" else {})
            yield common | {"in": "path", "required": True, "schema": schema}
        elif method.http.body != "*" and in_query(field):
            yield common | {"in": "query", "required": is_required(field), "schema": schema}
    yield from statements(method)


def statements(method: Method) -> Iterator[dict[str, Any]]:
    """What the caller states in headers, where the method reads them."""
    access = method.access
    if not (opens := access.opens or access.lists):
        return
    roles = {role_name(role) for role in access.roles}
    codes = [
        code for code, one in purposes().items() if one.roles & roles and (one.opens is None or opens in one.opens)
    ]
    about = "Of an official or a system who opens others' data: what for. People read their own without."
    if access.lists:
        about = "Of an official: what the names in the rows are opened for. Without it there are none."
    yield _header(PURPOSE, about, {"type": "string", "enum": codes})
    if access.opens and Api.name(method.service) != "dossier":
        about = "The code of the person's dossier that is the ground, where the purpose asks for one."
        yield _header(DOSSIER, about, {"type": "string", "maxLength": requests.LONGEST_NAME})


def _header(name: str, about: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "description": about, "in": "header", "required": False, "schema": schema}


def in_query(field: FieldDescriptor) -> bool:
    return field.type in SCALARS or field.enum_type is not None


def errors_of(method: Method) -> list[tuple[int, str, dict[str, Any]]]:
    """The refusals of the method's service by HTTP status: (status, component, response)."""
    grouped: dict[int, list[EnumValueDescriptor]] = defaultdict(list)
    for value in [*errors_pb2.CommonError.DESCRIPTOR.values, *own_errors(method.descriptor.containing_service.file)]:
        if value.number:
            grouped[HTTP[value.GetOptions().Extensions[options_pb2.error].code]].append(value)
    service = Api.name(method.service)
    return [(http, f"{service}.{http}", response(values)) for http, values in sorted(grouped.items())]


def own_errors(file: FileDescriptor) -> list[EnumValueDescriptor]:
    """Those of `<Service>Error` in the package, which lies in a file of its own."""
    name = f"{file.package}.{Api.name(file.package).title()}Error"
    try:
        return list(file.pool.FindEnumTypeByName(name).values)
    except KeyError:
        return []


def response(values: list[EnumValueDescriptor]) -> dict[str, Any]:
    examples = {reason(value): {"summary": error(value).vi, "value": example(value)} for value in values}
    return {
        "description": "\n".join(
            f"* `{reason(value)}`: {error(value).en} {error(value).action_en}" for value in values
        ),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Status"}, "examples": examples}},
    }


def example(value: EnumValueDescriptor) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc."
    details = [{"@type": f"{kind}ErrorInfo", "reason": reason(value), "domain": DOMAIN}]
    if error(value).retryable:
        details.append({"@type": f"{kind}RetryInfo", "retryDelay": f"{RETRY_SECONDS}s"})
    return {"code": error(value).code, "message": error(value).en, "details": details}


def error(value: EnumValueDescriptor) -> options_pb2.Error:
    return value.GetOptions().Extensions[options_pb2.error]


def reason(value: EnumValueDescriptor) -> str:
    """The name without the enum's: NOT_FOUND, for DOSSIER_ERROR_NOT_FOUND."""
    return value.name.partition("_ERROR_")[2]


def path_of(method: Method, template: str) -> str:
    fields = method.descriptor.input_type.fields_by_name
    return PARAMETER.sub(lambda found: f"{{{fields[found[1]].json_name}}}", template)


def tag(service: str) -> str:
    return short(service).partition(".")[0]
