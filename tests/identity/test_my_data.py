"""A person logs in with a browser, sees who opened their data, and leaves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, insert
from starlette.requests import Request
from starlette.responses import Response

from gateway.sandbox.people import citizen
from motcua.catalogue.events.v1.definitions_pb2 import Agency, Text
from motcua.privacy.events.v1.events_pb2 import DataListed, ListedRow
from services.chassis.following.agency_names import put
from services.identity import endpoints, pages, sessions
from services.identity.endpoints import SESSION
from services.identity.pages import PAGE_SIZE
from services.identity.queries import data_uses_query
from services.identity.replies import data_use_of
from services.identity.sessions import Session
from services.identity.uses import agencies, data_uses, uses
from tests.identity.test_service import AN, World, world_in
from tests.support.facts import fact_of
from tests.support.stating import stating
from tests.support.waiting import eventually

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BINH = citizen(2)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("my-data")) as world:
        yield world


class Person:
    """Somebody's browser."""

    def __init__(self, world: World, number: str) -> None:
        self.world = world
        self.number = number
        self.http = httpx.Client(base_url=world.http.base_url, headers=BROWSER)

    def log_in(self, **query: str) -> httpx.Response:
        begun = self.http.get("/login", params=query)
        return self.http.get(self.world.at_vneid(begun.headers["location"], self.number))

    def data(self, **query: str) -> httpx.Response:
        return self.http.get("/my/data", params=query)

    def leave(self, form_token: str | None = None) -> httpx.Response:
        page = self.data().text
        (own,) = re.findall(r'name="form_token" value="([^"]+)"', page)
        return self.http.post("/my/logout", data={"form_token": own if form_token is None else form_token})


@pytest.fixture
def an(world: World) -> Iterator[Person]:
    person = Person(world, AN.personal_number)
    yield person
    person.http.close()


def read_by_official(world: World, number: str, purpose: str = "settle", times: int = 1) -> str:
    """Officials read the person's account; returns its id."""
    account_id = world.account_id(number)
    token, code = world.official(0), world.dossier_of(account_id)
    for _ in range(times):
        world.call("GetAccount", token, account_id=account_id, **stating(purpose, code))
    return account_id


def test_a_browser_gets_a_session_and_the_page(world: World, an: Person) -> None:
    read_by_official(world, AN.personal_number)
    back = an.log_in(return_to="/my/data")
    assert (back.status_code, back.headers["location"], back.text) == (303, "/my/data", "")
    (cookie,) = (line for line in back.headers.get_list("set-cookie") if line.startswith(SESSION))
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/my", "Max-Age=1800"))
    page: Any = eventually(lambda: "Giải quyết thủ tục hành chính" in (shown := an.data()).text and shown)
    assert page.headers["cache-control"] == "no-store"
    for text in (AN.full_name, "Mở thông tin tài khoản", "cán bộ", "Nghị định 118/2025/NĐ-CP", "P56.22.336-20260302-"):
        assert text in page.text
    english = an.data(lang="en").text
    for text in ("Who opened my data", "Settling an administrative procedure", "Your account was opened"):
        assert text in english
    assert "Who opened my data" in an.data().text  # the choice is remembered


def test_the_session_cookie_is_for_tls_where_the_site_is() -> None:
    for url, secure in (
        ("https://motcua.test", True),
        ("http://10.0.0.1:8080", True),
        ("http://localhost:8080", False),
    ):
        response = Response()
        endpoints.set_session(response, "x", 60, url)
        assert ("Secure" in response.headers["set-cookie"]) is secure, url


def test_a_program_and_an_official_still_get_a_token(world: World, an: Person) -> None:
    assert world.log_in(AN.personal_number).json()["token_type"] == "Bearer"
    made = world.appointments[0]
    official = Person(world, made.official.person.personal_number)
    back = official.log_in(scope=f"appointment:{made.appointment_id}")
    assert back.json()["scope"] == f"appointment:{made.appointment_id}"
    assert SESSION not in back.headers.get("set-cookie", "")


def test_without_a_session_the_page_only_says_how_to_log_in(world: World, an: Person) -> None:
    read_by_official(world, AN.personal_number)
    for cookie in ("", "x", "a.b.c.d.e"):
        page = httpx.get(f"{world.http.base_url}/my/data", headers=BROWSER | {"cookie": f"{SESSION}={cookie}"})
        assert page.status_code == 200
        assert "Đăng nhập bằng VNeID" in page.text
        assert AN.full_name not in page.text
        assert "Giải quyết" not in page.text


def test_everybody_sees_their_own_only(world: World, an: Person) -> None:
    mine = read_by_official(world, AN.personal_number, "complaint")
    an.log_in()
    eventually(lambda: "Giải quyết khiếu nại" in an.data().text)
    other = Person(world, BINH.personal_number)
    other.log_in()
    page = other.data().text
    assert "Chưa có cán bộ hay hệ thống nào mở dữ liệu" in page
    assert mine not in page


def test_whoever_leaves_is_out_with_every_copy_of_the_cookie(an: Person) -> None:
    an.log_in()
    copy = an.http.cookies[SESSION]
    left = an.leave()
    assert (left.status_code, left.headers["location"]) == (303, "/my/data")
    assert SESSION not in an.http.cookies
    assert AN.full_name not in an.data().text
    again = httpx.get(f"{an.http.base_url}/my/data", headers=BROWSER | {"cookie": f"{SESSION}={copy}"})
    assert AN.full_name not in again.text
    assert an.http.post("/my/logout").status_code == 303  # nobody is logged in: nothing to do


def test_another_site_cannot_log_somebody_out(an: Person) -> None:
    an.log_in()
    assert an.leave("").status_code == 403
    other = an.leave("x" * 43)
    assert other.status_code == 403
    assert "không đến từ phiên đăng nhập" in other.text
    assert an.http.post("/my/logout", json={}).status_code == 400
    assert an.http.get("/my/logout").status_code == 405
    assert AN.full_name in an.data().text


def test_a_session_ends_by_itself(an: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LIFETIME", timedelta(seconds=-1))
    an.log_in()
    assert SESSION in an.http.cookies
    assert AN.full_name not in an.data().text


def test_one_cookie_does_not_stand_in_for_the_other(world: World, an: Person) -> None:
    login = an.http.get("/login").cookies["motcua-login"]
    page = httpx.get(f"{world.http.base_url}/my/data", headers=BROWSER | {"cookie": f"{SESSION}={login}"})
    assert (page.status_code, "Đăng nhập bằng VNeID" in page.text) == (200, True)


def test_a_login_that_fails_says_so_in_words(world: World) -> None:
    page = httpx.get(f"{world.http.base_url}/login/callback?state=x&code=y", headers=BROWSER)
    assert page.status_code == 400
    assert page.headers["content-type"].startswith("text/html")
    assert "hãy đăng nhập lại" in page.text
    assert httpx.get(f"{world.http.base_url}/login/callback?state=x&code=y").json()["error"] == "invalid_request"


def test_uses_come_in_pages_and_repetitions_are_one_line(world: World) -> None:
    cuong = Person(world, citizen(4).personal_number)
    read_by_official(world, cuong.number, times=PAGE_SIZE + 3)
    cuong.log_in()
    (older_than,) = eventually(lambda: re.findall(r'href="/my/data\?below=([0-9]+)"', cuong.data().text))
    newest = cuong.data().text
    assert newest.count("<time ") == 1
    assert f"{PAGE_SIZE} lần, " in newest
    older = cuong.data(below=older_than).text
    assert "3 lần, " in older
    (newer_than,) = re.findall(r'href="/my/data\?above=([0-9]+)"', older)
    assert f"{PAGE_SIZE} lần, " in cuong.data(above=newer_than).text
    assert f"?lang=en&amp;below={older_than}" in older
    for odd in ("0", "-1", "x", "٣", "9" * 9, "9" * 30):
        assert all(cuong.data(**{name: odd}).status_code == 200 for name in ("below", "above"))


RECORDED = st.lists(st.integers(1, 10_000), unique=True, max_size=30)


@settings(max_examples=60, deadline=None)
@given(at_first=RECORDED, meanwhile=RECORDED, size=st.integers(1, 7))
def test_pages_lose_and_repeat_no_use_while_others_are_recorded(at_first: Any, meanwhile: Any, size: int) -> None:
    newer = [10_000 + position for position in meanwhile]
    with create_engine("sqlite://").connect() as db, patch.object(pages, "PAGE_SIZE", size):
        uses.metadata.create_all(db)
        record(db, at_first)
        older, place = [], pages.Place()
        for position in [*newer, *[None] * (len(at_first) + 1)]:
            page = pages.read(db, "an", place, "vi", "2026-03-02")
            older += listed(page)
            record(db, [position] if position else [])
            if page.older is None:
                break
            place = page.older
        assert older == sorted(at_first, reverse=True)
        back = listed(page) if older else []
        while page.newer is not None and page.newer != pages.Place():
            page = pages.read(db, "an", page.newer, "vi", "2026-03-02")
            back = listed(page) + back
    assert back[-len(at_first) :] == older or not older


def record(db: Connection, positions: list[int]) -> None:
    for position in positions:
        moment = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=position)
        row = {"position": position, "account_id": "an", "at": moment, "by": "o", "agency": "P56.1"}
        db.execute(insert(data_uses).values(**row, purpose="settle", source=str(position)))


def listed(page: pages.Uses) -> list[int]:
    return [int(use.opened) for use in page.shown]


def test_an_agency_is_called_as_the_platform_s_clock_has_it() -> None:
    with create_engine("sqlite://").connect() as db:
        uses.metadata.create_all(db)
        for version, (day, name) in enumerate((("2026-01-01", "Phòng cũ"), ("2027-01-01", "Phòng mới")), 1):
            put(db, agencies, Agency(code="P56.1", name=Text(vi=name), valid_from=day, version=version))
        record(db, [1])
        days = ("2026-12-31", "2027-01-01")
        assert [pages.read(db, "an", pages.Place(), "vi", day).shown[0].who for day in days] == [
            "Phòng cũ",
            "Phòng mới",
        ]


def test_words_are_the_same_in_both_languages() -> None:
    from services.identity.pages import _words

    assert set(_words("vi")) == set(_words("en"))


def test_a_page_of_a_list_is_a_use_of_everybody_on_it() -> None:
    """Each sees the own dossiers on it."""
    rows = [ListedRow(subject_id=who, code=code) for who, code in (("an", "c-1"), ("binh", "c-2"), ("an", "c-3"))]
    seen = DataListed(
        rows=rows, by="official-1", agency="P56.1", roles=["cashier"], purpose="settle", opened="applicant"
    )
    seen.at.FromJsonString("2026-03-02T02:00:00Z")
    with create_engine("sqlite://").connect() as db:
        uses.metadata.create_all(db)
        uses.folds[DataListed.DESCRIPTOR.full_name](db, [fact_of(seen, stream="use-list-official-1")])
        found = {who: [data_use_of(row) for row in db.execute(data_uses_query(who))] for who in ("an", "binh", "chi")}
        shown = pages.read(db, "an", pages.Place(), "vi", "2026-03-02")
    assert {who: [(use.dossier_code, use.source) for use in shown] for who, shown in found.items()} == {
        "an": [("c-1, c-3", "applicant")],
        "binh": [("c-2", "applicant")],
        "chi": [],
    }
    assert (found["binh"][0].by, list(found["binh"][0].roles), found["binh"][0].purpose) == (
        "official-1",
        ["cashier"],
        "settle",
    )
    request = Request({"type": "http", "method": "GET", "path": "/my/data", "query_string": b"", "headers": []})
    page = bytes(pages.data(request, Session("s", "an", "t", 0), "An", "vi", shown).body).decode()
    assert "Xem tên người nộp trong danh sách hồ sơ" in page
    assert re.findall(r'href="/dossiers/([^"]+)"', page) == ["c-1", "c-3"]
