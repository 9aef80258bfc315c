"""A step's receipt is verified in a real browser, against a real ledger: the three words, and what leads to each."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, Route, async_playwright, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.ledger.format.note import Note, Signer
from gateway.ledger.format.proof import DossierReceipt, TlogProof
from gateway.status.pages import application
from gateway.status.settings import Settings
from tests.ledger.site import append, code_of, play, running, site
from tests.status.memory import MemoryReader
from tests.status.samples import CODES, HISTORIES, NOW
from tests.support import chromium

CODE = CODES["returned"]
STEPS = len(HISTORIES[CODE])
OTHERS = 4
PATIENCE_MS = 30_000
WORDS = {
    "vi": {
        "verify": "Kiểm chứng",
        "whole": "Kiểm chứng là không thiếu bước nào",
        "verified": "Đã kiểm chứng: đúng.",
        "not-verified": "Kiểm chứng không đạt.",
        "could-not": "Chưa kiểm chứng được.",
    },
    "en": {
        "verify": "Verify",
        "whole": "Verify that no step is missing",
        "verified": "Verified.",
        "not-verified": "Not verified.",
        "could-not": "Could not verify.",
    },
}


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """The status page beside a ledger that holds the same dossier, among others."""
    async with site(tmp_path) as opened:
        await append(opened.store, CODE, *HISTORIES[CODE])
        await play(opened.store, opened.keys, OTHERS)
        ledger = opened.ledger()
        async with running(ledger):
            await opened.published(STEPS + 3 * OTHERS)
            config = uvicorn.Config(Starlette(), port=0, log_level="warning", timeout_graceful_shutdown=1)
            server = uvicorn.Server(config)
            socket = config.bind_socket()
            here = f"http://localhost:{socket.getsockname()[1]}"
            settings = Settings(
                here,
                b"k" * 32,
                receipt_address="/ledger/receipts/{code}/{revision}",
                whole_receipt_address="/ledger/receipts/{code}",
                log_key_address="/ledger/vkey",
            )
            pages = application(MemoryReader(lambda: NOW), settings, lambda: NOW)
            config.app = Starlette(routes=[Mount("/ledger", ledger.application()), Mount("/", pages)])
            serving = asyncio.create_task(server.serve(sockets=[socket]))
            yield here
            server.should_exit = True
            await serving


@pytest.fixture
async def browser(address: str) -> AsyncIterator[Browser]:
    """Closed before the server stops, with its live connections."""
    chromium.require()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium.PATH, args=chromium.FLAGS)
        yield browser
        await browser.close()


async def opened(browser: Browser, address: str, language: str = "vi", width: int = 360) -> Page:
    context = await browser.new_context(viewport={"width": width, "height": 800}, locale=language)
    page = await context.new_page()
    await page.goto(f"{address}/dossiers/{CODE}")
    return page


async def verdict(page: Page, language: str = "vi", which: str = "verify", number: int = 1) -> Locator:
    """Ask for the verdict of a step, or of the whole dossier."""
    link = page.locator("a[data-events]") if which == "whole" else page.locator("a[data-revision]").nth(number)
    await expect(link).to_contain_text(WORDS[language][which])
    box = link.locator("xpath=ancestor::p[1]/following-sibling::p[1]")
    await link.click()
    await expect(box).to_have_class(  # no tick before it is checked
        re.compile(r"verdict (verified|not-verified|could-not)"), timeout=PATIENCE_MS
    )
    return box


async def replaced(page: Page, pattern: str, change: Callable[[bytes], bytes]) -> None:
    """Somebody between the ledger and the browser."""

    async def handle(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, body=change(await answer.body()))

    await page.route(pattern, handle)


async def answered(route: Route, *, body: bytes = b"", status: int = 200) -> None:
    await route.fulfill(body=body, status=status)


@pytest.mark.parametrize(("language", "width"), [("vi", 360), ("en", 1280)])
async def test_the_three_words(browser: Browser, address: str, language: str, width: int) -> None:
    page = await opened(browser, address, language, width)
    blocked: list[str] = []
    page.on("console", lambda message: blocked.append(message.text) if "Content Security" in message.text else None)
    size = STEPS + 3 * OTHERS

    good = await verdict(page, language, number=0)
    await expect(good).to_contain_text(WORDS[language]["verified"])
    await expect(good).to_contain_text(f" 0 {'của' if language == 'vi' else 'of'} ")
    await expect(good).to_contain_text(str(size))
    await expect(good).to_contain_text("motcua verify")
    whole = await verdict(page, language, "whole")
    await expect(whole).to_contain_text(WORDS[language]["verified"])
    await expect(whole).to_contain_text(str(STEPS))

    await replaced(page, f"**/ledger/receipts/{CODE}/1", lambda body: body.replace(b"index 1\n", b"index 2\n"))
    bad = await verdict(page, language, number=1)
    await expect(bad).to_contain_text(WORDS[language]["not-verified"])
    await page.route(f"**/ledger/receipts/{CODE}/2", lambda route: route.abort())
    unknown = await verdict(page, language, number=2)
    await expect(unknown).to_contain_text(WORDS[language]["could-not"])

    assert await page.evaluate(chromium.FITS)
    for scheme, rules in (("light", chromium.RULES), ("dark", chromium.LOOKS)):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        found = await Axe().run(page, options=rules)
        assert (scheme, chromium.faults(found.response)) == (scheme, [])
    assert blocked == []


async def test_every_step_and_again(browser: Browser, address: str) -> None:
    page = await opened(browser, address)
    count = await page.locator("a[data-revision]").count()
    assert count > 5
    for number in range(count):
        await expect(await verdict(page, number=number)).to_contain_text(WORDS["vi"]["verified"])
    await expect(await verdict(page, number=0)).to_contain_text(WORDS["vi"]["verified"])
    await expect(page.locator(".verdict")).to_have_count(count)


def changed_entry(body: bytes) -> bytes:
    proof = TlogProof.parse(body)
    return body.replace(base64.b64encode(proof.extra), base64.b64encode(proof.extra.replace(b"2026", b"2025", 1)))


def signed_by_another(body: bytes) -> bytes:
    proof = TlogProof.parse(body)
    other = Signer(proof.checkpoint.signatures[0].name, bytes(32))
    note = Note(proof.checkpoint.text, (other.sign(proof.checkpoint.text),))
    return body.replace(proof.checkpoint.format(), note.format())


def changed_text(body: bytes) -> bytes:
    proof = TlogProof.parse(body)
    size = proof.checkpoint.text.split("\n")[1]
    return body.replace(f"\n{size}\n".encode(), f"\n{int(size) + 1}\n".encode())


CHANGES: list[tuple[Callable[[bytes], bytes], str]] = [
    (changed_entry, "Bằng chứng không dẫn đến điểm chốt"),
    (signed_by_another, "Chữ ký của sổ cái trên điểm chốt không khớp."),
    (changed_text, "Chữ ký của sổ cái trên điểm chốt không khớp."),
    (lambda body: body.replace(b"index 0\n", b"index 00\n"), "Biên nhận không đúng dạng"),
    (lambda body: body[:-1], "Biên nhận không đúng dạng"),
    (lambda body: b"<!doctype html>", "Biên nhận không đúng dạng"),
    (lambda body: b"", "Biên nhận không đúng dạng"),
    (lambda body: b"\xff" + body, "Biên nhận không đúng dạng"),
    (lambda body: body.replace(b"\n", b"\r\n"), "Biên nhận không đúng dạng"),
]


async def test_what_is_not_verified(browser: Browser, address: str) -> None:
    page = await opened(browser, address)
    for change, reason in CHANGES:
        await page.unroute_all()
        await replaced(page, f"**/ledger/receipts/{CODE}/0", change)
        await expect(await verdict(page, number=0)).to_contain_text(f"Kiểm chứng không đạt. {reason}")


async def test_a_receipt_of_another_step_or_dossier(browser: Browser, address: str) -> None:
    page = await opened(browser, address)
    for other in (f"{CODE}/1", f"{code_of(0)}/0"):
        taken = await (await page.request.get(f"{address}/ledger/receipts/{other}")).body()
        await page.unroute_all()
        await page.route(f"**/ledger/receipts/{CODE}/0", partial(answered, body=taken))
        await expect(await verdict(page, number=0)).to_contain_text(
            "Biên nhận nói khác với bước mà trang này đang hiện."
        )


async def test_a_dossier_with_an_event_left_out(browser: Browser, address: str) -> None:
    page = await opened(browser, address)

    def shorter(body: bytes) -> bytes:
        receipt = DossierReceipt.parse(body)
        return body.replace(b"event " + base64.b64encode(receipt.entries[-1]) + b"\n", b"")

    await replaced(page, f"**/ledger/receipts/{CODE}", shorter)
    await expect(await verdict(page, which="whole")).to_contain_text(
        "Kiểm chứng không đạt. Các sự kiện trong biên nhận không phải là toàn bộ sự kiện của hồ sơ"
    )


ANSWERS = [
    ("**/ledger/receipts/**", 503, "Việc này vừa được ghi nhận và sắp vào sổ cái."),
    ("**/ledger/receipts/**", 404, "Sổ cái chưa có biên nhận cho bước này."),
    ("**/ledger/receipts/**", 502, "Không tải được biên nhận hoặc khóa của sổ cái."),
    ("**/ledger/vkey", 500, "Không tải được biên nhận hoặc khóa của sổ cái."),
    ("**/ledger/vkey", 200, "Không tải được biên nhận hoặc khóa của sổ cái."),
]


async def test_what_could_not_be_verified(browser: Browser, address: str) -> None:
    page = await opened(browser, address)
    for pattern, status, reason in ANSWERS:
        await page.unroute_all()
        await page.route(pattern, partial(answered, status=status))
        await expect(await verdict(page, number=0)).to_contain_text(f"Chưa kiểm chứng được. {reason}")


async def test_a_browser_without_ed25519(browser: Browser, address: str) -> None:
    page = await opened(browser, address)
    await page.evaluate("() => { SubtleCrypto.prototype.importKey = () => Promise.reject(new Error('unknown')); }")
    await expect(await verdict(page, number=0)).to_contain_text("Trình duyệt này không kiểm tra được chữ ký Ed25519")


async def test_without_javascript_the_link_downloads_the_receipt(browser: Browser, address: str) -> None:
    context = await browser.new_context(java_script_enabled=False, locale="vi")
    page = await context.new_page()
    await page.goto(f"{address}/dossiers/{CODE}")
    async with page.expect_download(timeout=PATIENCE_MS) as download:
        await page.locator("a[data-revision]").first.click()
    path = await (await download.value).path()
    content = await asyncio.to_thread(Path(path).read_bytes)
    assert TlogProof.parse(content).index == 0
    assert (await download.value).suggested_filename == f"{CODE}-0.tlog-proof"
