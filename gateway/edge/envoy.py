"""The edge's settings, and the Envoy configuration made of them: one template for a laptop and a cluster."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from pydantic import ConfigDict

from gateway.edge.api import Api, Method, read, without_comments
from gateway.edge.replies import REPLIES, RETRY_SECONDS
from gateway.edge.strict import OWN, script
from services.chassis.access.tls import CLIENT
from services.chassis.calls.stated import STATEMENTS
from services.chassis.frame.load import PREFIX
from services.chassis.pages.security_headers import HEADERS
from services.registry import SERVICES

UNAVAILABLE_PAGE = """<!doctype html><html lang="vi"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Motcua</title>
<p>Hệ thống tạm thời không trả lời. Xin thử lại sau ít phút.
<p lang="en">The service does not answer for the moment. Please try again in a few minutes."""


class Address(NamedTuple):
    host: str
    port: int


# Of one replica, of several, or of a name that stands for several.
Addresses = Address | Sequence[Address]


def each(addresses: Addresses) -> tuple[Address, ...]:
    return (addresses,) if isinstance(addresses, Address) else tuple(addresses)


def target(addresses: Addresses) -> str:
    """As a gRPC client has it: any of them."""
    found = each(addresses)
    if len(found) == 1:
        return f"{found[0].host}:{found[0].port}"
    return "ipv4:" + ",".join(f"{host}:{port}" for host, port in found)


class Rpc(NamedTuple):
    match: dict[str, str]
    cluster: str
    timeout_seconds: int
    retry_on: str


class Route(NamedTuple):
    """A path (or, with a slash at its end, everything under it) that a plain HTTP cluster serves."""

    path: str
    cluster: str
    # 0: as everywhere.
    max_request_bytes: int = 0


_OWN = (
    Route("/healthz", "admin"),
    Route("/docs", "docs"),
    Route("/docs/", "docs"),
    Route("/openapi.json", "docs"),
    Route("/sandbox/", "sandbox"),
)
_SERVICES = (
    Route(page.path, service.name, page.max_request_bytes) for service in SERVICES.values() for page in service.pages
)
# The first one that matches serves: the longest.
PAGES = tuple(sorted((*_OWN, *_SERVICES), key=lambda route: -len(route.path)))
# The subject of a token that the edge verified; between its own filters only.
SUBJECT = "x-motcua-subject"
# What a service serves beside its pages, for its operator.
OPERATIONS = ("/metrics", "/livez", "/servez", "/readyz")
# Failures of which it is certain that the call did not reach the service.
UNSENT = "connect-failure,refused-stream"
# A stopping server ends so what it did not take (https://github.com/grpc/grpc/issues/41785), and what it did not finish within its
# grace: a change sent again, with its request id, has one effect.
STOPPED = "cancelled"
PLATFORM = (
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)


# Where they are read from a file, a word that is none of theirs is refused.
STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    __pydantic_config__ = STRICT

    port: int
    certificate: Path
    key: Path
    # Callers may show a certificate of this authority; the services read its SHA-256 in x-forwarded-client-cert.
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutual:
    """The edge's own certificate in the site. With it the services answer to it only, and it checks their names."""

    __pydantic_config__ = STRICT

    site: str
    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Jwt:
    """Tokens are checked early, so that a bad one costs the services nothing. They check its claims again."""

    __pydantic_config__ = STRICT

    # A file, or a path of identity's HTTP cluster.
    jwks: Path | str = "/.well-known/jwks.json"
    issuer: str = "motcua"
    audience: str = "motcua"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Where the edge listens, and where what it leads to is found. Port 0 is any free one."""

    __pydantic_config__ = STRICT

    port: int
    # An IP address. One that others reach is refused while the sandbox is served, unless that is said below.
    host: str = "0.0.0.0"
    # Whoever reaches a site with a sandbox logs in as anybody, an administrator too.
    sandbox_anybody_is_administrator: bool = False
    tls: Tls | None = None
    descriptors: Path
    # gRPC by our services' names: dossier, identity, ...; the edge serves those that are given.
    services: Mapping[str, Addresses]
    # gRPC health and reflection of the whole.
    platform: Addresses | None = None
    # HTTP by the cluster names of PAGES.
    pages: Mapping[str, Addresses]
    mutual: Mutual | None = None
    # Pages that the edge's own process serves on the loopback, without certificates.
    own_pages: frozenset[str] = frozenset()
    # Where `secret_files` lie. They name the certificates' files, which Envoy reads again when they are replaced.
    secrets: Path = Path("/etc/envoy-secrets")
    jwt: Jwt | None = None
    # Calls a second for each caller (token's subject, else client address), and how many at once.
    rate: int = 50
    burst: int = 200
    # Proxies before the edge whose x-forwarded-for is believed.
    trusted_hops: int = 0
    max_connections: int = 20_000
    timeout_seconds: int = 15
    # Of a body that is JSON or for a page; a gRPC message is the service's affair.
    max_request_bytes: int = 8 * 1024 * 1024
    # All of a request's headers together, its path among them.
    max_headers_kib: int = 16
    max_headers: int = 100
    streams_per_connection: int = 1000
    # How long a caller may take to send the headers, and all of the request.
    headers_seconds: float = 10
    request_seconds: float = 60
    # How long a connection is kept on which nothing is asked: places are few, and each holds one.
    unused_seconds: float = 120
    # How long a stream may be silent.
    idle_seconds: float = 300
    # Which web origins may call the API. Tokens travel in a header and no cookie is read, so any may by default.
    origins: tuple[str, ...] = ("*",)
    access_log: Path
    # Envoy's admin interface, which changes and stops it: a Unix socket that only this user may open.
    admin: Path = Path("/tmp/envoy-admin.sock")
    # For a scraper and for probes: GET /metrics (Prometheus) and /ready, and nothing else of the admin interface.
    stats_port: int | None = None
    # How many of the traces that begin here the services shall record. The edge itself records none: its spans would hold
    # queries, and what refusals say, both of which may be personal data.
    trace_percent: float = 0

    def __post_init__(self) -> None:
        at_home = _is_ip(self.host) and ip_address(self.host).is_loopback
        if "sandbox" in self.pages and not (at_home or self.sandbox_anybody_is_administrator):
            raise ValueError(
                f"host {self.host} would let others reach the sandbox, in which anybody logs in as an administrator: set host to "
                "127.0.0.1, or sandbox_anybody_is_administrator to true"
            )

    def config(self) -> str:
        descriptors = read(self.descriptors)
        api = Api.read(descriptors)
        served = {service: methods for service, methods in api.methods.items() if Api.name(service) in self.services}
        return _template().render(
            edge=self,
            # Inside the configuration, so that it is one file to take elsewhere.
            descriptors=b64encode(without_comments(descriptors)).decode(),
            grpc_services=list(served),
            refused=list(_refused(served)),
            rpcs=[
                *(self._rpc(method) for methods in served.values() for method in methods if not method.internal),
                *self._prefixes(served),
            ],
            pages=[route for route in PAGES if route.cluster in self.pages],
            clusters=list(self._clusters()),
            replies=REPLIES,
            retry_after=RETRY_SECONDS,
            unavailable_page=UNAVAILABLE_PAGE,
            headers=HEADERS,
            statements=list(STATEMENTS),
            client=CLIENT,
            subject=SUBJECT,
            ipv6_prefix=PREFIX,
            own=OWN,
            strict=script([method for methods in served.values() for method in methods if not method.internal]),
            origins=[_origin(origin) for origin in self.origins],
        )

    def secret_files(self) -> dict[str, str]:
        """Envoy's secret discovery, by the name of the file."""
        found: dict[str, dict[str, object]] = {}
        if self.tls:
            found["server"] = _pair(self.tls.certificate, self.tls.key)
            if self.tls.client_ca:
                found["client-authority"] = _authority(self.tls.client_ca)
        if self.mutual:
            found["site"] = _pair(self.mutual.certificate, self.mutual.key)
            found["site-authority"] = _authority(self.mutual.authority)
        secret = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"}
        return {
            f"{name}.json": json.dumps({"resources": [secret | {"name": name} | kind]}, indent=2) + "\n"
            for name, kind in found.items()
        }

    def _rpc(self, method: Method) -> Rpc:
        # Streams live until one side ends them; keep-alive pings find the dead.
        timeout = 0 if method.streams else self.timeout_seconds
        if method.streams:
            retry_on = UNSENT
        else:
            retry_on = f"{UNSENT},{STOPPED}" if method.access.mutation else f"{UNSENT},{STOPPED},reset,unavailable"
        return Rpc({"path": method.path}, f"grpc-{Api.name(method.service)}", timeout, retry_on)

    def _prefixes(self, served: Mapping[str, object]) -> Iterator[Rpc]:
        """For methods that are not in the descriptors: the service says that it does not know them."""
        for service in served:
            yield Rpc({"prefix": f"/{service}/"}, f"grpc-{Api.name(service)}", self.timeout_seconds, UNSENT)
        if self.platform:
            for service in PLATFORM:
                yield Rpc({"prefix": f"/{service}/"}, "grpc-platform", 0, UNSENT)

    def _clusters(self) -> Iterator[dict[str, Any]]:
        grpc: dict[str, Addresses | None] = {f"grpc-{name}": address for name, address in self.services.items()}
        grpc |= {"grpc-platform": self.platform} if self.platform else {}
        grpc |= {"nowhere": None}
        stats = {} if self.stats_port is None else {"stats": None}
        http = {f"http-{name}": address for name, address in self.pages.items()}
        for name, addresses in sorted((grpc | http | stats).items(), key=lambda cluster: cluster[0]):
            found = each(addresses) if addresses else ()
            dns = any(not _is_ip(address.host) for address in found)
            part = "status" if name == "grpc-platform" else name.partition("-")[2]
            own = name in stats or name in {f"http-{page}" for page in self.own_pages}
            peer = f"{part}.{self.mutual.site}.internal" if self.mutual and found and not own else ""
            replicas = (dns or len(found) > 1) and not own
            yield {
                "name": name,
                "addresses": found,
                "pipe": str(self.admin) if name in stats else "",
                "http2": name in grpc,
                "dns": dns,
                "peer": peer,
                "replicas": replicas,
            }


def _refused(served: Mapping[str, Sequence[Method]]) -> Iterator[dict[str, str]]:
    """What is for the platform itself does not exist outside."""
    yield from ({"path": path} for path in OPERATIONS)
    for methods in served.values():
        yield from ({"path": method.path} for method in methods if method.internal)


def _pair(certificate: Path, key: Path) -> dict[str, object]:
    chain, private = {"filename": str(certificate)}, {"filename": str(key)}
    watched = {"path": str(certificate.parent)}
    return {"tls_certificate": {"certificate_chain": chain, "private_key": private, "watched_directory": watched}}


def _authority(path: Path) -> dict[str, object]:
    watched = {"path": str(path.parent)}
    return {"validation_context": {"trusted_ca": {"filename": str(path)}, "watched_directory": watched}}


def _origin(origin: str) -> dict[str, Any]:
    return {"safe_regex": {"regex": ".+"}} if origin == "*" else {"exact": origin}


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _template() -> Template:
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["json"] = lambda value: json.dumps(value, default=str, ensure_ascii=False)
    return environment.get_template("envoy.yaml.j2")
