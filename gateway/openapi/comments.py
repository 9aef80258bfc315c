"""The comments of the protos, by full name."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet

Place = tuple[int, ...]
MESSAGE, ENUM, SERVICE = 4, 5, 6  # the field numbers in FileDescriptorProto
FIELD, NESTED, NESTED_ENUM, MEMBER = 2, 3, 4, 2


def comments(descriptors: FileDescriptorSet) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in descriptors.file:
        written = {tuple(at.path): at.leading_comments for at in file.source_code_info.location if at.leading_comments}
        found |= {name: " ".join(written[place].split()) for place, name in names(file) if place in written}
    return found


def names(file: FileDescriptorProto) -> Iterator[tuple[Place, str]]:
    for i, message in enumerate(file.message_type):
        yield from of_message((MESSAGE, i), message, file.package)
    for i, enum in enumerate(file.enum_type):
        yield from of_enum((ENUM, i), enum, file.package)
    for i, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        yield (SERVICE, i), name
        for j, method in enumerate(service.method):
            yield (SERVICE, i, MEMBER, j), f"{name}.{method.name}"


def of_message(place: Place, message: DescriptorProto, scope: str) -> Iterator[tuple[Place, str]]:
    name = f"{scope}.{message.name}"
    yield place, name
    for i, field in enumerate(message.field):
        yield (*place, FIELD, i), f"{name}.{field.name}"
    for i, nested in enumerate(message.nested_type):
        yield from of_message((*place, NESTED, i), nested, name)
    for i, enum in enumerate(message.enum_type):
        yield from of_enum((*place, NESTED_ENUM, i), enum, name)


def of_enum(place: Place, enum: EnumDescriptorProto, scope: str) -> Iterator[tuple[Place, str]]:
    name = f"{scope}.{enum.name}"
    yield place, name
    for i, value in enumerate(enum.value):
        yield (*place, MEMBER, i), f"{name}.{value.name}"
