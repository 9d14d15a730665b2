"""An operator at work in Temporal's own UI, in a real browser, behind the login."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from playwright.async_api import Page, expect
from redis.asyncio import Redis

from infra.embedded.ports import free_port
from infra.embedded.temporal import TemporalServer
from infra.settings import Settings
from infra.staff_file import create_demo_staff, staff_key_path
from infra.temporal.search_attributes import SEARCH_ATTRIBUTES
from tests.api.browser import launched
from tests.conftest import Servers
from tests.workflows.conftest import HOT_COINS
from tests.workflows.wallet_parts import OUTSIDE
from tests.workflows.wallet_rig import Rig, build_rig
from workers.staff_door import staff_app, staff_origin

pytestmark = [pytest.mark.servers, pytest.mark.browser]
USDT = 10**6
PATIENCE_MS = 30_000


@dataclass(frozen=True)
class Office:
    """A wallet with a parked withdrawal, the staff's origin, and the UI's bare address."""

    rig: Rig
    settings: Settings
    origin: str
    withdrawal_id: str
    bare_ui: str

    @property
    def path(self) -> str:
        """Return the path of the withdrawal's page in the UI."""
        return f"/namespaces/rialto/workflows/withdrawal-{self.withdrawal_id}"


@pytest.fixture
async def office(
    servers: Servers, fresh_database: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Office]:
    """Give an office; the hot wallet is empty, so its withdrawal waits."""
    ui_port, staff_port = free_port(), free_port()
    server = TemporalServer(
        tmp_path / "temporal",
        tmp_path / "temporal.log",
        free_port(),
        http_port=free_port(),
        metrics_port=free_port(),
        ui_port=ui_port,
        search_attributes=SEARCH_ATTRIBUTES,
    )
    chain = servers.new_chain()
    await asyncio.to_thread(server.start)
    try:
        async with AsyncExitStack() as stack:
            rig = await build_rig(
                stack,
                database_url=fresh_database,
                chain_url=chain.url,
                temporal=server.url,
                data_dir=tmp_path,
            )
            settings = rig.settings.model_copy(
                update={
                    "redis_url": redis_url,
                    "staff_port": staff_port,
                    "temporal_ui_upstream": server.ui_url,
                }
            )
            create_demo_staff(settings.secrets_dir)
            redis = Redis.from_url(redis_url)
            stack.push_async_callback(redis.aclose)
            await _serve(staff_app(settings, rig.engine, redis, stack), staff_port, stack)
            await stack.enter_async_context(rig.worker())
            await rig.funded_customer(1, "USDT", 1_000 * USDT)
            name = await rig.withdraw(1, "USDT", 300 * USDT)
            await rig.until(lambda: rig.stage(name), "failed:nonce")
            yield Office(rig, settings, staff_origin(settings), name, server.ui_url)
    finally:
        await asyncio.to_thread(server.kill)
        chain.kill()


async def _serve(app: object, port: int, stack: AsyncExitStack) -> None:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        host="127.0.0.1",
        port=port,
        log_config=None,
        timeout_graceful_shutdown=1,  # the UI asks for news with requests that stay open
    )
    web = uvicorn.Server(config)
    serving = asyncio.create_task(web.serve())

    async def stop() -> None:
        web.should_exit = True
        await serving

    stack.push_async_callback(stop)
    while not web.started:
        assert not serving.done()
        await asyncio.sleep(0.02)


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """Give an empty page of a fresh browser."""
    async with launched() as chromium:
        context = await chromium.new_context(viewport={"width": 1500, "height": 1100})
        context.set_default_timeout(PATIENCE_MS)
        yield await context.new_page()


def _readable(history: str) -> str:
    """Return what somebody without keys can make of a history: its text, and its payloads'."""
    payloads = re.findall(r'"data": ?"([A-Za-z0-9+/=]+)"', history)
    return history + "".join(base64.b64decode(one).decode("latin-1") for one in payloads)


async def _sign_in(page: Page, office: Office) -> None:
    """Come to the withdrawal's page by way of the login."""
    await page.goto(office.origin + office.path)
    await expect(page).to_have_url(re.compile("/login[?]next="))
    await page.get_by_label("Name").fill("olga")
    key = staff_key_path(office.settings.secrets_dir, "olga")
    await page.get_by_label("Key file").set_input_files(key)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{office.origin}{office.path}**")


async def _send_update(page: Page, name: str, argument: str) -> None:
    """Send an update by the UI's own form."""
    await page.get_by_role("button", name="More Actions").locator("visible=true").click()
    await page.get_by_text("Send an Update").locator("visible=true").click()
    form = page.get_by_test_id("update-confirmation-modal")
    await form.get_by_role("button", name="Select an Update").click()
    await form.get_by_role("option", name=re.compile(rf"^\s*{name}\b")).click()
    await form.get_by_role("textbox", name="Data").fill(argument)
    # The editor hands its text over when it is left.
    await form.locator("#update-id").locator("visible=true").click()
    await form.get_by_role("button", name="Submit").click()


async def test_an_operator_reads_and_retries_in_temporals_ui(office: Office, page: Page) -> None:
    """Login, a decoded input, the UI's own Update button; without the login nothing personal."""
    rig, body = office.rig, page.locator("body")
    bare = await page.request.get(f"{office.bare_ui}/api/v1{office.path}/history")
    seen = _readable(await bare.text())
    assert "allocate the nonce" in seen
    assert OUTSIDE not in seen
    refused = await page.request.get(f"{office.origin}/api/v1{office.path}/history")
    assert refused.status == 401

    await _sign_in(page, office)
    await expect(body).to_contain_text(
        f'"withdrawal_id": "{office.withdrawal_id}"', timeout=PATIENCE_MS
    )
    await expect(body).to_contain_text("allocate the nonce", timeout=PATIENCE_MS)
    for asset, amount in HOT_COINS.items():
        await rig.fund(rig.wallet.public.hot_address, asset, amount)
    await rig.mine()
    await _send_update(page, "retry", '{"by": "olga", "reason": "refilled"}')
    await rig.until_settled(office.withdrawal_id)
    await expect(body).to_contain_text("Completed", ignore_case=True, timeout=PATIENCE_MS)
    row = await rig.row(office.withdrawal_id)
    assert {"file_read", "staff_acted", "settled"} <= set(await rig.audit(row.subject))
