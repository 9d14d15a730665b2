"""The connected side of a cold refill: write the request, check and store the answer.

What is stored is sent, watched and booked by workflows, as every payment between our own addresses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError

from domain.chain import FeeQuote, dearer
from domain.cold_refill import RefillPayment, RefillRefusal, RefillRequest, parse_refill
from domain.evm_address import is_checksum_address
from domain.money import DecimalTextError, units_from_text
from domain.wallet_payment import (
    FINAL_STATES,
    WALLET_PAYMENT_WORKFLOW,
    PaymentKind,
    WalletPayment,
    WalletPaymentRequest,
    is_payment_id,
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
from infra.wallet.payment_store import PaymentStore
from infra.wallet.refill_store import NotStored, RefillObjection, RefillStore, fees_of
from infra.wallet.setup import CHAIN
from infra.wallet.transaction import decode_signed
from infra.wallet.workflow_starter import TemporalStarter
from workflows import task_queues

_REFUSED = {
    RefillObjection.NONCE_TAKEN: "another transaction, which pays something else, has it already",
    RefillObjection.NONCE_USED: "the chain has mined one of it: nothing is left to replace",
    RefillObjection.TOO_CHEAP: "the stored transaction is replaced only where both fees are at "
    "least a tenth higher; `rialto cold dearer` asks for such a one",
}
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


async def request_dearer(
    engine: AsyncEngine, settings: Settings, names: Sequence[str]
) -> RefillRequest:
    """Return the request for dearer transactions of refills that no block takes.

    It pays the same at the same nonces, which must follow each other; its fees are an eighth above
    the newest stored ones, or what the chain asks for now if that is more.
    """
    rows = await _stuck(engine, names)
    first, store = rows[0], PaymentStore(engine, LedgerStore(), AuditStore())
    assert first.nonce is not None
    if [row.nonce for row in rows] != list(range(first.nonce, first.nonce + len(rows))):
        raise ColdDeskError("their nonces do not follow each other: ask for one file each")
    if {(row.source, row.destination) for row in rows} != {(first.source, first.destination)}:
        raise ColdDeskError("they do not have the same sender and receiver: one file each")
    chain = EvmChain(settings.chain_url)
    try:
        state, fees = await chain.address_state(first.source, ()), await chain.fee_quote()
        chain_id = await chain.chain_id()
    finally:
        await chain.close()
    if state.nonce > first.nonce:
        raise ColdDeskError(f"the chain has mined one of nonce {first.nonce}: nothing to replace")
    payments = []
    for row in rows:
        newest = (await store.transactions(row.payment_id))[-1].raw
        paid = dearer(fees_of(newest), fees)
        fees = FeeQuote(max(fees.max_fee, paid.max_fee), max(fees.priority_fee, paid.priority_fee))
        gas, asset = decode_signed(newest).gas, row.asset
        payments.append(
            RefillPayment(asset.code, row.contract, asset.chain_decimals, row.amount, gas)
        )
    asked = RefillRequest(
        chain_id=chain_id,
        sender=first.source,
        receiver=first.destination,
        nonce=first.nonce,
        max_fee=fees.max_fee,
        priority_fee=fees.priority_fee,
        payments=tuple(payments),
    )
    read = parse_refill(asked.text(), keccak256)
    if isinstance(read, RefillRefusal):
        raise ColdDeskError(f"no cold wallet signs it at {fees.max_fee} wei a gas unit: {read}")
    return asked


async def _stuck(engine: AsyncEngine, names: Sequence[str]) -> list[WalletPayment]:
    """Return the refills of these names that are on their way, by nonce."""
    store = PaymentStore(engine, LedgerStore(), AuditStore())
    found = {}
    for name in names:
        payment_id = name.removeprefix("payment-")
        row = await store.load(payment_id) if is_payment_id(payment_id) else None
        if row is None:
            raise ColdDeskError(f"there is no payment {name}: `rialto wallet show` lists them")
        if row.kind is not PaymentKind.REFILL:
            raise ColdDeskError(f"{row.subject} is a {row.kind}: the cold wallet did not sign it")
        if row.state in FINAL_STATES:
            raise ColdDeskError(f"{row.subject} is {row.state}: nothing is left to replace")
        found[payment_id] = row
    return sorted(found.values(), key=lambda row: row.nonce or 0)


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

    Their workflows are started, and those that are parked for a low fee try again; where Temporal
    is away, the orphan sweep starts them later.
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
        mined_below = (await chain.address_state(request.sender, ())).nonce
    finally:
        await chain.close()
    stored = await store.store(CHAIN, request, raws, by, mined_below)
    if isinstance(stored, NotStored):
        raise ColdDeskError(f"nothing is stored; nonce {stored.nonce}: {_REFUSED[stored.why]}")
    await _start(settings, stored)
    return request, stored


async def _start(settings: Settings, payment_ids: Sequence[str]) -> None:
    async def client() -> Client:
        return await connect(settings)

    starter = TemporalStarter(client, task_queues.WALLET)
    try:
        for payment_id in payment_ids:
            name = wallet_payment_workflow_id(payment_id)
            request = WalletPaymentRequest(payment_id)
            if not await starter.ensure_running(WALLET_PAYMENT_WORKFLOW, name, request):
                await starter.signal(name, "retry_parked")
    except (RPCError, RuntimeError) as error:
        _log.warning("Temporal is away: the sweep starts the payments", error=str(error)[:200])
