"""Your money: balances, deposit addresses, deposits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query

from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.schemas.accounts import (
    BalanceOut,
    BalancesOut,
    ConfirmationTierOut,
    DepositAddressesOut,
    DepositAddressOut,
    DepositOut,
    DepositPage,
    ShardBalanceOut,
)
from api.schemas.common import decode_row_cursor, encode_row_cursor
from api.trading_balances import NOTHING, told_balance, trading_balances
from domain.customer import Scope
from domain.deposit import tier_of
from domain.market import AssetListing
from domain.trading_balance import TradingBalance

router = APIRouter(prefix="/v1", tags=["account"], route_class=EdgeRoute)

Limit = Annotated[int, Query(ge=1, le=200)]
CursorText = Annotated[str | None, Query(max_length=200)]


@router.get("/balances", response_model=BalancesOut)
@access(Scope.READ, weight=2)
async def balances(caller: CallerDep, services: ServicesDep) -> BalancesOut:
    """Return your balances: the trading part from the engine, the rest from the ledger.

    `total` is `available` + `in_orders` + `main` + `withdrawing`: all that is yours. A withdrawal
    moves its amount from `available` to `withdrawing`, and out of the total once it is paid. Of
    what backs perpetuals, margin and unrealised profit count too: `available` is for new orders,
    `withdrawable` what may leave.
    """
    trading = {
        shard: await trading_balances(services, shard, caller.customer_id)
        for shard in sorted(services.doors)
    }
    main = await services.wallet.main_balances(caller.customer_id)
    withdrawing = await services.wallet.withdrawing(caller.customer_id)
    return BalancesOut(
        balances=[
            _balance(
                listing,
                trading,
                main.get(listing.asset.code, 0),
                withdrawing.get(listing.asset.asset_id, 0),
            )
            for listing in services.listings.assets
        ]
    )


def _balance(
    listing: AssetListing,
    trading: Mapping[int, tuple[int, Mapping[int, TradingBalance]]],
    main: int,
    withdrawing: int,
) -> BalanceOut:
    asset = listing.asset
    parts = {
        shard: (sequence, found.get(asset.asset_id, NOTHING))
        for shard, (sequence, found) in trading.items()
    }
    there = [found for _, found in parts.values()]
    units = sum(found.all_units for found in there)
    trading_amount = units * asset.chain_units_per_engine_unit
    shards = tuple(
        ShardBalanceOut(shard=shard, sequence=sequence, **told_balance(asset, found))
        for shard, (sequence, found) in parts.items()
    )
    return BalanceOut(
        asset=asset.code,
        total=asset.chain_text(trading_amount + main + withdrawing),
        main=asset.chain_text(main),
        withdrawing=asset.chain_text(withdrawing),
        sequence=shards[0].sequence,
        shards=shards,
        **told_balance(asset, *there),
    )


@router.get("/deposit-addresses", response_model=DepositAddressesOut)
@access(Scope.READ, weight=2)
async def deposit_addresses(caller: CallerDep, services: ServicesDep) -> DepositAddressesOut:
    """Return where to send each asset; the address is yours alone and stays the same."""
    addresses: dict[str, str] = {}
    lines = []
    for listing in services.listings.assets:
        if listing.chain not in addresses:
            addresses[listing.chain] = await services.wallet.deposit_address(
                caller.customer_id, listing.chain
            )
        lines.append(
            DepositAddressOut(
                asset=listing.asset.code,
                chain=listing.chain,
                address=addresses[listing.chain],
                contract=listing.contract,
                confirmations=listing.confirmations,
                tiers=[
                    ConfirmationTierOut(
                        name=tier.name,
                        above=listing.asset.chain_text(tier.above),
                        confirmations=tier.confirmations,
                    )
                    for tier in listing.confirmation_tiers
                ],
                minimum=listing.asset.chain_text(listing.deposit_minimum),
            )
        )
    return DepositAddressesOut(deposit_addresses=lines)


@router.get("/deposits", response_model=DepositPage)
@access(Scope.READ, weight=2)
async def deposits(
    caller: CallerDep, services: ServicesDep, limit: Limit = 100, cursor: CursorText = None
) -> DepositPage:
    """List your deposits, newest first."""
    before = decode_row_cursor("deposits", cursor)
    records = await services.wallet.deposits(caller.customer_id, before, limit)
    following = None
    if len(records) == limit:
        following = encode_row_cursor("deposits", records[-1].place)
    lines = []
    for record in records:
        listing = services.listings.asset_by_id(record.asset_id)
        assert listing is not None, "a deposit's asset is listed"
        tier = tier_of(record.amount, listing.confirmation_tiers)
        lines.append(
            DepositOut(
                deposit_id=record.deposit_id,
                asset=listing.asset.code,
                amount=listing.asset.chain_text(record.amount),
                state=record.state,
                confirmations=record.confirmations,
                required_confirmations=tier.confirmations,
                tier=tier.name,
                tx_hash=record.tx_hash,
                address=record.address,
                reason=record.reason,
                time_us=record.created_at_us,
            )
        )
    return DepositPage(deposits=lines, next=following)
