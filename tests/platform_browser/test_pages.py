"""What a person with a browser meets at a running platform."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from gateway.sandbox.people import citizen
from tests.platform_browser.conftest import Office
from tests.support import chromium
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

WIDTHS = (360, 1280)


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": request.param, "height": 800}, locale="vi")
    yield context.new_page()
    context.close()


def test_a_search_finds_the_dossier_which_moves_by_itself_in_both_languages(page: Page, office: Office) -> None:
    code = office.submitted()
    page.goto(office.url)
    page.get_by_label("Mã hồ sơ").fill(f" {code.lower()} ")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{office.url}/dossiers/{code}")
    expect(page.locator(".pill")).to_contain_text("Mới đăng ký")

    page.get_by_role("link", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator(".pill")).to_contain_text("Newly registered")
    expect(page.locator("#fresh")).to_contain_text("second")
    page.evaluate("document.body.dataset.loaded = 'once'")

    office.world.receive(code)
    expect(page.get_by_role("heading", name="Received, with a due date")).to_be_visible()
    expect(page.locator("#announce")).to_contain_text("The dossier has changed.")
    expect(page.locator("body")).to_have_attribute("data-loaded", "once")

    page.get_by_role("link", name="Tiếng Việt").click()
    expect(page.get_by_role("heading", name="Tiếp nhận và hẹn trả kết quả")).to_be_visible()


def test_names_stand_where_the_api_has_codes(page: Page, office: Office, received: str) -> None:
    page.goto(f"{office.url}/dossiers/{received}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Thủ tục đăng ký khai sinh")
    facts = page.locator(".facts").inner_text()
    assert office.agency not in facts.replace(received, "")
    assert "general@" not in facts
    page.goto(f"{office.url}/boards/56")
    expect(page.get_by_role("heading", level=1)).to_have_text("Tỉnh Khánh Hòa")
    assert "P56" not in page.locator("main").inner_text()


def test_every_step_is_verified_against_the_ledger(page: Page, received: str, office: Office) -> None:
    page.goto(f"{office.url}/dossiers/{received}")
    links = page.locator("a[data-verify]")
    count = links.count()
    assert count >= 3  # submitted, received, and the dossier as a whole
    for number in range(count):
        link = links.nth(number)
        verdict = link.locator("xpath=ancestor::p[1]/following-sibling::p[1]")

        def ask(link: Locator = link, verdict: Locator = verdict) -> bool:
            link.click()
            expect(verdict).to_have_class(re.compile("verdict (verified|not-verified|could-not)"), timeout=20_000)
            return "could-not" not in (verdict.get_attribute("class") or "")

        eventually(ask)  # a step enters the ledger a moment after it happened
        expect(verdict).to_contain_text("Đã kiểm chứng: đúng.")


def test_every_kind_of_page_is_accessible_and_fits(browser: Browser, office: Office, received: str) -> None:
    paths = (
        "/",
        f"/dossiers/{received}",
        "/boards/56",
        f"/boards/56/{office.agency}",
        "/procedures",
        "/ledger/",
        "/docs",
        "/login",
    )
    page = browser.new_page(locale="vi")
    for path in paths:
        page.set_viewport_size({"width": 360, "height": 800})
        page.emulate_media(color_scheme="light")
        page.goto(office.url + path)
        _accessible(page, path, chromium.RULES)
        page.set_viewport_size({"width": 1280, "height": 800})
        page.emulate_media(color_scheme="dark")
        _accessible(page, path, chromium.LOOKS)
    page.close()


def _accessible(page: Page, path: str, rules: dict[str, Any]) -> None:
    assert (path, chromium.faults(Axe().run(page, options=rules).response)) == (path, [])
    assert page.evaluate(chromium.FITS), path


def test_the_api_page_opens_an_operation(page: Page, office: Office) -> None:
    page.goto(f"{office.url}/docs")
    operation = page.locator("#DossierService_SubmitDossier")
    operation.locator("summary").click()
    expect(operation.get_by_text("Who may call")).to_be_visible()
    expect(operation.get_by_text("requestId")).to_be_visible()


def test_a_person_sees_who_opened_their_data_and_leaves(browser: Browser, office: Office, received: str) -> None:
    """Without JavaScript, on a phone and on a desk."""
    receptionist = office.world.people.official(office.agency, "receptionist")
    assert office.world.dossier(receptionist, received).code == received
    for width in WIDTHS:
        context = browser.new_context(viewport={"width": width, "height": 800}, locale="vi", java_script_enabled=False)
        page = context.new_page()
        page.goto(office.url)
        page.get_by_role("link", name="Ai đã xem dữ liệu của tôi").click()
        page.get_by_role("link", name="Đăng nhập bằng VNeID").click()
        # The first whom the fixture logged in.
        page.get_by_role("button", name=citizen(1).full_name).first.click()
        expect(page).to_have_url(f"{office.url}/my/data")
        use = page.locator(".uses > li").filter(has_text=received).first
        for _ in range(200):  # the view follows the log
            if use.count():
                break
            page.reload()
        expect(use).to_contain_text("Mục đích: Giải quyết thủ tục hành chính. Căn cứ: Nghị định 118/2025/NĐ-CP.")
        expect(use).not_to_contain_text(office.agency + ",")  # names stand where the API has codes
        page.get_by_role("button", name="Đăng xuất").click()
        expect(page.get_by_role("link", name="Đăng nhập bằng VNeID")).to_be_visible()
        page.goto(f"{office.url}/my/data")
        expect(page.locator("main")).not_to_contain_text(citizen(1).full_name)
        context.close()


def test_the_page_of_one_s_own_is_accessible_and_fits(browser: Browser, office: Office, received: str) -> None:
    office.world.dossier(office.world.people.official(office.agency, "receptionist"), received)
    page = browser.new_page(locale="vi")
    blocked: list[str] = []
    page.on("console", lambda message: blocked.append(message.text) if "Content Security" in message.text else None)
    page.goto(f"{office.url}/my/data")
    for path in ("/my/data", "/my/data?lang=en", "/login/callback?state=x", "/my/data?lang=vi"):
        page.set_viewport_size({"width": 360, "height": 800})
        page.emulate_media(color_scheme="light")
        page.goto(office.url + path)
        _accessible(page, path, chromium.RULES)
        page.set_viewport_size({"width": 1280, "height": 800})
        page.emulate_media(color_scheme="dark")
        _accessible(page, path, chromium.LOOKS)
        if path == "/my/data":
            page.get_by_role("link", name="Đăng nhập bằng VNeID").click()
            page.get_by_role("button", name=citizen(1).full_name).first.click()
            expect(page.get_by_role("button", name="Đăng xuất")).to_be_visible()
    assert blocked == []
