"""What a reader knows of perpetuals who sees events only: positions, cash, the fund, dust."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from domain.events import (
    Credited,
    Debited,
    Deleveraged,
    DustSwept,
    Event,
    FundingPaid,
    FundingSettled,
    FundToppedUp,
    MarginModeSet,
    MarginMoved,
    PerpetualTrade,
    PositionSettled,
    TakenOver,
    Trade,
)
from domain.order import Side
from domain.risk_commands import FUND_ACCOUNT
from tests.matching.desk import ETH_USDT, USDT

Place = tuple[int, int]  # (account, symbol)


class PerpetualMirror:
    """Rebuild collateral and positions from events; the ledger does it the same way."""

    def __init__(self) -> None:
        self.cash: dict[int, int] = defaultdict(int)
        self.isolated: dict[Place, int] = defaultdict(int)
        self.positions: dict[Place, tuple[int, int]] = {}
        self.fees = 0
        self.dust = 0
        self.clearing: dict[int, int] = defaultdict(int)

    def read(self, events: Iterable[Event]) -> None:
        """Take in events in order."""
        for event in events:
            match event:
                case Credited() | FundToppedUp() if event.asset_id == USDT:
                    self.cash[event.account_id] += event.amount_units
                case Debited() if event.asset_id == USDT:
                    self.cash[event.account_id] -= event.amount_units
                case Trade() if event.symbol_id == ETH_USDT:
                    self._spot(event)
                case PerpetualTrade():
                    self._trade(event)
                case MarginMoved():
                    self.cash[event.account_id] -= event.amount_units
                    self.isolated[event.account_id, event.symbol_id] += event.amount_units
                case MarginModeSet():
                    self.cash[event.account_id] += event.released_units
                    self.isolated[event.account_id, event.symbol_id] -= event.released_units
                case FundingSettled():
                    self.dust += event.rounding_units
                case FundingPaid():
                    place = (event.account_id, event.symbol_id)
                    self._pay(place, event.amount_units, isolated=event.isolated)
                case DustSwept():
                    self.dust -= event.amount_units
                    self.cash[FUND_ACCOUNT] += event.amount_units
                case TakenOver():
                    self._taken(event)
                case Deleveraged():
                    self._deleveraged(event)
                case PositionSettled():
                    place = (event.account_id, event.symbol_id)
                    self._realise(place, (0, 0), event.realised_units, isolated=event.isolated)
                case _:
                    pass

    def _spot(self, event: Trade) -> None:
        buyer, seller = event.taker_account_id, event.maker_account_id
        fees = (event.taker_fee_units, event.maker_fee_units)
        if event.taker_side is Side.SELL:
            buyer, seller, fees = seller, buyer, fees[::-1]
        self.cash[buyer] -= event.quote_units + fees[0]
        self.cash[seller] += event.quote_units - fees[1]
        self.fees += sum(fees)

    def _trade(self, event: PerpetualTrade) -> None:
        maker = (event.maker_account_id, event.symbol_id)
        taker = (event.taker_account_id, event.symbol_id)
        left = (event.maker_lots, event.maker_cost_units)
        self._realise(maker, left, event.maker_realised_units, isolated=event.maker_isolated)
        self._pay(maker, -event.maker_fee_units, isolated=event.maker_isolated)
        left = (event.taker_lots, event.taker_cost_units)
        self._realise(taker, left, event.taker_realised_units, isolated=event.taker_isolated)
        paid = event.taker_fee_units + event.insurance_units
        self._pay(taker, -paid, isolated=event.taker_isolated)
        self.fees += event.maker_fee_units + event.taker_fee_units
        self.cash[FUND_ACCOUNT] += event.insurance_units

    def _taken(self, event: TakenOver) -> None:
        place = (event.account_id, event.symbol_id)
        left = (event.lots, event.cost_units)
        self._realise(place, left, event.realised_units, isolated=event.isolated)
        fund = (FUND_ACCOUNT, event.symbol_id)
        left = (event.fund_lots, event.fund_cost_units)
        self._realise(fund, left, event.fund_realised_units, isolated=False)

    def _deleveraged(self, event: Deleveraged) -> None:
        place = (event.account_id, event.symbol_id)
        left = (event.lots, event.cost_units)
        self._realise(place, left, event.realised_units, isolated=event.isolated)
        other = (event.counterparty_id, event.symbol_id)
        left = (event.counterparty_lots, event.counterparty_cost_units)
        realised = event.counterparty_realised_units
        self._realise(other, left, realised, isolated=event.counterparty_isolated)

    def _realise(
        self, place: Place, left: tuple[int, int], realised: int, *, isolated: bool
    ) -> None:
        self.positions[place] = left
        self.clearing[place[1]] -= realised
        self._pay(place, realised, isolated=isolated)

    def _pay(self, place: Place, units: int, *, isolated: bool) -> None:
        if isolated:
            self.isolated[place] += units
        else:
            self.cash[place[0]] += units
