"""The market page in a real headless Chromium, against a running exchange."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from api.routes.system import COMPONENTS
from tests.api.conftest import CHROMIUM
from tests.api.running import RunningExchange

pytestmark = [pytest.mark.servers, pytest.mark.browser]


class Browser:
    """A page that notes what a healthy page never has."""

    def __init__(self, page: Page, base_url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        page.on("console", lambda line: self._note("console", line.type, line.text))
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", lambda request: self._check_host(request.url, base_url))

    def _note(self, kind: str, level: str, text: str) -> None:
        if level == "error":
            self.faults.append(f"{kind}: {text}")

    def _check_host(self, url: str, base_url: str) -> None:
        if not url.startswith((base_url, "data:", base_url.replace("http", "ws"))):
            self.faults.append(f"foreign host: {url}")


@pytest_asyncio.fixture
async def browser(running: RunningExchange) -> AsyncIterator[Browser]:
    """Give an empty page; afterwards it must have had no fault."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-background-networking"]
        )
        made = Browser(await chromium.new_page(), running.base_url)
        yield made
        await chromium.close()
    assert made.faults == []


async def test_the_page_is_filled(running: RunningExchange, browser: Browser) -> None:
    """Book, tape, chart and the nine components, within seconds and without a foreign request."""
    await running.place("alice", "buy", "2410.5", "0.5")
    await running.place("alice", "sell", "2590.25", "0.4")
    await running.place("bob", "buy", "2590.25", "0.1")
    page = browser.page
    await page.goto(running.base_url)
    await expect(page.locator("#connection")).to_have_text("live")
    await expect(page.locator("#symbol")).to_have_text("ETH/USDT")
    await expect(page.locator("#last-price")).to_have_text("2590.25")
    await expect(page.locator("#bids .row").filter(has_text="2410.50")).to_have_count(1)
    await expect(page.locator("#asks .row").first).to_contain_text("2590.25")
    await expect(page.locator("#trades .row").first).to_contain_text("0.1000")
    await expect(page.locator("#components tr")).to_have_count(len(COMPONENTS))
    names = await page.locator("#components td:first-child").all_inner_texts()
    assert [name.split("\n")[0] for name in names] == [item.name for item in COMPONENTS]
    await running.request("alice", "DELETE", "/v1/orders")


async def test_orders_show_and_go(running: RunningExchange, browser: Browser) -> None:
    """A new order appears in the book without a reload, and its cancel takes it away."""
    page = browser.page
    await page.goto(running.base_url)
    await expect(page.locator("#connection")).to_have_text("live")
    row = page.locator("#bids .row").filter(has_text="2444.44")
    await expect(row).to_have_count(0)
    order = (await running.place("alice", "buy", "2444.44", "0.7")).json()
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("0.7000")
    await running.request("alice", "DELETE", f"/v1/orders/{order['order_id']}")
    await expect(row).to_have_count(0)


async def test_a_dead_gateway_shows_and_heals(running: RunningExchange, browser: Browser) -> None:
    """`reconnecting` while it is gone; then the book again, with what happened meanwhile."""
    page = browser.page
    await page.goto(running.base_url)
    await expect(page.locator("#connection")).to_have_text("live")
    running.kill("gateway")
    await expect(page.locator("#connection")).to_have_text("reconnecting")
    running.launch("gateway", "workers.gateway")
    await running.ready("gateway")
    await running.place("alice", "buy", "2455.55", "0.2")
    await expect(page.locator("#connection")).to_have_text("live", timeout=10_000)
    await expect(page.locator("#bids .row").filter(has_text="2455.55")).to_have_count(1)
    await running.request("alice", "DELETE", "/v1/orders")
    refused = re.compile("ERR_CONNECTION_REFUSED|ERR_SOCKET_NOT_CONNECTED|ERR_CONNECTION_RESET")
    browser.faults = [fault for fault in browser.faults if not refused.search(fault)]


async def test_the_narrow_page_fits(running: RunningExchange, browser: Browser) -> None:
    """At 360 pixels nothing is cut off or scrolls sideways, the component table neither."""
    page = browser.page
    await page.set_viewport_size({"width": 360, "height": 800})
    await page.goto(running.base_url)
    await expect(page.locator("#components tr")).to_have_count(len(COMPONENTS))
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
    table = page.locator(".system .table")
    assert await table.evaluate("table => table.scrollWidth <= table.clientWidth")
    ends = await page.locator("#components td").evaluate_all(
        "cells => cells.map(cell => cell.getBoundingClientRect().right)"
    )
    assert max(ends) <= 360
    await expect(page.locator("#components td:nth-child(3)").first).to_be_visible()


async def test_the_reference_shows_every_route(running: RunningExchange, browser: Browser) -> None:
    """Each operation of openapi.json is on the page, with its scope."""
    page = browser.page
    await page.goto(f"{running.base_url}/docs")
    document = await (await page.request.get(f"{running.base_url}/openapi.json")).json()
    count = sum(len(operations) for operations in document["paths"].values())
    await expect(page.locator("details")).to_have_count(count)
    await page.locator("summary").filter(has_text="/v1/withdrawals").first.click()
    await expect(page.locator("details[open] .scope")).to_contain_text("scope")
    for words in (page.locator("#description"), page.locator("details[open] .body > p").first):
        text = await words.inner_text()
        assert "`" not in text, text
        assert "**" not in text, text
    await expect(page.locator("#description code").first).to_have_text("RIALTO-KEY")
