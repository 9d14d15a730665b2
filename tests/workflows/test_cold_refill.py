"""A refill by the cold wallet, on a real chain: asked, signed apart, stored, sent, booked."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa

from infra.postgres import tables
from infra.wallet.cold_wallet import create_cold_wallet, read_request, read_signed, sign_refill
from infra.wallet.transaction import transaction_hash
from tests.workflows.cold_parts import WORDS, Cold, pinned_cold_wallet
from tests.workflows.wallet_books import no_violation_of_the_wallet, violations_of_the_wallet
from tests.workflows.wallet_rig import Rig
from workers.cold_desk import ColdDeskError, request_refill, submit_refill
from workers.officer_desk import DeskError
from workers.wallet_desk import set_cold_address

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
ETH, USDT = 10**18, 10**6


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cold(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Cold:
    """Give the module's cold wallet: sealing a seed is slow by design."""
    return await pinned_cold_wallet(rig, tmp_path_factory.mktemp("cold"))


async def _payment_state(rig: Rig, payment_id: str) -> str | None:
    row = tables.wallet_payment.c
    query = sa.select(row.state).where(row.payment_id == payment_id)
    async with rig.engine.connect() as connection:
        return await connection.scalar(query)


async def _booked(rig: Rig, payment_id: str) -> str | None:
    await rig.mine(1)
    return await _payment_state(rig, payment_id)


async def _books(rig: Rig, place: str) -> dict[str, int]:
    return {code: -await rig.balance(f"wallet:{place}:ETH:{code}") for code in ("ETH", "USDT")}


async def test_refill_moves_cold_coins_to_the_hot_wallet(rig: Rig, cold: Cold) -> None:
    """Cold goes down by what came and its gas, hot up by what came; books and chain are equal."""
    asked, text = await cold.signed(rig, ETH="3", USDT="250")
    before, hot = await _books(rig, "cold"), await _books(rig, "hot")
    capital = await rig.balance("capital:USDT")
    _, payments = await submit_refill(rig.engine, rig.settings, text, "me")
    for payment_id in payments:
        await rig.until(partial(_booked, rig, payment_id), "booked")
    assert await _books(rig, "hot") == {
        "ETH": hot["ETH"] + 3 * ETH,
        "USDT": hot["USDT"] + 250 * USDT,
    }
    after = await _books(rig, "cold")
    assert after["USDT"] == before["USDT"] - 250 * USDT
    assert 0 < before["ETH"] - 3 * ETH - after["ETH"] < ETH // 100  # the gas is the cold wallet's
    assert await rig.coins(asked.sender, "ETH") == after["ETH"]
    assert await rig.balance("capital:USDT") == capital
    assert await _deposits(rig) == 0
    await no_violation_of_the_wallet(rig)
    assert (await rig.audit("hot-wallet"))[-1] == "cold_refill_submitted"
    assert await rig.audit(f"payment-{payments[0]}") == ["signed", "broadcast", "booked"]


async def _deposits(rig: Rig) -> int:
    """Return how many payments of ours were taken for deposits."""
    row, stored = tables.deposit.c, tables.wallet_transaction.c
    query = sa.select(sa.func.count()).where(
        row.tx_hash.in_(sa.select(stored.tx_hash).where(stored.payment_id.is_not(None)))
    )
    async with rig.engine.connect() as connection:
        return int(await connection.scalar(query) or 0)


async def test_submitting_again_changes_nothing(rig: Rig, cold: Cold) -> None:
    """A file that was stored may be submitted again, also once it is booked."""
    _, text = await cold.signed(rig, USDT="1")
    _, first = await submit_refill(rig.engine, rig.settings, text, "me")
    _, second = await submit_refill(rig.engine, rig.settings, text, "me")
    await rig.until(partial(_booked, rig, first[0]), "booked")
    _, third = await submit_refill(rig.engine, rig.settings, text, "me")
    assert first == second == third
    assert await _payment_state(rig, first[0]) == "booked"


async def test_a_refill_that_was_sent_by_other_means_is_booked_as_one(rig: Rig, cold: Cold) -> None:
    """The watcher knows the sender; submitting the file afterwards changes nothing."""
    _, text = await cold.signed(rig, USDT="5")
    (raw,) = read_signed(text)[1]
    await rig.chain.broadcast(raw)
    await rig.mine()
    row = tables.wallet_payment.c
    query = sa.select(row.payment_id).where(row.tx_hash == transaction_hash(raw))

    async def found() -> bool:
        async with rig.engine.connect() as connection:
            return await connection.scalar(query) is not None

    await rig.until(found, True)
    _, (payment_id,) = await submit_refill(rig.engine, rig.settings, text, "me")
    await rig.until(partial(_booked, rig, payment_id), "booked")
    await no_violation_of_the_wallet(rig)


async def test_what_others_pay_to_the_cold_address_is_the_owners(rig: Rig, cold: Cold) -> None:
    """A payment from outside to the cold address is capital, with confirmations like any."""
    before = await _books(rig, "cold")
    tx_hash = await rig.fund(cold.address, "USDT", 7 * USDT)
    await rig.mine()
    await rig.until(partial(rig.deposit_state, tx_hash), "refilled")
    assert (await _books(rig, "cold"))["USDT"] == before["USDT"] + 7 * USDT
    await no_violation_of_the_wallet(rig)


async def test_another_transaction_at_a_stored_nonce_is_refused(rig: Rig, cold: Cold) -> None:
    """Two signed files for one nonce: the first that was stored stays; a new request goes on."""
    asked, text = await cold.signed(rig, USDT="1")
    await submit_refill(rig.engine, rig.settings, text, "me")
    more = replace(asked.payments[0], amount=2 * USDT)
    other = replace(asked, payments=(more,))
    with pytest.raises(ColdDeskError, match="has it already"):
        await submit_refill(rig.engine, rig.settings, sign_refill(cold.folder, other, WORDS), "me")
    later = await request_refill(rig.engine, rig.settings, asked.sender, {"USDT": "2"})
    assert later.nonce == asked.nonce + 1


async def test_foreign_refills_are_refused(rig: Rig, cold: Cold, tmp_path: Path) -> None:
    """One for another hot wallet, token, chain, or from an address that nobody pinned."""
    hot, chain_id = rig.wallet.public.hot_address, await rig.chain.chain_id()
    elsewhere = rig.wallet.public.deposit_address(7)
    policy = create_cold_wallet(tmp_path, WORDS, hot_address=elsewhere, chain_id=chain_id)
    asked = await request_refill(rig.engine, rig.settings, cold.address, {"ETH": "1"})
    assert asked.receiver == hot
    assert read_request(asked.text(), replace(policy, address=asked.sender, hot_address=hot))
    misdirected = replace(asked, sender=policy.address, receiver=elsewhere)
    text = sign_refill(tmp_path, misdirected, WORDS)
    with pytest.raises(ColdDeskError, match="the hot wallet is"):
        await submit_refill(rig.engine, rig.settings, text, "me")
    unknown = sign_refill(tmp_path, replace(asked, sender=policy.address), WORDS)
    with pytest.raises(ColdDeskError, match="no cold address of this exchange"):
        await submit_refill(rig.engine, rig.settings, unknown, "me")
    payment = replace(asked.payments[0], decimals=6)
    text = sign_refill(cold.folder, replace(asked, payments=(payment,)), WORDS)
    with pytest.raises(ColdDeskError, match="another ETH"):
        await submit_refill(rig.engine, rig.settings, text, "me")
    text = sign_refill(cold.folder, replace(asked, chain_id=chain_id + 1), WORDS)
    with pytest.raises(ColdDeskError, match="signed for chain"):
        await submit_refill(rig.engine, rig.settings, text, "me")
    with pytest.raises(ColdDeskError, match="there is no asset"):
        await request_refill(rig.engine, rig.settings, asked.sender, {"DOGE": "1"})
    for taken in (hot, rig.wallet.contracts["USDT"]):
        with pytest.raises(DeskError, match="not cold"):
            await set_cold_address(rig.engine, rig.settings, taken)


async def test_what_the_cold_wallet_pays_elsewhere_is_a_difference(rig: Rig, cold: Cold) -> None:
    """A stored refill whose nonce was used for another is dropped; unknown payments are found."""
    elsewhere = rig.wallet.public.deposit_address(9)
    asked = await request_refill(rig.engine, rig.settings, cold.address, {"ETH": "2"})
    paid = replace(asked, receiver=elsewhere, max_fee=2 * asked.max_fee)
    await rig.chain.broadcast(read_signed(sign_refill(cold.folder, paid, WORDS))[1][0])
    await rig.mine()
    text = sign_refill(cold.folder, asked, WORDS)
    _, (payment_id,) = await submit_refill(rig.engine, rig.settings, text, "me")
    await rig.until(partial(_booked, rig, payment_id), "dropped")
    (told,) = await violations_of_the_wallet(rig)
    assert told.startswith("wallet:cold:ETH:ETH")
