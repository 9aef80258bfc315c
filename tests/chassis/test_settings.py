"""Whatever is set, a start says in one line which variable is wrong, and never what a secret holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command import main
from services.chassis.clock import ShiftedClock
from services.chassis.network.addresses import server
from services.chassis.platform.settings import KURRENTDB, REPEATED
from services.chassis.store.kurrentdb import KurrentStore, checked_uri
from services.notification.channels.email import smtp_settings
from services.settings import SiteSettings

HOSTILE = ["#", "@", "%", "%40", "/", "?", ":", "\\", " ", "&", "=", "[", "]", "é", "%zz", "<", "\t", "+", ";", ","]
SECRET = "Zq7"  # in no message of ours
SECRETS = sorted(set(SiteSettings.model_fields) - REPEATED - {"data", "clock_shift_file"})
PASSWORDS = st.lists(st.one_of(st.sampled_from(HOSTILE), st.just(SECRET)), min_size=1, max_size=5).map(
    lambda parts: SECRET + "".join(parts) + SECRET
)
ADDRESSES = {
    "MOTCUA_EVENT_STORE": "kurrentdb://user:{}@db.example:2113?tls=false",
    "MOTCUA_DATABASE": "postgresql+psycopg://user:{}@db.example:5432/motcua",
    "MOTCUA_SMTP_URL": "smtp://user:{}@mail.example:587?tls=none",
}


def started(environment: dict[str, str], capsys: Any) -> tuple[SiteSettings | None, str]:
    """What a start makes of it, and what it prints."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            found = main.settings()
        except SystemExit:
            found = None
    captured = capsys.readouterr()
    return found, captured.out + captured.err


FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@FUZZ
@given(field=st.sampled_from(sorted(SiteSettings.model_fields)), value=TEXT)
def test_garbage_is_refused_in_a_line_that_names_the_variable(field: str, value: str, capsys: Any) -> None:
    name = f"MOTCUA_{field.upper()}"
    found, said = started({name: value}, capsys)
    if found is None:
        assert "✗" in said
        assert name in said or (field.startswith("tls_") and "MOTCUA_TLS_" in said)
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (
            "site",
            "VN-56",
            "it must be vn for the nation, or vn- and the two digits of a province: vn-56 (it is 'VN-56')",
        ),
        ("master_key", "ab", "it must be 64 digits, 0-9 and a-f: openssl rand -hex 32"),
        ("service_secret", "short", "it must be at least 32 characters on one line"),
        ("blobs", "S3://x", "it must be s3://bucket/prefix or file:///folder"),
        ("ledger_origin", "a b", "it must be without blanks and +"),
        ("sandbox", "nein", "it must be true or false (it is 'nein')"),
        ("port", "80x", "it must be a whole number (it is '80x')"),
        ("port", "80", "it must be at least 1024 (it is '80')"),
        ("port", "99999", "it must be at most 65000 (it is '99999')"),
        ("trace_sampled", "viel", "it must be a number"),
        ("submission_cutover", "01/07/2025", "it must be a day, written as 2026-11-30 (it is '01/07/2025')"),
        ("log_level", "LOUD", "it must be one of 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ],
)
def test_a_refusal_says_what_the_value_must_be(field: str, value: str, said: str, capsys: Any) -> None:
    found, told = started({f"MOTCUA_{field.upper()}": value}, capsys)
    assert found is None
    assert f"✗ MOTCUA_{field.upper()}: {said}" in " ".join(told.split())


@FUZZ
@given(field=st.sampled_from(SECRETS), value=PASSWORDS)
def test_a_refusal_holds_no_part_of_what_may_be_a_secret(field: str, value: str, capsys: Any) -> None:
    found, said = started({f"MOTCUA_{field.upper()}": value}, capsys)
    assert SECRET not in said
    assert SECRET not in repr(found)
    assert SECRET not in str(found)


@FUZZ
@given(name=st.sampled_from(sorted(ADDRESSES)), password=PASSWORDS)
def test_an_address_holds_its_password_to_itself(name: str, password: str, capsys: Any) -> None:
    """Whatever the password is and however it is written: it is read as it is meant, or refused without it."""
    found, said = started({name: ADDRESSES[name].format(password)}, capsys)
    assert SECRET not in said
    if found is None:
        assert name in said
    elif name == "MOTCUA_EVENT_STORE":
        checked_uri(found.event_store)
    elif name == "MOTCUA_SMTP_URL":
        assert smtp_settings(found).host == "mail.example"


@pytest.mark.parametrize("password", ["p#x", "p@ss", "a/b", "a?b", "a%b", "#", "p\\q", "p q", "%zz"])
@pytest.mark.parametrize("scheme", KURRENTDB)
def test_a_password_that_must_be_encoded_is_asked_for_so(scheme: str, password: str) -> None:
    for refuse in (checked_uri, lambda uri: server(uri, KURRENTDB)):
        with pytest.raises(ValueError, match=r"write % # @ / \? : as|no blanks, control") as refused:
            refuse(f"{scheme}://a:{password}@h:2113")
        assert password not in str(refused.value).replace("% # @ / ? :", "").replace("%25 %23 %40 %2F %3F %3A", "")


async def test_user_and_password_are_sent_decoded() -> None:
    """`p@ss`, written `p%40ss`, is the password and not six letters more."""
    sent: list[tuple[str, str]] = []
    store = KurrentStore("kurrentdb://us%3Aer:p%40ss%23%25@h:2113?tls=true")
    try:
        for client in (store._appends, store._reads, store._live):
            credentials: Any = client._call_credentials
            assert credentials is not None
        original = type(store._appends).construct_call_credentials

        def heard(self: Any, user: str, password: str) -> Any:
            sent.append((user, password))
            return original(self, user, password)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(store._appends), "construct_call_credentials", heard)
            again = KurrentStore("kurrentdb://us%3Aer:p%40ss%23%25@h:2113?tls=true")
            await again.close()
    finally:
        await store.close()
    assert sent[1::2] == [("us:er", "p@ss#%")] * 3


def test_an_smtp_password_is_decoded() -> None:
    found = smtp_settings(SiteSettings(smtp_url="smtp://us%40er:p%23%2F%40@mail.example:587"))
    assert (found.username, found.password) == ("us@er", "p#/@")


@pytest.mark.parametrize("written", ["", "x", "nan", "inf", "-inf", "1e400", "1e12", "1 2", "\x00", "é", "9" * 5000])
def test_a_shift_of_the_clock_that_is_none(tmp_path: Path, written: str, capsys: Any) -> None:
    file = tmp_path / "shift"
    file.write_text(written)
    found, said = started({"MOTCUA_CLOCK_SHIFT_FILE": str(file)}, capsys)
    assert found is None
    assert re.search(r"MOTCUA_CLOCK_SHIFT_FILE: .*must hold one number of seconds", " ".join(said.split()))
    clock = ShiftedClock(file)
    file.write_text("86400\n")
    before = clock.now()
    file.write_text(written)
    assert clock.now() >= before


def test_a_shift_that_cannot_be_read_is_named(tmp_path: Path, capsys: Any) -> None:
    found, said = started({"MOTCUA_CLOCK_SHIFT_FILE": str(tmp_path)}, capsys)
    assert found is None
    assert "cannot be read: Is a directory" in " ".join(said.split())


@pytest.mark.parametrize(
    ("name", "value"),
    [("MOTCUA_CLIENT_AUTHORITY", "/nowhere/ca.pem"), ("MOTCUA_SMTP_URL", "smtp://u:Zq7@m?ca_file=/nowhere/ca.pem")],
)
def test_a_file_that_is_not_there_is_named(name: str, value: str, capsys: Any) -> None:
    found, said = started({name: value}, capsys)
    assert found is None
    assert name in said
    assert "cannot be read" in said
    assert SECRET not in said


@pytest.mark.parametrize("name", ["MOTCUA_HOST", "MOTCUA_EDGE_HOST"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "192.168.1.7"])
def test_sandboxes_are_for_this_machine_unless_that_is_said(name: str, host: str, capsys: Any) -> None:
    found, said = started({name: host}, capsys)
    assert found is None
    assert f"{name}={host} would let others reach the sandboxes" in " ".join(said.split())
    assert "MOTCUA_SANDBOX_ANYBODY_IS_ADMINISTRATOR=true" in said
    for more in ("MOTCUA_SANDBOX_ANYBODY_IS_ADMINISTRATOR=true", "MOTCUA_SANDBOX=false"):
        found, _ = started({name: host, **dict([more.split("=")])}, capsys)
        assert found is not None


@pytest.mark.parametrize(
    ("given", "listens"),
    [
        ({}, "127.0.0.1"),
        ({"sandbox": False}, "0.0.0.0"),
        ({"edge_host": "::1"}, "::1"),
        ({"sandbox": False, "edge_host": "10.0.0.1"}, "10.0.0.1"),
        ({"sandbox_anybody_is_administrator": True}, "127.0.0.1"),
    ],
)
def test_where_the_edge_listens(given: dict[str, Any], listens: str) -> None:
    assert SiteSettings(**given).edge_listens == listens


def test_every_secret_is_known_as_one() -> None:
    """What a refusal or a traceback repeats is named one by one; a new setting is a secret until then."""
    assert set(SiteSettings.model_fields) >= REPEATED
    likely = [
        name
        for name in SiteSettings.model_fields
        if re.search("secret|key$|url|database|store|witness|from|blobs", name)
    ]
    assert not set(likely) & REPEATED


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("MOTCUA_SANDBX", "MOTCUA_SANDBX is no setting; MOTCUA_SANDBOX is"),
        ("MOTCUA_PASSWORD_OF_ALL", "MOTCUA_PASSWORD_OF_ALL is no setting"),
        ("MOTCUA_IDENTITY_SERVICE_HOST", ""),
        ("MOTCUA_IDENTITY_PORT_50051_TCP_ADDR", ""),
        ("MOTCUA_TOKEN", ""),
        ("MOTCUAX", ""),
    ],
)
def test_a_setting_that_is_none_is_not_passed_over(name: str, said: str, capsys: Any) -> None:
    found, told = started({name: "no"}, capsys)
    assert (found is None) == bool(said)
    assert said in " ".join(told.split())
