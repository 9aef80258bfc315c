"""The identity service's entry points."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast
from uuid import UUID, uuid5

from starlette.requests import Request
from starlette.responses import Response

from motcua.identity.events.v1 import events_pb2 as facts
from motcua.identity.v1 import errors_pb2
from motcua.identity.v1 import identity_service_pb2 as pb
from services.chassis.calls.call import Call
from services.chassis.clock import MACHINE
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.chassis.deciding.handler import Outcome
from services.chassis.following.erasures import shreds
from services.chassis.following.in_force import definitions_view
from services.chassis.following.views import position_token
from services.chassis.frame import dependencies
from services.chassis.frame.entrypoints import api, every, observed, on
from services.chassis.frame.http_server import client_certificate, http
from services.chassis.frame.replies import replied
from services.chassis.grounds.uses import Ground, purposes
from services.chassis.privacy.sealing import require_concerned
from services.chassis.store.port import RecordedEvent
from services.chassis.telemetry.gauges import Sample
from services.identity import endpoints, gauges, tokens, walk_ins
from services.identity import pages as own_pages
from services.identity.accounts.commands import (
    AccountCommand,
    AppointOfficial,
    ChangeProfile,
    DecideErasure,
    EndAppointment,
    RequestErasure,
)
from services.identity.accounts.domain import account, require_personal_number
from services.identity.accounts.events import AccountEvent
from services.identity.accounts.values import AccountKind, ErasureOutcome, Role
from services.identity.assertions import UsedAssertions
from services.identity.codec import account_codec, signing_codec, system_codec
from services.identity.counterparts import ERASURE_OUTCOME
from services.identity.identifiers import Identifiers
from services.identity.keys import SubjectKeys
from services.identity.logins import Accounts, Systems
from services.identity.lookup import look_up, told
from services.identity.national import CALLBACK, National
from services.identity.offices import Offices, reach_of, require_known_purposes, system_updated, without_scope
from services.identity.profiles import profile_changed
from services.identity.queries import (
    accounts_listed,
    appointments_listed,
    data_uses_listed,
    systems_listed,
)
from services.identity.reading import account_of, member, own_account, signing_key_of, subject_keys_of
from services.identity.replies import account_summary_of, appointment_of, data_use_of, system_of
from services.identity.sessions import Sessions
from services.identity.signing import PrivateKeys, Signing, introduced_by
from services.identity.signing_keys.domain import signing_keys
from services.identity.systems.commands import (
    RegisterSystem,
    ReinstateSystem,
    RotateSystemKey,
    SuspendSystem,
    SystemCommand,
)
from services.identity.systems.domain import System, system
from services.identity.systems.events import SystemChanged, SystemEvent
from services.identity.uses import uses
from services.identity.values import require_reach
from services.identity.vault import Vault
from services.identity.views import lists
from services.identity.web import Web
from services.law.days import local_day


class IdentityService:
    """Knows people, officials and systems, gives them tokens, and keeps the keys."""

    name = "identity"
    rpcs = pb.DESCRIPTOR.services_by_name["IdentityService"]
    errors = errors_pb2.IdentityError.DESCRIPTOR
    key_ring = SubjectKeys.of

    accounts = dependencies.decisions("account", account, account_codec)
    systems = dependencies.decisions("system", system, system_codec)
    signing_history = dependencies.decisions("signing", signing_keys, signing_codec)
    lists = dependencies.view(lists)
    uses = dependencies.view(uses)
    offices = dependencies.snapshot(definitions_view, Offices)
    vault = dependencies.part(lambda parts: Vault.of(parts.platform))
    private_keys = dependencies.part(lambda parts: PrivateKeys(Vault.of(parts.platform)))
    national = dependencies.part(National.of, National.close)
    keys = cast(SubjectKeys, dependencies.keys())
    clock = dependencies.clock()
    platform = dependencies.platform()

    @property
    def signing(self) -> Signing:
        return Signing(self.signing_history, self.private_keys, MACHINE)

    @property
    def identifiers(self) -> Identifiers:
        return Identifiers(self.vault)

    @property
    def web(self) -> Web:
        return Web(
            self.national.provider,
            Accounts(self.accounts, self.identifiers),
            Systems(self.systems),
            self.signing,
            UsedAssertions(self.vault),
            (f"{self.platform.settings.url}/oauth2/token",),
            partial(self.vault.secret, "login-cookie"),
            MACHINE.now,
        )

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.vault, MACHINE.now)

    # The caller's own account

    @api
    async def get_my_account(self, call: Call[pb.GetMyAccountRequest]) -> pb.GetMyAccountResponse:
        history = await self.accounts.read(call.caller.account_id)
        return pb.GetMyAccountResponse(account=await account_of(call.caller.account_id, history, self.keys))

    @api
    async def update_profile(self, call: Call[pb.UpdateProfileRequest]) -> pb.UpdateProfileResponse:
        me, updates = call.caller.account_id, call.updates

        async def change(history: Sequence[RecordedEvent]) -> ChangeProfile:
            return profile_changed(call, updates, await account_of(me, history, self.keys))

        return replied(pb.UpdateProfileResponse, await self.accounts.execute_on_history(me, change, call.origin))

    @api
    async def list_my_data_uses(self, call: Call[pb.ListMyDataUsesRequest]) -> pb.ListMyDataUsesResponse:
        page = await call.page(self.uses, data_uses_listed(call.caller.account_id, call.request))
        return pb.ListMyDataUsesResponse(data_uses=map(data_use_of, page.rows), next_page_token=page.token)

    @api
    async def request_erasure(self, call: Call[pb.RequestErasureRequest]) -> pb.RequestErasureResponse:
        command = RequestErasure(account_id=call.caller.account_id, at=call.now, by=call.caller.actor)
        return replied(pb.RequestErasureResponse, await self._change(call, command))

    # Others' accounts

    @api
    async def decide_erasure(self, call: Call[pb.DecideErasureRequest]) -> pb.DecideErasureResponse:
        outcome = member(ErasureOutcome, ERASURE_OUTCOME.stored(call.request.outcome), "outcome")
        command = DecideErasure(
            account_id=call.request.account_id,
            at=call.now,
            by=call.caller.actor,
            outcome=outcome,
            legal_basis=call.request.legal_basis,
        )
        return replied(pb.DecideErasureResponse, await self._change(call, command))

    @on(facts.ErasureDecided, when=shreds)
    async def shred(self, fact: Fact[facts.ErasureDecided]) -> None:
        await self.keys.destroy(fact.event.account_id)

    @api
    async def get_account(self, call: Call[pb.GetAccountRequest]) -> pb.GetAccountResponse:
        require_concerned(call.request.account_id)
        history = await self.accounts.read(call.request.account_id)
        account = await account_of(call.request.account_id, history, self.keys)
        newest = history[-1]
        return pb.GetAccountResponse(
            account=account, revision=newest.revision, position=position_token(newest.position)
        )

    @api
    async def list_accounts(self, call: Call[pb.ListAccountsRequest]) -> pb.ListAccountsResponse:
        page = await call.page(self.lists, accounts_listed(call.request, call.now))
        return pb.ListAccountsResponse(accounts=map(account_summary_of, page.rows), next_page_token=page.token)

    @api
    async def look_up_person(self, call: Call[pb.LookUpPersonRequest]) -> pb.LookUpPersonResponse:
        request = call.request
        proposed, number = str(uuid5(UUID(request.request_id), "account")), request.personal_number
        require_personal_number(number)
        require_concerned(await self.identifiers.find(AccountKind.CITIZEN, number) or proposed)
        if purposes()[call.stated.purpose].ground is Ground.COUNTER:
            await self._count_walk_in(call)
        answer, make = await look_up(call, self.national.population)
        account_id = await self.identifiers.claim(AccountKind.CITIZEN, number, proposed)
        # Stored before anything is shown, whatever the answer was.
        outcome = await self.accounts.execute(account_id, make(account_id), call.origin)
        return told(outcome, account_id, answer.person)

    async def _count_walk_in(self, call: Call[pb.LookUpPersonRequest]) -> None:
        account_id, request_id = call.caller.account_id, call.request.request_id
        await self.uses.write(lambda db: walk_ins.count(db, account_id, request_id, call.now))

    # Officials

    @api
    async def appoint_official(self, call: Call[pb.AppointOfficialRequest]) -> pb.AppointOfficialResponse:
        request = call.request
        now, appointment_id = call.now, str(uuid5(UUID(request.request_id), "appointment"))
        offices = await self.offices.get()
        office = offices.office(request.agency, now)
        command = AppointOfficial(
            account_id=request.account_id,
            at=now,
            by=call.caller.actor,
            appointment_id=appointment_id,
            roles=tuple(member(Role, role, "roles") for role in request.roles),
            agency=request.agency,
            province=request.province or (office.province if office else ""),
            starts_at=from_timestamp(request.starts_at) if request.HasField("starts_at") else now,
            ends_at=from_timestamp(request.ends_at) if request.HasField("ends_at") else None,
            title=request.title,
            decision_number=request.decision_number,
            reach=reach_of(call.caller),
            office=office,
        )
        outcome = await self._change(call, command)
        return replied(pb.AppointOfficialResponse, outcome, appointment_id=appointment_id)

    @api
    async def end_appointment(self, call: Call[pb.EndAppointmentRequest]) -> pb.EndAppointmentResponse:
        command = EndAppointment(
            account_id=call.request.account_id,
            at=call.now,
            by=call.caller.actor,
            appointment_id=call.request.appointment_id,
            reason=call.request.reason,
            reach=reach_of(call.caller),
        )
        return replied(pb.EndAppointmentResponse, await self._change(call, command))

    @api
    async def list_appointments(self, call: Call[pb.ListAppointmentsRequest]) -> pb.ListAppointmentsResponse:
        page = await call.page(self.lists, appointments_listed(call.request))
        return pb.ListAppointmentsResponse(appointments=map(appointment_of, page.rows), next_page_token=page.token)

    # Systems

    @api
    async def register_system(self, call: Call[pb.RegisterSystemRequest]) -> pb.RegisterSystemResponse:
        request = call.request
        kid, public_jwk = tokens.parse_public_key(request.public_jwk)
        now, offices = call.now, await self.offices.get()

        def register(_: System) -> RegisterSystem:
            require_reach(reach_of(call.caller), offices.office(request.operator_agency, now), request.operator_agency)
            require_known_purposes(request.purposes)
            return RegisterSystem(
                client_id=request.client_id,
                at=now,
                by=call.caller.actor,
                name=request.name,
                operator_agency=request.operator_agency,
                purposes=tuple(request.purposes),
                kid=kid,
                public_jwk=public_jwk,
                certificate_required=request.certificate_required,
                scopes=offices.scopes(request.scopes, reach_of(call.caller), now),
            )

        outcome = await self.systems.execute(request.client_id, register, call.origin)
        return replied(
            pb.RegisterSystemResponse, outcome, kid=kid, opens_nothing=without_scope(request.purposes, request.scopes)
        )

    @api
    async def update_system(self, call: Call[pb.UpdateSystemRequest]) -> pb.UpdateSystemResponse:
        request = call.request
        updates, offices = call.updates, await self.offices.get()
        change = partial(system_updated, call, updates, offices)
        outcome = await self.systems.execute(request.client_id, change, call.origin)
        changed = outcome.one(SystemChanged)
        return replied(pb.UpdateSystemResponse, outcome, opens_nothing=without_scope(changed.purposes, changed.scopes))

    @api
    async def rotate_system_key(self, call: Call[pb.RotateSystemKeyRequest]) -> pb.RotateSystemKeyResponse:
        request = call.request
        kid, public_jwk = tokens.parse_public_key(request.public_jwk)
        until = from_timestamp(request.previous_until) if request.HasField("previous_until") else None
        command = RotateSystemKey(
            client_id=request.client_id,
            at=call.now,
            by=call.caller.actor,
            kid=kid,
            public_jwk=public_jwk,
            previous_until=until,
            reach=reach_of(call.caller),
        )
        return replied(pb.RotateSystemKeyResponse, await self._change_system(call, command), kid=kid)

    @api
    async def suspend_system(self, call: Call[pb.SuspendSystemRequest]) -> pb.SuspendSystemResponse:
        command = SuspendSystem(
            client_id=call.request.client_id,
            at=call.now,
            by=call.caller.actor,
            reason=call.request.reason,
            reach=reach_of(call.caller),
        )
        return replied(pb.SuspendSystemResponse, await self._change_system(call, command))

    @api
    async def reinstate_system(self, call: Call[pb.ReinstateSystemRequest]) -> pb.ReinstateSystemResponse:
        command = ReinstateSystem(
            client_id=call.request.client_id,
            at=call.now,
            by=call.caller.actor,
            reason=call.request.reason,
            reach=reach_of(call.caller),
        )
        return replied(pb.ReinstateSystemResponse, await self._change_system(call, command))

    @api
    async def list_systems(self, call: Call[pb.ListSystemsRequest]) -> pb.ListSystemsResponse:
        page = await call.page(self.lists, systems_listed(call.request))
        return pb.ListSystemsResponse(systems=map(system_of, page.rows), next_page_token=page.token)

    # Keys

    @api
    async def rotate_signing_key(self, call: Call[pb.RotateSigningKeyRequest]) -> pb.RotateSigningKeyResponse:
        outcome = await self.signing.rotate(call.origin, compromised=call.request.compromised)
        return replied(pb.RotateSigningKeyResponse, outcome, kid=introduced_by(outcome))

    @every(seconds=60, each_replica=True)  # each has opened keys in its memory
    async def keep_signing_keys_fresh(self) -> None:
        await self.signing.keep_fresh()

    @observed
    async def signing_key_age(self) -> list[Sample]:
        return [gauges.SIGNING_KEY.at((await self.signing.rotation_due()).timestamp())]

    @api
    async def get_signing_keys(self, call: Call[pb.GetSigningKeysRequest]) -> pb.GetSigningKeysResponse:
        return pb.GetSigningKeysResponse(keys=map(signing_key_of, await self.signing.published()))

    @api
    async def get_subject_keys(self, call: Call[pb.GetSubjectKeysRequest]) -> pb.GetSubjectKeysResponse:
        held = await self.keys.held(call.request.subject_ids, create=call.request.create)
        return pb.GetSubjectKeysResponse(keys=subject_keys_of(call.request.subject_ids, held))

    # Login and tokens

    @http("GET", "/login")
    async def start_login(self, request: Request) -> Response:
        return await endpoints.start_login(self.web, request, self.platform.settings.url)

    @http("GET", CALLBACK)
    async def finish_login(self, request: Request) -> Response:
        return await endpoints.finish_login(self.web, self.sessions, request, self.platform.settings.url)

    @http("POST", "/oauth2/token")
    async def token(self, request: Request) -> Response:
        return await endpoints.token(self.web, request, client_certificate(request, self.platform.mutual_site))

    @http("GET", "/.well-known/jwks.json")
    async def jwks(self, request: Request) -> Response:
        return await endpoints.jwks(self.web)

    # The person's own pages

    @http("GET", own_pages.DATA)
    async def my_data(self, request: Request) -> Response:
        session = await self.sessions.of(request.cookies.get(endpoints.SESSION, ""))
        account = await own_account(session.account_id, self.accounts, self.keys) if session else None
        if session is None or account is None:
            return own_pages.enter(request)
        place, language = own_pages.place_of(request), own_pages.language_of(request)
        day = local_day(self.clock.now())
        uses = await self.uses.read(lambda db: own_pages.read(db, session.account_id, place, language, day))
        return own_pages.data(request, session, account.full_name, language, uses)

    @http("POST", "/my/logout")
    async def log_out(self, request: Request) -> Response:
        return await endpoints.log_out(self.sessions, request, self.platform.settings.url)

    @http("GET", "/my/my.css")
    async def my_style(self, request: Request) -> Response:
        return await own_pages.style(request)

    async def _change(self, call: Call[Any], command: AccountCommand) -> Outcome[AccountEvent]:
        return await self.accounts.execute(command.account_id, command, call.origin)

    async def _change_system(self, call: Call[Any], command: SystemCommand) -> Outcome[SystemEvent]:
        return await self.systems.execute(command.client_id, command, call.origin)
