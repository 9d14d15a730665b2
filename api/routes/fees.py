"""Your fees: volume, tier, rates."""

from __future__ import annotations

from fastapi import APIRouter

from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.schemas.fees import FeesOut, MarketFeeOut, TierOut
from domain.customer import Scope
from domain.fee_tiers import REFERENCE_ASSET, TIER_VOLUMES, WINDOW_DAYS, tier_of

router = APIRouter(prefix="/v1", tags=["account"], route_class=EdgeRoute)


@router.get("/fees", response_model=FeesOut)
@access(Scope.READ, weight=2)
async def fees(caller: CallerDep, services: ServicesDep) -> FeesOut:
    """Return your 30-day volume, the tier it gives, and what you pay in each market."""
    found = await services.fee_tiers.of_customer(caller.customer_id)
    reference = services.listings.asset(REFERENCE_ASSET)
    unit = 1 if reference is None else 10**reference.asset.engine_decimals
    return FeesOut(
        volume="0" if reference is None else reference.asset.engine_text(found.volume_units),
        volume_asset=REFERENCE_ASSET,
        window_days=WINDOW_DAYS,
        as_of=found.day or None,
        tier=tier_of(found.volume_units, unit),
        tiers=[
            TierOut(tier=tier, from_volume=str(least)) for tier, least in enumerate(TIER_VOLUMES)
        ],
        markets=[
            MarketFeeOut(
                symbol=market.instrument.symbol,
                tier=tier,
                maker_fee_ppm=market.instrument.fees[tier].maker_ppm,
                taker_fee_ppm=market.instrument.fees[tier].taker_ppm,
            )
            for market in services.listings.markets
            if market.delisted_sequence is None
            for tier in (found.tiers.get(market.shard, 0),)
        ],
    )
