"""What the edge and the API document read from the descriptor set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from motcua.options.v1 import options_pb2

API = re.compile(r"motcua\.(\w+)\.v\d+")


@dataclass(frozen=True, slots=True)
class Method:
    descriptor: MethodDescriptor

    @property
    def service(self) -> str:
        return self.descriptor.containing_service.full_name

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.descriptor.name}"

    @property
    def access(self) -> options_pb2.Access:
        return self.descriptor.GetOptions().Extensions[options_pb2.access]

    @property
    def internal(self) -> bool:
        """Only the platform's own services may call it."""
        return list(self.access.roles) == [options_pb2.ROLE_SERVICE]

    @property
    def http(self) -> http_pb2.HttpRule:
        return self.descriptor.GetOptions().Extensions[annotations_pb2.http]

    @property
    def streams(self) -> bool:
        return self.descriptor.server_streaming or self.descriptor.client_streaming


@dataclass(frozen=True, slots=True)
class Api:
    """The methods of each gRPC service (full name). Its package `motcua.<name>.v1` says which of ours serves it."""

    methods: dict[str, Sequence[Method]]

    @staticmethod
    def name(service: str) -> str:
        """dossier, for motcua.dossier.v1.DossierService"""
        found = API.match(service)
        assert found, service
        return found[1]

    @classmethod
    def read(cls, descriptors: FileDescriptorSet) -> Api:
        services = (
            s for file in files(descriptors) if API.fullmatch(file.package) for s in file.services_by_name.values()
        )
        return cls({service.full_name: [Method(method) for method in service.methods] for service in services})


def read(path: Path) -> FileDescriptorSet:
    return FileDescriptorSet.FromString(path.read_bytes())


def without_comments(descriptors: FileDescriptorSet) -> bytes:
    bare = FileDescriptorSet()
    bare.CopyFrom(descriptors)
    for file in bare.file:
        file.ClearField("source_code_info")
    return bare.SerializeToString()


def files(descriptors: FileDescriptorSet) -> Iterator[FileDescriptor]:
    pool = DescriptorPool()
    for file in descriptors.file:
        pool.Add(file)
    return (pool.FindFileByName(file.name) for file in descriptors.file)
