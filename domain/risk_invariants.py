"""What must hold of perpetuals after every command, seen from its events alone.

The numbers are those of `docs/verification.md`. Everything that an event tells is computed again
from the state before it: positions and profits by `domain.position`, fees by `domain.fees`, what
a liquidation pays the fund by `domain.liquidation`, funding by `domain.funding`, scopes by
`domain.margin`. A picture that is followed this way needs no engine, so a simulation and a checker
that reads a stored log hold the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from domain import events as e
from domain.checker_positions import RUIN
from domain.checker_report import Findings
from domain.fee_book import FeeBook
from domain.funding import funding_units
from domain.liquidation import bankruptcy_quote_units, insurance_delta_units
from domain.margin import Scope
from domain.order import Side
from domain.position import Position, after_fill
from domain.risk_commands import FUND_ACCOUNT
from domain.risk_picture import MarketNow, RiskPicture, ScopeKey

POSITIONS = "positions_net_to_zero"
CLEARING = "clearing_equals_cost"
FUND = "fund_not_negative"
DEBT = "debt_only_with_positions"
ROUNDING = "rounding_not_negative"
FUNDING = "funding_sums_to_zero"
FUNDING_ONCE = "funding_paid_once"
PAIRS = "deleveraging_closes_opposites"
HAIRCUT = "haircut_within_shortfall"
STEPS = "liquidation_step_harms_nobody"
TOLD = "events_equal_formulas"

NUMBERS = {
    POSITIONS: 2,
    CLEARING: 3,
    FUND: 4,
    DEBT: 5,
    RUIN: 5,
    ROUNDING: 6,
    FUNDING: 7,
    FUNDING_ONCE: 7,
    PAIRS: 8,
    HAIRCUT: 9,
    STEPS: 10,
    TOLD: 11,
}
"""The number that each rule has in the design's list of invariants."""

_STEPS = (e.LiquidationPlaced, e.TakenOver, e.Deleveraged)


@dataclass(slots=True)
class _Sums:
    """One market's sums: all lots, those of longs, cost bases, and the clearing account."""

    lots: int = 0
    longs: int = 0
    cost_units: int = 0
    clearing_units: int = 0


@dataclass(slots=True)
class DeleveragingTotals:
    """What pairs have closed so far: how many, for how much worse than at mark, and what missed.

    `shortfall_units` is by how much the pairs have brought the liquidated back to 0.
    """

    pairs: int = 0
    haircut_units: int = 0
    shortfall_units: int = 0


class RiskInvariants:
    """Follows a picture and holds each command against the rules; `findings` has the outcome.

    `picture` may be that of a state in the middle, whose `rounding_units` and fees are given then.
    The caller hands in the events of one command at a time, in order, none left out.
    """

    def __init__(
        self,
        picture: RiskPicture,
        findings: Findings | None = None,
        rounding_units: int = 0,
        fees: FeeBook | None = None,
    ) -> None:
        self.picture = picture
        self.findings = findings or Findings()
        self.rounding_units = rounding_units
        self.deleveraged = DeleveragingTotals()
        self._fees = fees or FeeBook()
        self._forced = 0  # the order by which this command closes a position, or 0
        self._sums: dict[int, _Sums] = {}
        for symbol_id, market in picture.markets.items():
            sums = self._sums[symbol_id] = _Sums()
            for position in market.positions.values():
                self._add(sums, Position(), position)
            sums.clearing_units = -sums.cost_units
        self._equity: dict[ScopeKey, int] = {}  # before this command, of scopes that it may harm
        self._touched: set[ScopeKey] = set()
        self._moved: set[int] = set()  # markets whose sums this command changes
        self._shortfall = 0  # of the liquidated of a pair, before it
        self._checks: dict[type, Callable[[Any], None]] = {
            e.Trade: self._spot_trade,
            e.Debited: self._debited,
            e.MarginMoved: self._margin_moved,
            e.PerpetualTrade: self._perpetual_trade,
            e.IndexSet: self._index_set,
            e.TakenOver: self._taken_over,
            e.Deleveraged: self._deleveraged,
            e.PositionSettled: self._position_settled,
            e.FundingPaid: self._funding_paid,
            e.DustSwept: self._dust_swept,
            e.ScopeUnfrozen: self._scope_unfrozen,
        }

    def open_lots(self, symbol_id: int) -> int:
        """Return the open interest of a market: the lots of all longs."""
        return self._sums.setdefault(symbol_id, _Sums()).longs

    # ---- one command ----------------------------------------------------------------------------

    def command(self, events: Sequence[e.Event]) -> None:
        """Hold one command against the rules, and follow it."""
        self._equity.clear()
        self._touched.clear()
        self._moved.clear()
        head = events[0]
        key, before = self._step(head)
        forces = isinstance(head, e.LiquidationPlaced | e.UnwindPlaced)
        self._forced = getattr(head, "order_id", 0) if forces else 0
        for event in events:
            check = self._checks.get(type(event))
            if check is not None:
                check(event)
            elif type(event) is e.ScopeState:
                self.picture.sequence = event.sequence
                self._scope_state(event)
            self.picture.apply(event)
            self._fees.apply(event)
            if type(event) is e.Deleveraged:
                self._pair_closed(event)
        if type(head) is e.FundingSettled:
            self._funding(head, events)
        if key is not None:
            self._step_done(key, before, events)
        if type(head) in (e.FundingSettled, e.MarketSettled):
            self._equity.clear()  # what has to be paid may ruin
        self._command_done(head.sequence)

    def _step(self, head: e.Event) -> tuple[ScopeKey | None, Scope]:
        """Return the scope that a step of a liquidation concerns, as it is before it."""
        if isinstance(head, _STEPS):
            key = self.picture.markets[head.symbol_id].scope_of(head.account_id)
            return key, self.picture.scope(key)
        return None, Scope(0)

    def _command_done(self, sequence: int) -> None:
        """2, 3: sums. 4, 6: nothing below 0. 5: nobody free is ruined, or owes without position."""
        picture = self.picture
        for symbol_id in self._moved:
            sums = self._sums[symbol_id]
            self._expect(POSITIONS, sums.lots == 0, sequence, "market", symbol_id, sums)
            balanced = sums.clearing_units == -sums.cost_units
            self._expect(CLEARING, balanced, sequence, "market", symbol_id, sums)
        for key in self._touched:
            if key.account_id == FUND_ACCOUNT:
                self._expect(FUND, picture.fund_units() >= 0, sequence, picture.fund_units())
            elif key not in picture.frozen:
                scope = picture.scope(key)
                if not scope.exposures:
                    self._expect(DEBT, scope.cash_units >= 0, sequence, key, scope.cash_units)
                if key in self._equity:
                    before, after = self._equity[key], scope.equity_units
                    fell = before >= 0 > after
                    self._expect(RUIN, not fell, sequence, key, "equity was", before, "is", after)

    def _expect(self, name: str, holds: bool, sequence: int, *said: object) -> None:
        """Count a rule that held; note one that did not, with what is said of it."""
        if holds:
            self.findings.held(name)
        else:
            text = " ".join(map(str, said))
            self.findings.expect(name, False, f"at {sequence}: {text}", sequence=sequence)

    # ---- scopes and positions -------------------------------------------------------------------

    def _may_not_ruin(self, key: ScopeKey) -> None:
        """Remember a scope's equity before the command that is told now."""
        self._touched.add(key)
        if key.account_id != FUND_ACCOUNT and key not in self._equity:
            self._equity[key] = self.picture.scope(key).equity_units

    @staticmethod
    def _add(sums: _Sums, before: Position, after: Position) -> None:
        sums.lots += after.lots - before.lots
        sums.longs += max(0, after.lots) - max(0, before.lots)
        sums.cost_units += after.cost_units - before.cost_units

    def _fill(
        self, event: Any, account_id: int, lots: int, cost_units: int, told: tuple[int, int, int]
    ) -> None:
        """Compute a fill again; `told` is (lots, cost, realised) after it by the event."""
        symbol_id = event.symbol_id
        before = self.picture.position(account_id, symbol_id)
        change = after_fill(before, lots, cost_units)
        found = (change.position.lots, change.position.cost_units, change.realised_units)
        self._expect(
            TOLD, found == told, event.sequence, "account", account_id, "is", told, "not", found
        )
        sums = self._sums.setdefault(symbol_id, _Sums())
        self._add(sums, before, Position(told[0], told[1]))
        sums.clearing_units -= told[2]
        self._moved.add(symbol_id)
        self._touched.add(self._key(symbol_id, account_id))

    def _key(self, symbol_id: int, account_id: int) -> ScopeKey:
        return self.picture.markets[symbol_id].scope_of(account_id)

    # ---- what events say, before the picture has them --------------------------------------------

    def _spot_trade(self, event: e.Trade) -> None:
        self._fees_told(event, is_forced=False)
        if self.picture.collateral in self.picture.spot[event.symbol_id]:
            self._may_not_ruin(ScopeKey(event.maker_account_id))
            self._may_not_ruin(ScopeKey(event.taker_account_id))

    def _debited(self, event: e.Debited) -> None:
        if event.asset_id == self.picture.collateral:
            self._may_not_ruin(ScopeKey(event.account_id))

    def _margin_moved(self, event: e.MarginMoved) -> None:
        self._may_not_ruin(ScopeKey(event.account_id))
        self._may_not_ruin(ScopeKey(event.account_id, event.symbol_id))

    def _perpetual_trade(self, event: e.PerpetualTrade) -> None:
        maker, taker = event.maker_account_id, event.taker_account_id
        market = self.picture.markets[event.symbol_id]
        self._may_not_ruin(market.scope_of(maker))
        self._may_not_ruin(market.scope_of(taker))
        quote = event.price_ticks * event.quantity_lots * market.units_per_tick_lot
        self._expect(TOLD, quote == event.quote_units, event.sequence, "quote", event.quote_units)
        sign = 1 if event.taker_side is Side.BUY else -1
        lots, cost = sign * event.quantity_lots, sign * quote
        self._insurance_told(event, market, lots, cost)
        told = (event.maker_lots, event.maker_cost_units, event.maker_realised_units)
        self._fill(event, maker, -lots, -cost, told)
        told = (event.taker_lots, event.taker_cost_units, event.taker_realised_units)
        self._fill(event, taker, lots, cost, told)
        if event.insurance_units:
            self._touched.add(ScopeKey(FUND_ACCOUNT))

    def _fees_told(self, event: e.Trade | e.PerpetualTrade, *, is_forced: bool) -> None:
        found = self._fees.of(event, is_forced=is_forced)
        told = event.maker_fee_units, event.taker_fee_units
        self._expect(TOLD, found == told, event.sequence, "fees", told, "not", found)

    def _insurance_told(
        self, event: e.PerpetualTrade, market: MarketNow, lots: int, cost_units: int
    ) -> None:
        """Compute again what a fill costs beside its price, and what it brings the fund."""
        is_forced = event.taker_order_id == self._forced
        self._fees_told(event, is_forced=is_forced)
        insurance: object = 0
        if is_forced and event.taker_account_id != FUND_ACCOUNT:
            scope = self.picture.scope(market.scope_of(event.taker_account_id))
            quote = bankruptcy_quote_units(scope, event.symbol_id, lots)
            if isinstance(quote, int):
                fee_ppm = market.terms.liquidation_fee_ppm
                insurance = insurance_delta_units(-cost_units, quote, fee_ppm)
            else:
                insurance = quote
        holds = insurance == event.insurance_units
        self._expect(TOLD, holds, event.sequence, "fund", event.insurance_units, "not", insurance)

    def _index_set(self, event: e.IndexSet) -> None:
        longs = self.open_lots(event.symbol_id)
        holds = event.open_lots == longs
        self._expect(POSITIONS, holds, event.sequence, "open", event.open_lots, "not", longs)

    def _taken_over(self, event: e.TakenOver) -> None:
        told = (event.lots, event.cost_units, event.realised_units)
        self._fill(event, event.account_id, event.delta_lots, -event.quote_units, told)
        told = (event.fund_lots, event.fund_cost_units, event.fund_realised_units)
        self._fill(event, FUND_ACCOUNT, -event.delta_lots, event.quote_units, told)

    def _deleveraged(self, event: e.Deleveraged) -> None:
        """8: only who is opposite is closed, and no further than to 0."""
        symbol_id, delta = event.symbol_id, event.delta_lots
        ours = self.picture.position(event.account_id, symbol_id).lots
        theirs = self.picture.position(event.counterparty_id, symbol_id).lots
        closes = 0 < abs(delta) <= min(abs(ours), abs(theirs)) and ours * delta < 0 < theirs * delta
        self._expect(PAIRS, closes, event.sequence, "a pair closed", delta, "of", ours, theirs)
        self._may_not_ruin(self._key(symbol_id, event.counterparty_id))
        market = self.picture.markets[symbol_id]
        self._shortfall = max(0, -self._equity_of(market, event.account_id))
        told = (event.lots, event.cost_units, event.realised_units)
        self._fill(event, event.account_id, delta, -event.quote_units, told)
        told = (
            event.counterparty_lots,
            event.counterparty_cost_units,
            event.counterparty_realised_units,
        )
        self._fill(event, event.counterparty_id, -delta, event.quote_units, told)
        at_mark = -market.mark_ticks * market.units_per_tick_lot * delta
        haircut = event.quote_units - at_mark
        self._expect(
            TOLD, event.haircut_units == haircut, event.sequence, "haircut", event.haircut_units
        )

    def _equity_of(self, market: MarketNow, account_id: int) -> int:
        return self.picture.scope(market.scope_of(account_id)).equity_units

    def _pair_closed(self, event: e.Deleveraged) -> None:
        """8: the counterparty is solvent. 9: it lost no more than what it made good, and a unit."""
        market, totals = self.picture.markets[event.symbol_id], self.deleveraged
        equity = self._equity_of(market, event.counterparty_id)
        self._expect(PAIRS, equity >= 0, event.sequence, event.counterparty_id, "has", equity)
        covered = self._shortfall - max(0, -self._equity_of(market, event.account_id))
        totals.pairs += 1
        totals.haircut_units += max(0, event.haircut_units)
        totals.shortfall_units += covered
        within = (
            event.haircut_units <= max(0, covered) + 1
            and totals.haircut_units <= totals.shortfall_units + totals.pairs
        )
        self._expect(
            HAIRCUT, within, event.sequence, "lost", event.haircut_units, "for", covered, totals
        )

    def _position_settled(self, event: e.PositionSettled) -> None:
        market = self.picture.markets[event.symbol_id]
        value = market.mark_ticks * market.units_per_tick_lot * event.lots
        self._fill(event, event.account_id, -event.lots, -value, (0, 0, event.realised_units))

    def _funding_paid(self, event: e.FundingPaid) -> None:
        lots = self.picture.position(event.account_id, event.symbol_id).lots
        self._expect(TOLD, lots == event.lots, event.sequence, event.account_id, "has", lots)
        self._touched.add(self._key(event.symbol_id, event.account_id))
        self._sums[event.symbol_id].clearing_units -= event.amount_units
        self._moved.add(event.symbol_id)

    def _funding(self, head: e.FundingSettled, events: Sequence[e.Event]) -> None:
        """7: entries by the formula, one a position, and they and their rounding sum to 0."""
        market = self.picture.markets[head.symbol_id]
        paid = [event for event in events if type(event) is e.FundingPaid]
        total = sum(event.amount_units for event in paid) + head.rounding_units
        self._expect(FUNDING, total == 0, head.sequence, "entries and rounding make", total)
        for event in paid:
            units = funding_units(
                event.lots, head.mark_ticks, market.units_per_tick_lot, head.rate_ppm
            )
            holds = units == event.amount_units
            self._expect(TOLD, holds, head.sequence, event.account_id, "pays", units, event)
        everybody = {event.account_id for event in paid} == market.positions.keys()
        complete = everybody and len(paid) == head.entries == len(market.positions)
        self._expect(FUNDING_ONCE, complete, head.sequence, len(paid), "of", head.entries)
        self._sums[head.symbol_id].clearing_units -= head.rounding_units
        self._round(head.rounding_units, head.sequence)

    def _dust_swept(self, event: e.DustSwept) -> None:
        self._round(-event.amount_units, event.sequence)

    def _round(self, units: int, sequence: int) -> None:
        """6: what rounding leaves over is never less than nothing."""
        self.rounding_units += units
        self._expect(ROUNDING, self.rounding_units >= 0, sequence, self.rounding_units)

    def _scope_unfrozen(self, event: e.ScopeUnfrozen) -> None:
        """5: who is let go owes nothing."""
        key = ScopeKey(event.account_id, event.symbol_id)
        equity = self.picture.scope(key).equity_units
        self._expect(RUIN, equity >= 0, event.sequence, key, "was let go with", equity)
        self._touched.add(key)

    def _scope_state(self, event: e.ScopeState) -> None:
        """11: the engine's numbers of a scope are those of its events and the formulas."""
        key = ScopeKey(event.account_id, event.symbol_id)
        scope = self.picture.scope(key)
        found = scope.cash_units, scope.equity_units, scope.maintenance_units
        told = event.cash_units, event.equity_units, event.maintenance_units
        self._expect(TOLD, found == told, event.sequence, key, "is", told, "not", found)

    def _step_done(self, key: ScopeKey, before: Scope, events: Sequence[e.Event]) -> None:
        """10: equity / MM has not fallen, but for the rounding of each fill."""
        after = self.picture.scope(key)
        equity, margin = before.equity_units, before.maintenance_units
        fills = sum(type(event) is e.PerpetualTrade for event in events)
        slack = (2 + fills) * (margin + abs(equity))
        kept = after.equity_units * margin >= equity * after.maintenance_units - slack
        ratios = (equity, margin), (after.equity_units, after.maintenance_units)
        self._expect(STEPS, kept, events[0].sequence, key, "equity and MM fell", *ratios)
