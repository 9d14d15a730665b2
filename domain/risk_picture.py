"""What a risk monitor knows of one shard: cash, positions, marks and frozen scopes, from events.

The events alone rebuild it, so whoever reads them from the same place knows the same. A scope's
version is the sequence of the last event that changed its cash, its positions or whether it is
frozen; where the engine knows better (SCOPE_STATE), the engine is believed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from domain import events as e
from domain.brackets import Brackets
from domain.margin import Exposure, Scope
from domain.order import Side
from domain.order_guards import PriceBand, price_band
from domain.perpetual_state import PerpetualState, band_ppm_in
from domain.perpetual_terms import PerpetualTerms
from domain.position import FLAT, Position
from domain.risk_commands import FUND_ACCOUNT, MarginMode


class ScopeKey(NamedTuple):
    """What one liquidation concerns: an account (symbol 0), or its isolated position."""

    account_id: int
    symbol_id: int = 0


@dataclass(slots=True)
class MarketNow:
    """A perpetual market: its terms, its mark, and who is in it, by account.

    `said` is by whom and why its state was last set, where somebody said so.
    """

    symbol_id: int
    units_per_tick_lot: int
    band_ppm: int
    terms: PerpetualTerms
    brackets: Brackets
    state: PerpetualState = PerpetualState.GUARDED
    mark_ticks: int = 0
    index_ticks: int = 0
    mark_is_fresh: bool = False
    mark_time_us: int = 0
    funding_time_us: int = 0
    said: tuple[str, str] = ("", "")
    positions: dict[int, Position] = field(default_factory=dict)
    isolated: set[int] = field(default_factory=set)

    def is_fresh(self, now_us: int) -> bool:
        """Return whether the mark may be acted on: told fresh, and not too long ago."""
        age_us = now_us - self.mark_time_us
        return self.mark_is_fresh and age_us <= self.terms.index_max_age_us

    def band(self) -> PriceBand:
        """Return the prices between which an order may be aggressive now."""
        return price_band(self.mark_ticks, band_ppm_in(self.state, self.band_ppm))

    def exposure(self, position: Position) -> Exposure:
        """Return a position valued at the mark."""
        return Exposure(
            self.symbol_id, position, self.mark_ticks, self.units_per_tick_lot, self.brackets
        )

    def scope_of(self, account_id: int) -> ScopeKey:
        """Return which scope an account's position here belongs to."""
        return ScopeKey(account_id, self.symbol_id if account_id in self.isolated else 0)


@dataclass(frozen=True, slots=True)
class FrozenScope:
    """A scope in liquidation: the liquidation's id, and the freezing command."""

    scope: ScopeKey
    key: int
    sequence: int
    time_us: int


class RiskPicture:
    """One shard, kept from its events in order.

    `steps` are the sequences of the commands that have closed a scope's positions since it was
    last frozen, in order; they stay when it is released. `changed` collects the scopes whose cash,
    positions or frozenness changed, `touched_markets` the markets whose terms did, until somebody
    takes them.
    """

    def __init__(self, shard: int = 0) -> None:
        self.shard = shard
        self.sequence = 0
        self.time_us = 0
        self.collateral = 0
        self.markets: dict[int, MarketNow] = {}
        self.cash: dict[ScopeKey, int] = {}
        self.frozen: dict[ScopeKey, FrozenScope] = {}
        self.steps: dict[ScopeKey, list[int]] = {}
        self.changed: set[ScopeKey] = set()
        self.touched_markets: set[int] = set()
        self.versions: dict[ScopeKey, int] = {}
        self.spot: dict[int, tuple[int, int]] = {}  # symbol -> base and quote asset
        self.listed: dict[int, tuple[int, int]] = {}  # symbol -> units a tick and lot, band
        self.assets: dict[tuple[int, int], int] = {}  # cash of other assets, until one counts
        self._apply: dict[type[Any], Callable[[Any], None]] = {
            e.Credited: lambda event: self._move(event, event.amount_units),
            e.Debited: lambda event: self._move(event, -event.amount_units),
            e.FundToppedUp: self._fund_grew,
            e.DustSwept: self._fund_grew,
            e.Trade: self._spot_trade,
            e.SymbolListed: self._symbol_listed,
            e.ParametersSet: self._parameters_set,
            e.RiskParametersSet: self._terms_set,
            e.EngineStarted: self._started,
            e.IndexSet: self._index_set,
            e.PerpetualStateSet: self._state_set,
            e.MarginModeSet: self._mode_set,
            e.MarginMoved: self._margin_moved,
            e.PerpetualTrade: self._perpetual_trade,
            e.FundingSettled: self._funding_settled,
            e.FundingPaid: self._funding_paid,
            e.ScopeFrozen: self._scope_frozen,
            e.ScopeUnfrozen: self._scope_unfrozen,
            e.ScopeState: self._scope_state,
            e.LiquidationPlaced: self._took_step,
            e.TakenOver: self._taken_over,
            e.Deleveraged: self._deleveraged,
            e.PositionSettled: self._position_settled,
        }

    # ---- what it is asked -----------------------------------------------------------------------

    def version(self, key: ScopeKey) -> int:
        """Return a scope's version; 0 of one that nothing has happened to."""
        return self.versions.get(key, 0)

    def position(self, account_id: int, symbol_id: int) -> Position:
        """Return what an account has in a market."""
        market = self.markets.get(symbol_id)
        return FLAT if market is None else market.positions.get(account_id, FLAT)

    def symbols_of(self, key: ScopeKey) -> list[int]:
        """Return the markets in which a scope has a position, by number."""
        return [
            symbol_id
            for symbol_id, market in sorted(self.markets.items())
            if key.account_id in market.positions and market.scope_of(key.account_id) == key
        ]

    def scope(self, key: ScopeKey) -> Scope:
        """Return a scope's cash and positions, valued at their marks."""
        exposures = (
            self.markets[symbol_id].exposure(self.position(key.account_id, symbol_id))
            for symbol_id in self.symbols_of(key)
        )
        return Scope(self.cash.get(key, 0), tuple(exposures))

    def fund_units(self) -> int:
        """Return the insurance fund's cash."""
        return self.cash.get(ScopeKey(FUND_ACCOUNT), 0)

    def fund_lots(self, symbol_id: int) -> int:
        """Return what the insurance fund has in a market, signed."""
        return self.position(FUND_ACCOUNT, symbol_id).lots

    def event_types(self) -> set[e.EventType]:
        """Return the types of event that say something about risk."""
        return {kind.event_type for kind in self._apply}

    def copy(self) -> RiskPicture:
        """Return one that later events do not change; what changed is not copied."""
        other = RiskPicture(self.shard)
        for name in ("sequence", "time_us", "collateral"):
            setattr(other, name, getattr(self, name))
        for name in ("cash", "frozen", "versions", "spot", "listed", "assets"):
            setattr(other, name, dict(getattr(self, name)))
        other.steps = {key: list(found) for key, found in self.steps.items()}
        other.markets = {
            symbol_id: replace(
                market, positions=dict(market.positions), isolated=set(market.isolated)
            )
            for symbol_id, market in self.markets.items()
        }
        return other

    def mark_all(self) -> None:
        """Count everything as changed: for a picture that was not made from events."""
        self.changed = {*self.cash, *self.frozen}
        for market in self.markets.values():
            self.changed |= {market.scope_of(account_id) for account_id in market.positions}
        self.touched_markets = set(self.markets)

    # ---- what events say ------------------------------------------------------------------------

    def apply(self, event: e.Event) -> None:
        """Take one event; those that say nothing about risk only move the sequence."""
        self.heard(event.sequence, event)
        found = self._apply.get(type(event))
        if found is not None:
            found(event)

    def heard(self, sequence: int, event: e.Event) -> None:
        """Note that everything up to a sequence is known; `event` has its time."""
        self.sequence = sequence
        self.time_us = max(self.time_us, getattr(event, "time_us", 0))

    def _touch(self, key: ScopeKey) -> None:
        self.versions[key] = self.sequence
        self.changed.add(key)

    def _pay(self, key: ScopeKey, units: int) -> None:
        self.cash[key] = self.cash.get(key, 0) + units
        self._touch(key)

    def _pay_asset(self, account_id: int, asset_id: int, units: int) -> None:
        if asset_id == self.collateral:
            self._pay(ScopeKey(account_id), units)
        elif not self.collateral:  # it may turn out to be collateral
            place = (account_id, asset_id)
            self.assets[place] = self.assets.get(place, 0) + units

    def _hold(self, account_id: int, symbol_id: int, lots: int, cost_units: int) -> None:
        market = self.markets[symbol_id]
        if lots:
            market.positions[account_id] = Position(lots, cost_units)
        else:
            market.positions.pop(account_id, None)
        self._touch(market.scope_of(account_id))

    def _backing(self, account_id: int, symbol_id: int, *, isolated: bool) -> ScopeKey:
        return ScopeKey(account_id, symbol_id if isolated else 0)

    def _move(self, event: e.Credited | e.Debited, units: int) -> None:
        self._pay_asset(event.account_id, event.asset_id, units)

    def _fund_grew(self, event: e.FundToppedUp | e.DustSwept) -> None:
        self._pay_asset(FUND_ACCOUNT, event.asset_id, event.amount_units)

    def _spot_trade(self, event: e.Trade) -> None:
        base, quote = self.spot[event.symbol_id]
        buyer, seller = event.taker_account_id, event.maker_account_id
        if event.taker_side is Side.SELL:
            buyer, seller = seller, buyer
        for account_id, asset_id, units in (
            (buyer, base, event.base_units),
            (seller, base, -event.base_units),
            (buyer, quote, -event.quote_units),
            (seller, quote, event.quote_units),
            (event.taker_account_id, quote, -event.taker_fee_units),
            (event.maker_account_id, quote, -event.maker_fee_units),
        ):
            self._pay_asset(account_id, asset_id, units)

    def _symbol_listed(self, event: e.SymbolListed) -> None:
        self.spot[event.symbol_id] = event.base_asset_id, event.quote_asset_id
        self.listed[event.symbol_id] = event.quote_units_per_tick_lot, event.band_ppm

    def _parameters_set(self, event: e.ParametersSet) -> None:
        market = self.markets.get(event.symbol_id)
        if market is not None:
            market.band_ppm = event.band_ppm

    def _terms_set(self, event: e.RiskParametersSet) -> None:
        self.touched_markets.add(event.symbol_id)
        market = self.markets.get(event.symbol_id)
        if market is not None:
            market.terms, market.brackets = event.terms, event.terms.table()
            return
        self.markets[event.symbol_id] = MarketNow(
            event.symbol_id, *self.listed[event.symbol_id], event.terms, event.terms.table()
        )
        if not self.collateral:
            self.collateral = self.spot[event.symbol_id][1]
            for (account_id, asset_id), units in sorted(self.assets.items()):
                self._pay_asset(account_id, asset_id, units)
            self.assets.clear()

    def _started(self, _: e.EngineStarted) -> None:
        for market in self.markets.values():
            market.mark_is_fresh = False

    def _index_set(self, event: e.IndexSet) -> None:
        market = self.markets[event.symbol_id]
        market.mark_ticks, market.index_ticks = event.mark_ticks, event.index_ticks
        market.mark_is_fresh, market.mark_time_us = event.mark_is_fresh, event.time_us

    def _state_set(self, event: e.PerpetualStateSet) -> None:
        market = self.markets[event.symbol_id]
        market.state = event.state
        if event.state is PerpetualState.SETTLEMENT:
            market.mark_ticks = market.index_ticks or market.mark_ticks
        if event.actor or event.reason:
            market.said = event.actor, event.reason

    def _mode_set(self, event: e.MarginModeSet) -> None:
        market = self.markets[event.symbol_id]
        if event.mode is MarginMode.ISOLATED:
            market.isolated.add(event.account_id)
        else:
            market.isolated.discard(event.account_id)
        if event.released_units:
            self._pay(ScopeKey(event.account_id, event.symbol_id), -event.released_units)
            self._pay(ScopeKey(event.account_id), event.released_units)

    def _margin_moved(self, event: e.MarginMoved) -> None:
        self._pay(ScopeKey(event.account_id), -event.amount_units)
        self._pay(ScopeKey(event.account_id, event.symbol_id), event.amount_units)

    def _perpetual_trade(self, event: e.PerpetualTrade) -> None:
        symbol_id = event.symbol_id
        maker = self._backing(event.maker_account_id, symbol_id, isolated=event.maker_isolated)
        taker = self._backing(event.taker_account_id, symbol_id, isolated=event.taker_isolated)
        self._pay(maker, event.maker_realised_units - event.maker_fee_units)
        paid = event.taker_fee_units + event.insurance_units
        self._pay(taker, event.taker_realised_units - paid)
        if event.insurance_units:
            self._pay(ScopeKey(FUND_ACCOUNT), event.insurance_units)
        self._hold(maker.account_id, symbol_id, event.maker_lots, event.maker_cost_units)
        self._hold(taker.account_id, symbol_id, event.taker_lots, event.taker_cost_units)

    def _funding_settled(self, event: e.FundingSettled) -> None:
        self.markets[event.symbol_id].funding_time_us = event.funding_time_us

    def _funding_paid(self, event: e.FundingPaid) -> None:
        key = self._backing(event.account_id, event.symbol_id, isolated=event.isolated)
        self._pay(key, event.amount_units)

    def _scope_frozen(self, event: e.ScopeFrozen) -> None:
        key = ScopeKey(event.account_id, event.symbol_id)
        self.steps[key] = []
        self.frozen[key] = FrozenScope(key, event.key, event.sequence, event.time_us)
        self._touch(key)

    def _scope_unfrozen(self, event: e.ScopeUnfrozen) -> None:
        key = ScopeKey(event.account_id, event.symbol_id)
        self.frozen.pop(key, None)
        self._touch(key)

    def _scope_state(self, event: e.ScopeState) -> None:
        key = ScopeKey(event.account_id, event.symbol_id)
        if self.cash.get(key, 0) != event.cash_units:
            self.cash[key] = event.cash_units
            self.changed.add(key)
        self.versions[key] = event.version

    def _took_step(self, event: e.LiquidationPlaced | e.TakenOver | e.Deleveraged) -> None:
        key = self.markets[event.symbol_id].scope_of(event.account_id)
        if key in self.frozen:
            self.steps.setdefault(key, []).append(event.sequence)

    def _taken_over(self, event: e.TakenOver) -> None:
        self._took_step(event)
        key = self._backing(event.account_id, event.symbol_id, isolated=event.isolated)
        self._pay(key, event.realised_units)
        self._pay(ScopeKey(FUND_ACCOUNT), event.fund_realised_units)
        self._hold(event.account_id, event.symbol_id, event.lots, event.cost_units)
        self._hold(FUND_ACCOUNT, event.symbol_id, event.fund_lots, event.fund_cost_units)

    def _deleveraged(self, event: e.Deleveraged) -> None:
        if event.key:
            self._took_step(event)
        symbol_id, other = event.symbol_id, event.counterparty_id
        key = self._backing(event.account_id, symbol_id, isolated=event.isolated)
        self._pay(key, event.realised_units)
        key = self._backing(other, symbol_id, isolated=event.counterparty_isolated)
        self._pay(key, event.counterparty_realised_units)
        self._hold(event.account_id, symbol_id, event.lots, event.cost_units)
        self._hold(other, symbol_id, event.counterparty_lots, event.counterparty_cost_units)

    def _position_settled(self, event: e.PositionSettled) -> None:
        key = self._backing(event.account_id, event.symbol_id, isolated=event.isolated)
        self._pay(key, event.realised_units)
        self._hold(event.account_id, event.symbol_id, 0, 0)
