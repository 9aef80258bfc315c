from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.status import codes, live
from gateway.status.model import DossierPage, Procedures
from gateway.status.pages import application
from gateway.status.settings import Settings
from motcua.catalogue.events.v1.definitions_pb2 import Procedure
from motcua.dossier.events.v1 import events_pb2 as facts
from tests.status.memory import MemoryReader
from tests.status.samples import CODES, HISTORIES, NOW, SECRET, fact, issued, local
from tests.support.waiting import PATIENCE_SECONDS

KEY = b"k" * 32
SETTINGS = Settings("https://motcua.test", KEY, receipt_address="/ledger/{code}/{revision}", heartbeat_seconds=0.01)
DOSSIER = f"/dossiers/{CODES['in_progress']}"
PAGES = [
    "/",
    "/boards",
    "/boards/56",
    "/boards/56/P56.22.336.1",
    "/boards/92",
    "/procedures",
    "/procedures?q=cư+trú&after=1.004222",
    "/procedures?q=nothing",
    "/procedures/1.001456",
    "/procedures/2.000001",
    "/about",
    *(f"/dossiers/{code}" for code in CODES.values()),
]


@pytest.fixture
async def client(reader: MemoryReader) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(reader, SETTINGS, lambda: NOW))
    async with httpx.AsyncClient(transport=transport, base_url="https://motcua.test") as client:
        yield client


@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize("path", PAGES)
async def test_every_page_stands_in_both_languages(client: httpx.AsyncClient, path: str, language: str) -> None:
    answer = await client.get(path, headers={"accept-language": language})
    assert answer.status_code == 200
    assert f'<html lang="{language}">' in answer.text
    assert answer.text.count("<h1") == 1
    assert answer.headers["content-language"] == language
    assert SECRET not in answer.text
    assert not re.search(r"<script(?! src)|<style|\sstyle=|\son\w+=", answer.text)
    assert "https://" not in answer.text


async def test_search_leads_to_the_dossier(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", params={"code": f" {CODES['in_progress'].lower()} "})
    assert (answer.status_code, answer.headers["location"]) == (303, DOSSIER)


async def test_a_scanned_address_keeps_its_seal(client: httpx.AsyncClient) -> None:
    seal = codes.seal(KEY, CODES["in_progress"])
    answer = await client.get("/", params={"code": f"https://motcua.test{DOSSIER}?seal={seal}"})
    assert answer.headers["location"] == f"{DOSSIER}?seal={seal}"
    assert "Mã QR hợp lệ" in (await client.get(answer.headers["location"])).text


@pytest.mark.parametrize("path", ["/?code=H56-12", "/dossiers/H56-12"])
async def test_a_malformed_code_is_explained(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code in (400, 404)
    assert "Mã này chưa đúng dạng." in answer.text
    assert 'value="H56-12"' in answer.text


async def test_a_receipt_s_number_leads_to_its_dossier_and_two_codes_to_a_word(client: httpx.AsyncClient) -> None:
    code = CODES["in_progress"]
    answer = await client.get("/", params={"code": f"TN-{code}"})
    assert (answer.status_code, answer.headers["location"]) == (303, DOSSIER)
    several = await client.get("/", params={"code": f"TN-{code}, {CODES['overdue']}"})
    assert (several.status_code, "Có hơn một mã hồ sơ ở đây." in several.text) == (400, True)


async def test_unknown_and_forbidden_look_the_same(client: httpx.AsyncClient, reader: MemoryReader) -> None:
    reader.withheld.add(CODES["overdue"])
    unknown, forbidden = "P56.22.336-20261109-9999999", CODES["overdue"]
    for suffix in ("", "/live", "/qr.svg"):
        one, two = [await client.get(f"/dossiers/{code}{suffix}") for code in (unknown, forbidden)]
        assert one.status_code == two.status_code == 404
        assert one.text.replace(unknown, "") == two.text.replace(forbidden, "")
        assert one.headers.keys() == two.headers.keys()


async def test_a_tampered_seal_is_refused_whether_or_not_the_dossier_exists(client: httpx.AsyncClient) -> None:
    for code in (CODES["in_progress"], "P56.22.336-20261109-9999999"):
        answer = await client.get(f"/dossiers/{code}?seal={codes.seal(KEY, CODES['overdue'])}")
        assert answer.status_code == 403
        assert "Mã QR không hợp lệ" in answer.text


async def test_small_letters_lead_to_the_one_address(client: httpx.AsyncClient) -> None:
    answer = await client.get(DOSSIER.replace("P56", "p56"))
    assert (answer.status_code, answer.headers["location"]) == (308, DOSSIER)


async def test_the_qr_code_is_a_picture_of_the_sealed_address(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{DOSSIER}/qr.svg")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.text.lstrip().startswith("<?xml")
    assert "style" not in answer.text


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ("new", ["Mới đăng ký", "Chưa có ngày hẹn."]),
        (
            "in_progress",
            ["Đang xử lý", "Thứ Tư", "25/11/2026", "Còn 5 ngày.", "Sở Tài chính tỉnh Khánh Hòa", "Đã nộp đủ"],
        ),
        ("paused_for_supplement", ["Chờ bổ sung giấy tờ", "Văn bản đồng ý của người giám hộ", "19/11/2026"]),
        ("supplemented", ["Ngày hẹn chuyển từ 19/11/2026 sang 24/11/2026", "(5 ngày)"]),
        ("fee_asked", ["Chờ nộp tiền", "160.000 đồng"]),
        ("overdue", ["Hồ sơ này trễ 4 ngày.", "chưa gửi thư xin lỗi"]),
        ("apologised", ["Chúng tôi xin lỗi vì trễ hẹn.", "25/11/2026", "Ngày hẹn đầu tiên là 16/11/2026."]),
        ("overdue_again", ["ngày hẹn lại cũng đã qua"]),
        ("late", ["Trễ 3 ngày so với ngày hẹn 16/11/2026.", "Chúng tôi xin lỗi"]),
        ("returned", ["Đúng hẹn.", "Hộ chiếu phổ thông", "5 trên 5 điểm."]),
        ("refused", ["Không được tiếp nhận", "Lý do được gửi riêng"]),
        ("withdrawn", ["Dừng xử lý", "Người nộp đã rút hồ sơ."]),
        ("refunded", ["Đã hoàn tiền", "không đủ điều kiện"]),
    ],
)
async def test_a_dossier_is_said_plainly(client: httpx.AsyncClient, sample: str, said: list[str]) -> None:
    page = (await client.get(f"/dossiers/{CODES[sample]}")).text
    assert [words for words in said if words not in page] == []


async def test_each_step_leads_to_its_receipt(client: httpx.AsyncClient) -> None:
    page = (await client.get(DOSSIER)).text
    shown = [int(revision) for revision in re.findall(rf'href="/ledger/{CODES["in_progress"]}/(\d+)"', page)]
    assert shown == list(range(9))


async def test_a_dossier_travels_light(client: httpx.AsyncClient) -> None:
    page = await client.get(DOSSIER)
    assets = [await client.get(path) for path in re.findall(r'"(/static/[^"]+|/dossiers/[^"]+\.svg)"', page.text)]
    assert len(assets) == 4
    assert len(page.content) + sum(len(asset.content) for asset in assets) < 60_000


async def test_language_is_remembered(client: httpx.AsyncClient) -> None:
    answer = await client.get("/about?lang=en")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert '<html lang="en">' in (await client.get("/about", headers={"accept-language": "vi"})).text
    assert 'href="/about?lang=vi"' in answer.text


async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/", DOSSIER, "/nope", "/robots.txt", f"{DOSSIER}/qr.svg"):
        headers = (await client.get(path)).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "strict-transport-security" in headers
        assert headers["cache-control"]


async def test_what_has_not_changed_is_not_sent_again(client: httpx.AsyncClient) -> None:
    for path in ("/boards", DOSSIER, "/procedures", "/static/status.css", f"{DOSSIER}/qr.svg"):
        first = await client.get(path)
        second = await client.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (second.status_code, second.content) == (304, b"")
    address = re.search(r'"(/static/status.css\?v=[^"]+)"', (await client.get("/")).text)
    assert address
    assert "immutable" in (await client.get(address[1])).headers["cache-control"]
    assert (await client.get("/static/status.css?v=old")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/boards/99",
        "/boards/56/X",
        "/procedures/x",
        "/procedures?after=9.999999",
        "/procedures?after=x",
        "/static/x",
        "/a/b",
    ],
)
async def test_nothing_to_show(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert "Không có trang này để xem" in answer.text


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_pages_lose_and_repeat_no_procedure_while_others_come_and_go(data: st.DataObject) -> None:
    codes = [f"1.{number:06}" for number in range(30)]
    kept = data.draw(st.sets(st.sampled_from(codes)))
    limit, after, seen = data.draw(st.integers(1, 7)), "", []
    for _ in range(100):
        there = kept | data.draw(st.sets(st.sampled_from(codes), max_size=5))
        page = Procedures.cut([Procedure(code=code) for code in there], after, limit)
        seen += [each.code for each in page.entries]
        if page.before is not None and page.entries:
            before = Procedures.cut([Procedure(code=code) for code in there], page.before, limit)
            assert not any(before.entries[-1].code < code < page.entries[0].code for code in there)
        if page.behind is None:
            break
        after = page.behind
    assert seen == sorted(set(seen))
    assert set(seen) >= kept


async def test_robots_keep_out_of_dossiers(client: httpx.AsyncClient) -> None:
    assert "Disallow: /dossiers/" in (await client.get("/robots.txt")).text
    assert (await client.get(DOSSIER)).headers["x-robots-tag"] == "noindex"


async def test_a_failure_is_said_without_its_cause(reader: MemoryReader, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> Any:
        raise RuntimeError("database down at 10.0.0.1")

    monkeypatch.setattr(reader, "nation", broken)
    transport = httpx.ASGITransport(application(reader, SETTINGS, lambda: NOW), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://motcua.test") as client:
        answer = await client.get("/boards")
    assert answer.status_code == 500
    assert "Đây là lỗi của chúng tôi." in answer.text
    assert "10.0.0.1" not in answer.text


async def revision_of(page: DossierPage) -> str:
    return f"<p>\n{page.settlement.name}\n</p>"


async def next_of(kind: str, stream: AsyncIterator[str]) -> str:
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for frame in stream:
            if f"event: {kind}\n" in frame:
                return frame
    raise AssertionError(f"no {kind}")


async def frames_of(answer: httpx.Response) -> AsyncIterator[str]:
    frame = ""
    async for line in answer.aiter_lines():
        frame += f"{line}\n"
        if not line:
            yield frame
            frame = ""


async def test_a_change_is_sent_as_it_happens_with_heartbeats_before(reader: MemoryReader) -> None:
    code = CODES["overdue"]
    last = len(HISTORIES[code]) - 1
    stream = live.frames(reader, code, last, revision_of, 0.01)
    async with contextlib.aclosing(stream):
        for _ in range(3):
            assert '"number"' in await next_of("freshness", stream)
        await reader.append(code, issued(code, local(11, 20, 9), on_time=False))
        frame = await next_of("dossier", stream)
    assert frame == f"event: dossier\nid: {last + 1}\ndata: <p>\ndata: PROCESSED\ndata: </p>\n\n"


async def test_a_browser_that_missed_something_gets_it_at_once(reader: MemoryReader) -> None:
    code = CODES["overdue"]
    for known in (live.resume_point("1"), live.resume_point("rubbish")):
        stream = live.frames(reader, code, known, revision_of, 10)
        async with contextlib.aclosing(stream):
            assert "id: 3\n" in await next_of("dossier", stream)


async def test_live_connections_are_limited(reader: MemoryReader) -> None:
    none = Settings("https://motcua.test", KEY, live_limit=0)
    transport = httpx.ASGITransport(application(reader, none, lambda: NOW))
    async with httpx.AsyncClient(transport=transport, base_url="https://motcua.test") as client:
        answer = await client.get(f"{DOSSIER}/live")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


async def test_a_closed_connection_makes_room_for_the_next(site: str) -> None:
    async with httpx.AsyncClient(base_url=site) as client:
        for _ in range(6):  # twice the limit
            async with client.stream("GET", f"{DOSSIER}/live", headers={"accept-encoding": "gzip"}) as answer:
                assert answer.status_code == 200
                assert "content-encoding" not in answer.headers
                assert await next_of("dossier", frames_of(answer))


async def test_catalogue_names_may_come_later(reader: MemoryReader) -> None:
    code = "P56.22.336-20261109-0000099"
    strange = fact(
        facts.DossierSubmitted,
        code,
        NOW,
        procedure_code="9.9",
        channel=1,
        reception_agency="P56.9",
        competent_agency="P56.9",
    )
    await reader.append(code, strange)
    transport = httpx.ASGITransport(application(reader, SETTINGS, lambda: NOW))
    async with httpx.AsyncClient(transport=transport, base_url="https://motcua.test") as client:
        assert "P56.9" in (await client.get(f"/dossiers/{code}")).text


def test_settings_refuse_a_weak_key_and_a_sloppy_address() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Settings("https://motcua.test", b"short")
    with pytest.raises(ValueError, match="slash"):
        Settings("https://motcua.test/", KEY)
