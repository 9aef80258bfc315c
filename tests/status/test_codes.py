from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.status.codes import scanned_seal, seal, seal_holds
from services.chassis.text.dossier_codes import LONGEST, code_in

KEY = b"k" * 32
CODE = "G09.20-20260609-0092637"


@pytest.mark.parametrize(
    ("written", "code"),
    [
        (CODE, CODE),
        ("000.00.01.H29-240115-0001", "000.00.01.H29-240115-0001"),
        ("P56.22.336.1-20261120-0001", "P56.22.336.1-20261120-0001"),
        (" g09.20 - 20260609 – 0092637\n", CODE),
        (f"https://motcua.vn/dossiers/{CODE}?seal=abc", CODE),
        ("G09.20-2026060-0092637", None),
        ("G09.20-20260609-009", None),
        ("H56", None),
        ("", None),
        ("<script>", None),
        (f"{CODE}\x00", None),
        (CODE + " " * LONGEST, None),
        ("G09.20-２0260609-0092637", CODE),
        (f"Mã hồ sơ: {CODE}. Hẹn trả 12/06/2026.", CODE),
        (f"Hồ sơ của tôi ({CODE.lower()})", CODE),
        (f"“G09.20–20260609–0092637”, xem https://motcua.vn/dossiers/{CODE}?lang=vi", CODE),
        ("Mã số\nG09.20 -\n20260609-0092637\nngày hẹn", CODE),
        (f"\u200b{CODE}\u202c", CODE),
        ("Ｇ０９．20－20260609－0092637", CODE),
        (f"https%3A%2F%2Fmotcua.vn%2Fdossiers%2F{CODE}", CODE),
        (f"{CODE} và P56.22.336-20260302-0000001", None),
        (f"TN-{CODE}", CODE),
        (f"Số tiếp nhận: tn – {CODE.lower()}.", CODE),
        (f"TN-{CODE}, mã hồ sơ {CODE}", CODE),
        (f"TN-{CODE} và P56.22.336-20260302-0000001", None),
        (f"XTN-{CODE}", None),
        (f"{CODE}9", None),
        (f"{CODE}-1", None),
        (f"x{CODE}", None),
        (f"P56.{CODE}", None),
    ],
)
def test_the_one_code_is_found(written: str, code: str | None) -> None:
    assert code_in(written) == code


def test_a_scanned_address_brings_its_seal() -> None:
    assert scanned_seal(f"https://motcua.vn/dossiers/{CODE}?seal=abc") == "abc"
    assert scanned_seal(f"xem https://motcua.vn/dossiers/{CODE}?seal=abc#x nhé") == "abc"
    assert scanned_seal(CODE) is None


@given(st.text(max_size=220))
def test_whatever_is_written_is_read(written: str) -> None:
    code = code_in(written)
    assert code is None or code_in(code) == code


@given(st.text(alphabet="G09.2-6 \n–g", max_size=300), st.text(alphabet="G09.2-6 \n–g,", max_size=300))
def test_a_code_is_found_in_any_text_or_not_at_all(before: str, after: str) -> None:
    assert code_in(f"{before} | {CODE} | {after}") in (CODE, None)


@given(st.integers(0, 15), st.characters())
@example(0, "\ud800")
def test_a_tampered_seal_is_refused(index: int, other: str) -> None:
    good = seal(KEY, CODE)
    tampered = good[:index] + other + good[index + 1 :]
    assert seal_holds(KEY, CODE, tampered) == (tampered == good)


def test_a_seal_binds_code_and_key() -> None:
    assert seal_holds(KEY, CODE, seal(KEY, CODE))
    assert not seal_holds(KEY, CODE[:-1] + "8", seal(KEY, CODE))
    assert not seal_holds(b"o" * 32, CODE, seal(KEY, CODE))
    assert len(seal(KEY, CODE)) == 16
