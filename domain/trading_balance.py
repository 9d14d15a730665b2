"""What an account may use of one asset on one shard, and what it may take away from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from domain.perpetual_record import Holdings


@dataclass(frozen=True, slots=True)
class TradingBalance:
    """One asset of an account on a shard, in engine units.

    `total_units` is its cash with what open spot orders hold of it. The rest is not 0 only of what
    backs perpetuals: `isolated_units` is the cash that isolated positions have of their own, beside
    the total; of cross margin `unrealised_units` is the profit of its positions at mark (signed),
    `margin_units` what they and open orders need of equity (each market's part rounded up by the
    engine), `leaving_units` what the engine lets go, spot holds not counted (None: all of it).
    `is_gated`: a loss of the shard is uncovered, and none of this asset leaves it meanwhile.

    Nothing here divides, so nothing is rounded.
    """

    total_units: int
    held_units: int
    isolated_units: int = 0
    unrealised_units: int = 0
    margin_units: int = 0
    leaving_units: int | None = None
    is_liquidating: bool = False
    is_gated: bool = False

    @classmethod
    def of_collateral(cls, total_units: int, held_units: int, holdings: Holdings) -> Self:
        """Return the balance of the asset that backs the perpetuals of the shard."""
        cross = holdings.scopes[0]
        return cls(
            total_units,
            held_units,
            isolated_units=sum(one.margin_units for one in holdings.positions if one.scope),
            unrealised_units=cross.equity_units - cross.cash_units,
            margin_units=cross.required_units,
            leaving_units=cross.leaving_units,
            is_liquidating=cross.is_liquidating,
            is_gated=cross.is_gated,
        )

    @property
    def all_units(self) -> int:
        """Return all that is the account's: cash, held or not, and that of isolated positions."""
        return self.total_units + self.isolated_units

    @property
    def available_units(self) -> int:
        """Return what new orders may use.

            max(0, total + unrealised profit - margin - spot holds); 0 while it is liquidated

        An order on a perpetual needs its margin, fee and open loss of it; a spot order pays in
        cash, and so takes no more than `spendable_units`.
        """
        if self.is_liquidating:
            return 0
        return max(
            0, self.total_units + self.unrealised_units - self.margin_units - self.held_units
        )

    @property
    def withdrawable_units(self) -> int:
        """Return what a withdrawal or a transfer may take now: what is spendable, or nothing."""
        return 0 if self.is_gated else self.spendable_units

    @property
    def spendable_units(self) -> int:
        """Return what a spot order may take now, and, but for the shard's gate, a withdrawal.

            max(0, min(cash, equity - max(margin, transfer floors)) - spot holds)

        The first part is `leaving_units`, which is 0 while the scope is liquidated, a market of it
        is halted or its mark is stale. Without positions and orders on perpetuals it is the cash.
        """
        leaving = self.total_units if self.leaving_units is None else self.leaving_units
        return max(0, min(leaving, self.total_units) - self.held_units)
