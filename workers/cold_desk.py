"""The connected side of a cold refill: write the request, check and store the answer.

What is stored is sent, watched and booked by workflows, as every payment between our own addresses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError

from domain.cold_refill import RefillPayment, RefillRequest
from domain.evm_address import is_checksum_address
from domain.money import DecimalTextError, units_from_text
from domain.wallet_payment import (
    WALLET_PAYMENT_WORKFLOW,
    WalletPaymentRequest,
    wallet_payment_workflow_id,
)
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.settings import Settings
from infra.temporal.client import connect
from infra.wallet.chain import EvmChain, TransactionRefusedError
from infra.wallet.cold_addresses import ColdAddresses
from infra.wallet.cold_wallet import read_signed
from infra.wallet.erc20 import transfer_call
from infra.wallet.keccak import keccak256
from infra.wallet.keys import load_public
from infra.wallet.refill_store import NoncesTaken, RefillStore
from infra.wallet.setup import CHAIN
from infra.wallet.workflow_starter import TemporalStarter
from workflows import task_queues

_log = structlog.get_logger(__name__)


class ColdDeskError(Exception):
    """The refill makes no sense as things are; the message says why."""


async def request_refill(
    engine: AsyncEngine, settings: Settings, sender: str, amounts: Mapping[str, str]
) -> RefillRequest:
    """Return the request for `amounts` (decimal text by asset), with the chain's nonce and fees.

    `sender` "" is the pinned cold address.
    """
    sender = sender or load_public(settings.data_dir).cold_address or ""
    if not sender:
        raise ColdDeskError("no cold address is pinned: say --from ADDRESS")
    if not is_checksum_address(sender, keccak256):
        raise ColdDeskError(f"{sender!r} is no address in checksum form")
    await _require_counted(engine, sender)
    store = RefillStore(engine, AuditStore())
    assets = await store.assets(CHAIN)
    hot, chain = load_public(settings.data_dir).hot_address, EvmChain(settings.chain_url)
    payments = []
    try:
        for code, text in amounts.items():
            if code not in assets:
                raise ColdDeskError(f"there is no asset {code} on the chain {CHAIN}")
            contract, decimals = assets[code]
            amount = units_from_text(text, decimals)
            token = contract is not None
            data = transfer_call(hot, amount) if token else b""
            value = 0 if token else amount
            gas = await chain.gas_for(sender, contract or hot, value, data)
            payments.append(RefillPayment(code, contract, decimals, amount, gas))
        state, fees = await chain.address_state(sender, {None}), await chain.fee_quote()
        return RefillRequest(
            chain_id=await chain.chain_id(),
            sender=sender,
            receiver=hot,
            nonce=max(state.nonce, await store.next_nonce(CHAIN, sender)),
            max_fee=fees.max_fee,
            priority_fee=fees.priority_fee,
            payments=tuple(payments),
        )
    except (DecimalTextError, TransactionRefusedError) as error:
        raise ColdDeskError(str(error)) from error
    finally:
        await chain.close()


async def _require_counted(engine: AsyncEngine, sender: str) -> None:
    """Refuse a sender whose coins are not in the books: they cannot be taken from there."""
    known = await ColdAddresses(engine, LedgerStore(), AuditStore()).known(CHAIN)
    if sender not in known:
        raise ColdDeskError(
            f"{sender} is no cold address of this exchange: pin it by `rialto wallet cold-address` "
            "(a payment from elsewhere to the hot wallet's address is booked as the owners')"
        )
    if known[sender] is None:
        raise ColdDeskError(
            f"what {sender} has is not in the books yet: the chain watcher counts it when it has "
            "read the newest block; try again in a moment"
        )


async def submit_refill(
    engine: AsyncEngine, settings: Settings, text: str, by: str
) -> tuple[RefillRequest, list[str]]:
    """Check a signed file and store its payments; return their ids. Safe to repeat.

    Their workflows are started; where Temporal is away, the orphan sweep does it later.
    """
    request, raws = read_signed(text)
    store = RefillStore(engine, AuditStore())
    hot = load_public(settings.data_dir).hot_address
    if request.receiver != hot:
        raise ColdDeskError(f"it pays {request.receiver}, and the hot wallet is {hot}")
    await _require_counted(engine, request.sender)
    assets = await store.assets(CHAIN)
    for payment in request.payments:
        if assets.get(payment.asset) != (payment.contract, payment.decimals):
            raise ColdDeskError(f"it pays another {payment.asset} than this exchange's")
    chain = EvmChain(settings.chain_url)
    try:
        if request.chain_id != await chain.chain_id():
            raise ColdDeskError(f"it is signed for chain {request.chain_id}")
    finally:
        await chain.close()
    stored = await store.store(CHAIN, request, raws, by)
    if isinstance(stored, NoncesTaken):
        raise ColdDeskError(f"other transactions have its nonces already: {[*stored.nonces]}")
    await _start(settings, stored)
    return request, stored


async def _start(settings: Settings, payment_ids: Sequence[str]) -> None:
    async def client() -> Client:
        return await connect(settings)

    starter = TemporalStarter(client, task_queues.WALLET)
    try:
        for payment_id in payment_ids:
            await starter.ensure_running(
                WALLET_PAYMENT_WORKFLOW,
                wallet_payment_workflow_id(payment_id),
                WalletPaymentRequest(payment_id),
            )
    except (RPCError, RuntimeError) as error:
        _log.warning("Temporal is away: the sweep starts the payments", error=str(error)[:200])
