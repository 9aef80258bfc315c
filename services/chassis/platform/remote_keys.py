"""Subjects' keys as every service but identity has them: asked from identity, kept for a bounded time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

import grpc

from motcua.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from services.chassis.calls.requests import MOST_ITEMS
from services.chassis.decider import Rejected
from services.chassis.machine import moments
from services.chassis.platform.platform import Platform
from services.chassis.privacy.sealing import FoundKeys, Keys
from services.chassis.telemetry import telemetry

CACHED_SUBJECTS = 100_000
TIMEOUT_SECONDS = 5.0
NO_KEY = b""
UNKNOWN_SECONDS = 5.0


class RemoteKeys:
    def __init__(self, platform: Platform, service: str) -> None:
        self._platform = platform
        self._service = service
        self._seconds = platform.settings.key_cache_seconds
        # None stands for a subject who was erased, nothing for one who has no key.
        telemetry.KEYRING_FAILURES.labels(service)
        self._held: OrderedDict[str, tuple[float, bytes | None]] = OrderedDict()

    async def keys(self, subjects: Collection[str], *, create: bool) -> Keys:
        now = moments.monotonic()
        found: dict[str, bytes] = {}
        missing, lost = [], set()
        for subject in subjects:
            if subject in self._platform.erasures:
                self._held.pop(subject, None)
                continue
            until, key = self._held.get(subject, (0.0, None))
            if until <= now or (not key and create):
                missing.append(subject)
            elif key:
                found[subject] = key
            elif key == NO_KEY:
                lost.add(subject)
        if missing:
            fetched: dict[str, bytes | None] = {}
            for start in range(0, len(missing), MOST_ITEMS):
                fetched |= await self._fetch(missing[start : start + MOST_ITEMS], create)
            for subject in missing:
                key = fetched.get(subject)
                # One that is made a moment later, or brought back, is found soon.
                self._held[subject] = (
                    now + min(self._seconds, UNKNOWN_SECONDS if key == NO_KEY else self._seconds),
                    key,
                )
                self._held.move_to_end(subject)
                if key:
                    found[subject] = key
                elif key == NO_KEY:
                    lost.add(subject)
            while len(self._held) > CACHED_SUBJECTS:
                self._held.popitem(last=False)
        return FoundKeys.of(found, lost)

    async def _fetch(self, subjects: list[str], create: bool) -> dict[str, bytes | None]:
        stub = identity_service_pb2_grpc.IdentityServiceStub(self._platform.channel("identity"))
        token = self._platform.verifier.service_token(self._service)
        try:
            reply = await stub.GetSubjectKeys(
                identity_service_pb2.GetSubjectKeysRequest(subject_ids=subjects, create=create),
                metadata=(("authorization", f"Bearer {token}"),),
                timeout=TIMEOUT_SECONDS,
                wait_for_ready=True,
            )
        except grpc.aio.AioRpcError as error:
            telemetry.KEYRING_FAILURES.labels(self._service).inc()
            raise Rejected("UNAVAILABLE", system="identity") from error
        return {key.subject_id: None if key.destroyed else key.key for key in reply.keys}
