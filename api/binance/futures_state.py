"""What a customer has in perpetuals: asked of each shard, told in several of the answers."""

from __future__ import annotations

from dataclasses import dataclass

from api import perpetual_answers as answers
from api.account_state import positions_on
from api.binance.call import Call
from api.engine_calls import ask
from api.schemas.perpetuals import PositionOut
from api.trading_balances import collateral_of, perpetuals_of, with_margin
from domain.instrument import Asset, Instrument
from domain.market import Market
from domain.perpetual_account import initial_of
from domain.perpetual_record import Holding, Holdings
from domain.trading_balance import TradingBalance


@dataclass(frozen=True, slots=True)
class Held:
    """What a customer has in one market, or has chosen for it; margins in quote units.

    `required_units` is what its scope needs where it is isolated, orders included; of a cross
    position what it needs alone, because orders then weigh on the account.
    """

    market: Instrument
    told: PositionOut
    holding: Holding
    initial_units: int
    required_units: int


@dataclass(frozen=True, slots=True)
class ShardState:
    """All of it on one shard."""

    quote: Asset
    holdings: Holdings
    balance: TradingBalance
    held: list[Held]

    @property
    def cash_units(self) -> int:
        """Return the cash of cross margin, what spot orders hold of it included."""
        return self.holdings.scopes[0].cash_units

    @property
    def initial_units(self) -> int:
        """Return what all positions need, orders not counted."""
        return sum(one.initial_units for one in self.held)

    @property
    def required_units(self) -> int:
        """Return what positions and orders need."""
        isolated = sum(one.required_units for one in self.held if one.holding.scope)
        return self.holdings.scopes[0].required_units + isolated


async def shard_states(call: Call, market: Market | None = None) -> list[ShardState]:
    """Return how the caller stands on each shard that has perpetuals, or on that of a market.

    Markets in which there is nothing are there too, as the engine would begin with them.
    """
    services, account_id = call.services, call.caller.customer_id
    found = []
    for shard, markets in perpetuals_of(services).items():
        if market is not None and market.shard != shard:
            continue
        door = services.door(shard)
        _, pairs = await ask(door.balances(account_id))
        sequence, holdings = await ask(door.holdings(account_id))
        _, now = await ask(door.perpetuals())
        states = {one.symbol_id: one for one in now}
        said = await positions_on(services, markets, account_id, (sequence, holdings), now, None)
        by_name = {one.symbol: one for one in said}
        held = []
        for one in markets.values():
            state = states.get(one.symbol_id)
            if state is None or (market is not None and one != market.instrument):
                continue
            holding = answers.holding_of(holdings, one, state)
            told = by_name.get(one.symbol) or answers.position(
                one, markets, holdings, holding, state, None, None, sequence
            )
            held.append(_held(one, told, holding, holdings, state.open_lots))
        quote = collateral_of(markets)
        balance = with_margin(pairs, quote, holdings)[quote.asset_id]
        found.append(ShardState(quote, holdings, balance, held))
    return found


def _held(
    market: Instrument, told: PositionOut, holding: Holding, holdings: Holdings, open_lots: int
) -> Held:
    initial = initial_of(market, holding, open_lots) if holding.lots else 0
    scope = holdings.scopes.get(holding.scope)
    required = scope.required_units if holding.scope and scope is not None else initial
    return Held(market, told, holding, initial, required)
