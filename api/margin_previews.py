"""What an order on a perpetual would do to its owner's margin, asked of the engine."""

from __future__ import annotations

from api import perpetual_answers as answers
from api.engine_calls import ask
from api.schemas.orders import MarginPreviewOut
from api.services import Services
from domain.commands import PlaceOrder
from domain.market import Market


async def margin_preview(
    services: Services, market: Market, command: PlaceOrder
) -> MarginPreviewOut | None:
    """Return the preview; None while the market has no mark. Nothing is promised."""
    door = services.door(market.shard)
    _, holdings = await ask(door.holdings(command.account_id))
    _, found = await ask(door.perpetuals())
    instrument = market.instrument
    now = next((one for one in found if one.symbol_id == instrument.symbol_id), None)
    if now is None or not now.mark_ticks:
        return None
    markets = {one.instrument.symbol_id: one.instrument for one in services.listings.markets}
    return answers.margin_preview(command, instrument, markets, holdings, now)
