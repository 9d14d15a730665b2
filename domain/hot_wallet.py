"""How much the hot wallet should hold: bands per asset, and what follows from them.

Amounts are chain units. What is there counts as booked, without what withdrawals have been debited
for and are still to be paid: that money is on its way out already.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.instrument import Asset

HOT_WALLET_WORKFLOW = "HotWalletWorkflow"
HOT_WALLET_ID = "hot-wallet"
HOT_WALLET_SUMMARY = "Empties deposit addresses, keeps the hot wallet in its bands"


@dataclass(frozen=True, slots=True)
class Band:
    """An asset's bounds; None is no such bound, and nothing is done about it.

    Deposit addresses with more than `sweep_above` are emptied. Above `ceiling` everything above
    `target` goes to the cold address; below `floor` people are asked to bring it up to `target`.
    """

    asset: Asset
    contract: str | None
    sweep_above: int | None = None
    floor: int | None = None
    target: int | None = None
    ceiling: int | None = None

    @property
    def has_no_bound(self) -> bool:
        """Return whether nothing is said of this asset."""
        return self.sweep_above is self.floor is self.target is self.ceiling is None

    @property
    def refusal(self) -> str | None:
        """Return why these bounds make no sense, in words, or None."""
        given = (self.sweep_above, self.floor, self.target, self.ceiling)
        if any(bound is not None and bound < 0 for bound in given):
            return "a bound is not negative"
        if self.target is None and (self.floor is not None or self.ceiling is not None):
            return "floor and ceiling need a target, to which they lead back"
        if self.floor is not None and self.target is not None and self.floor > self.target:
            return "the floor lies above the target"
        if self.ceiling is not None and self.target is not None and self.ceiling < self.target:
            return "the ceiling lies below the target"
        return None

    def surplus(self, available: int) -> int:
        """Return what is to go to the cold address: down to the target, once above the ceiling."""
        if self.ceiling is None or self.target is None or available <= self.ceiling:
            return 0
        return available - self.target

    def shortfall(self, available: int) -> int:
        """Return what is to be brought from the cold wallet: up to the target, below the floor."""
        if self.floor is None or self.target is None or available >= self.floor:
            return 0
        return self.target - available


@dataclass(frozen=True, slots=True)
class Holdings:
    """The exchange's coins of one asset by place, as booked, and what is on its way.

    `pending` is held for withdrawals that are not paid, `leaving` what open payments take from the
    hot wallet to other addresses of ours, `coming` what open sweeps bring, `refilling` what signed
    refills bring from a cold address.
    """

    asset: Asset
    deposits: int = 0
    hot: int = 0
    cold: int = 0
    pending: int = 0
    leaving: int = 0
    coming: int = 0
    refilling: int = 0

    @property
    def available(self) -> int:
        """Return what the hot wallet has beside what is promised; negative when it is short."""
        return self.hot - self.pending - self.leaving

    def to_refill(self, band: Band) -> int:
        """Return what is to be asked of the cold wallet, beside what it has signed already."""
        return band.shortfall(self.available + self.refilling)


def band_concerns(bands: Iterable[Band], holdings: Iterable[Holdings]) -> list[tuple[str, str]]:
    """Return (asset, what is wrong and what to do) for each asset below its floor.

    What a signed refill brings is as good as there.
    """
    held = {it.asset.asset_id: it for it in holdings}
    found = []
    for band in bands:
        holding, asset = held.get(band.asset.asset_id), band.asset
        missing = 0 if holding is None else holding.to_refill(band)
        if holding is None or not missing:
            continue
        left, floor = asset.chain_text(max(0, holding.available)), band.floor or 0
        text = (
            f"the hot wallet has {left} {asset.code} beside what is promised, below its floor of "
            f"{asset.chain_text(floor)}: `rialto cold request {asset.code}="
            f"{asset.chain_text(missing)} --out FILE`; the cold wallet has "
            f"{asset.chain_text(holding.cold)} in the books"
        )
        found.append((asset.code, text))
    return found


@dataclass(frozen=True, slots=True)
class DepositHolding:
    """What a deposit address has of an asset, as booked, beside what open sweeps take."""

    address: str
    path: str
    asset: Asset
    contract: str | None
    amount: int


@dataclass(frozen=True, slots=True)
class TendRequest:
    """Look every `every_seconds` for `run_seconds`, at most `most` addresses at a time."""

    every_seconds: int = 5
    run_seconds: int = 600
    most: int = 50


@dataclass(slots=True)
class TendResult:
    """The last look: how many payments it planned, and why nothing is paid, if so."""

    planned: int = 0
    stopped: str = ""
    failed: str = ""


GAS_MARGIN_PERCENT = 150  # a supply outlasts fees that rise by half
MAX_GAS_SUPPLY = 10**17  # 0.1 of the chain's coin; the signer holds each supply to it, too


def gas_supply(have: int, cost: int) -> int:
    """Return what an address with `have` of the coin needs to pay `cost`; 0 for nothing.

    Rounded down; the margin is far more than a unit.
    """
    return 0 if have >= cost else cost * GAS_MARGIN_PERCENT // 100 - have
