"""The pages in a real browser: search, language, live update, accessibility. Without Chromium these tests fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.status.memory import MemoryReader
from tests.status.samples import CODES, issued, local
from tests.support import chromium

# One of each kind of page; a dossier in the states that look different.
KINDS = [
    "/",
    "/?code=H56-12",
    "/boards",
    "/boards/56/P56.22.336.1",
    "/boards/92",
    "/procedures",
    "/procedures/1.001456",
    "/about",
    "/nothing",
    *(f"/dossiers/{CODES[state]}" for state in ("in_progress", "paused_for_supplement", "overdue", "returned")),
]
ADDRESSES = dict.fromkeys([*KINDS, "/boards/56", *(f"/dossiers/{code}" for code in CODES.values())])


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium.require()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium.PATH, args=chromium.FLAGS)
        yield browser
        await browser.close()


async def opened(browser: Browser, width: int, javascript: bool = True) -> Page:
    context = await browser.new_context(
        viewport={"width": width, "height": 800}, locale="vi", java_script_enabled=javascript
    )
    return await context.new_page()


async def test_every_page_is_accessible_and_fits(browser: Browser, site: str) -> None:
    page = await opened(browser, 360)
    blocked: list[str] = []
    page.on("console", lambda message: blocked.append(message.text) if "Content Security" in message.text else None)
    for path in ADDRESSES:
        await page.emulate_media(color_scheme="light")
        await page.set_viewport_size({"width": 360, "height": 800})
        await page.goto(site + path)
        assert await page.evaluate(chromium.FITS), path
        if path in KINDS:
            await _accessible(page, path, chromium.RULES)
        await page.set_viewport_size({"width": 1280, "height": 800})
        assert await page.evaluate(chromium.FITS), path
        if path in KINDS:
            await page.emulate_media(color_scheme="dark")
            await _accessible(page, path, chromium.LOOKS)
    assert blocked == []


async def _accessible(page: Page, path: str, rules: dict[str, Any]) -> None:
    found = await Axe().run(page, options=rules)
    assert (path, chromium.faults(found.response)) == (path, [])


@pytest.mark.parametrize("width", [360, 1280])
async def test_search_language_and_live_update(browser: Browser, site: str, reader: MemoryReader, width: int) -> None:
    code = CODES["overdue"]
    page = await opened(browser, width)
    await page.goto(site)
    await page.get_by_label("Mã hồ sơ").fill(code.lower())
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{site}/dossiers/{code}")
    await expect(page.get_by_text("Hồ sơ này trễ 4 ngày.")).to_be_visible()

    await page.get_by_role("link", name="English").click()
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await expect(page.get_by_text("This dossier is 4 days late.")).to_be_visible()

    summary = page.get_by_text("2 components")
    await summary.click()
    await expect(page.locator("#fresh")).to_contain_text("ago")
    await reader.append(code, issued(code, local(11, 20, 9), on_time=False))
    await expect(page.get_by_role("heading", name="Result ready").first).to_be_visible()
    await expect(page.locator("#announce")).to_have_text("The dossier has changed. Status: Processed.")
    await expect(page.get_by_text("Application TK01").first).to_be_visible()  # what was open stays open
    await expect(summary).to_be_focused()


async def test_the_keyboard_skips_to_the_content(browser: Browser, site: str) -> None:
    page = await opened(browser, 360)
    await page.goto(site)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Đến nội dung chính")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_without_javascript_everything_is_there(browser: Browser, site: str) -> None:
    page = await opened(browser, 360, javascript=False)
    await page.goto(site)
    await page.get_by_label("Mã hồ sơ").fill(CODES["paused_for_supplement"])
    await page.get_by_role("button", name="Tra cứu").click()
    await expect(page.get_by_text("Chờ bổ sung giấy tờ")).to_be_visible()
    await expect(page.locator("#fresh")).to_contain_text("20/11/2026")
