"""The market page in a real headless Chromium, against a running exchange."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Route, expect

from api.routes.system import COMPONENTS
from tests.api.browser import Browser, browsing, sign_in
from tests.api.running import RunningExchange

pytestmark = [
    *(pytest.mark.servers, pytest.mark.browser, pytest.mark.usefixtures("shared_chromium")),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(loop_scope="module")
async def browser(running: RunningExchange) -> AsyncIterator[Browser]:
    """Give an empty page; afterwards it must have had no fault."""
    async with browsing(running) as made:
        yield made


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


async def test_fees_are_shown(running: RunningExchange, browser: Browser) -> None:
    """Tier, rates and volume of the customer, in the market that is shown."""
    await sign_in(browser.page, running)
    fees = browser.page.locator("#fees")
    await expect(fees).to_contain_text("Fee tier 0: maker 0.1 %, taker 0.2 %")
    await expect(fees).to_contain_text("30-day volume 0 USDT · tier 1 from 100000")


async def test_an_order_from_the_ticket_to_its_cancel(
    running: RunningExchange, browser: Browser
) -> None:
    """Placed with its terms, seen in the list, amended in its row by keyboard, cancelled."""
    page = browser.page
    await sign_in(page, running)
    await page.get_by_label("Price", exact=True).fill("2433.3")
    await page.get_by_label("Quantity", exact=True).fill("0.8")
    await page.get_by_label("Time in force").select_option("gtd")
    await page.get_by_label("Until", exact=True).fill("2099-01-01T00:00")
    await page.get_by_label("Show only").fill("0.2")
    await page.get_by_label("Post-only").check()
    await page.get_by_role("button", name="Place").click()
    row = page.locator("#orders tr").filter(has_text="2433.3")
    await expect(row).to_contain_text("buy limit")
    await expect(row).to_contain_text("2099, 12:00:00 AM, post-only, shows 0.2")
    await expect(page.locator("#bids .row").filter(has_text="2433.30")).to_contain_text("0.2000")
    await row.get_by_role("button", name="Amend").click()
    await page.get_by_label("New quantity").fill("0.5")
    await page.keyboard.press("Enter")
    amended = page.locator("#orders tr").filter(has_text="0.5")
    await expect(amended).to_contain_text("open")
    await amended.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#orders-empty")).to_be_visible()
    await page.get_by_label("Closed orders too").check()
    assert await page.locator("#orders-problem").inner_text() == ""


async def test_the_ticket_asks_for_what_an_order_has(
    running: RunningExchange, browser: Browser
) -> None:
    """A market order has no price; a buy may name what to spend; a refusal is told in words."""
    page = browser.page
    await sign_in(page, running)
    await page.get_by_label("Type").select_option("market")
    await expect(page.get_by_label("Price", exact=True)).to_be_hidden()
    await expect(page.get_by_label("Time in force")).to_have_value("ioc")
    await page.get_by_label("or spend at most").fill("50")
    await expect(page.get_by_label("Quantity", exact=True)).to_be_hidden()
    await page.get_by_role("button", name="Place").click()
    await expect(page.locator("#orders-problem")).to_contain_text("Nothing to trade against")
    browser.faults = [fault for fault in browser.faults if "status of 422" not in fault]
    await page.get_by_label("Side").select_option("sell")
    await expect(page.get_by_label("or spend at most")).to_be_hidden()
    await running.place("bob", "buy", "2466.6", "0.3")
    await page.locator("#bids .row").filter(has_text="2466.60").click()
    await page.get_by_label("Type").select_option("limit")
    await expect(page.get_by_label("Price", exact=True)).to_have_value("2466.60")
    await running.request("bob", "DELETE", "/v1/orders")


async def test_one_wish_is_one_order(running: RunningExchange, browser: Browser) -> None:
    """A double click buys once; the page says what became of an order that no list shows."""
    page = browser.page
    await running.place("bob", "sell", "2577.5", "0.4")
    await sign_in(page, running)
    await page.get_by_label("Type").select_option("market")
    await page.get_by_label("Quantity", exact=True).fill("0.1")
    await page.get_by_role("button", name="Place").dblclick(delay=60)
    await expect(page.locator("#orders-done")).to_have_text(
        "Buy 0.1 ETH at the market: filled 0.1 at 2577.5, fee 0.5155 USDT."
    )
    orders = (await running.request("bob", "GET", "/v1/orders")).json()["orders"]
    assert [order["filled_quantity"] for order in orders] == ["0.1"]
    await running.request("bob", "DELETE", "/v1/orders")


async def test_a_time_is_asked_for_where_one_is_needed(
    running: RunningExchange, browser: Browser
) -> None:
    """An order until a time is not sent without it."""
    page = browser.page
    await sign_in(page, running)
    await page.get_by_label("Price", exact=True).fill("2411.1")
    await page.get_by_label("Quantity", exact=True).fill("0.1")
    await page.get_by_label("Time in force").select_option("gtd")
    await page.get_by_role("button", name="Place").click()
    missing = await page.get_by_label("Until", exact=True).evaluate("e => e.validity.valueMissing")
    assert missing
    await page.get_by_label("Time in force").select_option("gtc")
    await page.get_by_role("button", name="Place").click()
    row = page.locator("#orders tr").filter(has_text="2411.1")
    cancel = row.get_by_role("button", name="Cancel")
    await cancel.focus()
    for _ in range(3):  # looks at the orders, of which nothing has changed
        async with page.expect_response(re.compile("/v1/orders\\?state")):
            pass
    await expect(cancel).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(row).to_have_count(0)


async def test_a_stop_waits_in_the_list(running: RunningExchange, browser: Browser) -> None:
    """It asks for a trigger instead of a price, and its trigger is amended in its row."""
    page = browser.page
    await sign_in(page, running)
    await page.get_by_label("Side").select_option("sell")
    await page.get_by_label("Type").select_option("stop")
    await expect(page.get_by_label("Price", exact=True)).to_be_hidden()
    await expect(page.get_by_label("Time in force")).to_have_value("gtc")
    await page.get_by_label("Trigger price").fill("2301")
    await page.get_by_label("Quantity", exact=True).fill("0.3")
    await page.get_by_role("button", name="Place").click()
    row = page.locator("#orders tr").filter(has_text="sell stop")
    await expect(row).to_contain_text("from 2301")
    await expect(row).to_contain_text("waiting")
    await row.get_by_role("button", name="Amend").click()
    await page.get_by_label("New trigger price").fill("2302")
    await page.keyboard.press("Enter")
    await expect(row).to_contain_text("from 2302")
    await running.request("alice", "DELETE", "/v1/orders")


async def test_two_orders_of_which_one_ends_the_other(
    running: RunningExchange, browser: Browser
) -> None:
    """The ticket asks for both prices; the rows name their list, and one button cancels both."""
    page = browser.page
    await sign_in(page, running)
    await page.get_by_label("Side").select_option("sell")
    await page.get_by_label("Type").select_option("oco")
    await expect(page.get_by_label("Trailing by")).to_be_hidden()
    await page.get_by_label("Price", exact=True).fill("2601")
    await page.get_by_label("Trigger price").fill("2303")
    await page.get_by_label("Stop limit", exact=True).fill("2302")
    await page.get_by_label("Quantity", exact=True).fill("0.3")
    await page.get_by_role("button", name="Place").click()
    rows = page.locator("#orders tr").filter(has_text="of list")
    await expect(rows).to_have_count(2)
    stop = rows.filter(has_text="sell stop limit")
    await expect(stop).to_contain_text("from 2303")
    await expect(stop.get_by_role("button", name="Amend")).to_have_count(0)
    await stop.get_by_role("button", name="Cancel both").click()
    await expect(rows).to_have_count(0)


async def test_balances_fills_and_cancel_all(running: RunningExchange, browser: Browser) -> None:
    """What is free and held, the latest fills, and one button that takes all orders back."""
    await running.place("alice", "buy", "2455.5", "0.2")
    sold = await running.place("bob", "sell", "2455.5", "0.1")
    await running.settle_fill("alice", "bob", sold.json())
    page = browser.page
    await sign_in(page, running)
    await expect(page.locator("#balances")).to_contain_text("ETH free")
    await expect(page.locator("#balances")).to_contain_text("in orders")
    await page.get_by_text("Your latest fills in this market").click()
    fill = page.locator("#fills tr").first
    await expect(fill).to_contain_text("buy as maker")
    await expect(fill).to_contain_text("2455.5")
    await page.get_by_role("button", name="Cancel all in this market").click()
    await expect(page.locator("#orders-done")).to_contain_text("Cancelled 1 in ETH/USDT")
    await expect(page.locator("#orders-empty")).to_be_visible()
    await expect(page.get_by_role("button", name="Cancel all in this market")).to_be_hidden()
    await expect(page.locator("#balances")).not_to_contain_text("in orders")


async def test_a_bracket_from_the_ticket(running: RunningExchange, browser: Browser) -> None:
    """Entry and exits in one form; the exits are pending in the list and may not be amended."""
    page = browser.page
    await sign_in(page, running)
    await page.get_by_label("Type").select_option("bracket")
    await page.get_by_label("Price", exact=True).fill("2404")
    await page.get_by_label("Take profit at").fill("2604")
    await page.get_by_label("Trigger price").fill("2304")
    await page.get_by_label("Quantity", exact=True).fill("0.3")
    await page.get_by_role("button", name="Place").click()
    rows = page.locator("#orders tr").filter(has_text="of list")
    await expect(rows).to_have_count(3)
    pending = rows.filter(has_text="pending")
    await expect(pending).to_have_count(2)
    await expect(pending.get_by_role("button", name="Amend")).to_have_count(0)
    entry = rows.filter(has_text="buy limit")
    await expect(entry.get_by_role("button", name="Amend")).to_have_count(1)
    await entry.get_by_role("button", name="Cancel").click()
    await expect(rows).to_have_count(0)


async def test_a_wrong_key_shows_nothing(running: RunningExchange, browser: Browser) -> None:
    """The form stays, with the reason."""
    page = browser.page
    await page.goto(running.base_url)
    await expect(page.locator("#connection")).to_have_text("live")
    await page.get_by_label("API key").fill("nobody")
    await page.get_by_label("Secret").fill("wrong")
    await page.get_by_role("button", name="Show my orders").click()
    await expect(page.get_by_role("alert")).to_contain_text("not valid")
    await expect(page.locator("#desk")).to_be_hidden()
    browser.faults = [fault for fault in browser.faults if "status of 401" not in fault]


async def test_a_key_may_be_quicker_than_the_list_of_markets(
    running: RunningExchange, browser: Browser
) -> None:
    """It waits for the market that its orders are of; nobody is told of a gateway that is away."""
    listed = asyncio.Event()

    async def late(route: Route) -> None:
        await listed.wait()
        await route.continue_()

    page = browser.page
    await page.route("**/v1/markets", late)
    await page.goto(running.base_url)
    await expect(page.locator("#connection")).to_have_text("live")
    account = running.accounts["alice"]
    await page.get_by_label("API key").fill(account.api_key)
    await page.get_by_label("Secret").fill(account.api_secret)
    await page.get_by_role("button", name="Show my orders").click()
    await expect(page.locator("#desk")).to_be_hidden()
    listed.set()
    await expect(page.locator("#desk")).to_be_visible()
    await expect(page.locator("#orders-problem")).to_be_empty()


async def test_a_dead_gateway_shows_and_heals(running: RunningExchange, browser: Browser) -> None:
    """`reconnecting` while it is gone; then the book again, with what happened meanwhile."""
    page = browser.page
    await page.goto(running.base_url)
    await expect(page.locator("#connection")).to_have_text("live")
    # from here on, since the browser tells of a refused connection when it gets round to it
    refused = "ERR_CONNECTION_REFUSED|ERR_SOCKET_NOT_CONNECTED|ERR_CONNECTION_RESET"
    refused += "|ERR_EMPTY_RESPONSE|ERR_CONNECTION_CLOSED"  # a request was under way
    browser.expected = re.compile(refused)
    running.kill("gateway")
    await expect(page.locator("#connection")).to_have_text("reconnecting")
    running.launch("gateway", "workers.gateway")
    await running.ready("gateway")
    await running.place("alice", "buy", "2455.55", "0.2")
    await expect(page.locator("#connection")).to_have_text("live")
    await expect(page.locator("#bids .row").filter(has_text="2455.55")).to_have_count(1)
    await running.request("alice", "DELETE", "/v1/orders")


async def test_the_narrow_page_fits(running: RunningExchange, browser: Browser) -> None:
    """At 360 pixels nothing is cut off or scrolls sideways, the component table neither."""
    page = browser.page
    await page.set_viewport_size({"width": 360, "height": 800})
    await page.goto(running.base_url)
    await expect(page.locator("#components tr")).to_have_count(len(COMPONENTS))
    tabs = page.locator("#markets button")
    await expect(tabs.first).to_be_visible()
    listed = await tabs.count()
    for _ in range(4):  # an exchange with more markets than one
        await tabs.first.evaluate("tab => tab.parentElement.append(tab.cloneNode(true))")
    await expect(tabs).to_have_count(listed + 4)
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
