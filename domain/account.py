"""Ledger accounts: what a code such as `customer:7:trading.0:USDT` means, and its floor.

Every account is credit-normal: a customer's balance is positive, the coins that the exchange
holds are the negative balances of the wallet accounts, and each asset sums to zero.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class AccountKind(StrEnum):
    """What an account is for."""

    MAIN = "main"  # a customer's money outside the engine
    TRADING = "trading"  # a customer's money in one shard; settlement is its only writer
    TRANSIT = "transit"  # transfers on their way between the two
    FEES = "fees"  # trading fees of one shard
    ROUNDING = "rounding"  # what exact division leaves over in one shard
    INSURANCE = "insurance"  # the cash of one shard's insurance fund
    PNL_CLEARING = "pnl_clearing"  # what a perpetual's open positions have realised between them
    WALLET_DEPOSIT = "wallet:deposit"  # minus the coins on customers' deposit addresses
    WALLET_HOT = "wallet:hot"  # minus the coins on the hot wallet
    WALLET_COLD = "wallet:cold"  # minus the coins on the cold address
    WITHDRAWAL_PENDING = "withdrawal:pending"  # debited, not yet confirmed on chain
    WALLET_FEES = "wallet_fees"  # what customers paid for withdrawals
    NETWORK_FEES = "network_fees"  # what the chain cost the exchange
    SUSPENSE = "suspense"
    CAPITAL = "capital"  # the owners' money


COLLATERAL_ASSETS = frozenset({"USDT"})
"""What perpetuals are margined and settled in: a trading account of it may be negative, against
unrealised profit. Whether it really is against that, the checker says, who knows the positions."""

_FLOOR_ZERO = frozenset(
    {
        AccountKind.MAIN,
        AccountKind.TRADING,
        AccountKind.TRANSIT,
        AccountKind.ROUNDING,
        AccountKind.INSURANCE,
        AccountKind.WITHDRAWAL_PENDING,
    }
)

_ASSET = r"(?P<asset>[A-Z0-9]{1,16})"
_PATTERNS = (
    re.compile(rf"customer:(?P<customer>[1-9][0-9]*):(?P<kind>main):{_ASSET}"),
    re.compile(
        rf"customer:(?P<customer>[1-9][0-9]*):(?P<kind>trading)\.(?P<shard>[0-9]+):{_ASSET}"
    ),
    re.compile(rf"(?P<kind>transit|fees|rounding|insurance)\.(?P<shard>[0-9]+):{_ASSET}"),
    re.compile(rf"(?P<kind>pnl_clearing)\.(?P<shard>[0-9]+)\.(?P<symbol>[0-9]+):{_ASSET}"),
    re.compile(rf"(?P<kind>wallet:deposit|wallet:hot|wallet:cold):(?P<chain>[A-Z0-9]+):{_ASSET}"),
    re.compile(rf"(?P<kind>withdrawal:pending|wallet_fees|network_fees|suspense|capital):{_ASSET}"),
)


class UnknownAccountError(ValueError):
    """The text is not the code of any account that the exchange keeps."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account, as its code says. Fields that its kind does not have are None."""

    kind: AccountKind
    asset: str
    customer_id: int | None = None
    shard: int | None = None
    chain: str | None = None
    symbol_id: int | None = None

    @property
    def floor(self) -> int | None:
        """Return the balance it may never go below, in chain units; None = no floor.

        The engine refuses what would break a floor; here it is an alarm, not the rule.
        """
        if self.kind is AccountKind.TRADING and self.asset in COLLATERAL_ASSETS:
            return None
        return 0 if self.kind in _FLOOR_ZERO else None


def parse_account(code: str) -> Account:
    """Return what `code` means; `UnknownAccountError` when it is not an account's code."""
    for pattern in _PATTERNS:
        match = pattern.fullmatch(code)
        if match is not None:
            parts = match.groupdict()
            return Account(
                kind=AccountKind(parts["kind"]),
                asset=parts["asset"],
                customer_id=int(parts["customer"]) if "customer" in parts else None,
                shard=int(parts["shard"]) if "shard" in parts else None,
                chain=parts.get("chain"),
                symbol_id=int(parts["symbol"]) if "symbol" in parts else None,
            )
    raise UnknownAccountError(f"not an account code: {code[:80]!r}")
