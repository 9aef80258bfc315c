"""What leaves the site, and what turns input into instructions: each is listed here with its reason, and what is new fails."""

from __future__ import annotations

import ast
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from services.chassis.network.outbound import LARGEST_ANSWER_BYTES, ask
from services.identity.oidc import Provider, ProviderSettings, ProviderUnavailable
from services.identity.population import HttpPopulation, Lookup, PopulationSettings, PopulationUnavailable
from services.notification.channels.carriers import CARRIERS

ROOT = Path(__file__).parents[2]
PRODUCT = ("services", "gateway", "command")

# By what is called. What only names a type or an error, or makes a value, leaves nothing.
LEAVING = {
    "httpx": {"Client", "AsyncClient", "get", "post", "put", "patch", "delete", "head", "options", "request", "stream"},
    "grpc": {"insecure_channel", "secure_channel"},
    "grpc.aio": {"insecure_channel", "secure_channel"},
    "asyncio": {"open_connection", "open_unix_connection", "create_subprocess_exec", "create_subprocess_shell"},
    "socket": {"socket", "create_connection", "getaddrinfo", "gethostbyname", "socketpair", "fromfd"},
    "subprocess": {"run", "Popen", "call", "check_call", "check_output", "getoutput", "getstatusoutput"},
    "os": {
        "system",
        "popen",
        "execv",
        "execve",
        "execvp",
        "execvpe",
        "execl",
        "execlp",
        "spawnv",
        "posix_spawn",
        "fork",
    },
    "psycopg": {"connect"},
    "psycopg.AsyncConnection": {"connect"},
    "psycopg.Connection": {"connect"},
    "sqlalchemy": {"create_engine"},
    "aiosmtplib": {"send", "SMTP"},
    "obstore.store": {"S3Store", "LocalStore", "HTTPStore", "GCSStore", "AzureStore", "from_url"},
    "kurrentdbclient": {"AsyncKurrentDBClient", "KurrentDBClient"},
    "services.chassis.store.kurrentdb_client.kdb": {"AsyncKurrentDBClient"},
    "opentelemetry.exporter.otlp.proto.grpc.trace_exporter": {"OTLPSpanExporter"},
}
# Modules of which any use leaves, or whose every parser fetches or runs what its input says.
FORBIDDEN = {
    "urllib.request", "http.client", "ftplib", "smtplib", "poplib", "imaplib", "telnetlib", "xmlrpc", "requests", "aiohttp",
    "websockets", "boto3", "kubernetes", "paramiko", "urllib3",
    "lxml", "marshal", "shelve", "dill", "cloudpickle", "code", "rstr",
}  # fmt: skip
METHODS = {"create_connection", "create_unix_connection", "create_datagram_endpoint", "sock_connect"}

CALLS = {
    "gateway/sandbox/day/door.py httpx.AsyncClient": "a trial's client, to the edge that its command names",
    "gateway/sandbox/day/door.py grpc.aio.insecure_channel": "a trial's client, to the edge that its command names",
    "gateway/sandbox/day/door.py grpc.aio.secure_channel": "a trial's client, to the edge that its command names",
    "services/chassis/platform/platform.py grpc.aio.insecure_channel": "to services of this site, which the operator "
    "or `up` placed",
    "services/chassis/access/tls.py grpc.aio.secure_channel": "to services of this site, by name, with its own authority",
    "services/chassis/blobs/bucket.py obstore.store.S3Store": "the operator's bucket: MOTCUA_BLOBS, AWS_ENDPOINT_URL",
    "services/chassis/database/database.py sqlalchemy.create_engine": "the operator's database: MOTCUA_DATABASE",
    "services/chassis/store/kurrentdb.py services.chassis.store.kurrentdb_client.kdb.AsyncKurrentDBClient": "the operator's "
    "log: MOTCUA_EVENT_STORE",
    "services/chassis/telemetry/telemetry.py opentelemetry.exporter.otlp.proto.grpc.trace_exporter.OTLPSpanExporter": "the "
    "operator's collector: OTEL_EXPORTER_OTLP_ENDPOINT",
    "services/chassis/work/confined.py asyncio.create_subprocess_exec": "this program, for work of unknown cost",
    "services/chassis/work/confined.py os.fork": "the same, for one piece of it",
    "services/dossier/files/scanner.py asyncio.open_connection": "the operator's malware scanner: MOTCUA_CLAMD_URL",
    "services/dossier/files/scanner.py asyncio.open_unix_connection": "the same",
    "services/identity/national.py httpx.AsyncClient": "MOTCUA_VNEID_URL and MOTCUA_POPULATION_URL; discovery stays at its hosts",
    "services/payment/provider.py httpx.AsyncClient": "MOTCUA_VNPAY_URL",
    **{
        f"{inspect.getfile(carrier.open).removeprefix(f'{ROOT}/')} {call}": where
        for carrier in CARRIERS.values()
        for call, where in carrier.leaves.items()
    },
    "gateway/ledger/keep/cosigning.py httpx.AsyncClient": "the witnesses that the operator lists: MOTCUA_LEDGER_WITNESSES",
    "gateway/ledger/keep/restoring.py httpx.AsyncClient": "the same, when a log is restored",
    "gateway/ledger/audit/source.py httpx.Client": "the ledger that whoever checks one names on the command line",
    "gateway/edge/process.py httpx.AsyncClient": "Envoy's own administration, on this machine",
    "gateway/edge/process.py asyncio.create_subprocess_exec": "Envoy",
    "gateway/edge/own_pages.py grpc.aio.insecure_channel": "to services of this site",
    "gateway/sandbox/vnpay.py httpx.AsyncClient": "the sandbox plays the provider: it calls this site back",
}
# The operator's own commands, by whom they are started and with what they are told.
COMMANDS = "command/"


def modules() -> Iterator[tuple[str, ast.Module]]:
    for part in PRODUCT:
        for path in sorted((ROOT / part).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def names(tree: ast.Module) -> dict[str, str]:
    """What each name of a module stands for, wherever it is imported."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=imported):
                for each in imported:
                    found[each.asname or each.name.partition(".")[0]] = (
                        each.name if each.asname else each.name.partition(".")[0]
                    )
            case ast.ImportFrom(module=str(module), names=imported, level=0):
                for each in imported:
                    found[each.asname or each.name] = f"{module}.{each.name}"
    return found


def dotted(node: ast.expr, known: dict[str, str]) -> str:
    match node:
        case ast.Name(id=name):
            return known.get(name, "")
        case ast.Attribute(value=value, attr=attribute) if before := dotted(value, known):
            return f"{before}.{attribute}"
        case _:
            return ""


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=found):
                yield from (each.name for each in found)
            case ast.ImportFrom(module=str(module), names=found, level=0):
                yield module
                yield from (f"{module}.{each.name}" for each in found)


def leaving(tree: ast.Module) -> Iterator[str]:
    known = names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or dotted(node.func, {"isinstance": "isinstance"}):
            continue
        # Not only what is called: what is handed on is called elsewhere.
        for part in (node.func, *node.args, *(each.value for each in node.keywords)):
            module, _, name = dotted(part, known).rpartition(".")
            if name in LEAVING.get(module, ()):
                yield f"{module}.{name}"
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            yield node.func.attr


def test_every_call_that_leaves_is_listed_with_its_reason() -> None:
    found = {f"{path} {what}" for path, tree in modules() for what in leaving(tree)}
    assert {each for each in found if not each.startswith(COMMANDS)} == set(CALLS)
    assert all(CALLS.values())


def test_nothing_is_imported_that_fetches_or_runs_what_its_input_says() -> None:
    found = {(path, each) for path, tree in modules() for each in imported(tree)}
    forbidden = {(path, each) for path, each in found if any(f"{each}.".startswith(f"{no}.") for no in FORBIDDEN)}
    # A trial's client makes up answers to the patterns of the forms that it was given.
    assert forbidden == {("gateway/sandbox/day/forms.py", "rstr")}
    only = {
        # faults.py knows the kinds of its errors, and compiles nothing.
        "jsonschema_rs": {"services/law/forms.py", "services/law/faults.py", "gateway/sandbox/day/forms.py"},
        # Without document types, so that no entity is read.
        "xml": {"services/dossier/files/signed.py"},
        # In a confined process.
        "pikepdf": {"services/dossier/files/documents.py"},
        "PIL": {"services/dossier/files/pictures.py"},
        "pi_heif": {"services/dossier/files/pictures.py"},
        "pickle": {"services/chassis/work/confined.py"},
        "yaml": {"services/catalogue/reader.py", "services/catalogue/remote.py", "gateway/edge/__main__.py"},
    }
    for module, files in only.items():
        assert {path for path, each in found if each.partition(".")[0] == module} - {
            "command/doctor/wiring.py"
        } <= files


def test_input_is_neither_code_nor_template_nor_pattern() -> None:
    bad = set()
    for path, tree in modules():
        known = names(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            what = dotted(node.func, known) or (node.func.id if isinstance(node.func, ast.Name) else "")
            attribute = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if what in {"eval", "exec", "compile", "__import__", "jinja2.Template"} or attribute == "from_string":
                bad.add(f"{path} {what or attribute}")
            if what in {"yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"}:
                bad.add(f"{path} {what}")
            if what.startswith("re.") and what != "re.escape" and node.args and not _is_ours(node.args[0]):
                bad.add(f"{path}:{node.lineno} {what}")
            for keyword in node.keywords:
                never = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg == "follow_redirects" and not never and not path.startswith(COMMANDS):
                    bad.add(f"{path} follows redirects")
    assert bad == set()


def _is_ours(pattern: ast.expr) -> bool:
    """Written in the program: text, or text with constants or what is escaped in it."""
    match pattern:
        case ast.Constant():
            return True
        case ast.JoinedStr(values=values):
            return all(_is_ours(each) for each in values)
        case ast.FormattedValue(value=value):
            return _is_ours(value)
        case ast.Name(id=name):
            return name.isupper()
        # Declared in the protos: what a kind of text is read as.
        case ast.Attribute(value=ast.Name(id="reading"), attr="dropped" | "pattern"):
            return True
        case ast.Call(func=ast.Attribute(attr="escape")):
            return True
        case ast.BinOp(left=left, right=right):
            return _is_ours(left) and _is_ours(right)
        case _:
            return False


# What the other side says decides nothing of where we go next.


class Other:
    """A national system that misbehaves, and a place nobody should come to."""

    def __init__(self) -> None:
        self.strayed: list[str] = []
        self.discovery: dict[str, Any] = {}
        self.answer: Response = JSONResponse({})

    async def serve(self, request: Request) -> Response:
        if request.url.hostname != "vneid.example":
            self.strayed.append(str(request.url))
        if request.url.path.endswith("openid-configuration"):
            return JSONResponse(self.discovery)
        return self.answer


@asynccontextmanager
async def calling(other: Other) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Route("/{path:path}", other.serve, methods=["GET", "POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as http:
        yield http


ISSUER = "https://vneid.example"
ENDPOINTS = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}
LOOKUP = Lookup("001099000001", "Nguyễn Văn A", "1999-03-02", (), "verification", "1/QĐ", "citizen-1", "P56")


def provider(http: httpx.AsyncClient) -> Provider:
    settings = ProviderSettings(
        ISSUER, "motcua", "secret", "https://motcua.example/back", hosts=("keys.vneid.example",)
    )
    return Provider(settings, http, lambda: datetime.now(UTC))


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data", "http://vneid.example/token", "https://vneid.example:8443/token",
        "https://vneid.example@evil.example/", "https://evil.example/vneid.example", "//evil.example/x", "file:///etc/passwd",
        "http://keys.vneid.example/x", "https://keys.vneid.example:444/x", "https://keys.vneid.example.evil.example/x",
        "", "\ud800", "https://[", 7, None,
    ],
)  # fmt: skip
async def test_a_discovery_document_names_no_other_host(endpoint: str, address: Any) -> None:
    other = Other()
    # What cannot be written as UTF-8 cannot be sent.
    other.discovery = ENDPOINTS | {endpoint: "https://x\\ud800" if address == "\ud800" else address}
    async with calling(other) as http:
        with pytest.raises(ProviderUnavailable, match="names"):
            await provider(http).redeem("code", "verifier")
    assert other.strayed == []


async def test_a_host_that_the_operator_lists_may_be_named() -> None:
    other = Other()
    other.discovery = ENDPOINTS | {"token_endpoint": "https://keys.vneid.example/token"}
    other.answer = JSONResponse({"id_token": "t"})
    async with calling(other) as http:
        assert await provider(http).redeem("code", "verifier") == "t"
    assert other.strayed == ["https://keys.vneid.example/token"]


@pytest.mark.parametrize(
    "answer",
    [
        RedirectResponse("http://169.254.169.254/"),
        RedirectResponse("https://evil.example/", 301),
        Response(b"[" * 500_000, media_type="application/json"),
        Response(b" " * (LARGEST_ANSWER_BYTES + 1), media_type="application/json"),
        Response(b"\xff\xfe", media_type="application/json"),
    ],
    ids=["redirect", "moved", "deep", "large", "not text"],
)
async def test_an_answer_leads_nowhere_and_has_an_end(answer: Response) -> None:
    other = Other()
    other.discovery, other.answer = ENDPOINTS, answer
    async with calling(other) as http:
        with pytest.raises(ProviderUnavailable):
            await provider(http).redeem("code", "verifier")
        with pytest.raises(PopulationUnavailable):
            await HttpPopulation(PopulationSettings(ISSUER, "motcua", "secret"), http).look_up(LOOKUP)
    assert other.strayed == []


async def test_a_client_that_would_follow_does_not() -> None:
    other = Other()
    other.answer = RedirectResponse("https://evil.example/")
    async with calling(other) as http:
        http.follow_redirects = True
        assert (await ask(http, "GET", f"{ISSUER}/x")).status == 307
    assert other.strayed == []
