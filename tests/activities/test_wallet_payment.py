"""What the signer would refuse for its gas gets no nonce: a hole would stop all that follows."""

from __future__ import annotations

from typing import Any, cast

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.payment_chain import require_bounds
from activities.wallet_payment import WalletPayments
from domain.chain import AddressState, FeeQuote
from domain.instrument import Asset
from domain.signing_limits import OWN_BOUNDS, WITHDRAWAL_BOUNDS, FeeBounds
from domain.wallet_payment import PaymentKind, PaymentState, WalletPayment, WalletPaymentRequest

GWEI = 10**9
ROW = WalletPayment(
    "id",
    PaymentKind.COLD,
    "ETH",
    "0xhot",
    "0xcold",
    "",
    Asset(1, "USDT", 6, 6),
    "0xusdt",
    70,
    2,
    PaymentState.PLANNED,
)


class Rows:
    """One planned payment."""

    async def load(self, payment_id: str) -> WalletPayment:
        return ROW

    async def next_nonce(self, chain: str, address: str) -> int | None:
        return None

    async def allocate_nonce(self, *_: object) -> WalletPayment:
        raise AssertionError("a nonce was given")


class Node:
    """A chain on which a token takes much gas."""

    async def require_chain(self, chain: str) -> None:
        return None

    def require_cheap(self, fees: FeeQuote) -> None:
        return None

    async def address_state(self, *_: object) -> AddressState:
        return AddressState(1, 0, {None: 10**18, "0xusdt": 100})

    async def fee_quote(self) -> FeeQuote:
        return FeeQuote(GWEI, 1)

    async def gas_for(self, *_: object) -> int:
        return OWN_BOUNDS.gas + 1


class Builder:
    """Builds nothing."""

    def call(self, payable: object) -> tuple[str, int, bytes]:
        return "0xusdt", 0, b""


async def test_a_payment_of_ours_beyond_the_signers_bounds_parks_without_a_nonce() -> None:
    """The bounds are the signer's own."""

    async def gate() -> str:
        return ""

    node = cast("Any", Node())
    own = WalletPayments(
        cast("Any", Rows()),
        node,
        node,
        cast("Any", Builder()),
        gate,
        officers=cast("Any", None),
        returns=cast("Any", None),
        now=cast("Any", None),
    )
    with pytest.raises(ApplicationError, match="150001 gas") as refused:
        await ActivityEnvironment().run(own.allocate_nonce, WalletPaymentRequest("id"))
    assert refused.value.type == "PublicFeeTooHigh"
    assert refused.value.non_retryable


@pytest.mark.parametrize(
    ("bounds", "gas", "gwei", "passes"),
    [
        (OWN_BOUNDS, 150_000, 333, True),
        (OWN_BOUNDS, 150_000, 334, False),
        (OWN_BOUNDS, 150_001, 1, False),
        (WITHDRAWAL_BOUNDS, 500_000, 200, True),
        (WITHDRAWAL_BOUNDS, 500_000, 201, False),
        (WITHDRAWAL_BOUNDS, 500_001, 1, False),
    ],
)
def test_gas_and_what_it_costs_have_bounds(
    bounds: FeeBounds, gas: int, gwei: int, *, passes: bool
) -> None:
    """Exactly the bound is within it."""
    fees = FeeQuote(gwei * GWEI, 1)
    assert bounds.admit(gas, fees.max_fee) is passes
    if not passes:
        with pytest.raises(ApplicationError, match="the signer signs"):
            require_bounds(bounds, gas, fees)
