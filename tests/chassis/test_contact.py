"""Addresses and numbers, as people write them."""

from __future__ import annotations

import asyncio
import sys

import pytest

from motcua.dossier.v1 import dossier_service_pb2 as dossiers
from motcua.identity.v1 import identity_service_pb2 as identity
from motcua.notification.v1 import notification_service_pb2 as notification
from services.chassis.calls import requests
from services.chassis.calls.statuses import RequestInvalid
from services.chassis.text.contact import email_of, phone_of, sent_to
from services.chassis.work.confined import Confined

ID = "0f3c1c5e-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("written", "kept", "sent"),
    [
        ("an@example.vn", "an@example.vn", "an@example.vn"),
        (" An.B+c@Example.Gov.VN ", "An.B+c@example.gov.vn", "An.B+c@example.gov.vn"),
        ("a@ví-dụ.vn", "a@ví-dụ.vn", "a@xn--v-d-rma6749a.vn"),
        ("a@vi\u0301-du\u0323.vn", "a@ví-dụ.vn", "a@xn--v-d-rma6749a.vn"),
        ("a@xn--v-d-rma6749a.vn", "a@ví-dụ.vn", "a@xn--v-d-rma6749a.vn"),
    ],
)
def test_an_address_is_kept_as_people_read_it_and_sent_as_servers_do(written: str, kept: str, sent: str) -> None:
    assert (email_of(written), sent_to(kept)) == (kept, sent)


@pytest.mark.parametrize(
    "written",
    [
        *("an", "an@", "@b.vn", "a@b", "a b@c.vn", "a@b@c.vn", "a@b..vn", "a@.vn", "<a@b.vn>", "a..b@b.vn", "a@b.vn."),
        *("bình@b.vn", "a@b.c, d@e.f", "a@b.vn\r\nBcc: c@d.vn", "a@[10.0.0.1]", "a@localhost", "a\u200b@b.vn"),
        "a@b." + "x" * 250,
    ],
)  # fmt: skip
def test_another_text_is_no_address(written: str) -> None:
    with pytest.raises(ValueError, match="no e-mail address"):
        email_of(written)


@pytest.mark.parametrize(
    "written",
    [
        *("0912345678", "0912 345 678", "0912.345.678", "+84 912 345 678", "+84912345678", "84912345678"),
        *("024 3825 3536", "(0258) 3822 222", "0258.3822.222", "1900 6017", "+49 30 901820", "\u00a00912\u00a0345\u00a0678 "),
    ],
)  # fmt: skip
def test_a_number_may_have_blanks_and_ring_at_home(written: str) -> None:
    assert phone_of(written) == " ".join(written.split())


@pytest.mark.parametrize(
    "written",
    [
        "12",
        "0912",
        "09123456789",
        "https://evil.example",
        "0912345678; 0912345679",
        "０９１２３４５６７８",
        "0000000000",
        "goi Lan",
        "+84",
    ],
)
def test_another_text_is_no_number(written: str) -> None:
    with pytest.raises(ValueError, match="no telephone number"):
        phone_of(written)


def test_whoever_is_written_to_is_checked_where_the_address_comes_in() -> None:
    for request, faults in (
        (dossiers.SubmitDossierRequest(email="a@b", phone="12"), {"email", "phone"}),
        (identity.UpdateProfileRequest(request_id=ID, email="a@b", phone="12"), {"email", "phone"}),
        (notification.UpdatePreferencesRequest(request_id=ID, email="a@b"), {"email"}),
    ):
        with pytest.raises(RequestInvalid) as refused:
            requests.check(request)
        assert faults <= {violation.field for violation in refused.value.violations}
    profile = identity.UpdateProfileRequest(request_id=ID, email=" a@VÍ-DỤ.vn", phone="0912\u00a0345 678 ")
    requests.check(profile)
    assert (profile.email, profile.phone) == ("a@ví-dụ.vn", "0912 345 678")


async def test_only_a_process_that_can_read_no_file_knows_all_countries_from_its_start() -> None:
    loaded = (
        "import sys, services.dossier.service; print([m for m in sys.modules if m.startswith('phonenumbers.data.reg')])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", loaded, stdout=asyncio.subprocess.PIPE)
    assert (await process.communicate())[0] == b"[]\n"
    wrong = Confined("services.chassis.calls.answers_apart:wrong", 1)
    try:
        schema = '{"items": {"format": "phone"}}'
        assert await wrong(schema, '["+81 3-3211-4211", "024 3825 0000", "+49 1"]', "") == [[["2"], "format", "phone"]]
    finally:
        await wrong.close()
