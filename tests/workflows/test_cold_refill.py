"""A refill by the cold wallet, on a real chain: asked, signed apart, stored, sent, booked."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.cold_refill import RefillRequest
from infra.postgres import tables
from infra.wallet import demo
from infra.wallet.cold_wallet import create_cold_wallet, read_request, sign_refill
from tests.workflows.wallet_rig import Rig
from workers.cold_desk import ColdDeskError, request_refill, submit_refill

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
WORDS = b"words that nobody guesses"
ETH, USDT = 10**18, 10**6


async def _signed(rig: Rig, folder: Path, **amounts: str) -> tuple[RefillRequest, str]:
    """Return a request of a new, funded cold wallet, and its signed file."""
    chain_id = await rig.chain.chain_id()
    hot = rig.wallet.public.hot_address
    policy = create_cold_wallet(folder, WORDS, hot_address=hot, chain_id=chain_id)
    url = rig.settings.chain_url
    await demo.fund(url, policy.address, None, 10 * ETH)
    await demo.fund(url, policy.address, rig.wallet.contracts["USDT"], 1_000 * USDT)
    asked = await request_refill(rig.engine, rig.settings, policy.address, amounts)
    assert read_request(asked.text(), policy) == asked
    return asked, sign_refill(folder, asked, WORDS)


async def test_refill_reaches_the_hot_wallet_and_the_books(rig: Rig, tmp_path: Path) -> None:
    """Both payments arrive and are booked as any payment to the hot wallet is."""
    hot = rig.wallet.public.hot_address
    before = await rig.coins(hot, "USDT"), await rig.coins(hot, "ETH")
    _, text = await _signed(rig, tmp_path, ETH="3", USDT="250")
    _, hashes = await submit_refill(rig.engine, rig.settings, text, "me")
    await rig.mine()
    for tx_hash in hashes:
        await rig.until(partial(rig.deposit_state, tx_hash), "refilled")
    after = await rig.coins(hot, "USDT"), await rig.coins(hot, "ETH")
    assert (after[0] - before[0], after[1] - before[1]) == (250 * USDT, 3 * ETH)
    assert await rig.audit("hot-wallet") == ["cold_refill_submitted"]


async def test_submitting_again_changes_nothing(rig: Rig, tmp_path: Path) -> None:
    """A file that was sent may be sent again, also once it is mined."""
    _, text = await _signed(rig, tmp_path, USDT="1")
    _, first = await submit_refill(rig.engine, rig.settings, text, "me")
    _, second = await submit_refill(rig.engine, rig.settings, text, "me")
    await rig.mine()
    _, third = await submit_refill(rig.engine, rig.settings, text, "me")
    assert first == second == third
    query = sa.select(tables.wallet_transaction).where(
        tables.wallet_transaction.c.tx_hash == first[0]
    )
    async with rig.engine.connect() as connection:
        (row,) = (await connection.execute(query)).all()
    assert row.withdrawal_id is None
    assert row.broadcast_at is not None


async def test_another_transaction_at_a_stored_nonce_is_refused(rig: Rig, tmp_path: Path) -> None:
    """Two signed files for one nonce: the first that was stored stays."""
    asked, text = await _signed(rig, tmp_path, USDT="1")
    await submit_refill(rig.engine, rig.settings, text, "me")
    more = replace(asked.payments[0], amount=2 * USDT)
    other = replace(asked, payments=(more,))
    with pytest.raises(ColdDeskError, match="nonces already"):
        await submit_refill(rig.engine, rig.settings, sign_refill(tmp_path, other, WORDS), "me")


async def test_foreign_refills_are_refused(rig: Rig, tmp_path: Path) -> None:
    """One for another hot wallet, another token, another chain; nothing of them is stored."""
    hot, chain_id = rig.wallet.public.hot_address, await rig.chain.chain_id()
    elsewhere = rig.wallet.public.deposit_address(7)
    policy = create_cold_wallet(tmp_path / "a", WORDS, hot_address=elsewhere, chain_id=chain_id)
    asked, _ = await _signed(rig, tmp_path / "b", ETH="1")
    assert asked.receiver == hot
    misdirected = replace(asked, sender=policy.address, receiver=elsewhere)
    text = sign_refill(tmp_path / "a", misdirected, WORDS)
    with pytest.raises(ColdDeskError, match="the hot wallet is"):
        await submit_refill(rig.engine, rig.settings, text, "me")
    payment = replace(asked.payments[0], decimals=6)
    text = sign_refill(tmp_path / "b", replace(asked, payments=(payment,)), WORDS)
    with pytest.raises(ColdDeskError, match="another ETH"):
        await submit_refill(rig.engine, rig.settings, text, "me")
    text = sign_refill(tmp_path / "b", replace(asked, chain_id=chain_id + 1), WORDS)
    with pytest.raises(ColdDeskError, match="signed for chain"):
        await submit_refill(rig.engine, rig.settings, text, "me")
    with pytest.raises(ColdDeskError, match="there is no asset"):
        await request_refill(rig.engine, rig.settings, asked.sender, {"DOGE": "1"})
