"""Withdrawals on the page: addresses and when they may be paid, requests, their states, cancels."""

from __future__ import annotations

import datetime as dt
import re
import time

import pytest
import sqlalchemy as sa
from playwright.async_api import expect

from infra.postgres import engine as postgres
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.login_links import LoginLinkStore
from infra.postgres.web_sessions import WebSessionStore
from tests.api.address_memory import ADDRESS
from tests.api.browser import browsing, check_accessible
from tests.api.memory import USDT
from tests.api.running import RunningExchange

pytestmark = [pytest.mark.servers, pytest.mark.browser]


async def _link(running: RunningExchange, name: str) -> str:
    """Return a link that signs a customer in, with a second factor for five minutes."""
    engine = postgres.create(running.environment["RIALTO_DATABASE_URL"])
    sessions = WebSessionStore(engine, AuditStore(), lambda: dt.datetime.now(dt.UTC))
    links = LoginLinkStore(engine, AuditStore(), sessions, lambda: dt.datetime.now(dt.UTC))
    secret = await links.make(name, "a test")
    await engine.dispose()
    return f"{running.base_url}/#login={secret}"


async def _cool_off(running: RunningExchange, name: str, seconds: int) -> None:
    """Let a customer's addresses be paid so many seconds from now."""
    engine = postgres.create(running.environment["RIALTO_DATABASE_URL"])
    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    row = tables.withdrawal_address
    change = sa.update(row).where(row.c.customer_id == running.customer_ids[name])
    async with engine.begin() as connection:
        await connection.execute(change.values(usable_at=at))
    await engine.dispose()


async def test_from_an_address_to_a_cancelled_withdrawal(running: RunningExchange) -> None:
    """By keyboard alone: listed, cooling off, usable, asked for, cancelled; refusals in words."""
    name = f"wanda-{time.time_ns()}"
    await running.add_customer(name)
    await running.credit(name, USDT, "500")
    link = await _link(running, name)
    async with browsing(running) as browser:
        browser.expected = re.compile("status of 4")
        page = browser.page
        await page.goto(link)
        panel = page.get_by_role("region", name="Withdrawals")
        await expect(panel.locator("#withdrawals-empty")).to_be_visible()
        await expect(panel.locator("#addresses-empty")).to_be_visible()
        await expect(panel.get_by_role("button", name="Withdraw")).to_be_disabled()
        await panel.get_by_text("List an address").press("Enter")
        await panel.get_by_label("Address", exact=True).fill("0x12")
        await panel.get_by_label("Address", exact=True).press("Enter")
        await expect(panel.get_by_role("alert")).to_contain_text("mixed-case checksum")
        await panel.get_by_label("Address", exact=True).fill(ADDRESS)
        await panel.get_by_label("Label").fill("mine")
        await panel.get_by_label("Label").press("Enter")
        row = panel.locator("#addresses tr").filter(has_text=ADDRESS)
        await expect(row).to_contain_text("now")
        await _cool_off(running, name, 3_600)
        await expect(row).to_contain_text("from")
        await expect(panel.locator("#withdraw-terms")).to_contain_text("No address may be paid yet")
        await _cool_off(running, name, -1)
        await expect(panel.get_by_role("button", name="Withdraw")).to_be_enabled()
        await panel.get_by_label("Asset").select_option("USDT")
        await expect(panel.locator("#withdraw-terms")).to_contain_text("500 USDT may leave")
        amount = panel.get_by_label("Amount")
        await amount.fill("100000")
        await amount.press("Enter")
        await expect(panel.get_by_role("alert")).to_contain_text(re.compile("limit|withdrawable"))
        await amount.fill("50")
        await amount.press("Enter")
        await expect(panel.locator("#withdrawals-done")).to_contain_text("Asked for")
        asked = panel.locator("#withdrawals tr").filter(has_text="50 USDT")
        await expect(asked).to_contain_text("taking it from your balance")
        await asked.get_by_role("button").press("Enter")
        await expect(asked).to_contain_text("cancelled, coming back")
        await expect(asked.get_by_role("button")).to_have_count(0)
        await expect(page.get_by_role("region", name="Security")).to_be_visible()
        for opened in await page.locator("details > summary").all():
            if await opened.is_visible():
                await opened.click()
        await check_accessible(page)
        await page.set_viewport_size({"width": 360, "height": 800})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        await row.get_by_role("button", name="Remove mine").press("Enter")
        await expect(panel.locator("#addresses-empty")).to_be_visible()
