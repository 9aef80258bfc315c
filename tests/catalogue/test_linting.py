"""Linting over gRPC: editors only, and whatever a definition says, others are answered meanwhile."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from joserfc.jwk import OKPKey

from motcua.catalogue.v1 import catalogue_service_pb2 as pb
from motcua.catalogue.v1.catalogue_service_pb2_grpc import CatalogueServiceStub
from services.catalogue.counterparts import shown_of
from services.catalogue.service import CatalogueService
from services.chassis.platform.platform import Platform
from services.chassis.work import confined
from tests.catalogue.samples import PROCEDURE
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys
from tests.support.postgresql import settings_of
from tests.support.tokens import mint, signing_key

SECRET = "a-private-key"


class Editor:
    def __init__(self, channel: grpc.Channel, key: OKPKey) -> None:
        self.stub: Any = CatalogueServiceStub(channel)
        self.key = key

    def token(self, *roles: str, kind: str = "official") -> Any:
        return (("authorization", f"Bearer {mint(self.key, *roles, kind=kind)}"),)

    def lint(self, procedure: Any, metadata: Any = None) -> list[tuple[str, str, str]]:
        asked = pb.LintProcedureRequest(procedure=procedure)
        found = self.stub.LintProcedure(asked, metadata=metadata or self.token("editor")).faults
        return [(each.code, each.path, f"{each.text.vi} {each.text.en}") for each in found]

    def answers_others(self) -> float:
        began = time.monotonic()
        self.stub.ListProvinces(pb.ListProvincesRequest(), timeout=10)
        return time.monotonic() - began


async def prepare(folder: Path) -> OKPKey:
    platform = await Platform.open(settings_of(folder))
    key = await signing_key(platform.store)
    await platform.close()
    return key


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    folder, keys = tmp_path_factory.mktemp("linting"), MemoryKeys()
    key = asyncio.run(prepare(folder))
    service = type("Hosted", (CatalogueService,), {"key_ring": staticmethod(lambda *_: keys)})
    with hosted(folder, [service]) as host, grpc.insecure_channel(host.address("catalogue")) as channel:
        yield Editor(channel, key)


def definition(schema: Any = None, ui: Any = None) -> Any:
    made: Any = shown_of("procedure", PROCEDURE)
    if schema is not None:
        made.form.schema = schema if isinstance(schema, str) else json.dumps(schema)
    if ui is not None:
        made.form.ui = ui
    return made


def refused(call: Any) -> tuple[str, list[str]]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    status: Any = rpc_status.from_call(raised.value)  # type: ignore[arg-type]
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    return info.reason, [each.field for each in bad.field_violations]


def test_editors_lint_and_nobody_else(editor: Editor) -> None:
    assert editor.lint(definition()) == []
    asked = pb.LintProcedureRequest(procedure=definition("[" * 90_000))
    assert refused(lambda: editor.stub.LintProcedure(asked))[0] == "TOKEN_MISSING"
    for roles, kind in ((("citizen",), "citizen"), (("receptionist",), "official"), (("system",), "system")):
        metadata = editor.token(*roles, kind=kind)
        assert refused(lambda who=metadata: editor.stub.LintProcedure(asked, metadata=who))[0] == "ROLE_MISSING"


@pytest.mark.parametrize("publish", [False, True])
def test_a_definition_reads_no_file_and_calls_nobody(editor: Editor, tmp_path: Path, publish: bool) -> None:
    kept = tmp_path / "system.jwk"
    kept.write_text(json.dumps({"d": SECRET}))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        for address in (f"file://{kept}#/d", f"http://127.0.0.1:{silent.getsockname()[1]}/#/d"):
            schema = {"type": "object", "properties": {"name": {"title": "Tên", "$ref": address}}}
            if publish:
                asked = pb.PublishProcedureRequest(request_id=str(uuid4()), procedure=definition(schema))
                metadata = editor.token("editor")
                call = lambda: editor.stub.PublishProcedure(asked, metadata=metadata)  # noqa: B023, E731
                assert refused(call) == ("PROCEDURE_FAULTY", ["procedure.form.schema"])
            else:
                ((code, path, said),) = editor.lint(definition(schema))
                assert (code, path) == ("SCHEMA_INVALID", "form.schema")
                assert SECRET not in said
        with pytest.raises(BlockingIOError):
            silent.accept()


HEAVY = {
    "nested": "[" * 90_000,
    "patterns": {"properties": {f"f{i}": {"pattern": rf"\w{{200}}(?=a){i}"} for i in range(200)}},
    "large patterns": {"properties": {f"f{i}": {"pattern": r"^(\p{L}|a){1,9}$" + "b" * i} for i in range(60)}},
    "references": {"$defs": {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 9} for i in range(20)}},
    "choices": {"enum": [{"a": i} for i in range(9_000)]},
}


@pytest.mark.parametrize("what", HEAVY)
def test_others_are_answered_while_a_heavy_one_is_linted(editor: Editor, what: str) -> None:
    editor.lint(definition())
    with ThreadPoolExecutor() as pool:
        linting = [pool.submit(editor.lint, definition(HEAVY[what])) for _ in range(3)]
        slowest = max(editor.answers_others() for _ in range(20))
    assert {code for each in linting for code, _, _ in each.result()} <= {
        "FORM_NOT_JSON", "SCHEMA_INVALID", "SCHEMA_EMPTY", "FIELD_WITHOUT_TITLE", "FIELD_UNKNOWN",
    }  # fmt: skip
    assert slowest < 2  # of a machine that does much else; blocked, each would wait for all


def test_deep_hints_are_a_fault(editor: Editor) -> None:
    assert [code for code, *_ in editor.lint(definition(ui="[" * 20_000))] == ["FORM_NOT_JSON"]


def test_days_of_the_law_are_known_where_no_file_is_read(editor: Editor) -> None:
    made = definition()
    made.valid_from, made.valid_until = "2026-09-01", "2027-12-31"
    assert editor.lint(made) == []


def test_faults_have_an_end(editor: Editor) -> None:
    made = definition()
    for _ in range(1_000):
        made.steps.add(code="?")
    assert len(editor.lint(made)) == 200


def test_what_takes_too_long_is_refused(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "SECONDS", 0.0)
    assert refused(lambda: editor.lint(definition())) == ("INVALID_REQUEST", ["procedure"])
    monkeypatch.undo()
    assert editor.lint(definition()) == []


def test_too_many_at_once_are_told_to_come_back(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "MOST_WAITING", 0)
    assert refused(lambda: editor.lint(definition()))[0] == "OVERLOADED"
