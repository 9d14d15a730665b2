"""Moving your money between main account and shards, so that you can trade there."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.errors import Problem
from api.schemas.common import identity_from
from api.schemas.transfers import TransferIn, TransferOut
from api.services import Services
from api.trading_balances import NOTHING, balance_of, unfunded
from domain.customer import Scope
from domain.instrument import Asset
from domain.money import INT64_MAX
from domain.shard_transfer import NewShardTransfer, NotFree, ShardTransfer
from domain.trading_balance import TradingBalance

router = APIRouter(prefix="/v1", tags=["account"], route_class=EdgeRoute)

_IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@router.post("/transfers", status_code=202, response_model=TransferOut)
@access(Scope.TRADE, weight=5, winds_down=True)
async def request_transfer(
    transfer: TransferIn,
    caller: CallerDep,
    services: ServicesDep,
    request: Request,
    response: Response,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> TransferOut:
    """Move money between shards and main. The header `Idempotency-Key` makes repeating it safe.

    A market uses the money on its own shard (`shard` of `/v1/markets`); deposits arrive on shard 0.
    Leave `from_shard` or `to_shard` out for the main account. Accepted means written down; `state`
    tells how far it is: `requested`, `taking`, `taken`, `done`; or `refused`, where it was not free
    or could not begin before `expires_us`; or `returning` and `returned`, where the second shard
    did not take it, so that it is where it came from; `in_main`, where that shard did not either.
    """
    if idempotency_key is None or _IDEMPOTENCY_KEY.fullmatch(idempotency_key) is None:
        raise Problem("missing_idempotency_key", "Send 1-64 letters, digits, `.`, `_`, `:`, `-`.")
    asset = services.asset(transfer.asset).asset
    _require_places(services, asset, transfer)
    request_id: str = request.state.request_id
    balance = await _balance(services, caller.customer_id, asset, transfer.from_shard)
    written = await services.transfers.create(
        NewShardTransfer(
            customer_id=caller.customer_id,
            idempotency_key=idempotency_key,
            asset_id=asset.asset_id,
            amount=_chain_units(asset, transfer.amount),
            from_shard=transfer.from_shard,
            to_shard=transfer.to_shard,
            free=_free(balance, asset),
        )
    )
    if written is None:
        raise Problem("idempotency_conflict")
    if isinstance(written, NotFree):
        text = f"{asset.chain_text(written.free)} {asset.code} are withdrawable there."
        raise unfunded(balance or NOTHING, asset, transfer.from_shard or 0, text)
    record, is_new = written
    if is_new:
        await services.transfer_starter.start(record.shard_transfer_id, request_id)
    else:
        response.status_code = 200
    return _out(record)


@router.get("/transfers/{transfer_id}", response_model=TransferOut)
@access(Scope.READ)
async def get_transfer(transfer_id: str, caller: CallerDep, services: ServicesDep) -> TransferOut:
    """Return one of your transfers."""
    identity = identity_from(transfer_id)
    record = await services.transfers.of_customer(caller.customer_id, identity)
    if record is None:
        raise Problem("not_found")
    return _out(record)


async def _balance(
    services: Services, customer_id: int, asset: Asset, shard: int | None
) -> TradingBalance | None:
    """Return what there is on a shard; None: of main, or while its engine is away."""
    if shard is None:
        return None
    try:
        return await balance_of(services, shard, customer_id, asset)
    except Problem:
        return None


def _free(balance: TradingBalance | None, asset: Asset) -> int | None:
    """Return what may leave, in chain units.

    The engine decides when it is debited; this spares the customer a transfer in vain.
    """
    if balance is None:
        return None
    return balance.withdrawable_units * asset.chain_units_per_engine_unit


def _require_places(services: Services, asset: Asset, transfer: TransferIn) -> None:
    """Refuse what the second shard's engine could only refuse once the first has paid."""
    if transfer.from_shard == transfer.to_shard:
        raise Problem("invalid_field", "The money is there already: name two places.")
    using = {
        market.shard
        for market in services.listings.markets
        if asset.asset_id in (market.instrument.base.asset_id, market.instrument.quote.asset_id)
    }
    for shard in (transfer.from_shard, transfer.to_shard):
        if shard is None:
            continue
        if shard not in using or shard not in services.doors:
            raise Problem("invalid_field", f"No market of shard {shard} uses {asset.code}.")


def _chain_units(asset: Asset, text: str) -> int:
    try:
        units = asset.engine_units(text)
    except ValueError as error:
        detail = f"A positive decimal number with at most {asset.engine_decimals} decimals."
        raise Problem("invalid_amount", detail) from error
    if units <= 0:
        raise Problem("invalid_amount", "The amount must be positive.")
    if units > INT64_MAX:
        raise Problem("overflow", f"No amount exceeds {asset.engine_text(INT64_MAX)}.")
    return units * asset.chain_units_per_engine_unit


def _out(record: ShardTransfer) -> TransferOut:
    return TransferOut(
        transfer_id=str(record.shard_transfer_id),
        asset=record.asset.code,
        amount=record.asset.chain_text(record.amount),
        from_shard=record.from_shard,
        to_shard=record.to_shard,
        state=record.state,
        reason=record.reason,
        time_us=int(record.created_at.timestamp() * 1000) * 1000,
        expires_us=int(record.expires_at.timestamp() * 1000) * 1000,
    )
