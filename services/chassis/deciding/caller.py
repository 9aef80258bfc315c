"""Who acts, and on whose request."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, UUID, uuid5

from services.chassis.decider import Rejected
from services.chassis.deciding.metadata import Metadata
from services.chassis.machine import chance

if TYPE_CHECKING:
    from services.chassis.deciding.facts import Fact


SUBMIT = "submit"
NATIONAL = "submit-national"
"""To submit for the national portal: one way of submitting, and from the cut-over on the only one online."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a system may use one of its purposes for."""

    purpose: str
    agencies: tuple[str, ...]
    procedures: frozenset[str]
    all_procedures: bool = False

    def has_agency(self, code: str) -> bool:
        """Whether the agency is one of the scope's, or lies below one."""
        return any(within(code, agency) for agency in self.agencies)

    def has_procedure(self, code: str) -> bool:
        return self.all_procedures or code in self.procedures


def within(code: str, agency: str) -> bool:
    """Whether an agency is this one or lies below it."""
    return bool(agency) and f"{code}.".startswith(f"{agency}.")


@dataclass(frozen=True, slots=True)
class Caller:
    """The bearer of a verified token; `ANYBODY` without one."""

    account_id: str = ""
    kind: str = "public"  # citizen, organisation, official, system, service
    roles: frozenset[str] = frozenset({"public"})
    agency: str = ""
    province: str = ""
    purposes: frozenset[str] = frozenset()
    loa: int = 0
    expires_at: float = 0.0
    appointment: str = ""
    """Of an official: the one that the token was issued for."""
    certificate: str = ""
    """The x5t#S256 of the client certificate that the token is bound to, if it is."""
    represents: frozenset[str] = frozenset()
    """Of an official: the organisations that the person represents."""
    scopes: tuple[Scope, ...] = ()
    """Of a system, or of the one that acts for a person: what it is registered for now."""
    act: str = ""
    """Of a person whom another site sent with a token of its own: that site, as a system is registered (RFC 8693, 4.1)."""
    purpose: str = ""
    """Of a system: what it calls for."""

    @property
    def actor(self) -> str:
        """As events name the actor: an account id, `system:<client id>` or `service:<name>`; "operator" has no calls."""
        return f"{self.kind}:{self.account_id}" if self.kind in ("system", "service") else self.account_id


ANYBODY = Caller()


# The nation's site: it decides for all provinces.
NATION = "vn"


def of_site(agency: str, province: str, site: str) -> bool:
    """Whether it is the site's own authority: no agency is above it."""
    return agency not in ("", "online") and "." not in agency and province in ("", site.removeprefix("vn-"))


def decides_for(site: str, province: str) -> bool:
    """Whether the site decides for agencies of the province; the nation's have none. Others are another site's."""
    return site == NATION or province in ("", site.removeprefix("vn-"))


def require_of_site(caller: Caller, site: str) -> None:
    """Refuses officials who are not of the site's own authority. Raises Rejected SITE_AUTHORITY_REQUIRED."""
    if caller.kind == "official" and not of_site(caller.agency, caller.province, site):
        raise Rejected("SITE_AUTHORITY_REQUIRED", agency=caller.agency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a change was asked by: the request that must have one effect, however often it is sent."""

    request_id: str
    digest: str
    """What must be equal when a request id comes again, else REQUEST_ID_REUSED: a hash of the request; of a fact its event's id,
    of the clock its key."""
    actor: str
    correlation_id: str
    causation_id: str
    expected_revision: int | None = None
    traceparent: str = ""

    @classmethod
    def outermost(
        cls, request_id: str, digest: str, actor: str, traceparent: str = "", expected_revision: int | None = None
    ) -> Origin:
        """The first of a chain: it has its correlation and its causation in itself."""
        return cls(
            request_id=request_id,
            digest=digest,
            actor=actor,
            correlation_id=request_id,
            causation_id=request_id,
            expected_revision=expected_revision,
            traceparent=traceparent,
        )

    @classmethod
    def of_request(cls, request: Any, caller: Caller, traceparent: str = "", *, stated: tuple[str, ...] = ()) -> Origin:
        """From a mutation's request message. The digest covers which RPC it is, all of it, who sent it and what `stated`."""
        expected = None
        if "expected_revision" in request.DESCRIPTOR.fields_by_name and request.HasField("expected_revision"):
            expected = int(request.expected_revision)
        body: bytes = request.SerializeToString(deterministic=True)
        beside = stated if any(stated) else ()
        head = "".join(f"{part}\0" for part in (request.DESCRIPTOR.full_name, caller.actor, *beside)).encode()
        digest = hashlib.sha256(head + body).hexdigest()
        request_id = str(UUID(request.request_id))
        return cls.outermost(request_id, digest, caller.actor, traceparent, expected)

    @classmethod
    def of_reading(cls, caller: Caller, traceparent: str = "") -> Origin:
        """From a call that only reads: each leaves a fact of its own."""
        request_id = str(chance.new_id())
        return cls.outermost(request_id, request_id, caller.actor, traceparent)

    @classmethod
    def of_fact(cls, fact: Fact[Any], reaction: str, service: str) -> Origin:
        """From a fact that a service reacts to: the request id follows from the fact and the reaction's name."""
        return cls(
            request_id=str(uuid5(fact.event_id, reaction)),
            digest=str(fact.event_id),
            actor=f"service:{service}",
            correlation_id=fact.metadata.correlation_id,
            causation_id=str(fact.event_id),
            traceparent=fact.traceparent,
        )

    @classmethod
    def of_clock(cls, key: str, service: str) -> Origin:
        """From the passing of time: `key` names the moment, for example a dossier with its due date."""
        request_id = str(uuid5(NAMESPACE_OID, f"{service}:{key}"))
        return cls(
            request_id=request_id,
            digest=key,
            actor=f"service:{service}",
            correlation_id=str(chance.new_id()),
            causation_id=request_id,
        )

    def metadata(self, site: str, recorded_at: datetime, *, remembered: bool = False) -> bytes:
        """As an event is stored with it; with the digest, if a stream shall remember the request by this event."""
        return Metadata(
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
            actor=self.actor,
            site=site,
            recorded_at=recorded_at.isoformat(),
            request_id=self.request_id,
            traceparent=self.traceparent,
            request_hash=self.digest if remembered else "",
        ).write()

    def named(self, part: str) -> Origin:
        """The same origin for a second stream that the request changes as well."""
        return replace(self, request_id=str(uuid5(UUID(self.request_id), part)), expected_revision=None)
