"""The connected side of a cold refill: write the request, check and send the answer."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.cold_refill import RefillPayment, RefillRequest
from domain.evm_address import is_checksum_address
from domain.money import DecimalTextError, units_from_text
from infra.postgres.audit_store import AuditStore
from infra.settings import Settings
from infra.wallet.chain import EvmChain, TransactionRefusedError
from infra.wallet.cold_wallet import read_signed
from infra.wallet.erc20 import transfer_call
from infra.wallet.keccak import keccak256
from infra.wallet.keys import load_public
from infra.wallet.refill_store import RefillStore
from infra.wallet.setup import CHAIN
from infra.wallet.transaction import transaction_hash


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
    assets = await RefillStore(engine, AuditStore()).assets(CHAIN)
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
            nonce=state.nonce,
            max_fee=fees.max_fee,
            priority_fee=fees.priority_fee,
            payments=tuple(payments),
        )
    except (DecimalTextError, TransactionRefusedError) as error:
        raise ColdDeskError(str(error)) from error
    finally:
        await chain.close()


async def submit_refill(
    engine: AsyncEngine, settings: Settings, text: str, by: str
) -> tuple[RefillRequest, list[str]]:
    """Check a signed file, store its transactions, then broadcast them; return their hashes.

    Safe to repeat: the same file is stored once, and sending the same bytes changes nothing.
    """
    request, raws = read_signed(text)
    store, chain = RefillStore(engine, AuditStore()), EvmChain(settings.chain_url)
    hot = load_public(settings.data_dir).hot_address
    if request.receiver != hot:
        raise ColdDeskError(f"it pays {request.receiver}, and the hot wallet is {hot}")
    assets = await store.assets(CHAIN)
    for payment in request.payments:
        if assets.get(payment.asset) != (payment.contract, payment.decimals):
            raise ColdDeskError(f"it pays another {payment.asset} than this exchange's")
    try:
        if request.chain_id != await chain.chain_id():
            raise ColdDeskError(f"it is signed for chain {request.chain_id}")
        taken = await store.store(CHAIN, request, raws, by)
        if taken:
            raise ColdDeskError(f"other transactions have its nonces already: {taken}")
        hashes = [transaction_hash(raw) for raw in raws]
        for raw, tx_hash in zip(raws, hashes, strict=True):
            await chain.broadcast(raw)
            await store.note_broadcast(tx_hash)
    except TransactionRefusedError as error:
        raise ColdDeskError(f"stored, but the node refuses it: {error}; submit it again") from error
    finally:
        await chain.close()
    return request, hashes
