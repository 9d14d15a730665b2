"""Signing in on the page: from an invitation to a session, its keys, and its end."""

from __future__ import annotations

import base64
import datetime as dt
import re
import time
from dataclasses import replace

import pytest
from playwright.async_api import Page, expect

from domain.totp import STEP_SECONDS, code_at
from infra.postgres import engine as postgres
from infra.postgres.audit_store import AuditStore
from infra.postgres.login_links import LoginLinkStore
from infra.postgres.web_sessions import WebSessionStore
from infra.wallet.officers import create_officers
from tests.api.browser import browsing
from tests.api.running import RunningExchange
from workers import login_desk

pytestmark = [pytest.mark.servers, pytest.mark.browser]

PASSWORD = "correct horse battery"


async def _invitation(running: RunningExchange, name: str) -> str:
    """Have two officers invite a customer; return both halves."""
    create_officers(running.settings.data_dir)
    engine = postgres.create(running.environment["RIALTO_DATABASE_URL"])
    found = await login_desk.invite(engine, name, "asked")
    halves = [
        (await login_desk.sign(engine, running.settings, officer, found))[0]
        for officer in ("marta", "piero")
    ]
    await engine.dispose()
    return " ".join(halves)


async def _make_login(page: Page, name: str, invitation: str) -> tuple[bytes, int]:
    """Enrol with the keyboard; return the app's secret, and the step of the code that was used."""
    await page.get_by_text("I have an invitation").press("Enter")
    await page.get_by_label("Your account name").fill(name)
    await page.get_by_label("Both halves").fill(invitation)
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_label("New password").press("Enter")
    shown = page.locator("#invitation-shown")
    picture = shown.get_by_alt_text("QR code for an authenticator app")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.complete && image.naturalWidth > 0")
    text = (await shown.locator("code").inner_text()).replace(" ", "")
    secret, step = base64.b32decode(text), int(time.time()) // STEP_SECONDS
    await expect(shown.get_by_label("Code that the app shows now")).to_be_focused()
    await page.keyboard.type(code_at(secret, step))
    await page.keyboard.press("Enter")
    await expect(shown.get_by_role("status")).to_contain_text("Your login is made")
    await expect(shown.locator(".codes li")).to_have_count(10)
    return secret, step


async def _widths(page: Page) -> None:
    """Nothing is cut off or scrolls sideways at 360 pixels."""
    await page.set_viewport_size({"width": 360, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await page.set_viewport_size({"width": 1280, "height": 800})


async def test_from_an_invitation_to_signing_out(running: RunningExchange) -> None:
    """A login is made and used: orders, keys, sessions; a reload goes on, signing out ends it."""
    name = f"erika-{time.time_ns()}"
    await running.add_customer(name)
    invitation = await _invitation(running, name)
    async with browsing(running) as browser:
        page = browser.page
        await page.goto(running.base_url)
        secret, step = await _make_login(page, name, invitation)
        await _widths(page)
        await page.get_by_label("Account name", exact=True).fill(name)
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_label("Code of your app").fill(code_at(secret, step + 1))
        await page.get_by_label("Code of your app").press("Enter")
        security = page.get_by_role("region", name="Security")
        await expect(security).to_be_visible()
        await expect(page.locator("#desk")).to_be_visible()
        await expect(page.locator("#sign-in")).to_be_hidden()
        await security.get_by_text("Make a key").press("Enter")
        await security.get_by_label("Label").fill("bot 1")
        await security.get_by_label("Trade").check()
        await security.get_by_label("Only from these addresses").fill("127.0.0.1 2001:db8::/48")
        await security.get_by_role("button", name="Make key").press("Enter")
        await expect(security.locator("#made-key code")).to_have_count(2)
        made = await security.locator("#made-key code").all_inner_texts()
        assert re.fullmatch(r"rk_[0-9a-f]{24}", made[0])
        row = security.locator("#keys tr").filter(has_text="bot 1")
        await expect(row).to_contain_text("127.0.0.1/32, 2001:db8::/48")
        running.accounts["bot"] = replace(
            running.accounts[name], api_key=made[0], api_secret=made[1]
        )
        assert (await running.request("bot", "GET", "/v1/balances")).status_code == 200
        await _widths(page)
        await row.get_by_role("button", name="Revoke bot 1").press("Enter")
        await expect(row).to_have_count(0)
        await page.reload()
        await expect(security).to_be_visible()
        await expect(security.locator("#sessions tr")).to_have_count(1)
        await expect(security.locator("#sessions tr")).to_contain_text("this one")
        await security.get_by_role("button", name="Sign out").press("Enter")
        await expect(page.locator("#session-in")).to_be_visible()
        await expect(security).to_be_hidden()
        assert await page.evaluate("localStorage.length") == 0


@pytest.mark.long
async def test_a_link_opens_the_page_once(running: RunningExchange) -> None:
    """Its secret leaves the address at once; the session goes on, the link does not."""
    name = f"lena-{time.time_ns()}"
    await running.add_customer(name)
    engine = postgres.create(running.environment["RIALTO_DATABASE_URL"])
    sessions = WebSessionStore(engine, AuditStore(), lambda: dt.datetime.now(dt.UTC))
    links = LoginLinkStore(engine, AuditStore(), sessions, lambda: dt.datetime.now(dt.UTC))
    link = f"{running.base_url}/#login={await links.make(name, 'a test')}"
    await engine.dispose()
    async with browsing(running) as browser:
        await browser.page.goto(link)
        await expect(browser.page.get_by_role("region", name="Security")).to_be_visible()
        assert "login" not in browser.page.url
        await browser.page.reload()
        await expect(browser.page.locator("#desk")).to_be_visible()
    async with browsing(running) as browser:
        browser.expected = re.compile("401")
        await browser.page.goto(link)
        await expect(browser.page.locator("#orders-problem")).to_contain_text("used before")
        await expect(browser.page.locator("#session-in")).to_be_visible()
        assert "login" not in browser.page.url
