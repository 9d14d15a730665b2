"""A real headless Chromium that notes what a healthy page never has."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.resources import files
from typing import Any, Literal

from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, async_playwright, expect

from tests.api.conftest import CHROMIUM
from tests.api.running import RunningExchange

PATIENCE_MS = 30_000  # for whatever is waited for: a busy machine is slow, a fault lasts
expect.set_options(timeout=PATIENCE_MS)


class Browser:
    """A page that notes what a healthy page never has."""

    def __init__(self, page: Page, base_url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        self.expected: re.Pattern[str] | None = None  # what a test brings about itself
        page.on("console", lambda line: self._note("console", line.type, line.text))
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", lambda request: self._check_host(request.url, base_url))

    def _note(self, kind: str, level: str, text: str) -> None:
        if level == "error" and not (self.expected and self.expected.search(text)):
            self.faults.append(f"{kind}: {text}")

    def _check_host(self, url: str, base_url: str) -> None:
        if not url.startswith((base_url, "data:", base_url.replace("http", "ws"))):
            self.faults.append(f"foreign host: {url}")

    def forgive(self, words: str) -> None:
        """Forget faults that a test has asked for, by words of theirs."""
        self.faults = [fault for fault in self.faults if words not in fault]


_SHARED: list[Chromium] = []  # the one of the test module that runs, if it asked for one


@asynccontextmanager
async def launched() -> AsyncIterator[Chromium]:
    """Give a Chromium without pages."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-background-networking"]
        )
        yield chromium
        await chromium.close()


@asynccontextmanager
async def shared() -> AsyncIterator[None]:
    """Let all pages until the end of the block be windows of one Chromium."""
    async with launched() as chromium:
        _SHARED.append(chromium)
        yield
        _SHARED.pop()


@asynccontextmanager
async def browsing(
    running: RunningExchange,
    *,
    size: tuple[int, int] = (1280, 800),
    scheme: Literal["light", "dark"] = "light",
    **context: Any,
) -> AsyncIterator[Browser]:
    """Give an empty page that knows of no other's; afterwards it must have had no fault."""
    async with AsyncExitStack() as stack:
        chromium = _SHARED[0] if _SHARED else await stack.enter_async_context(launched())
        view = await chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, **context
        )
        view.set_default_timeout(PATIENCE_MS)
        stack.push_async_callback(view.close)
        made = Browser(await view.new_page(), running.base_url)
        yield made
    assert made.faults == [], made.faults


async def check_accessible(page: Page) -> None:
    """Find nothing on the page, as it is, that axe knows to shut people out."""
    await page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
    found = await page.evaluate("axe.run().then(({ violations }) => violations)")
    places = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]
    assert places == [], places


async def sign_in(page: Page, running: RunningExchange, name: str = "alice", at: str = "") -> None:
    """Open the page, at a market, and show the orders of a customer."""
    await page.goto(f"{running.base_url}/#{at}")
    await expect(page.locator("#connection")).to_have_text("live")
    account = running.accounts[name]
    await page.get_by_label("API key").fill(account.api_key)
    await page.get_by_label("Secret").fill(account.api_secret)
    await page.get_by_role("button", name="Show my orders").click()
    await expect(page.locator("#desk")).to_be_visible()
    await expect(page.locator("#sign-in")).to_be_hidden()
