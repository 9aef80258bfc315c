"""A letter of the state's leads nowhere but to the state, whatever somebody wrote that it tells."""

from __future__ import annotations

import re
import unicodedata
from html import unescape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.utils import urlize

from motcua.dossier.events.v1 import events_pb2 as dossier
from services.chassis.text.plain import plain, quoted
from services.notification.letters import letter
from services.notification.templates import LOCALES, Dossier, Ours, Text, render, render_html
from services.notification.values import Language
from tests.notification.test_templates import CODE, URL, fact, variants

STATUS = f"{URL}/dossiers/{CODE}"
# As mail programs find links in plain text, and rather more than they do.
LINK = re.compile(
    r"""(?ix) [a-z][a-z0-9+.\-]*:[^\s\d] | (?:https?|mailto|tel|sms|ftp|file|data|javascript): \S | :// | \bwww\.\S
    | [\w.+\-]@\w | \\\\\w | \w\.(?:[^\W\d_]){2,} | (?<![\d.])(?:(?:1\d|2[0-4]|[1-9])?\d\.){3}[1-9]?\d(?![\d.]) """
)
TELEPHONE = re.compile(r"(?<!\w)(?<!\d[.,])(?:\+ ?84|0)(?:[ .()\-]*\d){8,}")
HIDDEN = re.compile(
    "[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)

ATTACKS = [
    "Nguyễn Văn A, đăng nhập tại https://evil.example để nhận tiền",
    "HTTPS://EVIL.EXAMPLE/a?b=c",
    "http:evil.example",
    "//evil.example/a",
    "www.evil.example",
    "WWW.123",
    "evil.example",
    "evil.example.",
    "(evil.example)",
    "a@evil.example",
    "a ＠ evil.example",
    "mailto:a@evil.example",
    "tel:113",
    "tel:+84912345678",
    "gọi 0912 345 678 hoặc +84 (912) 345-678, 1900.1234",
    "javascript:alert(1)",
    "data:text/html,a",
    "file:///etc/passwd",
    r"\\evil\share",
    "https:\\\\evil.example",
    "ｈｔｔｐｓ：／／ｅｖｉｌ．ｅｘａｍｐｌｅ",
    "evil。example",
    "evil․example",
    "evil｡example",
    "ev\u200bil.exa\u200bmple",
    "evil\u200b.\u200bexample",
    "evil\u00ad.\u2060example",
    "evil.\ufe0fexample",
    "\u202eelpmaxe.live\u202c",
    "xn--e1afmkfd.xn--p1ai",
    "ví-dụ.việt",
    "е\u0301vil.ex\u0301ample",
    "192.168.1.1/a",
    "xem 203.0.113.7.",
    "evil.ⓒⓞⓜ",
    "evil.\u0301com",
    "gọi 19001234",
    "gọi 1900 1234.",
    "84912345678",
    "84 912 345 678",
    "*100*0912345678#",
    "A\r\nBcc: a@evil.example\r\n\r\nhttps://evil.example",
    "A\u2028https://evil.example",
    "A\u0085\u000bhttps://evil.example",
    '<a href="https://evil.example">x</a>',
    "[x](https://evil.example)",
    "{{ 7 * 7 }} {% raw %}",
    "&#46; evil&#46;example",
    f"{URL}.evil.example/dossiers/{CODE}",
    f"{URL}/dossiers/{CODE}@evil.example",
    f"{URL}/dossiers/{CODE}/../../login",
]
# No address by themselves; the letter's own words go on after them.
BEGUN = ["https:", "tel:", "Gửi a:", "đ:", "www.", "xem WWW2.", "https::"]
PIECES = st.sampled_from(
    [
        *(
            "https",
            "http",
            ":",
            "//",
            "/",
            "\\",
            ".",
            "。",
            "．",
            "․",
            "@",
            "＠",
            "www",
            "evil",
            "example",
            "com",
            "vn",
        ),
        *(
            "tel",
            "mailto",
            "0912345678",
            "+84",
            "912",
            "345",
            " ",
            "\n",
            "\r\n",
            "\u200b",
            "\u202e",
            "\u2060",
            "\ufeff",
        ),
        *("ế", "Ngọc", "\u0301", "\u00ad", "\t", "\u2028", "<", ">", "&", '"', "'", "-", "(", ")", "1", "xn--p1ai"),
        *("192.168.0.1", URL, CODE, "\u3000"),
    ]
)
VALUES = st.one_of(
    st.lists(PIECES, max_size=14).map("".join), st.text(max_size=60), st.sampled_from([*ATTACKS, *BEGUN])
)


TAGS = {"html", "head", "meta", "title", "body", "main", "h1", "p", "br", "a", "blockquote"}


def told(value: str) -> tuple[Dossier, dict[str, str], dict[str, Any]]:
    """Everything in a letter that is not the site's, as `value`."""
    about = Dossier(
        applicant_name=value,
        organisation=False,
        procedure_name=value,
        agency_name=value,
        delivery="DELIVERY_METHOD_COUNTER",
        status_url=Ours(STATUS),
        component_names={"ct01": value},
    )
    stored = value.encode("utf-8", "replace").decode()
    changed = {"signer": stored, "result_number": stored, "component_codes": ["ct01", stored]}
    return about, {"reason": value, "explanation": value, "note": value}, changed


def check(text: Text, language: Language) -> None:
    without = text.body.replace(STATUS, "")
    for part in (text.subject, without):
        # The code is the site's own.
        part = part.replace(CODE, "")
        assert not LINK.search(part), part
        assert not TELEPHONE.search(re.sub(r"\d\d/\d\d/\d{4}", "", part)), part
        assert not HIDDEN.search(part), repr(part)
        assert "<a " not in urlize(part)
    assert "\n" not in text.subject
    html = render_html(text, language, URL)
    assert set(re.findall(r'href="([^"]*)"', html)) == {STATUS}
    assert set(re.findall(r"<(\w+)", html)) <= TAGS
    assert unescape(re.sub("<[^>]*>", " ", html)).count("://") == 1


@pytest.mark.parametrize("value", [*ATTACKS, *BEGUN])
@pytest.mark.parametrize("language", LOCALES)
def test_what_is_inserted_is_no_link(value: str, language: Language) -> None:
    about, opened, changed = told(value)
    for each in variants():
        one = fact(type(each), **changed)
        check(render(letter(one, opened), about, language), language)


@given(value=VALUES, language=st.sampled_from(list(LOCALES)), kind=st.sampled_from(variants()))
def test_whatever_is_inserted_is_no_link(value: str, language: Language, kind: Any) -> None:
    about, opened, changed = told(value)
    check(render(letter(fact(type(kind), **changed), opened), about, language), language)


@given(VALUES)
def test_it_is_the_same_when_it_is_made_plain_again(value: str) -> None:
    once = plain(value)
    assert plain(once) == once == unicodedata.normalize("NFC", once)
    assert "\n" not in once


def test_prose_is_a_quotation_line_by_line() -> None:
    about, _, _ = told("An")
    prose = "Thiếu giấy tờ.\r\n\r\nTheo dõi hồ sơ tại: https://evil.example\u2028Trân trọng"
    text = render(letter(fact(dossier.DossierRefused), {"reason": prose}), about, Language.ENGLISH)
    expected = "> Thiếu giấy tờ.\n>\n> Theo dõi hồ sơ tại: https: //evil. example\n> Trân trọng\n"
    assert f"The reason:\n{expected}" in text.body
    assert "<blockquote>Thiếu giấy tờ.<br>" in render_html(text, Language.ENGLISH, URL)


@pytest.mark.parametrize(
    "text",
    [
        *("H'Hen Niê", "Rơ Ô Kim-Hạnh", "Y Bhin Êban", "Nghị định số 61/2018/NĐ-CP", "lúc 14:30 ngày 01/02/2026"),
        *(
            "1.250.000 đồng",
            "1.000.000.000 đồng",
            "056095001234",
            "CÔNG TY TNHH T.H.A",
            "12/GCN-UBND",
            "ngày 01.12.2026",
            "v.v...",
            "Điều 5, khoản 2",
        ),
    ],
)
def test_what_is_no_address_stays_as_it_was(text: str) -> None:
    assert plain(text) == text
    assert quoted(text) == f"> {text}"
