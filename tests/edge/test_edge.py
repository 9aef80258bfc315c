"""A real Envoy before a real service."""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yaml import safe_load

from gateway.edge import certificates
from services.chassis.calls.stated import DOSSIER, PURPOSE
from tests.edge.conftest import Running
from tests.support.waiting import PATIENCE_SECONDS, eventually_here

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_grpc_is_routed_by_service(edge: Running) -> None:
    reply = await edge.stub.GetTrial(edge.trial.pb.GetTrialRequest(trial_code="A-1"))
    assert reply.trial_code == "A-1"


async def test_grpc_streams(edge: Running) -> None:
    replies = edge.stub.WatchTrial(edge.trial.pb.WatchTrialRequest(trial_code="A-1"))
    assert [reply.number async for reply in replies] == [0, 1, 2]


async def test_health_is_that_of_the_platform(edge: Running) -> None:
    stub: Any = health_pb2_grpc.HealthStub(edge.channel)
    reply = await stub.Check(health_pb2.HealthCheckRequest())
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_an_unknown_method_is_unimplemented(edge: Running) -> None:
    call: Any = edge.channel.unary_unary("/motcua.trial.v1.TrialService/Nothing", None, None)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(b"")
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_json_is_lower_camel_case_with_enums_by_name_and_zeros_said(edge: Running) -> None:
    reply = await edge.http.get("/v1/trials/A.1-2", params={"colour": "COLOUR_RED", "amount": "9007199254740993"})
    body = reply.json()
    assert body.pop("headers")
    assert body == {"trialCode": "A.1-2", "colour": "COLOUR_RED", "amount": "9007199254740993", "flag": False}


async def test_json_query_takes_both_spellings_of_a_name(edge: Running) -> None:
    for name in ("requestId", "request_id"):
        reply = await edge.http.post("/v1/flaky", json={name: "x", "failures": 0})
        assert reply.status_code == 200, reply.text


async def test_json_streams_line_by_line(edge: Running) -> None:
    reply = await edge.http.get("/v1/trials/A-1:watch")
    assert [json.loads(line) for line in reply.text.splitlines()] == [{"number": n} for n in range(3)]


async def test_an_error_of_the_service_is_a_status_in_json(edge: Running) -> None:
    reply = await edge.http.get("/v1/trials/missing")
    assert (reply.status_code, reply.json()) == (404, {"code": 5, "message": "no such trial", "details": []})


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("GET", "/v1/nothing", None, 404, 5),
        ("GET", "/v1/trials/A-1?nothing=1", None, 400, 3),
        ("GET", "/v1/trials/A-1?amount=much", None, 400, 3),
        ("GET", "/v1/trials/A%2F1", None, 400, 3),
        ("POST", "/v1/flaky", "{", 400, 3),
        ("POST", "/v1/flaky", json.dumps({"request_id": "x" * 200_000}), 413, 3),
        ("DELETE", "/v1/flaky", None, 405, 12),
        ("POST", "/v1/trials/A-1", "{}", 405, 12),
        ("HEAD", "/v1/amounts", None, 405, 12),
        ("GET", "/v1/trials/%ff", None, 400, 3),
        ("GET", "/v1/trials/%ed%a0%80", None, 400, 3),
        ("GET", "/v1/trials/A-1?colour=%c3", None, 400, 3),
        ("POST", "/v1/flaky", b'{"request_id": "\xff"}', 400, 3),
        ("POST", "/v1/flaky", "[]", 400, 3),
    ],
)
async def test_what_the_edge_refuses(
    edge: Running, method: str, path: str, content: str | bytes | None, status: int, code: int
) -> None:
    reply = await edge.http.request(method, path, content=content, headers={"content-type": "application/json"})
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/json"), reply.text
    assert "allow" in reply.headers or status != 405
    if method == "HEAD":
        assert reply.content == b""
        return
    parsed = ParseDict(reply.json(), status_pb2.Status())
    assert parsed.code == code
    info = error_details_pb2.ErrorInfo()
    assert parsed.details[0].Unpack(info)
    assert info.reason == "INVALID_REQUEST"
    texts = [text for detail in parsed.details if detail.Unpack(text := error_details_pb2.LocalizedMessage())]
    assert [(text.locale, bool(text.message)) for text in texts] == [("vi", True), ("en", True)]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ('{"requestId": "x", "amuont": "1"}', ["amuont"]),
        ('{"reqeust_id": "x", "amount": "1", "x": {"y": [1, {"z": "}\\""}]}}', ["reqeust_id", "x"]),
        ('{"amount": "1", "parts": [{"text": "a"}, {"txet": "b"}], "byName": {"any": {"text": ""}, "b": {"q": 1}}}',
         ["parts[1].txet", "byName.b.q"]),
        ('{"form": {"any": {"thing": []}}, "at": "2026-01-01T00:00:00Z", "\\u0061mount": 1}', []),
        ('{"' + "x" * 99 + 'ế": 1, "\\u00e9": 1}', ["x" * 99, "é"]),
        ('{"amount": "1", "amount": "2"}', ["amount"]),
        ('{"request_id": "a", "requestId": "b", "form": {"a": 1, "\\u0061": 2}}', ["requestId", "a"]),
        ('{"form": {"a": 1, "b": {"a": 1}, "é": [{"a": -0.5e+3}], "A": true, "\\ud83d\\ude00": "\\ud83d\\ude00"}}', []),
        ('{ "amount" : 1 , "parts" : [ ] , "form":{} }', []),
    ],
)  # fmt: skip
async def test_a_name_that_no_message_has_is_refused_by_name(edge: Running, body: str, named: list[str]) -> None:
    reply = await edge.http.post("/v1/amounts", content=body, headers=edge.bearer(sub="names"))
    assert reply.status_code == (400 if named else 200), reply.text
    bad = error_details_pb2.BadRequest()
    details = ParseDict(reply.json(), status_pb2.Status()).details if named else []
    found = [each.field for detail in details if detail.Unpack(bad) for each in bad.field_violations]
    assert found == named


@pytest.mark.parametrize(
    "body",
    [
        *("{'amount': 1, \"zzz\": 1}", '{amount: 1, "zzz": 1}', '{"amount": 1,}', '{"amount": 01}', '{"amount": .5}'),
        *('{"amount": 1} x', '{"amount": 1}{}', '\ufeff{"amount": 1}', '{"amount": 1 "zzz": 1}', '{"amount": tru}'),
        *('{"amount": NaN}', '{"amount": 0x1}', '{"requestId": "a\tb"}', '{"requestId": "\\x"}', '{"requestId": "a}', "{", " "),
        '{"form": {"a": 1 /* */}}',
    ],
)  # fmt: skip
async def test_a_body_that_is_no_json_is_refused_before_anybody_reads_half_of_it(edge: Running, body: str) -> None:
    reply = await edge.http.post("/v1/amounts", content=body.encode(), headers=edge.bearer(sub="no JSON"))
    violations = [
        {"field": "", "description": "Nội dung không phải JSON (RFC 8259). / The body is not JSON (RFC 8259)."}
    ]
    assert (reply.status_code, reply.json()["details"][-1].get("fieldViolations")) == (400, violations)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(form=st.dictionaries(st.text(), JSON, max_size=3), ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
async def test_all_json_passes(edge: Running, form: Any, ascii_only: bool, indent: int | None) -> None:
    """As Python writes it: a form has any names and values."""
    body = json.dumps({"amount": 1, "form": form}, ensure_ascii=ascii_only, indent=indent)
    reply = await edge.http.post("/v1/amounts", content=body.encode(), headers=edge.bearer(sub=body))
    assert reply.status_code == 200, (body, reply.text)


NUMBER = (
    "Ghi số nguyên bằng chữ số, không dấu chấm, dấu phẩy hay chữ, ví dụ 10000."
    " / Write a whole number in digits, without points, commas or letters, for example 10000."
)
MOMENT = (
    "Ghi thời điểm như 2026-12-01T00:00:00Z hoặc 2026-12-01T07:00:00+07:00."
    " / Write a moment as 2026-12-01T00:00:00Z or 2026-12-01T07:00:00+07:00."
)
TEXT = "Ghi chữ trong dấu ngoặc kép. / Write text, in quotation marks."
OBJECT = "Ghi một đối tượng JSON, trong ngoặc nhọn. / Write a JSON object, in braces."
COLOUR = "Ghi một trong: COLOUR_RED. / Write one of: COLOUR_RED."


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ('{"amount": "10.000", "at": "01/12/2026"}', {"amount": NUMBER, "at": MOMENT}),
        ('{"amount": "much"}', {"amount": NUMBER}),
        ('{"amount": true}', {"amount": NUMBER}),
        ('{"amount": "99999999999999999999999"}', {"amount": NUMBER}),
        ('{"at": "2026-12-01"}', {"at": MOMENT}),
        ('{"at": "2026-02-29T00:00:00Z"}', {"at": MOMENT}),
        ('{"at": "2026-12-01T00:00:00"}', {"at": MOMENT}),
        ('{"at": 5}', {"at": MOMENT}),
        ('{"requestId": 5}', {"requestId": TEXT}),
        ('{"parts": ["a"], "byName": {"b": {"text": 1}}}', {"parts[0]": OBJECT, "byName.b.text": TEXT}),
    ],
)
async def test_a_value_of_another_kind_is_refused_by_its_field(
    edge: Running, body: str, faults: dict[str, str]
) -> None:
    reply = await edge.http.post("/v1/amounts", content=body, headers=edge.bearer(sub=body))
    named = {each["field"]: each["description"] for each in reply.json()["details"][-1]["fieldViolations"]}
    assert (reply.status_code, named) == (400, faults)


@pytest.mark.parametrize(("query", "said"), [("colour=red", COLOUR), ("amount=10.000", NUMBER)])
async def test_a_parameter_of_another_kind_is_refused_by_its_field(edge: Running, query: str, said: str) -> None:
    reply = await edge.http.get(f"/v1/trials/A-1?{query}", headers=edge.bearer(sub=query))
    (violation,) = reply.json()["details"][-1]["fieldViolations"]
    assert (reply.status_code, violation) == (400, {"field": query.partition("=")[0], "description": said})


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    at=st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
    | st.text(alphabet="0123456789-:/TZ+. ", max_size=25),
    amount=st.integers(-(2**63), 2**63 - 1).map(str) | st.text(alphabet="0123456789.,- e", max_size=21),
)
async def test_what_passes_is_read_and_what_does_not_is_named(edge: Running, at: str, amount: str) -> None:
    body = json.dumps({"at": at, "amount": amount})
    reply = await edge.http.post("/v1/amounts", content=body, headers=edge.bearer(sub=body))
    if reply.status_code != 200:
        named = {each["field"] for each in reply.json()["details"][-1].get("fieldViolations", ())}
        assert named, (body, reply.text)
        assert named <= {"at", "amount"}


async def test_an_escaped_slash_is_explained_without_another_language_within(edge: Running) -> None:
    reply = await edge.http.get("/v1/trials/30%2F11%2F2026")
    texts = {each["locale"]: each["message"] for each in reply.json()["details"] if "locale" in each}
    assert (reply.status_code, "2026-11-30" in texts["vi"], "2026-11-30" in texts["en"]) == (400, True, True)
    assert not {"()", "invalid", "LOCAL_REPLY"} & set(texts["vi"].split())


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("amount=1&clour=COLOUR_RED", "clour"),
        ("amount=1&amount=2", "amount"),
        ("amount=1&%61mount=2", "amount"),
        ("trial_code=B-2", "trial_code"),
        ("trialCode=B-2", "trialCode"),
    ],
)
async def test_a_parameter_that_cannot_be_is_refused_by_name(edge: Running, query: str, named: str) -> None:
    reply = await edge.http.get(f"/v1/trials/A-1?{query}", headers=edge.bearer(sub="queries"))
    assert (reply.status_code, reply.json()["details"][-1]["fieldViolations"][0]["field"]) == (400, named)


@pytest.mark.parametrize(
    "path",
    ["/v1/amounts/", "/v1/amounts;x=1", "/v1/amounts/x", "/v1/"],
)
async def test_what_is_no_path_is_nobody_s(edge: Running, path: str) -> None:
    reply = await edge.http.post(path, content='{"amuont": 1}', headers=edge.bearer(sub="paths"))
    assert (reply.status_code, reply.json()["details"][0]["reason"]) == (404, "INVALID_REQUEST")


@pytest.mark.parametrize("path", ["/v1//amounts", "/v1/%61mounts", "/v1/x/../amounts", "/v1/./amounts"])
async def test_another_spelling_of_a_path_is_read_as_strictly(edge: Running, path: str) -> None:
    reply = await edge.http.post(path, content='{"amuont": 1}', headers=edge.bearer(sub="paths"))
    assert (reply.status_code, reply.json()["details"][-1]["fieldViolations"][0]["field"]) == (400, "amuont")


@pytest.mark.parametrize(
    ("path", "allow"), [("/v1/amounts", "OPTIONS, POST"), ("/v1/trials/A-1", "GET, HEAD, OPTIONS")]
)
async def test_whoever_asks_is_told_the_methods_of_a_path(edge: Running, path: str, allow: str) -> None:
    reply = await edge.http.options(path, headers=edge.bearer(sub="options"))
    assert (reply.status_code, reply.headers["allow"], reply.content) == (204, allow, b"")


@pytest.mark.parametrize("path", [b"/v1/trials/\xff", b"/about/\xff", b"/v1/trials/A-1?amount=\xff", b"/about?q=\xff"])
async def test_bytes_that_no_address_has(edge: Running, path: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.process.port)
    writer.write(b"GET " + path + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await reader.read()
    writer.close()
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 200 ")), answer


async def test_head_is_get_without_a_body(edge: Running) -> None:
    reply = await edge.http.head("/v1/trials/A-1")
    assert (reply.status_code, reply.content, reply.headers["content-type"]) == (200, b"", "application/json")
    assert (await edge.http.head("/v1/trials/missing")).status_code == 404
    assert (await edge.http.head("/v1/trials/A-1:watch")).headers["allow"] == "GET, OPTIONS"
    refused = await edge.http.put("/v1/trials/A-1")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_grpc_web(edge: Running) -> None:
    message = edge.trial.pb.GetTrialRequest(trial_code="A-1").SerializeToString()
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "origin": "https://example.gov.vn"}
    reply = await edge.http.post(
        "/motcua.trial.v1.TrialService/GetTrial", content=struct.pack(">BI", 0, len(message)) + message, headers=headers
    )
    flag, length = struct.unpack(">BI", reply.content[:5])
    assert flag == 0
    assert edge.trial.pb.GetTrialResponse.FromString(reply.content[5 : 5 + length]).trial_code == "A-1"
    assert b"grpc-status:0" in reply.content[5 + length :]
    assert reply.headers["access-control-allow-origin"] == "https://example.gov.vn"


@pytest.mark.parametrize("path", ["/v1/trials/A-1", "/motcua.trial.v1.TrialService/GetTrial"])
async def test_preflight(edge: Running, path: str) -> None:
    headers = {"origin": "https://example.gov.vn", "access-control-request-method": "POST"}
    reply = await edge.http.options(path, headers=headers)
    assert (reply.status_code, reply.headers["access-control-allow-methods"]) == (
        200,
        "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    )


async def test_a_good_token_passes_and_reaches_the_service(edge: Running) -> None:
    headers = edge.bearer(sub="good")
    reply = await edge.http.get("/v1/trials/A-1", headers=headers)
    assert reply.json()["headers"]["authorization"] == headers["authorization"]


async def test_a_bad_token_is_refused_in_json(edge: Running) -> None:
    for headers in (edge.bearer(seconds=-3600), edge.bearer(iss="other"), {"authorization": "Bearer nonsense"}):
        reply = await edge.http.get("/v1/trials/A-1", headers=headers)
        assert reply.status_code == 401
        assert reply.json()["details"][0]["reason"] == "TOKEN_INVALID"
    assert "Jwt" in reply.json()["message"]


async def test_a_bad_token_is_refused_in_grpc(edge: Running) -> None:
    metadata = [("authorization", "Bearer nonsense")]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await edge.stub.GetTrial(edge.trial.pb.GetTrialRequest(trial_code="A-1"), metadata=metadata)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    status = rpc_status.from_call(refused.value)  # type: ignore[arg-type]
    info = error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    assert info.reason == "TOKEN_INVALID"


async def test_reads_are_retried_and_mutations_are_not(edge: Running) -> None:
    edge.trial.calls = 0
    assert (await edge.http.get("/v1/flaky?failures=2")).json() == {"calls": 3}
    edge.trial.calls = 0
    reply = await edge.http.post("/v1/flaky", json={"requestId": "x", "failures": 1})
    assert (reply.status_code, edge.trial.calls) == (503, 1)


async def test_what_a_stopping_replica_did_not_take_is_sent_again(
    edge: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge.trial, "failure", grpc.StatusCode.CANCELLED)
    for method, sent in (("GET", {"params": {"failures": 2}}), ("POST", {"json": {"requestId": "x", "failures": 2}})):
        edge.trial.calls = 0
        assert (await edge.http.request(method, "/v1/flaky", **sent)).json() == {"calls": 3}


async def until_refused(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """However slowly they go out: the allowance of the burst grows by one call a second."""
    for _ in range(1000):
        if (reply := await ask()).status_code != 200:
            return reply
    raise AssertionError("a thousand calls, and none was refused")


async def test_too_many_calls_in_json(edge: Running) -> None:
    headers = edge.bearer(sub="busy")
    refused = await until_refused(lambda: edge.http.get("/v1/trials/A-1", headers=headers))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    body = refused.json()
    assert body["code"] == 8
    assert [d.get("reason") or d.get("retryDelay") or d["locale"] for d in body["details"]] == [
        "OVERLOADED",
        "1s",
        "vi",
        "en",
    ]
    assert (await edge.http.get("/v1/trials/A-1", headers=edge.bearer(sub="calm"))).status_code == 200


async def test_too_many_calls_in_grpc(edge: Running) -> None:
    metadata = [("authorization", edge.bearer(sub="busy-2")["authorization"])]
    request = edge.trial.pb.GetTrialRequest(trial_code="A-1")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asyncio.gather(*(edge.stub.GetTrial(request, metadata=metadata) for _ in range(300)))
    status = rpc_status.from_call(refused.value)  # type: ignore[arg-type]
    assert status is not None
    assert status.code == 8
    retry = error_details_pb2.RetryInfo()
    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.seconds == 1


async def test_pages_go_to_their_clusters_and_are_not_transcoded(edge: Running) -> None:
    for path in ("/", "/ho-so/A-1", "/login", "/oauth2/token", "/payment/return", "/.well-known/jwks.json"):
        reply = await edge.http.post(path, content="x=1", headers={"content-type": "application/x-www-form-urlencoded"})
        assert reply.text == f"{path} 3"
    assert (await edge.http.post("/login", content=b"x" * 200_000)).status_code == 413


async def test_a_live_page_arrives_frame_by_frame_and_has_no_end(edge: Running) -> None:
    edge.trial.changed.clear()
    async with asyncio.timeout(PATIENCE_SECONDS), edge.http.stream("GET", "/dossiers/A-1/live") as reply:
        frames = reply.aiter_text()
        assert await anext(frames) == "data: 1\n\n"
        edge.trial.changed.set()
        assert await anext(frames) == "data: 2\n\n"
    pages = [route for route in _routes(edge) if route["match"].get("prefix") in ("/", "/dossiers/")]
    assert [route["route"]["timeout"] for route in pages] == ["0s", "0s"]


def _routes(edge: Running) -> list[dict[str, Any]]:
    listener = safe_load(edge.process.edge.config())["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    routes: list[dict[str, Any]] = manager["route_config"]["virtual_hosts"][0]["routes"]
    return routes


async def test_pages_learn_how_they_were_asked_for(edge: Running) -> None:
    await edge.http.get("/about", headers={"x-forwarded-proto": "https"})
    assert edge.trial.headers["x-forwarded-proto"] == "http"
    await asyncio.to_thread(_get_by_tls, edge, "/about")
    assert edge.trial.headers["x-forwarded-proto"] == "https"


@pytest.mark.parametrize("authorization", [None, "Bearer nonsense", "Basic nonsense"])
async def test_too_many_codes_are_guessed(edge: Running, authorization: str | None) -> None:
    headers = {"authorization": authorization} if authorization else {}
    refused = await until_refused(lambda: edge.http.get("/dossiers/A-1", headers=headers))
    assert refused.status_code == 429
    assert (await edge.http.get("/about", headers=headers)).status_code == 200


async def test_too_many_calls_of_nobody_known(edge: Running) -> None:
    """A header that is no token buys nothing."""
    elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(base_url=edge.http.base_url, transport=elsewhere) as client:
        number = itertools.count()
        refused = await until_refused(
            lambda: client.get("/v1/trials/A-1", headers={"authorization": f"Basic {next(number)}"})
        )
    assert refused.status_code == 429


async def test_healthz_follows_the_platform(edge: Running) -> None:
    assert (await edge.http.get("/healthz")).status_code == 200
    edge.trial.ready = False
    assert (await edge.http.get("/healthz")).status_code == 503
    edge.trial.ready = True


async def test_the_trace_is_passed_on_and_logged(edge: Running) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    reply = await edge.http.get("/v1/trials/traced?colour=COLOUR_RED", headers=headers)
    assert reply.json()["headers"]["traceparent"].split("-")[1] == trace

    def logged() -> list[str]:
        return [line for line in edge.process.edge.access_log.read_text().splitlines() if trace in line]

    entry = json.loads((await eventually_here(logged))[0])
    assert (entry["trace_id"], entry["path"], entry["status"]) == (trace, "/v1/trials/traced", 200)


async def test_what_is_stated_reaches_the_service_and_no_log(edge: Running) -> None:
    trace, code = "4bf92f3577b34da6a3ce929d0e0e4737", "P56.22.366-20260302-0000077"
    stated = {PURPOSE: "settle", DOSSIER: code}
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"} | stated
    reply = await edge.http.get("/v1/trials/stated", headers=headers)
    assert {name: value for name, value in reply.json()["headers"].items() if name in stated} == stated

    def logged() -> list[str]:
        return [line for line in edge.process.edge.access_log.read_text().splitlines() if trace in line]

    assert not [line for line in await eventually_here(logged) if "settle" in line or code in line]
    asked = {"origin": "https://desk.example.vn", "access-control-request-method": "GET"}
    allowed = await edge.http.options("/v1/trials/stated", headers=asked)
    assert set(stated) <= set(allowed.headers["access-control-allow-headers"].split(", "))


async def test_an_update_is_a_patch_with_a_mask(edge: Running) -> None:
    body = {"requestId": "0b6c3f4e-5d0f-4a58-9d0e-2f8a3b1c7d66", "mostOften": 3}
    masked = await edge.http.patch("/v1/changes/A-1", json=body | {"updateMask": "mostOften,trialCode"})
    assert masked.json() == {"mostOften": "3", "paths": ["most_often", "trial_code"]}
    assert (await edge.http.patch("/v1/changes/A-1", json=body)).json() == {"mostOften": "3", "paths": []}
    assert (await edge.http.put("/v1/changes/A-1", json=body)).status_code == 405
    asked = {"origin": "https://desk.example.vn", "access-control-request-method": "PATCH"}
    allowed = await edge.http.options("/v1/changes/A-1", headers=asked)
    assert "PATCH" in allowed.headers["access-control-allow-methods"]


async def test_tls(edge: Running) -> None:
    reply = await asyncio.to_thread(_get_by_tls, edge)
    assert reply.status_code == 200
    assert "strict-transport-security" in reply.headers


def _get_by_tls(edge: Running, path: str = "/v1/trials/A-1") -> httpx.Response:
    context = ssl.create_default_context(cafile=str(edge.authority))
    return httpx.get(f"https://localhost:{edge.process.tls_port}{path}", verify=context, trust_env=False)


async def test_grpc_over_tls(edge: Running) -> None:
    credentials = grpc.ssl_channel_credentials(edge.authority.read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{edge.process.tls_port}", credentials) as channel:
        reply = await edge.trial.rpc.TrialServiceStub(channel).GetTrial(edge.trial.pb.GetTrialRequest(trial_code="A-1"))
    assert reply.trial_code == "A-1"


async def test_a_new_certificate_is_shown_without_a_restart_and_old_streams_go_on(edge: Running) -> None:
    tls = edge.process.edge.tls
    assert tls
    edge.trial.changed.clear()
    verify = ssl.create_default_context(cafile=str(edge.authority))
    pid, before = edge.process.pid, await _shown(edge)
    live = f"https://localhost:{edge.process.tls_port}/dossiers/A-1/live"
    async with (
        httpx.AsyncClient(verify=verify, trust_env=False, timeout=PATIENCE_SECONDS) as http,
        http.stream("GET", live) as reply,
    ):
        frames = reply.aiter_text()
        assert await anext(frames) == "data: 1\n\n"
        tls.certificate.unlink()
        certificates.ensure(tls.certificate.parent)

        async def replaced() -> bool:
            return await _shown(edge) != before

        await eventually_here(replaced)
        edge.trial.changed.set()
        assert await anext(frames) == "data: 2\n\n"
    assert await _shown(edge) == ssl.PEM_cert_to_DER_cert(tls.certificate.read_text())
    assert edge.process.pid == pid


async def _shown(edge: Running) -> bytes | None:
    verify = ssl.create_default_context(cafile=str(edge.authority))
    _, writer = await asyncio.open_connection("localhost", edge.process.tls_port, ssl=verify)
    found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found


async def test_statistics_for_prometheus(edge: Running) -> None:
    socket = httpx.AsyncHTTPTransport(uds=str(edge.process.edge.admin))
    async with httpx.AsyncClient(transport=socket, trust_env=False) as client:
        reply = await client.get("http://admin/stats/prometheus")
    assert "envoy_http_downstream_rq_total" in reply.text
