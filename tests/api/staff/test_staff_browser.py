"""Staff at work in a real browser: in Temporal's own UI, and on the console."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser as Chromium
from playwright.async_api import Locator, Page, expect
from redis.asyncio import Redis
from temporalio.worker import Worker

from activities.adjustment import AdjustmentActivities
from infra.embedded.ports import own_port
from infra.embedded.temporal import TemporalServer
from infra.postgres.adjustment_store import AdjustmentStore
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.settings import Settings
from infra.staff_file import create_demo_staff, staff_key_path
from infra.temporal.search_attributes import SEARCH_ATTRIBUTES
from infra.wallet import officers
from infra.wallet.pinned_officers import PinnedOfficers
from infra.wallet.screening import denied_path
from tests.api.browser import PATIENCE_MS, launched
from tests.api.serving import serving
from tests.conftest import Servers
from tests.workflows.conftest import HOT_COINS
from tests.workflows.wallet_parts import OUTSIDE
from tests.workflows.wallet_rig import Rig, build_rig
from workers.staff_door import staff_app, staff_origin
from workers.temporal_worker import worker_of
from workers.wiring import Wiring
from workflows import task_queues
from workflows.adjustment import AdjustmentWorkflow

pytestmark = [
    *(pytest.mark.servers, pytest.mark.browser),
    pytest.mark.asyncio(loop_scope="module"),
]
USDT = 10**6


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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Office]:
    """Give an office; the hot wallet is empty, so its withdrawal waits."""
    tmp_path = tmp_path_factory.mktemp("office")
    ui_port, staff_port = own_port(), own_port()
    server = TemporalServer(
        tmp_path / "temporal",
        tmp_path / "temporal.log",
        own_port(),
        http_port=own_port(),
        metrics_port=own_port(),
        ui_port=ui_port,
        search_attributes=SEARCH_ATTRIBUTES,
    )
    chain = servers.new_chain()
    await asyncio.to_thread(server.start)
    try:
        async with AsyncExitStack() as stack:
            rig = await build_rig(
                stack,
                database_url=servers.postgres.database_url(servers.new_database()),
                chain_url=chain.url,
                temporal=server.url,
                data_dir=tmp_path,
            )
            settings = rig.settings.model_copy(
                update={
                    "redis_url": servers.redis_url,
                    "staff_port": staff_port,
                    "temporal_ui_upstream": server.ui_url,
                }
            )
            create_demo_staff(settings.secrets_dir)
            redis = Redis.from_url(servers.redis_url)
            stack.push_async_callback(redis.aclose)
            await redis.flushall()  # the attempts to sign in of other modules
            app = staff_app(settings, rig.engine, redis, stack)
            await stack.enter_async_context(serving(app, staff_port))
            await stack.enter_async_context(rig.worker())
            await stack.enter_async_context(_adjustments(rig))
            await rig.funded_customer(1, "USDT", 1_000 * USDT)
            name = await rig.withdraw(1, "USDT", 300 * USDT)
            await rig.until(lambda: rig.stage(name), "failed:nonce")
            yield Office(rig, settings, staff_origin(settings), name, server.ui_url)
    finally:
        await asyncio.to_thread(server.kill)
        chain.kill()


def _adjustments(rig: Rig) -> Worker:
    """Return the worker of adjustments, as the settlement's process has it."""
    steps = AdjustmentActivities(
        AdjustmentStore(rig.engine, LedgerStore(), AuditStore()),
        PinnedOfficers(officers.pinned_path(rig.settings.data_dir)),
        officers.verify_ed25519,
        lambda: int(time.time()),
    )
    return worker_of(
        rig.client,
        Wiring(
            task_queue=task_queues.SETTLEMENT,
            workflows=(AdjustmentWorkflow,),
            activities=(steps.load, steps.sign, steps.post, steps.expire),
        ),
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Chromium]:
    """Give a browser."""
    async with launched() as made:
        yield made


async def _new_page(chromium: Chromium, *, width: int = 1500) -> Page:
    """Return an empty page that knows of no other's login."""
    context = await chromium.new_context(viewport={"width": width, "height": 1100})
    context.set_default_timeout(PATIENCE_MS)
    return await context.new_page()


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Chromium) -> AsyncIterator[Page]:
    """Give an empty page."""
    made = await _new_page(chromium)
    yield made
    await made.context.close()


def _readable(history: str) -> str:
    """Return what somebody without keys can make of a history: its text, and its payloads'."""
    payloads = re.findall(r'"data": ?"([A-Za-z0-9+/=]+)"', history)
    return history + "".join(base64.b64decode(one).decode("latin-1") for one in payloads)


async def _sign_in(page: Page, office: Office, path: str, name: str) -> None:
    """Come to a page by way of the login."""
    await page.goto(office.origin + path)
    await expect(page).to_have_url(re.compile("/login[?]next="))
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Key file").set_input_files(_key_of(office, name))
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{office.origin}{path}**")


def _key_of(office: Office, name: str) -> Path:
    if name in officers.DEMO_OFFICERS:
        return officers.private_key_path(office.settings.data_dir, name)
    return staff_key_path(office.settings.secrets_dir, name)


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

    await _sign_in(page, office, office.path, "olga")
    await expect(body).to_contain_text(f'"withdrawal_id": "{office.withdrawal_id}"')
    await expect(body).to_contain_text("allocate the nonce")
    await _refill(rig)
    await _send_update(page, "retry", '{"by": "olga", "reason": "refilled"}')
    await rig.until_settled(office.withdrawal_id)
    await expect(body).to_contain_text("Completed", ignore_case=True)
    row = await rig.row(office.withdrawal_id)
    assert {"file_read", "staff_acted", "settled"} <= set(await rig.audit(row.subject))


async def _refill(rig: Rig) -> None:
    """Give the hot wallet coins."""
    for asset, amount in HOT_COINS.items():
        await rig.fund(rig.wallet.public.hot_address, asset, amount)
    await rig.mine()


async def _decide(card: Locator, button: str, *, key: Path | None = None, **texts: str) -> None:
    """Press a card's button and go through with its dialog."""
    dialog = card.page.get_by_role("dialog")
    await card.get_by_role("button", name=button).click()
    for label, text in texts.items():
        await dialog.get_by_label(label).fill(text)
    if key is not None:
        await dialog.get_by_label("key file").set_input_files(key)
    await dialog.locator("button.chief").click()


async def test_officers_decide_on_the_console(
    office: Office, page: Page, chromium: Chromium
) -> None:
    """By signatures made in the browser a withdrawal is paid and a deposit released.

    The withdrawal parks between its approval and its payment; whoever signs twice is refused.
    """
    rig, told = office.rig, page.locator("#told")
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda one: _same_host(one.url, office.origin, faults))
    await _refill(rig)
    small = await rig.fund(await rig.new_customer(3), "USDT", USDT // 2)
    await rig.funded_customer(2, "USDT", 3_000 * USDT)
    name = await rig.withdraw(2, "USDT", 2_000 * USDT)
    await rig.until_approvable(name)
    denied = denied_path(office.settings.data_dir)
    denied.parent.mkdir(exist_ok=True)
    denied.write_text(f"{OUTSIDE}  # listed after it was screened\n")

    await _sign_in(page, office, "/console", "marta")
    card = page.locator(f'[data-key="withdrawal-{name}"]')
    await expect(card).to_contain_text("2000 USDT · 2,000.00 USD")
    await expect(card).to_contain_text(OUTSIDE)
    await expect(card).to_contain_text("all 10 rules passed (version 4); sanctions: clear")
    await _decide(card, "Approve", key=_key_of(office, "piero"))
    problem = page.locator("#dialog-problem")
    await expect(problem).to_have_text("This is not the key that is pinned for marta.")
    await page.get_by_label("key file").set_input_files(_key_of(office, "marta"))
    await page.get_by_role("button", name="Sign", exact=True).click()
    await expect(told).to_contain_text("Recorded: 1 of 1 approvals")
    await expect(card).to_contain_text("the policy would refuse it now: not_blocked_by_sanctions")
    denied.unlink()
    await _decide(card, "Retry", Reason="taken off the list")
    await expect(told).to_contain_text("Goes on at")
    await rig.until_settled(name)
    await expect(card).to_have_count(0)

    await page.get_by_label("Customer, or").fill(name)
    await page.get_by_role("button", name="Open").click()
    file = page.locator("#file")
    await expect(file).to_contain_text("officer:marta signed: approve")
    await expect(file).to_contain_text("Audit log, row and workflow history agree.")

    await rig.until(lambda: rig.deposit_state(small), "below_minimum")
    (deposit,) = await rig.deposit_names(small)
    item = page.locator(f'[data-key="{deposit}"]')
    await _decide(item, "Propose a release", Reason="it is his")
    release = page.locator("#proposals article")
    await expect(release).to_contain_text("0.5 USDT from suspense:USDT to customer:3:main:USDT")
    await _decide(release, "Sign")  # with the key that the page has
    await expect(told).to_have_text("Recorded: 1 of 2 signatures.")
    await _decide(release, "Sign")
    await expect(problem).to_have_text("this officer has signed already")
    await page.keyboard.press("Escape")
    other = await _new_page(chromium, width=360)
    await _sign_in(other, office, "/console", "piero")
    await _decide(other.locator("#proposals article"), "Sign", key=_key_of(office, "piero"))
    await expect(other.locator("#suspense")).to_contain_text("Nothing is in suspense.")
    assert await rig.balance("customer:3:main:USDT") == USDT // 2
    await other.context.close()

    actions = set(await rig.audit((await rig.row(name)).subject))
    assert {"approve", "staff_acted", "file_read", "settled"} <= actions
    assert faults == []


def _same_host(url: str, origin: str, faults: list[str]) -> None:
    if not url.startswith(origin):
        faults.append(f"foreign host: {url}")
