"""`motcua token`: a login at the sandbox provider, as a program or a curious person does it."""

from __future__ import annotations

import time
from uuid import uuid4

import httpx
from joserfc import jwt

from command.console import err, fail
from command.running import require_edge
from command.trial import sample_system
from gateway.sandbox.day.door import Door, LoginFailed
from services.chassis.platform.settings import Settings

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def show(settings: Settings, kind: str, person: int, agency: str, role: str, purposes: list[str]) -> int:
    require_edge(settings)
    door = Door(settings.url)
    try:
        match kind:
            case "citizen":
                print(await door.log_in(person))
            case "organisation":
                print(await door.log_in(person, organisation=True))
            case "official":
                print(await _official(door, agency, role))
            case "system":
                print(await _system(door, settings, purposes))
            case _:
                fail(f"There is no kind of caller {kind}.", "Choose citizen, organisation, official or system.")
    except LoginFailed as failed:
        fail(str(failed), "The sandbox's sample persons whose number ends in 9 have low assurance only.")
    except httpx.TransportError:
        fail(f"Nothing answers at {settings.url}.", "Start the platform, or set MOTCUA_PORT or MOTCUA_PUBLIC_URL.")
    finally:
        await door.close()
    return 0


async def _official(door: Door, agency: str, role: str) -> str:
    listed = (await door.http.get(f"{door.url}/sandbox/officials")).json()
    fitting = [one for one in listed if agency in ("", one["agency"]) and (not role or role in one["roles"])]
    if not fitting:
        agencies = ", ".join(sorted({one["agency"] for one in listed})[:12])
        fail(f"No sample official is {role or 'anything'} at {agency or 'any agency'}.", f"Agencies: {agencies}, …")
    chosen = fitting[0]
    err.print(f"[dim]{', '.join(chosen['roles'])} at {chosen['agency']}[/]", highlight=False)
    return await door.log_in(chosen["person"], chosen["appointment_id"])


async def _system(door: Door, settings: Settings, purposes: list[str]) -> str:
    """It proves itself as any other system does (RFC 7523)."""
    if not settings.service_secret and not (settings.data / "secrets" / "sample-system.jwk").exists():
        fail(
            f"There is no sample system's key in {settings.data / 'secrets'}.",
            "Start the platform with its sandboxes first, or set MOTCUA_SERVICE_SECRET to the site's.",
        )
    key = sample_system.key(settings)
    endpoint = f"{door.url}/oauth2/token"
    now, client = int(time.time()), sample_system.CLIENT_ID
    claims = {"iss": client, "sub": client, "aud": endpoint, "iat": now, "exp": now + 60, "jti": str(uuid4())}
    assertion = jwt.encode({"alg": "EdDSA", "kid": key.thumbprint()}, claims, key, algorithms=["EdDSA"])
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION,
        "client_assertion": assertion,
        "scope": " ".join(purposes),
    }
    reply = await door.http.post(endpoint, data=form)
    if reply.status_code != 200:
        raise LoginFailed(f"{endpoint} answered {reply.status_code}: {reply.text[:300]}")
    return str(reply.json()["access_token"])
