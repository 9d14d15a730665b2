"""The wallet in the dialect: coins, deposits, withdrawals, fees, transfers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from fastapi import Response

from api.auth import generated_client_order_id
from api.binance.call import Call
from api.binance.errors import FUNDS, Refusal
from api.binance.names import markets, name_of, wanted
from api.binance.orders_found import time_range
from api.binance.spot_account import rate_text
from api.errors import Problem
from api.routes import transfers as native_transfers
from api.routes import withdrawals as native
from api.schemas.accounts import WithdrawalIn, WithdrawalOut
from api.schemas.transfers import TransferIn
from domain.market import AssetListing
from domain.money import INT64_MAX
from domain.wallet_record import DepositRecord, RowPlace, WithdrawalRecord

LARGEST_COUNT = 1_000
_PAGE = 200
Row = TypeVar("Row", DepositRecord, WithdrawalRecord)
_ADDRESS = "^0x[0-9a-fA-F]{40}$"
WITHDRAWAL_STATUSES = {  # 1 cancelled, 2 awaiting approval, 3 rejected, 4 processing, 6 done
    "requested": 2,
    "held": 2,
    "screened": 2,
    "approved": 4,
    "numbered": 4,
    "signed": 4,
    "broadcast": 4,
    "confirmed": 4,
    "reverted": 4,
    "voiding": 4,
    "voided": 3,
    "settled": 6,
    "rejecting": 3,
    "rejected": 3,
    "cancelling": 1,
    "cancelled": 1,
}
DEPOSIT_STATUSES = {  # 0 pending, 1 credited, 2 rejected, 7 not creditable
    "credited": 1,
    "refilled": 7,
    "below_minimum": 7,
    "collected": 1,  # credited together with others that were too small alone
    "suspended": 0,  # until it is decided
    "released": 1,
    "returning": 2,
    "returned": 2,
    "voided": 2,
}


async def coins(call: Call) -> list[dict[str, Any]]:
    """Return every coin with its network, fees and least amounts."""
    found = []
    for listing in call.services.listings.assets:
        asset = listing.asset
        network = {
            "network": listing.chain,
            "coin": asset.code,
            "name": listing.chain,
            "isDefault": True,
            "depositEnable": True,
            "withdrawEnable": True,
            "withdrawFee": asset.chain_text(listing.withdrawal_fee),
            "withdrawMin": asset.chain_text(listing.withdrawal_minimum),
            "withdrawMax": asset.engine_text(INT64_MAX),
            "withdrawIntegerMultiple": asset.engine_text(1),
            "depositDust": asset.chain_text(listing.deposit_minimum),
            "minConfirm": listing.confirmations,
            "unLockConfirm": listing.confirmations,
            "addressRegex": _ADDRESS,
            "memoRegex": "",
            "sameAddress": False,
            "contractAddress": listing.contract or "",
            "contractAddressUrl": "",
        }
        member = {
            "coin": asset.code,
            "name": asset.code,
            "trading": True,
            "isLegalMoney": False,
            "depositAllEnable": True,
            "withdrawAllEnable": True,
            "networkList": [network],
        }
        found.append(member)
    return found


async def trade_fees(call: Call) -> list[dict[str, Any]]:
    """Return what the caller pays on spot markets, of one or of all."""
    found = markets(call.services, perpetual=False)
    if call.parameters.text("symbol") is not None:
        found = [wanted(call.services, call.parameters, perpetual=False)]
    tiers = (await call.services.fee_tiers.of_customer(call.caller.customer_id)).tiers
    return [
        {
            "symbol": name_of(market.instrument),
            "makerCommission": rate_text(rates.maker_ppm),
            "takerCommission": rate_text(rates.taker_ppm),
        }
        for market in found
        for rates in (market.instrument.fees[tiers.get(market.shard, 0)],)
    ]


async def deposit_address(call: Call) -> dict[str, Any]:
    """Return where to send a coin; the address is the caller's alone."""
    listing = _coin(call)
    wallet = call.services.wallet
    address = await wallet.deposit_address(call.caller.customer_id, listing.chain)
    return {"coin": listing.asset.code, "address": address, "tag": "", "url": ""}


async def deposits(call: Call) -> list[dict[str, Any]]:
    """Return deposits, newest first."""
    return await _history(
        call, call.services.wallet.deposits, lambda record: _deposit(call, record)
    )


def _deposit(call: Call, record: DepositRecord) -> dict[str, Any]:
    listing = call.services.listings.asset_by_id(record.asset_id)
    assert listing is not None, "a deposit's asset is listed"
    needed = listing.confirmations
    return {
        "id": record.deposit_id,
        "amount": listing.asset.chain_text(record.amount),
        "coin": listing.asset.code,
        "network": listing.chain,
        "status": DEPOSIT_STATUSES.get(record.state, 0),
        "address": record.address,
        "addressTag": "",
        "txId": record.tx_hash,
        "insertTime": record.created_at_us // 1_000,
        "transferType": 0,
        "confirmTimes": f"{min(record.confirmations, needed)}/{needed}",
        "unlockConfirm": needed,
        "walletType": 0,
    }


async def withdraw(call: Call) -> dict[str, Any]:
    """Request a withdrawal; with `withdrawOrderId` repeating it is safe.

    As in the dialect, the fee is part of `amount`. Its refusals have codes of their own.
    """
    listing = _coin(call)
    if call.parameters.text("network") not in (None, listing.chain):
        raise Refusal(-4021, f"{listing.asset.code} is withdrawn over {listing.chain} only.")
    wanted_key = call.parameters.text("withdrawOrderId")
    asked = WithdrawalIn(
        asset=listing.asset.code,
        amount=call.parameters.need("amount"),
        address=call.parameters.need("address"),
    )
    try:
        record = await native.request_withdrawal(
            asked,
            caller=call.caller,
            services=call.services,
            request=call.request,
            response=Response(),
            idempotency_key=wanted_key or generated_client_order_id(call.caller.signature),
        )
    except Problem as problem:
        if problem.code == "insufficient_funds":
            raise Refusal(-4051, f"{FUNDS} {problem.detail}") from problem
        raise
    return {"id": record.withdrawal_id}


async def withdrawals(call: Call) -> list[dict[str, Any]]:
    """Return withdrawals, newest first."""
    name = call.parameters.text("withdrawOrderId")

    def told(record: WithdrawalRecord) -> dict[str, Any] | None:
        if name not in (None, record.idempotency_key):
            return None
        words = _withdrawal(call, native.withdrawal_out(record, call.services))
        return {**words, "withdrawOrderId": record.idempotency_key}

    return await _history(call, call.services.wallet.withdrawals, told)


def _withdrawal(call: Call, record: WithdrawalOut) -> dict[str, Any]:
    listing = call.services.asset(record.asset)
    applied = datetime.fromtimestamp(record.time_us // 1_000_000, UTC)
    return {
        "id": record.withdrawal_id,
        "amount": record.receives,
        "transactionFee": record.fee,
        "coin": record.asset,
        "status": WITHDRAWAL_STATUSES.get(record.state, 4),
        "address": record.address,
        "addressTag": "",
        "txId": record.tx_hash or "",
        "applyTime": applied.strftime("%Y-%m-%d %H:%M:%S"),
        "network": listing.chain,
        "transferType": 0,
        "info": record.reason or "",
        "confirmNo": 0,
        "walletType": 0,
    }


async def transfer(call: Call) -> dict[str, Any]:
    """Move money to or from the shard of the perpetuals; where it is there already, refuse.

    Spot and futures wallets are two views of one pot, so on one shard nothing has to be moved. The
    `tranId` is the upper 63 bits of the transfer's own id.
    """
    kind = call.parameters.need("type")
    if kind not in ("MAIN_UMFUTURE", "UMFUTURE_MAIN"):
        raise Refusal(-1130, "Data sent for parameter 'type' is not valid.")
    listing = call.services.asset(call.parameters.need("asset"))
    shards = {
        market.shard
        for market in markets(call.services, perpetual=True)
        if market.instrument.quote.asset_id == listing.asset.asset_id
    }
    if shards <= {native.DEFAULT_SHARD}:
        raise Refusal(-9000, "Spot and futures share one balance: there is nothing to transfer.")
    places = (native.DEFAULT_SHARD, min(shards - {native.DEFAULT_SHARD}))
    start, end = places if kind == "MAIN_UMFUTURE" else places[::-1]
    done = await native_transfers.request_transfer(
        TransferIn(
            asset=listing.asset.code,
            amount=call.parameters.need("amount"),
            from_shard=start,
            to_shard=end,
        ),
        caller=call.caller,
        services=call.services,
        request=call.request,
        response=Response(),
        idempotency_key=generated_client_order_id(call.caller.signature),
    )
    return {"tranId": int(done.transfer_id.replace("-", ""), 16) >> 65}


def _coin(call: Call) -> AssetListing:
    """Return the asset that `coin` names."""
    return call.services.asset(call.parameters.need("coin"))


def _chosen(call: Call) -> AssetListing | None:
    """Return the asset that `coin` names, None where all are wanted."""
    code = call.parameters.text("coin")
    return None if code is None else call.services.asset(code)


async def _history(
    call: Call,
    page: Callable[[int, RowPlace | None, int], Awaitable[list[Row]]],
    told: Callable[[Row], dict[str, Any] | None],
) -> list[dict[str, Any]]:
    """Return the caller's rows that the parameters ask for, newest first; `told` None leaves out.

    `page` gives a customer's rows before a place, so many at a time.
    """
    listing = _chosen(call)
    since_us, until_us = time_range(call.parameters)
    limit = call.parameters.count("limit", LARGEST_COUNT, LARGEST_COUNT)
    status = call.parameters.integer("status")
    found: list[dict[str, Any]] = []
    before = None if until_us is None else (until_us + 1, "")
    while len(found) < limit:
        records = await page(call.caller.customer_id, before, _PAGE)
        for one in records:
            if since_us is not None and one.created_at_us < since_us:
                return found[:limit]
            if listing is None or one.asset_id == listing.asset.asset_id:
                words = told(one)
                if words is not None and status in (None, words["status"]):
                    found.append(words)
        if len(records) < _PAGE:
            break
        before = records[-1].place
    return found[:limit]
