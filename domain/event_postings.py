"""What an engine event posts to the ledger, one event at a time.

An engine event counts engine units, the ledger chain units, and the conversion is an exact
multiplication (`Asset.chain_units_per_engine_unit`). Perpetuals have one more account,
`pnl_clearing`: realised profit comes from it and losses go to it, so that each posting balances
while positions are open; its balance is minus the sum of their cost bases after every command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domain import ledger
from domain.events import (
    Credited,
    Debited,
    Deleveraged,
    DustSwept,
    FundingPaid,
    FundingSettled,
    FundToppedUp,
    PerpetualTrade,
    PositionSettled,
    TakenOver,
    Trade,
)
from domain.instrument import Asset
from domain.ledger import LedgerInvariantError, Posting
from domain.order import Side
from domain.risk_commands import FUND_ACCOUNT

PositionEvent = (
    PerpetualTrade | FundingSettled | FundingPaid | TakenOver | Deleveraged | PositionSettled
)
"""What moves money of a perpetual market's positions."""

FundEvent = FundToppedUp | DustSwept
MoneyEvent = Trade | Credited | Debited | PositionEvent | FundEvent

MONEY_EVENTS = (
    Trade,
    Credited,
    Debited,
    PerpetualTrade,
    FundingSettled,
    FundingPaid,
    TakenOver,
    Deleveraged,
    PositionSettled,
    FundToppedUp,
    DustSwept,
)


@dataclass(frozen=True, slots=True)
class Pair:
    """What settlement needs to know of an instrument: its two assets."""

    base: Asset
    quote: Asset


def postings_for(
    event: MoneyEvent,
    *,
    shard: int,
    assets: Mapping[int, Asset],
    pairs: Mapping[int, Pair],
) -> tuple[Posting, ...]:
    """Return the postings of one engine event, in chain units.

    Trade: base seller -> buyer, quote buyer -> seller, the taker's fee -> fees, then the maker's
    (a negative one, a rebate, goes the other way and is never more than the taker's fee).
    Credited: transit -> trading. Debited: trading -> transit.
    On perpetuals: realised profit pnl_clearing -> trading (a loss the other way), fees as above,
    what a liquidation fill leaves to the fund trading -> insurance. Funding is paid through
    pnl_clearing: its entries, and their rounding, come to 0 there. A top-up is the owners' money,
    capital -> insurance; swept dust goes rounding -> insurance.
    """
    match event:
        case Trade():
            return _trade_postings(event, shard, _pair_of(event, pairs))
        case Credited() | Debited():
            asset = _asset_of(event, assets)
            inside = ledger.trading(event.account_id, shard, asset.code)
            outside = ledger.transit(shard, asset.code)
            into = (outside, inside) if isinstance(event, Credited) else (inside, outside)
            return _moved([(*into, event.amount_units)], asset)
        case FundToppedUp() | DustSwept():
            asset = _asset_of(event, assets)
            fund = ledger.insurance(shard, asset.code)
            is_dust = isinstance(event, DustSwept)
            source = ledger.rounding(shard, asset.code) if is_dust else ledger.capital(asset.code)
            return _moved([(source, fund, event.amount_units)], asset)
        case _:
            quote = _pair_of(event, pairs).quote
            return _moved(_position_moves(event, shard, quote.code), quote)


Move = tuple[str, str, int]  # source, destination, engine units; negative: the other way


def _position_moves(event: PositionEvent, shard: int, asset: str) -> list[Move]:
    clearing = ledger.pnl_clearing(shard, event.symbol_id, asset)

    def cash(account_id: int) -> str:
        if account_id == FUND_ACCOUNT:
            return ledger.insurance(shard, asset)
        return ledger.trading(account_id, shard, asset)

    match event:
        case PerpetualTrade():
            income = ledger.fees(shard, asset)
            maker, taker = cash(event.maker_account_id), cash(event.taker_account_id)
            return [
                (clearing, maker, event.maker_realised_units),
                (clearing, taker, event.taker_realised_units),
                (taker, income, event.taker_fee_units),
                (maker, income, event.maker_fee_units),
                (taker, ledger.insurance(shard, asset), event.insurance_units),
            ]
        case FundingSettled():
            return [(clearing, ledger.rounding(shard, asset), event.rounding_units)]
        case FundingPaid():
            return [(clearing, cash(event.account_id), event.amount_units)]
        case PositionSettled():
            return [(clearing, cash(event.account_id), event.realised_units)]
        case TakenOver():
            return [
                (clearing, cash(event.account_id), event.realised_units),
                (clearing, cash(FUND_ACCOUNT), event.fund_realised_units),
            ]
        case Deleveraged():
            return [
                (clearing, cash(event.account_id), event.realised_units),
                (clearing, cash(event.counterparty_id), event.counterparty_realised_units),
            ]


def _pair_of(event: Trade | PositionEvent, pairs: Mapping[int, Pair]) -> Pair:
    pair = pairs.get(event.symbol_id)
    if pair is None:
        raise LedgerInvariantError(f"sequence {event.sequence}: unknown symbol {event.symbol_id}")
    return pair


def _asset_of(
    event: Credited | Debited | FundToppedUp | DustSwept, assets: Mapping[int, Asset]
) -> Asset:
    asset = assets.get(event.asset_id)
    if asset is None:
        raise LedgerInvariantError(f"sequence {event.sequence}: unknown asset {event.asset_id}")
    return asset


def _trade_postings(event: Trade, shard: int, pair: Pair) -> tuple[Posting, ...]:
    if event.maker_account_id == event.taker_account_id:
        raise LedgerInvariantError(f"trade {event.trade_id}: an account trades with itself")
    base, quote = pair.base.code, pair.quote.code
    buyer, seller = event.taker_account_id, event.maker_account_id
    if event.taker_side is Side.SELL:
        buyer, seller = seller, buyer
    trading, income = ledger.trading, ledger.fees(shard, quote)
    goods = (trading(seller, shard, base), trading(buyer, shard, base), event.base_units)
    money = [
        (trading(buyer, shard, quote), trading(seller, shard, quote), event.quote_units),
        (trading(event.taker_account_id, shard, quote), income, event.taker_fee_units),
        (trading(event.maker_account_id, shard, quote), income, event.maker_fee_units),
    ]
    return _moved([goods], pair.base) + _moved(money, pair.quote)


def _moved(moves: list[Move], asset: Asset) -> tuple[Posting, ...]:
    """Return the postings of moves; what moves nothing, or from an account to itself, is none."""
    postings = []
    for source, destination, units in moves:
        amount = abs(units) * asset.chain_units_per_engine_unit
        if amount and source != destination:
            way = (source, destination) if units > 0 else (destination, source)
            postings.append(Posting(*way, asset.code, amount))
    return tuple(postings)
