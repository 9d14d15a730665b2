"""One look at the hot wallet: an address from which nothing can be moved keeps up no other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import structlog
from temporalio.testing import ActivityEnvironment

from activities.hot_wallet import HotWalletActivities
from domain.chain import AddressState, FeeQuote
from domain.hot_wallet import Band, DepositHolding, Holdings, TendRequest, TendResult
from domain.instrument import Asset
from domain.wallet_payment import NewPayment, WalletPayment

ETH, USDT = Asset(1, "ETH", 18, 8), Asset(2, "USDT", 6, 6)
TOKEN = "0xtoken"


class Rows:
    """Two addresses with tokens."""

    async def bands(self, chain: str) -> list[Band]:
        return [Band(ETH, None), Band(USDT, TOKEN, sweep_above=1)]

    async def holdings(self, chain: str) -> list[Holdings]:
        return [Holdings(ETH), Holdings(USDT)]

    async def cold_addresses(self, chain: str) -> set[str]:
        return set()

    async def to_sweep(self, chain: str, busy: object, most: int) -> list[DepositHolding]:
        return [DepositHolding(at, f"m/{at}", USDT, TOKEN, 5) for at in ("0xfrozen", "0xfine")]


@dataclass
class Node:
    """A node that says of one address that its token does not move."""

    goes_away: bool = False
    asked: int = 0
    coins: int = 10**18
    gas: int = 50_000

    async def head(self) -> int:
        if self.goes_away:
            raise ConnectionError("away")
        return 1

    async def fee_quote(self) -> FeeQuote:
        return FeeQuote(10, 1)

    async def address_state(self, address: str, contracts: Iterable[str | None]) -> AddressState:
        balances = {it: self.coins if it is None else 10**18 for it in contracts}
        return AddressState(1, 0, balances)

    async def gas_for(self, sender: str, to: str, value: int, data: bytes) -> int:
        self.asked += 1
        if sender == "0xfrozen":
            raise RuntimeError("execution reverted")
        return self.gas


@dataclass
class Payments:
    """What was planned."""

    planned: list[NewPayment] = field(default_factory=list)

    async def open(self) -> list[WalletPayment]:
        return []

    async def now(self) -> dt.datetime:
        return dt.datetime(2026, 11, 28, tzinfo=dt.UTC)

    async def plan(self, wanted: Iterable[NewPayment], looked_at: dt.datetime) -> list[str]:
        self.planned += wanted
        return [payment.source for payment in self.planned]


class Builder:
    """Builds nothing."""

    def call(self, payment: WalletPayment) -> tuple[str, int, bytes]:
        return TOKEN, 0, b""


class Starter:
    """Starts nothing."""

    async def ensure_running(self, workflow: str, workflow_id: str, request: object) -> bool:
        return True


def _tending(payments: Payments, node: Node, max_fee: int = 100) -> HotWalletActivities:
    async def gate() -> str:
        return ""

    return HotWalletActivities(
        Rows(),
        payments,
        cast("Any", node),
        cast("Any", Builder()),
        cast("Any", Starter()),
        gate,
        name="ETH",
        hot_address="0xhot",
        cold_address=lambda: "",
        max_fee=max_fee,
    )


@pytest.mark.parametrize(
    ("node", "result", "asked"),
    [
        (Node(), TendResult(planned=1), 2),
        (Node(goes_away=True), TendResult(failed="ConnectionError"), 1),
    ],
)
async def test_an_address_that_is_frozen_is_left_out(
    node: Node, result: TendResult, asked: int
) -> None:
    """The others are swept; where it is the node that fails, the look is over at once."""
    payments = Payments()
    tending = _tending(payments, node)
    assert await ActivityEnvironment().run(tending.tend, TendRequest(run_seconds=0)) == result
    assert [payment.source for payment in payments.planned] == ["0xfine"] * result.planned
    assert node.asked == asked


async def test_gas_that_is_too_dear_is_said_and_logged_once() -> None:
    """Nothing is planned; the heartbeat says so at each look, the log at the first one."""
    payments, node = Payments(), Node(coins=0, gas=10**16)
    tending = _tending(payments, node)
    request = TendRequest(run_seconds=0)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            assert await ActivityEnvironment().run(tending.tend, request) == TendResult()
            (told,) = tending.concerns
            assert told.startswith("1 deposit addresses are not swept: the gas for one would take")
    assert payments.planned == []
    assert [it["event"] for it in logs].count("not_swept_for_its_gas") == 1
    node.coins = 10**18
    assert (await ActivityEnvironment().run(tending.tend, request)).planned == 1
    assert tending.concerns == []
