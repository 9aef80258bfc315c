import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.identity.v1 import identity_service_pb2
from services.chassis.access import access
from services.chassis.access.access import MOST_WAITING, Policy, Verifier, service_token
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import ANYBODY, Caller
from services.chassis.following import followers
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import ANY, Batch, NewEvent
from tests.support.tokens import mint, signing_key
from tests.support.waiting import PATIENCE_SECONDS, eventually_here

SECRET = "a secret that only services share, 32+"


class Site:
    def __init__(self, store: MemoryStore, key: OKPKey) -> None:
        self.store, self.key = store, key
        self.verifier = Verifier(store, SECRET)

    async def learnt(self, holds: Callable[[dict[str, tuple[OKPKey, float]]], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self.verifier._learnt:
            await self.verifier._learnt.wait_for(lambda: holds(self.verifier._keys))

    async def caller(self, token: str) -> Caller:
        return await self.verifier.caller(f"Bearer {token}")

    async def why_not(self, token: str) -> str:
        with pytest.raises(Rejected) as refused:
            await self.caller(token)
        assert refused.value.reason == "TOKEN_INVALID"
        return str(refused.value.facts["why"])

    def signed(self, key: Any = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
        now = int(time.time())
        claims = {"iss": "motcua", "aud": "motcua", "sub": "citizen-1", "kind": "citizen", "iat": now, "exp": now + 60}
        head = {"alg": "EdDSA", "kid": self.key.kid} | (header or {})
        wanted = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(head, wanted, key or self.key, algorithms=[head["alg"]])


@pytest_asyncio.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(access, "KEY_WAIT_SECONDS", 0.1)
    store = MemoryStore()
    made = Site(store, await signing_key(store))
    made.verifier.start()
    await asyncio.wait_for(made.verifier.caught_up.wait(), 5)
    yield made
    await made.verifier.stop()


async def test_a_token_says_who_calls(site: Site) -> None:
    token = mint(
        site.key, "receptionist", "service", account_id="official-1", agency="P56", province="56", purposes=["x"]
    )
    for _ in range(2):
        caller = await site.caller(token)
        assert (caller.account_id, caller.kind, caller.agency, caller.province) == (
            "official-1",
            "official",
            "P56",
            "56",
        )
        assert caller.roles == {"public", "receptionist"}  # nobody but a service is one
        assert (caller.purposes, caller.loa) == (frozenset({"x"}), 2)


async def test_without_a_token_one_is_anybody(site: Site) -> None:
    assert await site.verifier.caller(None) is ANYBODY
    assert await site.verifier.caller("") is ANYBODY


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "token", "Bearer " + "x" * 9000])
async def test_what_is_no_bearer_token_is_refused(site: Site, header: str) -> None:
    with pytest.raises(Rejected, match="TOKEN_INVALID"):
        await site.verifier.caller(header)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "another"}, "of another issuer"),
        ({"iss": None}, "of another issuer"),
        ({"aud": "motcua-internal"}, "for another audience"),
        ({"aud": ["motcua"]}, "for another audience"),
        ({"exp": int(time.time()) - 1}, "expired"),
        ({"exp": None}, "without subject or expiry"),
        ({"exp": "tomorrow"}, "without subject or expiry"),
        ({"sub": ""}, "without subject or expiry"),
    ],
)
async def test_a_token_with_wrong_claims_is_refused(site: Site, changes: dict[str, Any], why: str) -> None:
    assert await site.why_not(site.signed(**changes)) == why


async def test_a_token_of_another_key_or_algorithm_is_refused(site: Site) -> None:
    stranger = OKPKey.generate_key("Ed25519")
    assert await site.why_not(site.signed(stranger)) == "bad signature"
    public = OctKey.import_key(json.dumps(site.key.as_dict(private=False)).ljust(64))
    assert await site.why_not(site.signed(public, {"alg": "HS256"})) == "bad signature"
    unsigned = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "none", "kid": site.key.kid}, {"sub": "citizen-1", "iss": "motcua", "aud": "motcua"})
    )
    with pytest.raises(Rejected, match="TOKEN_INVALID"):
        await site.caller(unsigned + ".")


async def test_a_token_that_was_tampered_with_is_refused(site: Site) -> None:
    head, body, signature = mint(site.key, "citizen").split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))) | {"roles": ["approver"]}
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    assert await site.why_not(f"{head}.{forged}.{signature}") == "bad signature"


@pytest.mark.parametrize("head", [b"[" * 5500, b"null", b"[]", b'{"alg": "EdDSA", "kid": ["k"]}', b"\xff", b""])
async def test_a_header_that_is_none_is_refused(site: Site, head: bytes) -> None:
    token = base64.urlsafe_b64encode(head).decode().rstrip("=") + ".e30.AA"
    assert await site.why_not(token) == "malformed"


async def test_a_token_may_come_before_its_key_does(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "KEY_WAIT_SECONDS", 5)
    source = MemoryStore()
    key = await signing_key(source)
    waiting = asyncio.create_task(site.caller(mint(key, "citizen", account_id="citizen-2")))
    await asyncio.sleep(0.02)
    (event,) = await source.read_all()
    await site.store.append("key", [NewEvent(event.id, event.type, event.data, event.metadata)], ANY)
    assert (await waiting).account_id == "citizen-2"


async def test_few_wait_for_unknown_keys_and_nobody_twice(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "KEY_WAIT_SECONDS", 1)

    def unknown(kid: str) -> str:
        return site.signed(header={"kid": kid})

    began = time.monotonic()
    calls = [asyncio.create_task(site.why_not(unknown(f"kid-{n}"))) for n in range(MOST_WAITING)]
    await asyncio.sleep(0)
    assert await site.why_not(unknown("one too many")) == "signed with an unknown key"
    assert time.monotonic() - began < 1
    assert set(await asyncio.gather(*calls)) == {"signed with an unknown key"}
    began = time.monotonic()
    for _ in range(3):
        assert await site.why_not(unknown("kid-0")) == "signed with an unknown key"
    assert time.monotonic() - began < 1
    assert (await site.caller(mint(site.key, "citizen"))).roles == {"public", "citizen"}


async def retire(site: Site, until: float) -> None:
    event = identity.SigningKeyRetired(kid=str(site.key.kid), verifies_until=Timestamp(seconds=int(until)))
    await site.store.append(
        "key", [NewEvent(uuid4(), event.DESCRIPTOR.full_name, event.SerializeToString(), b"{}")], ANY
    )
    await site.learnt(lambda keys: keys[str(site.key.kid)][1] == int(until))


async def test_a_retired_key_verifies_until_its_day(site: Site) -> None:
    token = mint(site.key, "citizen")
    await site.caller(token)
    soon = int(time.time()) + 30
    await retire(site, soon)
    assert (await site.caller(token)).expires_at == soon
    await retire(site, time.time() - 1)
    assert await site.why_not(token) == "expired"
    fresh = await signing_key(site.store)
    await site.learnt(lambda keys: str(fresh.kid) in keys)
    assert (await site.caller(mint(fresh, "citizen"))).kind == "official"


async def test_services_know_each_other_by_their_secret(site: Site) -> None:
    caller = await site.caller(service_token("payment", SECRET))
    assert (caller.actor, caller.roles) == ("service:payment", frozenset({"public", "service"}))
    assert await site.why_not(service_token("payment", SECRET + "x")) == "bad signature"


async def test_keys_are_learnt_after_a_failure_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "PAUSE_SECONDS", 0.01)
    store, failures, taken = MemoryStore(), [2], asyncio.Queue[int]()
    await signing_key(store)

    async def take(batch: Batch) -> None:
        if failures[0]:
            failures[0] -= 1
            raise RuntimeError("a store that fails for a moment")
        for event in batch.events:
            taken.put_nowait(event.position)

    follower = followers.Follower("test", store, 0, (), take)
    follower.start()
    assert await asyncio.wait_for(taken.get(), 5) == 1
    await signing_key(store)
    assert await asyncio.wait_for(taken.get(), 5) == 2
    await follower.stop()
    assert taken.empty()


def policy(service: Any, rpc: str) -> Policy:
    return Policy(
        service.DESCRIPTOR.services_by_name[next(iter(service.DESCRIPTOR.services_by_name))].methods_by_name[rpc]
    )


def refusal(rpc: str, caller: Caller) -> str:
    with pytest.raises(Rejected) as refused:
        policy(pb, rpc).check(caller)
    return refused.value.reason


def test_who_may_call_what() -> None:
    policy(pb, "TrackDossier").check(ANYBODY)
    policy(pb, "SubmitDossier").check(Caller("citizen-1", "citizen", frozenset({"public", "citizen"})))
    assert refusal("SubmitDossier", ANYBODY) == "TOKEN_MISSING"
    assert refusal("ReceiveDossier", Caller("citizen-1", "citizen", frozenset({"public", "citizen"}))) == "ROLE_MISSING"
    service = Caller("dossier", "service", frozenset({"public", "service"}))
    policy(identity_service_pb2, "GetSubjectKeys").check(service)
    policy(pb, "TrackDossier").check(service)


def test_a_system_names_its_purpose() -> None:
    method = policy(pb, "SubmitDossier")
    assert "system" in method.roles
    assert method.purpose
    system = frozenset({"public", "system"})
    assert refusal("SubmitDossier", Caller("portal", "system", system)) == "PURPOSE_MISSING"
    method.check(Caller("portal", "system", system, purposes=frozenset({method.purpose})))


@pytest.mark.parametrize("method", pb.DESCRIPTOR.services_by_name["DossierService"].methods, ids=lambda m: m.name)
def test_every_method_says_who_may_call_it(method: Any) -> None:
    assert Policy(method).roles
    assert Policy(method).mutation == ("request_id" in method.input_type.fields_by_name)


async def test_before_the_log_was_read_to_its_end_nobody_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was suspended or ended stands anywhere in it."""
    monkeypatch.setattr(access, "KEY_WAIT_SECONDS", 0.05)
    verifier = Verifier(MemoryStore(), SECRET)
    token = mint(OKPKey.generate_key("Ed25519", auto_kid=True), "citizen")
    with pytest.raises(Rejected) as early:
        await verifier.caller(f"Bearer {token}")
    assert early.value.reason == "NOT_READY"
    assert (await verifier.caller(f"Bearer {verifier.service_token('dossier')}")).kind == "service"
    verifier.start()
    try:
        await eventually_here(verifier.caught_up.is_set)
        with pytest.raises(Rejected) as unknown:
            await verifier.caller(f"Bearer {token}")
        assert unknown.value.reason == "TOKEN_INVALID"
    finally:
        await verifier.stop()
