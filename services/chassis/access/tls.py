"""Mutual TLS between the platform's parts: whom a connection leads to, and certificates that are read again when they change."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import grpc
import structlog

from services.chassis import channels
from services.chassis.access.certificates import Files, Material, ends_first, peer_name, read, server_context
from services.chassis.telemetry.gauges import CERTIFICATE, CERTIFICATE_BEGAN, Sample

EDGE = "edge"
OPERATOR = "operator"
# A call under way keeps its channel for so long when the certificate changes.
CLOSE_SECONDS = 60.0
FORWARDED = "x-forwarded-client-cert"
# The caller's address: the edge (gateway/edge/envoy.py) writes it over whatever the caller wrote there.
CLIENT = "x-motcua-client"
_FORWARDED = re.compile(r"(?:By=[^;,\"]*;)?Hash=([0-9a-f]{64})")
# As gRPC writes peers.
LOOPBACK = ("ipv4:127.", "ipv6:%5B::1%5D:")

log = structlog.get_logger()


class Credentials:
    """What the files hold now. A pair that does not fit together yet is left until it does, and the one before is used."""

    def __init__(self, files: Files, site: str) -> None:
        self.site = site
        self._files = files
        self._material = read(files)
        self._unusable: object = None
        self._channels: dict[str, tuple[Material, grpc.aio.Channel]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def current(self) -> Material:
        """Called by gRPC's threads too."""
        try:
            stamp = self._files.stamp()
            if stamp not in (self._material.stamp, self._unusable):
                self._unusable = stamp
                self._material = read(self._files)
                log.info("certificate read again", certificate=str(self._files.certificate))
        except (OSError, ValueError) as error:
            log.error("certificate not usable", certificate=str(self._files.certificate), why=str(error))
        return self._material

    async def observe(self) -> list[Sample]:
        """When the certificates end that are used now."""
        now = self.current()
        samples = []
        for name, pem in (("site", now.certificate), ("site-authority", now.authority)):
            first = ends_first(pem)
            samples.append(CERTIFICATE_BEGAN.at(first.not_valid_before_utc.timestamp(), name))
            samples.append(CERTIFICATE.at(first.not_valid_after_utc.timestamp(), name))
        return samples

    def for_grpc_server(self) -> grpc.ServerCredentials:
        def configuration() -> Any:
            now = self.current()
            return grpc.ssl_server_certificate_configuration([(now.key, now.certificate)], now.authority)

        return grpc.dynamic_ssl_server_credentials(configuration(), configuration, require_client_authentication=True)

    def for_http_server(self) -> ssl.SSLContext:
        """Each handshake takes the present certificate and authorities."""

        def replace(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = self.current().context

        context = server_context(self._files)
        context.sni_callback = replace
        return context

    def channel(self, service: str, address: str) -> grpc.aio.Channel:
        """To a service, which must prove its name. Kept, and made again when the certificate changed."""
        now = self.current()
        made, channel = self._channels.get(address, (None, None))
        if channel is None or made is not now:
            if channel is not None:
                closing = asyncio.create_task(channel.close(CLOSE_SECONDS))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
            channel = grpc.aio.secure_channel(
                address,
                grpc.ssl_channel_credentials(now.authority, now.key, now.certificate),
                options=(*channels.OPTIONS, ("grpc.ssl_target_name_override", peer_name(service, self.site))),
            )
            self._channels[address] = (now, channel)
        return channel

    async def close(self) -> None:
        for _, channel in self._channels.values():
            await channel.close()
        for closing in tuple(self._closing):
            closing.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Connection:
    """What is known of a caller beside the token."""

    certificate: str = ""
    """The x5t#S256 (RFC 8705) of the one shown to the edge; empty without."""
    parts: frozenset[str] | None = None
    """Which parts of the site hold the other end; None without mutual TLS."""
    client: str = ""
    """The caller's address, as the edge says; of whoever is not the edge, its own."""


def connection_of(context: grpc.aio.ServicerContext[Any, Any], metadata: Mapping[str, Any], site: str) -> Connection:
    """`site` under mutual TLS, empty without: then what came over the loopback came from the edge."""
    forwarded, peer = str(metadata.get(FORWARDED, "")), context.peer()
    told = str(metadata.get(CLIENT, ""))
    if not site:
        shown = thumbprint(forwarded) if forwarded and peer.startswith(LOOPBACK) else ""
        # Without certificates the edge is whoever reaches us; with a false address nobody gains but places of that address.
        return Connection(shown, client=told or _address(peer))
    ending = peer_name("", site)
    parts = frozenset(name.removesuffix(ending) for name in peer_names(context) if name.endswith(ending))
    from_edge = EDGE in parts
    return Connection(thumbprint(forwarded) if from_edge else "", parts, told if from_edge and told else _address(peer))


def _address(peer: str) -> str:
    """Of ipv4:127.0.0.1:50051 and ipv6:%5B::1%5D:50051, as gRPC writes them."""
    host = unquote(peer.partition(":")[2]).rpartition(":")[0]
    return host.strip("[]")


def thumbprint(forwarded: str) -> str:
    """The x5t#S256 of an x-forwarded-client-cert, of which the edge writes one element; empty if it did not."""
    found = _FORWARDED.fullmatch(forwarded)
    return base64.urlsafe_b64encode(bytes.fromhex(found[1])).decode().rstrip("=") if found else ""


class KnownPeers(grpc.aio.ServerInterceptor):
    """Lets in the parts of this site, by the names in their certificates, whatever else the authority signed."""

    def __init__(self, site: str, parts: Collection[str]) -> None:
        self._names = frozenset(peer_name(part, site) for part in parts)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(details)
        if handler is None:
            return None
        if handler.response_streaming:
            inner_stream = handler.stream_stream if handler.request_streaming else handler.unary_stream

            async def stream(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
                await self._check(context)
                async for answer in inner_stream(request, context):
                    yield answer

            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return make(stream, handler.request_deserializer, handler.response_serializer)
        inner = handler.unary_unary

        async def unary(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            await self._check(context)
            return await inner(request, context)

        return grpc.unary_unary_rpc_method_handler(unary, handler.request_deserializer, handler.response_serializer)

    async def _check(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        if self._names.isdisjoint(names := peer_names(context)):
            shown = ", ".join(sorted(names)) or "nobody"
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED, f"The certificate names {shown}, which is no part of this site."
            )


def peer_names(context: grpc.aio.ServicerContext[Any, Any]) -> frozenset[str]:
    """The names in the peer's verified certificate; none without TLS."""
    found: Mapping[str, Any] = context.auth_context()
    return frozenset(name.decode() for name in found.get("x509_subject_alternative_name", ()))
