"""Identity and payment behind a real edge with TLS, and another government system that calls them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from joserfc import jwt
from joserfc.jwk import OKPKey

from gateway.edge.certificates import ensure
from gateway.edge.envoy import Address, Edge, Jwt, Mutual, Tls
from gateway.edge.process import EdgeProcess
from motcua.identity.v1 import identity_pb2
from motcua.identity.v1 import identity_service_pb2 as identity
from motcua.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from services.chassis.access.certificates import Files, peer_name
from services.chassis.platform.platform import Platform
from services.identity.service import IdentityService
from services.identity.tokens import public_jwk
from services.payment.service import PaymentService
from tests.support.authority import Authority, context
from tests.support.grounds import open_agencies
from tests.support.hosted import Host, hosted
from tests.support.postgresql import settings_of
from tests.support.tokens import mint, signing_key

DESCRIPTORS = Path(__file__).parents[2] / "build" / "descriptors.binpb"
SITE = "vn-56"
PATIENCE = 30
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PURPOSE = "reconcile"
# What a system may ask with that purpose.
DAY = "/v1/reconciliations/2026-11-20"


@dataclass
class Site:
    host: Host
    edge: EdgeProcess
    site_authority: Authority
    clients: Authority
    public: Path
    """The authority of the edge's certificate."""
    administrator: str
    mutual: bool

    @property
    def secure(self) -> str:
        return f"https://localhost:{self.edge.tls_port}"

    @property
    def plain(self) -> str:
        return f"http://127.0.0.1:{self.edge.port}"

    def http(self, files: Files | None = None) -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=context(files, self.public), trust_env=False, timeout=PATIENCE)

    def channel(self, service: str, part: str = "operator") -> grpc.aio.Channel:
        """To a service beside the edge, as a part of the site."""
        address = self.host.address(service)
        if not self.mutual:
            return grpc.aio.insecure_channel(address)
        files = self.site_authority.give(part, peer_name(part, SITE))
        secure = grpc.ssl_channel_credentials(
            files.authority.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
        )
        return grpc.aio.secure_channel(address, secure, (("grpc.ssl_target_name_override", peer_name(service, SITE)),))

    async def administer(self, rpc: str, **fields: Any) -> None:
        request = getattr(identity, f"{rpc}Request")(request_id=str(uuid4()), **fields)
        async with self.channel("identity") as channel:
            call = getattr(IdentityServiceStub(channel), rpc)
            await call(request, metadata=(("authorization", f"Bearer {self.administrator}"),), timeout=PATIENCE)

    async def register(self, purposes: Sequence[str] = (PURPOSE,), *, certificate_required: bool = False) -> System:
        key = OKPKey.generate_key("Ed25519")
        client_id = f"system-{uuid4()}"
        await self.administer(
            "RegisterSystem",
            client_id=client_id,
            name="Thuế",
            operator_agency="P56",
            purposes=purposes,
            scopes=scopes(*purposes),
            public_jwk=public_jwk(key),
            certificate_required=certificate_required,
        )
        return System(self, client_id, key)


def scopes(*purposes: str) -> list[identity_pb2.PurposeScope]:
    """All procedures of the province."""
    return [identity_pb2.PurposeScope(purpose=one, agencies=["P56"], all_procedures=True) for one in purposes]


@dataclass(frozen=True)
class System:
    site: Site
    client_id: str
    key: OKPKey

    @property
    def form(self) -> dict[str, str]:
        now = int(time.time())
        endpoint = self.site.host.platform.settings.url + "/oauth2/token"
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": endpoint, "iat": now, "exp": now + 60}
        signed = jwt.encode({"alg": "EdDSA"}, claims | {"jti": str(uuid4())}, self.key, algorithms=["EdDSA"])
        return {
            "grant_type": "client_credentials",
            "client_assertion_type": JWT_BEARER,
            "client_assertion": signed,
            "scope": PURPOSE,
        }

    async def ask(self, files: Files | None = None, **fields: str) -> httpx.Response:
        """At the token endpoint, through the edge."""
        async with self.site.http(files) as http:
            return await http.post(f"{self.site.secure}/oauth2/token", data=self.form | fields)

    async def token(self, files: Files | None = None) -> str:
        reply = await self.ask(files)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["access_token"])


def reason_of(reply: httpx.Response) -> tuple[int, str, str]:
    """HTTP status, the refusal's reason, and its message."""
    body = reply.json()
    info: dict[str, Any] = next((one for one in body.get("details", ()) if one["@type"].endswith("ErrorInfo")), {})
    return reply.status_code, info.get("reason", ""), body.get("message", "")


def grpc_reason(error: grpc.RpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    info = error_details_pb2.ErrorInfo()
    details: Sequence[Any] = status.details if status else ()
    return info.reason if any(detail.Unpack(info) for detail in details) else ""


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return Address(host, int(port))


@asynccontextmanager
async def site(folder: Path, *, mutual: bool, **edge_settings: Any) -> AsyncIterator[Site]:
    """`mutual`: the services and the edge have certificates; otherwise they trust the loopback."""
    authority, clients = Authority(folder / "site"), Authority(folder / "clients", "systems' authority")
    files = authority.platform()
    settings: dict[str, Any] = {}
    if mutual:
        settings = {"tls_certificate": files.certificate, "tls_key": files.key, "tls_authority": files.authority}
    public = ensure(folder / "tls")
    before = await Platform.open(settings_of(folder / "data"))
    await open_agencies(before.store, "P56", "G12")
    await before.close()
    with hosted(folder / "data", [IdentityService, PaymentService], **settings) as host:
        signing = host.run(signing_key(host.platform.store))
        pages = {name: _address(host.platform.http_addresses[name]) for name in ("identity", "payment")}
        edge = EdgeProcess(
            Edge(
                port=0,
                host="127.0.0.1",
                tls=Tls(port=0, certificate=public.certificate, key=public.key, client_ca=clients.certificate),
                descriptors=DESCRIPTORS,
                services={name: _address(host.address(name)) for name in ("identity", "payment")},
                pages=pages,
                mutual=Mutual(site=SITE, certificate=files.certificate, key=files.key, authority=files.authority)
                if mutual
                else None,
                jwt=Jwt(),
                access_log=folder / "access.log",
                **edge_settings,
            ),
            folder / "envoy",
        )
        await edge.start(PATIENCE)
        try:
            administrator = mint(signing, "administrator", agency="P56", province="56")
            yield Site(host, edge, authority, clients, public.authority, administrator, mutual)
        finally:
            await edge.stop(1)
