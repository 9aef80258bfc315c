from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.status.codes import LONGEST, parse, scanned_seal, seal, seal_holds

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
        ("G09.20-２0260609-0092637", None),
    ],
)
def test_parse(written: str, code: str | None) -> None:
    assert parse(written) == code


def test_a_scanned_address_brings_its_seal() -> None:
    assert scanned_seal(f"https://motcua.vn/dossiers/{CODE}?seal=abc") == "abc"
    assert scanned_seal(CODE) is None


@given(st.text(max_size=220))
def test_parse_answers_anything(written: str) -> None:
    code = parse(written)
    assert code is None or parse(code) == code


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
