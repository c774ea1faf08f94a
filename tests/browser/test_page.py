"""The demo's page in a real browser, on the real gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests.browser.stack import separate
from tests.demo.running import Demo, running

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser

LIMIT = 30_000  # ms
Side = Literal["rest", "live"]


class Shown:
    """The page as its reader sees it, and what the browser complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.set_default_timeout(LIMIT)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda line: self.problems.append(line.text) if line.type == "error" else None)

    async def reads(self, selector: str, text: str) -> None:
        """Wait until an element reads so."""
        from playwright.async_api import expect

        await expect(self.page.locator(selector)).to_have_text(text, timeout=LIMIT)

    async def changes(self, selector: str, text: str) -> None:
        """Wait until an element reads otherwise."""
        from playwright.async_api import expect

        await expect(self.page.locator(selector)).not_to_have_text(text, timeout=LIMIT)

    async def stock(self, side: Side, shirt: int, number: int) -> None:
        await self.reads(f"#{side} tr[data-id='{shirt}'] .stock", str(number))

    async def text(self, selector: str) -> str:
        return await self.page.locator(selector).inner_text()

    async def count(self, side: Side, counter: str) -> str:
        return await self.text(f"#{side} [data-count={counter}]")

    async def edit(self, shirt: int, fields: dict[str, object]) -> None:
        """Somebody else's edit, by REST."""
        answer = await self.page.request.patch(f"/api/shirts/{shirt}", data=fields)
        assert answer.ok


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    with running(tmp_path) as demo:
        yield demo


async def opened(browser: Browser, url: str, scheme: Literal["light", "dark"] = "light", width: int = 1280) -> Shown:
    """The page, its REST side left to its button."""
    size = {"width": width, "height": 900}
    context = await browser.new_context(base_url=url, color_scheme=scheme, viewport=size)  # type: ignore[arg-type]
    shown = Shown(await context.new_page())
    await shown.page.goto("/")
    await shown.page.locator("#every").select_option("0")
    await shown.stock("rest", 1, 12)
    await shown.stock("live", 1, 12)
    return shown


async def test_an_edit_appears_on_the_live_side_by_itself(browser: Browser, demo: Demo, tmp_path: Path) -> None:
    shown = await opened(browser, demo.url("page"))
    assert await shown.page.locator("#rest tbody tr").count() == await shown.page.locator("#live tbody tr").count() == 7
    await shown.changes("#live [data-count=bytes]", "0 B")
    received = await shown.count("live", "bytes")
    requests = await shown.count("rest", "requests")
    await shown.edit(2, {"stock": 77})
    await shown.stock("live", 2, 77)
    assert await shown.text("#rest tr[data-id='2'] .stock") == "7"
    await shown.changes("#live [data-count=bytes]", received)
    assert await shown.count("live", "requests") == "1"
    await shown.reads("#live [data-count=age]", "up to date")
    assert (await shown.count("rest", "age")).endswith("s")
    await shown.page.locator("#refresh").click()
    await shown.stock("rest", 2, 77)
    await shown.reads("#rest [data-count=requests]", str(int(requests) + 1))
    await shown.page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 20_000
    assert shown.problems == []


async def test_the_rest_side_asks_every_so_often(browser: Browser, demo: Demo) -> None:
    shown = await opened(browser, demo.url("page"))
    await shown.edit(3, {"stock": 31})
    await shown.page.locator("#every").select_option("1")
    await shown.stock("rest", 3, 31)
    assert int(await shown.count("rest", "requests")) >= 2


async def test_event_source_shows_the_same(browser: Browser, demo: Demo) -> None:
    shown = await opened(browser, demo.url("page"))
    await shown.page.get_by_text("EventSource", exact=True).click()
    await shown.reads("#live .word", "live")
    await shown.edit(1, {"stock": 21})
    await shown.stock("live", 1, 21)
    await shown.page.get_by_text("WebSocket", exact=True).click()
    await shown.reads("#live [data-count=requests]", "3")
    await shown.edit(1, {"stock": 22})
    await shown.stock("live", 1, 22)
    assert shown.problems == []


async def test_the_pages_own_edits_are_rest_requests(browser: Browser, demo: Demo) -> None:
    shown = await opened(browser, demo.url("page"))
    page = shown.page
    for _ in range(3):
        await page.locator("#rest tr[data-id='1'] .more").click()
    await page.locator("#live tr[data-id='1'] .less").click()
    await shown.stock("live", 1, 14)
    assert (await shown.count("live", "lag")).endswith("s")
    await page.locator("#live tr[data-id='1'] .price").fill("21.5")
    await page.locator("#live tr[data-id='1'] .price").press("Tab")
    await shown.reads("#said", "PATCH /api/shirts/1: 200")
    await page.locator("#add [name=name]").fill("<img src=x onerror=alert(1)>")
    await page.locator("#add button").click()
    await shown.reads("#live tr[data-id='8'] .name", "<img src=x onerror=alert(1)>")
    await page.locator("#live tr[data-id='8'] .delete").click()
    await page.locator("#live tr[data-id='8']").wait_for(state="detached")
    await page.locator("#refresh").click()
    await shown.stock("rest", 1, 14)
    assert (await (await page.request.get("/api/shirts/1")).json())["price"] == 2150
    assert shown.problems == []


async def test_a_refused_edit_is_told(browser: Browser, demo: Demo) -> None:
    shown = await opened(browser, demo.url("page"))
    await shown.page.locator("#add [name=name]").fill("Heron")
    await shown.page.locator("#add [name=colour]").select_option("steelblue")
    await shown.page.locator("#add button").click()
    await shown.reads("#said", "POST /api/shirts: there is a shirt of this name, size and colour")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_telephone(browser: Browser, demo: Demo, scheme: Literal["light", "dark"]) -> None:
    shown = await opened(browser, demo.url("page"), scheme, 390)
    assert await shown.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert await shown.page.evaluate("document.querySelector('#live .scroll').scrollWidth") <= 390


@pytest.mark.parametrize("transport", ["WebSocket", "EventSource"])
async def test_it_says_when_the_shop_or_the_gateway_is_down_and_recovers(
    browser: Browser, tmp_path: Path, transport: str
) -> None:
    with separate(tmp_path) as stack:
        shown = await opened(browser, stack.url)
        await shown.page.get_by_text(transport, exact=True).click()
        await shown.reads("#live .word", "live")
        stack.shop.kill()
        await shown.page.get_by_text("The shop has been failing since").wait_for()
        await shown.reads("#live .word", "shop down")
        await shown.changes("#live [data-count=age]", "up to date")
        await shown.stock("live", 1, 12)
        stack.shop.start()
        await shown.reads("#live .word", "live")
        await shown.edit(1, {"stock": 33})
        await shown.stock("live", 1, 33)
        stack.gateway.kill()
        await shown.page.get_by_text("The stream was cut.").wait_for()
        await shown.stock("live", 1, 33)
        stack.gateway.start()
        await shown.reads("#live .word", "live")
        await shown.edit(1, {"stock": 34})
        await shown.stock("live", 1, 34)
