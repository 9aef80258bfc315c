"""What people type finds what they mean, the same way everywhere."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.text.search import matches, search

NAME = "Đăng ký thường trú tại Khánh Hòa"


@pytest.mark.parametrize(
    "typed",
    [
        *("Đăng ký", "đăng kí", "dang ki", "DANG KY", "Khánh Hoà", "khanh hoa", "hòa khánh", "thường-trú"),
        *("\u00d0ăng ký", "\u0189ăng ký", "\u0111ăng ký", "ｄａｎｇ　ｋｙ", "đăng\u200b ký", "\u202ekhanh hoa", "“đăng ký”"),
        *("'thuong' tru", "tru, tai", "đăng   ký\n", unicodedata.normalize("NFD", "Đăng ký thường trú"), "2.000.1", "２.000"),
    ],
)  # fmt: skip
def test_it_is_found(typed: str) -> None:
    assert matches(typed, [NAME], "2.000.123")


@pytest.mark.parametrize("typed", ["hóa", "hoá", "đặng", "kỳ", "ang", "tạm trú", "000.123", "..."])
def test_other_words_are_not(typed: str) -> None:
    assert not matches(typed, [NAME], "2.000.123")


def test_marks_tell_where_they_can() -> None:
    names = ["Đăng ký khai tử", "Đăng ký khai thác tư liệu"]

    def found(typed: str) -> list[str]:
        return search(typed, names, lambda name: ([name], ""))

    assert found("khai tử") == names[:1]
    assert found("khai tu") == names
    assert found("khái tụ") == names  # nothing is written so: whatever the marks are
    assert found("khai sinh") == []
    assert found("") == names


@given(st.text(max_size=30))
def test_a_name_is_found_by_itself_however_it_is_composed(name: str) -> None:
    for form in ("NFC", "NFD"):
        typed = unicodedata.normalize(form, name)
        assert matches(typed, [name], "1") or not any(c.isalnum() for c in unicodedata.normalize("NFKC", name))
