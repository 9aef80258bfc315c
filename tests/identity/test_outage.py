"""What identity answers while the event store is away."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from services.chassis.store import kurrentdb
from services.identity.service import IdentityService
from tests.doubles.running import running
from tests.support.hosted import Host, hosted


def published(host: Host) -> httpx.Response:
    return httpx.get(f"http://{host.platform.http_addresses['identity']}/.well-known/jwks.json", timeout=30)


def test_keys_are_published_as_they_were_read_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So an edge that starts meanwhile opens, and tokens are not called invalid."""
    monkeypatch.setattr(kurrentdb, "PATIENCE_SECONDS", 1.0)
    with running() as store, hosted(tmp_path, [IdentityService], event_store=store.double.uri) as host:
        before = published(host)
        assert len(before.json()["keys"]) == 1
        store.run(store.double.stop())
        assert published(host).json() == before.json()
        store.run(store.double.start())


def test_keys_that_were_never_read_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kurrentdb, "PATIENCE_SECONDS", 1.0)
    with running() as store, hosted(tmp_path, [IdentityService], event_store=store.double.uri) as host:
        store.run(store.double.stop())
        away = published(host)
        assert (away.status_code, away.headers["retry-after"]) == (503, "5")
        store.run(store.double.start())
