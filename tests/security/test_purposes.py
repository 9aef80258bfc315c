"""A system states purposes that it is registered for, now: what is taken away is gone from its living tokens too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask

from motcua.identity.v1 import identity_pb2
from tests.security.site import DAY, PURPOSE, Site, System, grpc_reason, reason_of, scopes, site
from tests.support.waiting import eventually_here

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUSPENDED = (
    "The access token is not valid: the system is suspended. Ask an administrator to reinstate it (ReinstateSystem),"
    " and then for a new token."
)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with site(tmp_path_factory.mktemp("purposes"), mutual=False) as made:
        yield made


async def read(running: Site, token: str) -> tuple[int, str, str]:
    async with running.http() as http:
        return reason_of(await http.get(running.secure + DAY, headers={"authorization": f"Bearer {token}"}))


async def until(running: Site, token: str, wanted: tuple[int, str]) -> None:
    """Services hear of a change by the log."""

    async def heard() -> bool:
        return (await read(running, token))[:2] == wanted

    await eventually_here(heard)


async def scope_refused(system: System, scope: str) -> None:
    reply = await system.ask(scope=scope)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_scope")


async def test_a_purpose_that_it_is_not_registered_for_is_refused(running: Site) -> None:
    tax = await running.register([PURPOSE, "settle"])
    for scope in ("look-up", f"{PURPOSE} look-up", PURPOSE.upper(), " "):
        await scope_refused(tax, scope)
    assert (await tax.ask(scope=f"settle {PURPOSE}")).json()["scope"] == f"settle {PURPOSE}"


async def test_a_token_holds_what_was_asked_for_and_no_more(running: Site) -> None:
    tax = await running.register([PURPOSE, "settle"])
    token = (await tax.ask(scope="settle")).json()["access_token"]
    assert (await read(running, token))[:2] == (403, "PURPOSE_MISSING")
    token = (await tax.ask(scope=PURPOSE)).json()["access_token"]
    assert (await read(running, token))[0] == 200


async def test_a_suspended_system_is_out_at_once_and_in_again_when_reinstated(running: Site) -> None:
    tax = await running.register()
    token = await tax.token()
    assert (await read(running, token))[0] == 200
    await running.administer("SuspendSystem", client_id=tax.client_id, reason="Lộ khóa")
    await until(running, token, (401, "TOKEN_INVALID"))
    assert (await read(running, token))[2] == SUSPENDED
    refused = await tax.ask()
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    await running.administer("ReinstateSystem", client_id=tax.client_id, reason="Đã thay khóa")
    await until(running, token, (200, ""))
    assert (await tax.ask()).status_code == 200


async def test_a_purpose_taken_away_is_gone_from_living_tokens(running: Site) -> None:
    tax = await running.register([PURPOSE, "settle"])
    token = await tax.token()
    assert (await read(running, token))[0] == 200
    await running.administer("UpdateSystem", client_id=tax.client_id, purposes=["settle"])
    await until(running, token, (403, "PURPOSE_MISSING"))
    await scope_refused(tax, PURPOSE)
    await running.administer(
        "UpdateSystem", client_id=tax.client_id, purposes=["settle", PURPOSE], scopes=scopes(PURPOSE)
    )
    await until(running, token, (200, ""))


async def test_a_purpose_given_later_is_not_in_older_tokens(running: Site) -> None:
    tax = await running.register(["settle"])
    token = (await tax.ask(scope="settle")).json()["access_token"]
    await running.administer(
        "UpdateSystem", client_id=tax.client_id, purposes=["settle", PURPOSE], scopes=scopes(PURPOSE)
    )
    new = await tax.token()
    assert (await read(running, new))[0] == 200
    assert (await read(running, token))[:2] == (403, "PURPOSE_MISSING")


async def test_a_scope_taken_away_is_gone_from_living_tokens(running: Site) -> None:
    tax = await running.register([PURPOSE])
    token = await tax.token()
    assert (await read(running, token))[0] == 200
    # As a registration from before there were scopes.
    await running.administer("UpdateSystem", client_id=tax.client_id, update_mask=FieldMask(paths=["scopes"]))
    await until(running, token, (403, "SCOPE_MISSING"))
    assert tax.client_id in (await read(running, token))[2]
    await running.administer("UpdateSystem", client_id=tax.client_id, purposes=[PURPOSE], scopes=scopes(PURPOSE))
    await until(running, token, (200, ""))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"purposes": ["statistics"]}, "PURPOSE_UNKNOWN"),
        ({"purposes": ["walk-in"]}, "PURPOSE_UNKNOWN"),
        (
            {"scopes": [identity_pb2.PurposeScope(purpose=PURPOSE, agencies=["G12"], all_procedures=True)]},
            "BEYOND_REACH",
        ),
        (
            {"scopes": [identity_pb2.PurposeScope(purpose=PURPOSE, agencies=["P5"], all_procedures=True)]},
            "AGENCY_UNKNOWN",
        ),
        (
            {"scopes": [identity_pb2.PurposeScope(purpose=PURPOSE, agencies=["P56"], procedures=["9.9"])]},
            "PROCEDURE_UNKNOWN",
        ),
        (
            {"scopes": [identity_pb2.PurposeScope(purpose="settle", agencies=["P56"], all_procedures=True)]},
            "SCOPE_MALFORMED",
        ),
    ],
)
async def test_nobody_gives_what_is_not_theirs_or_not_there(running: Site, change: dict[str, Any], reason: str) -> None:
    tax = await running.register([PURPOSE])
    with pytest.raises(grpc.RpcError) as refused:
        await running.administer("UpdateSystem", **({"client_id": tax.client_id, "purposes": [PURPOSE]} | change))
    assert grpc_reason(refused.value) == reason
