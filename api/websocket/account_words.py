"""What a command did to one account, in words: the events of the channel `account`.

Only what happened, never a sum: who keeps a book of his orders and positions applies them in
order. Other accounts are never named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from api import order_answers as answers
from api.order_documents import word
from domain import events as e
from domain.instrument import Instrument
from domain.market import Listings
from domain.order_history import OrderChange
from domain.rounding import half_even_div

Words = dict[str, Any]


def told(listings: Listings, account_id: int, events: Sequence[e.Event]) -> list[Words]:
    """Return what the events of one command say to an account, in their order."""
    found: list[Words] = []
    for event in events:
        teller = _TELLERS.get(type(event))
        has_two_sides = isinstance(event, e.Deleveraged)  # as trades, which name no `account_id`
        is_ours = has_two_sides or getattr(event, "account_id", account_id) == account_id
        if teller is not None and is_ours:
            found += teller(_Case(listings, account_id, events[0]), event)
    return found


class _Case:
    """Who is told, and by which outcome's command."""

    def __init__(self, listings: Listings, account_id: int, outcome: e.Event) -> None:
        self.listings = listings
        self.account_id = account_id
        self.outcome = outcome

    def market(self, symbol_id: int) -> Instrument:
        """Return a market."""
        return answers.instrument_of(self.listings, symbol_id)


def _placed(case: _Case, event: e.OrderAccepted) -> list[Words]:
    record = OrderChange(event.order_id, accepted=event).record()
    order = answers.order_out(record, case.market(event.symbol_id))
    return [{"event": "order_placed", "order": order.model_dump(exclude={"duplicate", "fills"})}]


def _amended(case: _Case, event: e.OrderAmended) -> list[Words]:
    market = case.market(event.symbol_id)
    trigger = event.trigger_price_ticks
    return [
        _order("order_amended", market, event.order_id)
        | {
            "price": market.price_text(event.price_ticks) if event.price_ticks else None,
            "quantity": market.quantity_text(event.quantity_lots),
            "trigger_price": market.price_text(trigger) if trigger else None,
            "filled_quantity": market.quantity_text(event.filled_lots),
        }
    ]


def _triggered(case: _Case, event: e.OrderTriggered) -> list[Words]:
    market = case.market(event.symbol_id)
    reached = market.price_text(event.reached_price_ticks)
    refusal = word(event.refusal) if event.refusal else None
    words = _order("order_triggered", market, event.order_id)
    return [words | {"reached_price": reached, "refusal": refusal}]


def _armed(case: _Case, event: e.OrderArmed) -> list[Words]:
    market = case.market(event.symbol_id)
    refusal = word(event.refusal) if event.refusal else None
    quantity = market.quantity_text(event.quantity_lots)
    words = _order("order_armed", market, event.order_id)
    return [words | {"quantity": quantity, "refusal": refusal}]


def _prevented(case: _Case, event: e.SelfTradePrevented) -> list[Words]:
    market = case.market(event.symbol_id)
    return [
        {
            "event": "self_trade_prevented",
            "symbol": market.symbol,
            "order_ids": [str(event.maker_order_id), str(event.taker_order_id)],
            "quantity": market.quantity_text(event.lots),
        }
    ]


def _closed(case: _Case, event: e.OrderClosed) -> list[Words]:
    market = case.market(event.symbol_id)
    return [
        _order("order_closed", market, event.order_id)
        | {
            "status": word(event.reason.status),
            "close_reason": word(event.reason),
            "filled_quantity": market.quantity_text(event.filled_lots),
        }
    ]


def _filled(case: _Case, event: e.Trade | e.PerpetualTrade) -> list[Words]:
    """Tell a trade with oneself twice, as maker and as taker."""
    market = case.market(event.symbol_id)
    found = []
    for role in ("maker", "taker"):
        if getattr(event, f"{role}_account_id") != case.account_id:
            continue
        side = event.taker_side if role == "taker" else event.taker_side.opposite
        words = _order("fill", market, getattr(event, f"{role}_order_id")) | {
            "trade_id": str(event.trade_id),
            "side": word(side),
            "role": role,
            "price": market.price_text(event.price_ticks),
            "quantity": market.quantity_text(event.quantity_lots),
            "fee": market.quote.engine_text(getattr(event, f"{role}_fee_units")),
            "fee_asset": market.quote.code,
        }
        if isinstance(event, e.PerpetualTrade):
            words |= _perpetual_part(market, event, role)
            is_liquidation = role == "taker" and isinstance(case.outcome, e.LiquidationPlaced)
            words["liquidation"] = is_liquidation
        found.append(words)
    return found


def _perpetual_part(market: Instrument, event: e.PerpetualTrade, role: str) -> Words:
    realised = getattr(event, f"{role}_realised_units")
    insurance = event.insurance_units if role == "taker" else 0
    return {
        "realised_profit": market.quote.engine_text(realised),
        "insurance": market.quote.engine_text(insurance),
        "position": market.quantity_text(getattr(event, f"{role}_lots")),
    }


def _money(case: _Case, event: e.Credited | e.Debited) -> list[Words]:
    listing = case.listings.asset_by_id(event.asset_id)
    if listing is None:
        return []
    kind = "credited" if isinstance(event, e.Credited) else "debited"
    asset = listing.asset
    amount = asset.engine_text(event.amount_units)
    return [{"event": kind, "asset": asset.code, "amount": amount}]


def _switch(case: _Case, event: e.DeadMansSwitchSet | e.DeadMansSwitchFired) -> list[Words]:
    if isinstance(event, e.DeadMansSwitchFired):
        return [{"event": "dead_mans_switch_fired"}]
    return [{"event": "dead_mans_switch_set", "deadline_us": event.deadline_us or None}]


def _leverage(case: _Case, event: e.LeverageSet) -> list[Words]:
    symbol = case.market(event.symbol_id).symbol
    return [{"event": "leverage_set", "symbol": symbol, "leverage": event.leverage}]


def _mode(case: _Case, event: e.MarginModeSet) -> list[Words]:
    symbol = case.market(event.symbol_id).symbol
    return [{"event": "margin_mode_set", "symbol": symbol, "mode": word(event.mode)}]


def _margin(case: _Case, event: e.MarginMoved) -> list[Words]:
    market = case.market(event.symbol_id)
    amount = market.quote.engine_text(event.amount_units)
    margin = market.quote.engine_text(event.margin_units)
    words = {"event": "margin_moved", "symbol": market.symbol}
    return [words | {"amount": amount, "margin": margin}]


def _funding(case: _Case, event: e.FundingPaid) -> list[Words]:
    market = case.market(event.symbol_id)
    settled = case.outcome
    assert isinstance(settled, e.FundingSettled), settled
    return [
        {
            "event": "funding",
            "symbol": market.symbol,
            "amount": market.quote.engine_text(event.amount_units),
            "asset": market.quote.code,
            "position": market.quantity_text(event.lots),
            "rate_ppm": settled.rate_ppm,
            "mark_price": market.price_text(settled.mark_ticks),
            "funding_time_us": settled.funding_time_us,
        }
    ]


def _scope(case: _Case, event: e.ScopeFrozen | e.ScopeUnfrozen) -> list[Words]:
    """Tell of a liquidation; its `symbol` is null where it concerns the cross margin."""
    kind = "liquidation_started" if isinstance(event, e.ScopeFrozen) else "liquidation_ended"
    symbol = case.market(event.symbol_id).symbol if event.symbol_id else None
    return [{"event": kind, "symbol": symbol}]


def _taken(case: _Case, event: e.TakenOver) -> list[Words]:
    market = case.market(event.symbol_id)
    closed = _closing(market, event.delta_lots, event.quote_units)
    closed |= _after(market, event.lots, event.realised_units)
    return [{"event": "takeover", "symbol": market.symbol, **closed}]


def _deleveraged(case: _Case, event: e.Deleveraged) -> list[Words]:
    market = case.market(event.symbol_id)
    sides = {
        "liquidated": (event.account_id, event.lots, event.realised_units),
        "counterparty": (
            event.counterparty_id,
            event.counterparty_lots,
            event.counterparty_realised_units,
        ),
    }
    found = []
    for role, (account_id, lots, realised) in sides.items():
        if account_id == case.account_id:
            words = {"event": "deleveraging", "symbol": market.symbol, "role": role}
            words |= _closing(market, event.delta_lots, event.quote_units)
            found.append(words | _after(market, lots, realised))
    return found


def _settled(case: _Case, event: e.PositionSettled) -> list[Words]:
    market = case.market(event.symbol_id)
    settled = case.outcome
    assert isinstance(settled, e.MarketSettled), settled
    words = {
        "event": "settlement",
        "symbol": market.symbol,
        "quantity": market.quantity_text(abs(event.lots)),
        "price": market.price_text(settled.price_ticks),
    }
    return [words | _after(market, 0, event.realised_units)]


def _order(kind: str, market: Instrument, order_id: int) -> Words:
    return {"event": kind, "order_id": str(order_id), "symbol": market.symbol}


def _closing(market: Instrument, lots: int, quote_units: int) -> Words:
    """Return how much was closed, and at which price, half-even to a tick."""
    units = abs(lots) * market.quote_units_per_tick_lot
    price = market.price_text(half_even_div(abs(quote_units), units))
    return {"quantity": market.quantity_text(abs(lots)), "price": price}


def _after(market: Instrument, lots: int, realised_units: int) -> Words:
    realised = market.quote.engine_text(realised_units)
    return {"realised_profit": realised, "position": market.quantity_text(lots)}


_TELLERS: dict[type, Callable[[_Case, Any], list[Words]]] = {
    e.OrderAccepted: _placed,
    e.OrderAmended: _amended,
    e.OrderTriggered: _triggered,
    e.OrderArmed: _armed,
    e.SelfTradePrevented: _prevented,
    e.OrderClosed: _closed,
    e.Trade: _filled,
    e.PerpetualTrade: _filled,
    e.Credited: _money,
    e.Debited: _money,
    e.DeadMansSwitchSet: _switch,
    e.DeadMansSwitchFired: _switch,
    e.LeverageSet: _leverage,
    e.MarginModeSet: _mode,
    e.MarginMoved: _margin,
    e.FundingPaid: _funding,
    e.ScopeFrozen: _scope,
    e.ScopeUnfrozen: _scope,
    e.TakenOver: _taken,
    e.Deleveraged: _deleveraged,
    e.PositionSettled: _settled,
}
