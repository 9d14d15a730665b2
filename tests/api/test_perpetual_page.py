"""The market page of a perpetual in a real headless Chromium, against a running exchange."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from redis.asyncio import Redis

from infra.redis.adl_lights import AdlLights
from infra.redis.market_feed import MarketFeedPublisher
from tests.api.browser import browsing, sign_in
from tests.api.running import PERPETUAL, RunningExchange

pytestmark = [
    *(pytest.mark.servers, pytest.mark.browser, pytest.mark.usefixtures("shared_chromium")),
    pytest.mark.asyncio(loop_scope="module"),
]
TIMES = "\N{MULTIPLICATION SIGN}"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_PRICE = re.compile(r"^\d{4}\.\d\d$")
AT = PERPETUAL.symbol.replace("/", "-")


@pytest_asyncio.fixture(loop_scope="module")
async def perpetual(running: RunningExchange) -> AsyncIterator[RunningExchange]:
    """Give the running exchange with a perpetual; afterwards nobody has a position."""
    await running.add_perpetual()
    yield running
    for name in ("alice", "bob"):
        await running.request(name, "DELETE", "/v1/orders")
    await running.close_positions()


async def say(running: RunningExchange, channel: str, body: object) -> None:
    """Publish what the market data process would, on the real feed."""
    redis = Redis.from_url(running.redis_url)
    head = {"channel": channel, "symbol": PERPETUAL.symbol, "type": "update"}
    await MarketFeedPublisher(redis).publish([json.dumps({**head, channel: body}).encode()])
    await redis.aclose()


async def light(running: RunningExchange, name: str, lit: int) -> None:
    """Light a customer's lamps, as the risk monitor does."""
    redis = Redis.from_url(running.redis_url)
    await AdlLights(redis).say(PERPETUAL.symbol_id, {running.customer_ids[name]: lit})
    await redis.aclose()


def step(how: str, side: str, quantity: str, price: str, number: int) -> dict[str, object]:
    """Return a step of a liquidation as the feed tells it."""
    time_us = 1_700_000_000_000_000 + number
    words = {"how": how, "side": side, "quantity": quantity, "price": price}
    return {**words, "time_us": time_us, "sequence": number}


async def test_what_everybody_sees(perpetual: RunningExchange) -> None:
    """Mark, index, a countdown that runs, open interest, and the public liquidations."""
    async with browsing(perpetual) as browser:
        page = browser.page
        await page.goto(f"{perpetual.base_url}/#{AT}")
        await expect(page.locator("#symbol")).to_have_text(PERPETUAL.symbol)
        for name in ("mark", "index"):
            await expect(page.locator(f"#{name}")).to_have_text(_PRICE)
        await expect(page.locator("#open-interest")).to_contain_text("ETH")
        first = await page.locator("#countdown").inner_text()
        await expect(page.locator("#countdown")).not_to_have_text(first)
        await expect(page.locator("#liquidations-empty")).to_be_visible()
        steps = [
            step("book", "long", "0.5", "2401.5", 1),
            step("deleveraged", "short", "1.25", "2399", 2),
        ]
        await say(perpetual, "liquidations", steps)
        rows = page.locator("#liquidations .row")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text("short 1.25")
        await expect(rows.first).to_have_attribute("title", "deleveraged")
        await page.get_by_role("button", name="ETH/USDT", exact=True).click()
        await expect(page.locator("#mark")).to_be_hidden()
        await expect(page.locator(".liquidations")).to_be_hidden()


async def test_a_position_from_the_ticket_to_its_close(perpetual: RunningExchange) -> None:
    """Previewed, opened, shown with margin and lamps, closed by two presses of one button."""
    async with browsing(perpetual) as browser:
        page = browser.page
        await sign_in(page, perpetual, at=AT)
        mark = float(await page.locator("#mark").inner_text())
        price = f"{mark:.2f}"
        offer = {"symbol": PERPETUAL.symbol, "side": "sell", "price": price, "quantity": "2"}
        assert (await perpetual.request("bob", "POST", "/v1/orders", offer)).is_success
        await expect(page.locator("#positions-empty")).to_be_visible()
        await page.get_by_label("Price", exact=True).fill(price)
        await page.get_by_label("Quantity", exact=True).fill("2")
        margin = re.compile(r"position 2, initial margin (\d+\.?\d*) USDT")
        await expect(page.locator("#preview")).to_contain_text(margin)
        told = margin.search(await page.locator("#preview").inner_text())
        assert told is not None
        assert float(told[1]) == pytest.approx(2 * mark / 10, rel=0.02)  # the mark may have moved
        await expect(page.locator("#preview")).to_contain_text("USDT")
        await page.get_by_role("button", name="Place").click()
        row = page.locator("#positions tr")
        await expect(row).to_contain_text("long 2")
        await expect(row).to_contain_text(f"cross 10{TIMES}")
        await expect(row.locator(".ratio")).to_contain_text("%")
        await light(perpetual, "alice", 3)
        lamps = row.locator(".lamps")
        await expect(lamps).to_have_attribute(
            "aria-label", "3 of 5 lights: how near to being deleveraged"
        )
        await expect(lamps.locator(".lit")).to_have_count(3)
        await _stop_by_mark(page, str(int(mark) - 50))  # orders' prices have no trailing zeros
        bid = {"symbol": PERPETUAL.symbol, "side": "buy", "price": price, "quantity": "2"}
        assert (await perpetual.request("bob", "POST", "/v1/orders", bid)).is_success
        close = row.get_by_role("button", name="Close")
        await close.focus()
        await page.keyboard.press("Enter")
        await expect(close).to_have_text("Close at the market?")
        await expect(close).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#positions-empty")).to_be_visible()
        await expect(page.locator("#orders-done")).to_contain_text("Sell 2 ETH at the market")


async def _stop_by_mark(page: Page, trigger: str) -> None:
    """Let the ticket place a stop that waits for the mark, and only reduces."""
    await page.get_by_label("Side").select_option("sell")
    await page.get_by_label("Type").select_option("stop")
    await page.get_by_label("Trigger price").fill(trigger)
    await page.get_by_label("Set off by").select_option("mark")
    await page.get_by_label("Reduce-only").check()
    await page.get_by_role("button", name="Place").click()
    await expect(page.locator("#orders tr")).to_contain_text(f"from mark {trigger}")


async def test_leverage_mode_and_margin_of_ones_own(perpetual: RunningExchange) -> None:
    """Chosen on the page; a refusal says why, and what was there is shown again."""
    async with browsing(perpetual) as browser:
        page = browser.page
        await sign_in(page, perpetual, "bob", at=AT)
        leverage = page.get_by_role("slider", name="Leverage")
        await expect(page.locator("#leverage-told")).to_have_text(f"10{TIMES}")
        await leverage.focus()
        await page.keyboard.press("ArrowRight")
        await expect(page.locator("#leverage-told")).to_have_text(f"11{TIMES}")
        await _until_leverage(perpetual, "bob", 11)
        await page.get_by_role("combobox", name="Margin").select_option("isolated")
        await expect(page.locator("#margin-own")).to_contain_text("own cash: 0 USDT")
        await page.get_by_label("Move cash").fill("250.5")
        await page.get_by_role("button", name="In", exact=True).click()
        await expect(page.locator("#margin-own")).to_contain_text("own cash: 250.5 USDT")
        await page.get_by_label("Move cash").fill("1000")
        await page.get_by_role("button", name="Out", exact=True).click()
        await expect(page.get_by_role("alert").filter(has_text="No more may leave")).to_be_visible()
        browser.forgive("status of 422")
        await page.get_by_role("combobox", name="Margin").select_option("cross")
        await expect(page.locator("#margin-move")).to_be_hidden()
        await perpetual.request(
            "bob", "POST", "/v1/leverage", {"symbol": PERPETUAL.symbol, "leverage": 10}
        )


async def test_it_fits(perpetual: RunningExchange) -> None:
    """Nothing is cut off or scrolls sideways, with a position, lamps and liquidations."""
    await perpetual.open_position("alice", "bob", "1.5")
    await light(perpetual, "alice", 2)
    async with browsing(perpetual) as browser:
        page = browser.page
        await sign_in(page, perpetual, at=AT)
        await expect(page.locator("#positions tr")).to_contain_text("long 1.5")
        await expect(page.locator("#positions .lamps .lit")).to_have_count(2)
        for width, scheme in itertools.product((360, 1280, 1440), SCHEMES):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.emulate_media(color_scheme=scheme)
            look = (width, scheme)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, look
            cells = page.locator("#positions td")
            ends = await cells.evaluate_all(
                "all => all.map(one => one.getBoundingClientRect().right)"
            )
            assert max(ends) <= width, look
            assert await _contrast(page, "#positions td:nth-child(5) span") >= 3, look


async def _until_leverage(running: RunningExchange, name: str, wanted: int) -> None:
    for _ in range(500):
        answer = await running.request(name, "GET", f"/v1/positions?symbol={PERPETUAL.symbol}")
        if answer.json()["positions"][0]["leverage"] == wanted:
            return
        await running.pause()
    raise AssertionError(f"the leverage is not {wanted}")


_CONTRAST = """element => {
  const part = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((text) => part(Number(text) / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const panel = getComputedStyle(element.closest(".panel")).backgroundColor;
  const both = [light(getComputedStyle(element).color), light(panel)].sort((x, y) => y - x);
  return (both[0] + 0.05) / (both[1] + 0.05);
}"""


async def _contrast(page: Page, selector: str) -> float:
    """Return the contrast of an element's text with its panel, by the formula of WCAG."""
    return float(await page.locator(selector).first.evaluate(_CONTRAST))
