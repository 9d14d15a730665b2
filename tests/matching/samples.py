"""One small day in a market: every command, and every event, at least once."""

from __future__ import annotations

from dataclasses import replace

from domain.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    Credit,
    Debit,
    DelistSymbol,
    ListSymbol,
    PlaceOrder,
    PlaceOrderList,
    SetAccountTier,
    SetDeadMansSwitch,
    SetParameters,
    SetShardMode,
    SetSymbolState,
    Started,
    Tick,
)
from domain.fees import FeeRates, fee_table, flat_fees
from domain.order import (
    ListKind,
    OrderType,
    SelfTrade,
    ShardMode,
    Side,
    StateCause,
    SymbolState,
    TimeInForce,
)
from tests.matching.perpetual_samples import perpetual_session

OPERATOR = StateCause.OPERATOR
LONG_REASON = "a reason that fills more than one stripe: " + "x" * 54  # 96 characters

_RULES = {
    "symbol_id": 1,
    "base_asset_id": 2,
    "quote_asset_id": 1,
    "base_units_per_lot": 100_000,
    "quote_units_per_tick_lot": 1,
    "max_taker_fee_ppm": 2_000,
    "listing_price_ticks": 1_000,
}
_LIMITS = {"band_ppm": 100_000, "max_order_lots": 10**9, "max_open_orders": 1_000}
_LISTING = ListSymbol(**_RULES, **_LIMITS, fees=flat_fees(1_000, 2_000))
_CHANGED = SetParameters(
    **_RULES,
    band_ppm=200_000,
    max_order_lots=10**8,
    max_open_orders=200,
    max_position_lots=10**10,
    fees=fee_table(FeeRates(1_000, 2_000), FeeRates(-300, 900)),
)


def session() -> list[tuple[str, Command]]:
    """Return a day in small markets in which every command and every event occurs."""
    spot = _spot()
    return [*spot, *perpetual_session(len(spot) + 1)]


def _spot() -> list[tuple[str, Command]]:
    order = PlaceOrder(
        1, 11, 1, Side.SELL, OrderType.LIMIT, TimeInForce.GTC, 1_000, 10, client_text="maker-1"
    )
    taker = PlaceOrder(2, 12, 1, Side.BUY, OrderType.MARKET, TimeInForce.IOC, 0, 4)
    return [
        ("started", Started(1, 7)),
        ("list", _LISTING),
        ("credit", Credit(2**127 + 5, 1, 2, 10**12, 900)),
        ("credit again", Credit(2**127 + 5, 1, 2, 10**12, 900)),
        ("credit quote", Credit(6, 2, 1, 10**12, 900)),
        ("place", order),
        ("place again", order),
        ("take", taker),
        ("cancel", CancelOrder(1, 1, 1)),
        ("cancel again", CancelOrder(1, 1, 0, 11)),
        ("cancel all", CancelAll(1, 1)),
        ("debit", Debit(8, 2, 1, 5, 900)),
        ("symbol state", SetSymbolState(1, SymbolState.CANCEL_ONLY, OPERATOR, "ada", "a glitch")),
        ("shard mode", SetShardMode(ShardMode.HALTED, OPERATOR, "ada", LONG_REASON)),
        ("tick", Tick()),
        *_later(order, taker),
    ]


def _later(order: PlaceOrder, taker: PlaceOrder) -> list[tuple[str, Command]]:
    """Return what came to the table later, so that the bytes before stay as published."""
    decrement = replace(
        order, client_key=22, side=Side.BUY, quantity_lots=3, self_trade=SelfTrade.DECREMENT
    )
    budget = PlaceOrder(
        1, 24, 1, Side.BUY, OrderType.MARKET, TimeInForce.IOC, 0, 0, quote_budget_units=2_500
    )
    return [
        ("shard open", SetShardMode(ShardMode.NORMAL, OPERATOR)),
        ("symbol open", SetSymbolState(1, SymbolState.OPEN, OPERATOR)),
        ("credit maker", Credit(9, 1, 1, 10**12, 900)),
        ("rest", replace(order, client_key=21)),
        ("self trade", decrement),
        ("cancel sells", CancelAll(1, 1, Side.SELL)),
        ("rest again", replace(order, client_key=23)),
        ("amend", AmendOrder(1, 1, 0, 23, 0, 4)),
        ("amend price", AmendOrder(1, 1, 4, 0, 1_010)),
        ("spend", replace(budget, account_id=2, client_text="spend")),
        (
            "good till date",
            replace(
                order,
                client_key=25,
                client_text="",
                expires_at_us=1_027,
                time_in_force=TimeInForce.GTD,
            ),
        ),
        ("due", Tick()),
        ("rest a last time", replace(order, client_key=26)),
        ("arm", SetDeadMansSwitch(1, 2)),
        ("disarm", SetDeadMansSwitch(2, 0)),
        ("fire", Tick()),
        ("iceberg", replace(order, client_key=27, display_lots=4)),
        ("take a slice", replace(taker, client_key=28, quantity_lots=5)),
        ("tier", SetAccountTier(1, 1)),
        ("parameters", _CHANGED),
        ("rest in tier 1", replace(order, client_key=29)),
        ("take from tier 1", replace(budget, account_id=2, client_key=30)),
        ("too much", replace(order, client_key=31, side=Side.BUY, quantity_lots=10**8)),
        *_last(order),
        *_lists(replace(order, symbol_id=2)),
    ]


def _lists(order: PlaceOrder) -> list[tuple[str, Command]]:
    """Return lists of orders in a second market: placed, repeated, cancelled, refused."""
    better = replace(order, client_key=41, price_ticks=1_050, post_only=True)
    worse = replace(
        order,
        client_key=42,
        client_text="",
        order_type=OrderType.STOP,
        price_ticks=0,
        trigger_price_ticks=950,
    )
    oco = PlaceOrderList(ListKind.OCO, (better, worse))
    uneven, other = replace(better, client_key=43, quantity_lots=9), replace(worse, client_key=44)
    return [
        ("list another market", replace(_LISTING, symbol_id=2)),
        ("oco", oco),
        ("oco again", oco),
        ("cancel one of two", CancelOrder(1, 2, 0, 42)),
        ("oco of two sizes", replace(oco, orders=(uneven, other))),
        *_brackets(order, better, worse),
    ]


def _brackets(
    order: PlaceOrder, better: PlaceOrder, worse: PlaceOrder
) -> list[tuple[str, Command]]:
    """Return brackets: one whose entry fills, one that is cancelled before."""
    entry = replace(order, client_key=51, side=Side.BUY, client_text="entry")
    children = (replace(better, client_key=52), replace(worse, client_key=53))
    bracket = PlaceOrderList(ListKind.BRACKET, (entry, *children))
    other = replace(entry, client_key=55), replace(children[1], client_key=56)
    return [
        ("bracket", bracket),
        ("bracket again", bracket),
        ("fill a part of its entry", replace(order, account_id=2, client_key=54, quantity_lots=1)),
        ("cancel the rest of its entry", CancelOrder(1, 2, 0, 51)),
        ("bracket with a stop alone", PlaceOrderList(ListKind.BRACKET, other)),
        ("cancel it", CancelOrder(1, 2, 0, 55)),
    ]


def _last(order: PlaceOrder) -> list[tuple[str, Command]]:
    """Return what ends the market: administration under keys, and the delisting."""
    return [
        ("tier under a key", SetAccountTier(1, 2, key=90)),
        ("tier again", SetAccountTier(1, 2, key=90)),
        ("parameters under a key", replace(_CHANGED, max_open_orders=300, key=91)),
        ("other parameters, same key", replace(_CHANGED, max_open_orders=301, key=91)),
        ("list again under a key", replace(_LISTING, key=92)),
        ("rest until the end", replace(order, client_key=32)),
        ("delist", DelistSymbol(1, "ada", LONG_REASON)),
        ("delist again", DelistSymbol(1, "ada", "nothing is left")),
        ("open a delisted market", SetSymbolState(1, SymbolState.OPEN, OPERATOR)),
        ("order in a delisted market", replace(order, client_key=33)),
    ]
