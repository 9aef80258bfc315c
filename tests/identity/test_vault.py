"""The vault, its root key's port, rotation, and what a restored backup must not bring back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import select

from motcua.identity.events.v1 import events_pb2 as facts
from services.chassis.database.database import Database
from services.chassis.deciding.codec import to_timestamp
from services.chassis.platform.settings import Settings
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import ANY, NewEvent
from services.identity import rotation
from services.identity.accounts.values import AccountKind
from services.identity.identifiers import Identifiers
from services.identity.keys import SubjectKeys
from services.identity.kms import KeyManagement, KeyNotUnwrapped, LocalKeys, prepare_root, replace_root
from services.identity.rotation import rotate
from services.identity.signing import PrivateKeys
from services.identity.tokens import generate_signing_key
from services.identity.vault import Vault, wrapping_keys
from tests.support.postgresql import Engine, current

NUMBER = "056303271828"
OLD, NEW = bytes(range(32)), bytes(range(1, 33))
SUBJECTS = [f"citizen-{n}" for n in range(7)]


# The root key's port. Another key management service is added to `services` and must keep the contract.


@pytest.fixture(params=["local"])
def kms(request: pytest.FixtureRequest) -> KeyManagement:
    return {"local": lambda: LocalKeys(lambda: [OLD])}[request.param]()


async def test_what_is_wrapped_opens_under_its_name_alone(kms: KeyManagement) -> None:
    wrapped = await kms.wrap(b"a secret", "wrapping key 1")
    assert b"a secret" not in wrapped
    assert await kms.unwrap(wrapped, "wrapping key 1") == b"a secret"
    with pytest.raises(KeyNotUnwrapped, match="wrapping key 2"):
        await kms.unwrap(wrapped, "wrapping key 2")
    assert await kms.wrap(b"a secret", "wrapping key 1") != wrapped


@pytest.mark.parametrize("change", ["flip", "cut", "empty"])
async def test_what_was_changed_does_not_open(kms: KeyManagement, change: str) -> None:
    wrapped = await kms.wrap(b"a secret", "it")
    changed = {"flip": wrapped[:-1] + bytes([wrapped[-1] ^ 1]), "cut": wrapped[:10], "empty": b""}[change]
    with pytest.raises(KeyNotUnwrapped):
        await kms.unwrap(changed, "it")


async def test_the_newest_root_wraps_and_the_one_before_still_opens() -> None:
    before = await LocalKeys(lambda: [OLD]).wrap(b"a secret", "it")
    during = LocalKeys(lambda: [NEW, OLD])
    assert await during.unwrap(before, "it") == b"a secret"
    assert await LocalKeys(lambda: [NEW]).unwrap(await during.wrap(b"a secret", "it"), "it") == b"a secret"
    with pytest.raises(KeyNotUnwrapped, match="MOTCUA_MASTER_KEY_PREVIOUS"):
        await LocalKeys(lambda: [NEW]).unwrap(before, "it")


# The vault


class Site:
    """A database of keys as several processes open it, under the roots of the moment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.roots = [OLD]
        self.store = MemoryStore()
        self._databases: list[Database] = []

    def open(self) -> Vault:
        database = Database(current().url(self.folder), "keys", durable=True)
        self._databases.append(database)
        return Vault(database, LocalKeys(lambda: self.roots), self.store)

    async def close(self) -> None:
        for database in self._databases:
            await database.close()
        self._databases.clear()

    async def decided(self, account_id: str, outcome: facts.ErasureOutcome.ValueType) -> None:
        now = to_timestamp(datetime.now(UTC))
        event = facts.ErasureDecided(account_id=account_id, at=now, by="admin", outcome=outcome)
        stored = NewEvent(uuid4(), event.DESCRIPTOR.full_name, event.SerializeToString(), b"{}")
        await self.store.append(f"account-{account_id}", [stored], ANY)

    def bytes(self) -> bytes:
        return current().raw(self.folder, "keys")


@pytest.fixture
async def site(engine: Engine, tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    yield site
    await site.close()


async def furnish(vault: Vault) -> Callable[[Vault], Awaitable[None]]:
    """Some of everything; what is returned checks that another vault holds the same."""
    keys, private, identifiers = SubjectKeys(vault), PrivateKeys(vault), Identifiers(vault)
    held = dict(await keys.held(SUBJECTS, create=True))
    await keys.destroy(SUBJECTS[0])
    held[SUBJECTS[0]] = None
    signing = generate_signing_key()
    await private.keep(signing)
    await identifiers.claim(AccountKind.CITIZEN, NUMBER, SUBJECTS[1])
    cookie = await vault.secret("login-cookie")

    async def same(other: Vault) -> None:
        assert await SubjectKeys(other).held(SUBJECTS, create=True) == held
        assert (await PrivateKeys(other).get(signing.kid or "")).as_dict(private=True) == signing.as_dict(private=True)
        assert await Identifiers(other).find(AccountKind.CITIZEN, NUMBER) == SUBJECTS[1]
        assert await other.secret("login-cookie") == cookie

    return same


async def test_every_process_opens_the_same(site: Site) -> None:
    same = await furnish(site.open())
    await same(site.open())
    site.roots = [NEW]
    with pytest.raises(KeyNotUnwrapped):
        await site.open().secret("login-cookie")


async def test_two_first_processes_agree_on_everything(site: Site) -> None:
    vaults = [site.open() for _ in range(4)]
    assert len(set(await asyncio.gather(*(vault.secret("s") for vault in vaults)))) == 1
    assert len({repr(await SubjectKeys(vault).held(["a"], create=True)) for vault in vaults}) == 1
    assert await vaults[0].generations() == [1]


async def test_a_destroyed_look_up_key_leaves_nothing(site: Site) -> None:
    vault, other = site.open(), site.open()
    for one in (vault, other):
        assert await Identifiers(one).claim(AccountKind.CITIZEN, NUMBER, "a") == "a"
    secret = await vault.secret("identifiers")
    assert await Identifiers(vault).destroy() == 1
    assert await Identifiers(other).find(AccountKind.CITIZEN, NUMBER) is None
    assert await other.secret("identifiers") != secret


async def test_keys_without_their_wrapping_key_are_told(site: Site) -> None:
    await furnish(site.open())
    current().sql(site.folder, "keys", "DELETE FROM wrapping_keys")
    with pytest.raises(RuntimeError, match="restore it from a backup as a whole"):
        await SubjectKeys(site.open()).held(["new"], create=True)


# Rotation


async def test_a_rotation_wraps_everything_anew_and_a_running_process_goes_on(site: Site) -> None:
    running = site.open()
    same = await furnish(running)
    before = site.bytes()
    generation = await running.read(lambda db: db.execute(select(wrapping_keys.c.wrapped)).scalar_one())
    site.roots = [NEW, OLD]
    assert await rotate(site.open()) == {"subject_keys": len(SUBJECTS) - 1, "signing_keys": 1, "site_secrets": 2}
    site.roots = [NEW]
    assert await running.generations() == [2]
    await same(running)
    await same(site.open())
    assert generation in before
    assert generation not in site.bytes()  # the wrapping key before is in no file any more
    with pytest.raises(KeyNotUnwrapped):
        await LocalKeys(lambda: [OLD]).unwrap(
            await running.read(lambda db: db.execute(select(wrapping_keys.c.wrapped)).scalar_one()), "wrapping key 2"
        )


class PowerCut(Exception):
    pass


@pytest.mark.parametrize("pages", range(5))
async def test_a_rotation_cut_off_anywhere_loses_nothing_and_is_finished_later(
    site: Site, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    monkeypatch.setattr(rotation, "AT_ONCE", 3)
    same = await furnish(site.open())
    site.roots = [NEW, OLD]
    done = 0

    def cut(_: int) -> None:
        nonlocal done
        done += 1
        if done > pages:
            raise PowerCut

    if pages < 4:  # subjects' keys in two pages, signing keys, secrets
        with pytest.raises(PowerCut):
            await rotate(site.open(), cut)
        assert await site.open().generations() == [1, 2]
    await same(site.open())  # both are accepted meanwhile
    await rotate(site.open())
    site.roots = [NEW]
    await same(site.open())
    assert len(await site.open().generations()) == 1


async def test_a_second_new_root_in_the_middle_is_the_one_that_counts(site: Site) -> None:
    same = await furnish(site.open())
    site.roots = [NEW, OLD]

    def cut(_: int) -> None:
        raise PowerCut

    with pytest.raises(PowerCut):
        await rotate(site.open(), cut)
    third = os.urandom(32)
    site.roots = [third, NEW, OLD]
    await rotate(site.open())
    site.roots = [third]
    await same(site.open())


async def test_keys_made_and_destroyed_during_a_rotation_stay_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "AT_ONCE", 1)
    service = SubjectKeys(site.open())
    await service.held(SUBJECTS, create=True)
    rounds = iter(range(100))
    made: dict[str, bytes | None] = {}

    async def meanwhile() -> None:
        number = next(rounds)
        made.update(await service.held([f"new-{number}"], create=True))
        if number < 3:
            await service.destroy(SUBJECTS[-1 - number])

    loop = asyncio.get_running_loop()
    work: list[asyncio.Task[None]] = []
    site.roots = [NEW, OLD]
    await rotate(site.open(), lambda _: work.append(loop.create_task(meanwhile())))
    await asyncio.gather(*work)
    site.roots = [NEW]
    after = SubjectKeys(site.open())
    assert await after.held(list(made), create=False) == made
    left = await after.held(SUBJECTS, create=True)
    assert [subject for subject in SUBJECTS if left[subject] is None] == SUBJECTS[-3:]


async def test_the_master_key_of_the_data_folder_is_replaced_when_all_is_done(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    kms = LocalKeys.of(settings)
    before = await kms.wrap(b"a secret", "it")
    master = tmp_path / "secrets" / "master"
    old = master.read_text()
    for _ in range(2):  # as if it was run again after a crash
        prepare_root(settings)
        following = (tmp_path / "secrets" / "master-following").read_text()
        assert (master.read_text(), await kms.unwrap(before, "it")) == (old, b"a secret")
    after = await kms.wrap(b"a secret", "it")
    for _ in range(2):
        replace_root(settings)
    assert master.read_text() == following
    assert sorted(path.name for path in master.parent.iterdir()) == ["master"]
    assert await kms.unwrap(after, "it") == b"a secret"
    with pytest.raises(KeyNotUnwrapped):
        await kms.unwrap(before, "it")


async def test_a_configured_master_key_is_the_operator_s_to_replace(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, master_key=NEW.hex(), master_key_previous=OLD.hex())
    prepare_root(settings)
    wrapped = await LocalKeys(lambda: [OLD]).wrap(b"a secret", "it")
    assert await LocalKeys.of(settings).unwrap(wrapped, "it") == b"a secret"
    replace_root(settings)
    assert not (tmp_path / "secrets").exists()


# Erasure, and backups from before it


async def test_a_destroyed_key_is_in_no_file_and_never_made_again(site: Site) -> None:
    vault = site.open()
    keys = SubjectKeys(vault)
    await keys.held(["a", "b"], create=True)
    [(wrapped,)] = current().sql(site.folder, "keys", "SELECT wrapped FROM subject_keys WHERE subject = 'a'")
    assert wrapped in site.bytes()
    await keys.destroy("a")
    assert wrapped not in site.bytes()
    assert await keys.held(["a"], create=True) == {"a": None}
    assert (await SubjectKeys(site.open()).keys(["a", "b"], create=True)).keys() == {"b"}


async def test_a_restored_backup_resurrects_nobody(site: Site, tmp_path: Path) -> None:
    erased, restricted, other, never = "citizen-0", "citizen-1", "citizen-2", "citizen-9"
    vault = site.open()
    keys = dict(await SubjectKeys(vault).held([erased, restricted, other], create=True))
    await Identifiers(vault).claim(AccountKind.CITIZEN, NUMBER, erased)
    await site.close()
    backup = tmp_path / "backup"
    current().copy(site.folder, "keys", backup)
    # After the backup: two erasures, one refused, one of somebody without a key.
    for account_id in (erased, never):
        await site.decided(account_id, facts.ERASURE_OUTCOME_SHREDDED)
    await site.decided(restricted, facts.ERASURE_OUTCOME_RESTRICTED)
    await SubjectKeys(site.open()).destroy(erased)
    await site.close()
    current().copy(backup, "keys", site.folder)
    again = site.open()
    assert await SubjectKeys(again).held([erased, restricted, other, never], create=True) == {
        erased: None, restricted: keys[restricted], other: keys[other], never: None,
    }  # fmt: skip
    assert await Identifiers(again).find(AccountKind.CITIZEN, NUMBER) is None


async def test_a_backup_of_another_log_is_checked_from_the_beginning(site: Site) -> None:
    for _ in range(5):
        await site.decided("somebody", facts.ERASURE_OUTCOME_REFUSED)
    await SubjectKeys(site.open()).held(["a"], create=True)  # carried out up to position 5
    site.store = MemoryStore()
    await site.decided("a", facts.ERASURE_OUTCOME_SHREDDED)
    assert await SubjectKeys(site.open()).held(["a"], create=True) == {"a": None}


async def test_a_secret_wrapped_for_another_does_not_open(site: Site) -> None:
    await SubjectKeys(site.open()).held(["a", "b"], create=True)
    swap = "UPDATE subject_keys SET wrapped = (SELECT wrapped FROM subject_keys WHERE subject = 'b')"
    current().sql(site.folder, "keys", swap)
    with pytest.raises(InvalidTag):
        await SubjectKeys(site.open()).held(["a"], create=False)
