"""Coins on the chain at the watcher's block, with what is not booked yet."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from domain.chain import AddressState, Receipt
from domain.checker_records import ChainRecord, UnsettledPayment, WalletFacts
from infra.wallet.chain import EvmChain
from infra.wallet.coins import WalletCoins
from infra.wallet.rpc import ChainUnavailableError

HOT, DEPOSIT, COLD = "wallet:hot:ETH", "wallet:deposit:ETH", "wallet:cold:ETH"
FACTS = WalletFacts(
    chain="ETH",
    block_number=10,
    block_hash="0xaa",
    contracts={"ETH": None, "USDT": "0xusdt"},
    deposit_addresses=("0x1", "0x2"),
    cold_addresses=("0x3", "0x4"),
    unbooked={"wallet:deposit:ETH:USDT": 5},
    unsettled=(
        UnsettledPayment("0xmined", "USDT", 7, f"{HOT}:USDT", f"{HOT}:ETH"),
        UnsettledPayment("0xlater", "USDT", 9, f"{HOT}:USDT", f"{HOT}:ETH"),
        UnsettledPayment("0xfailed", "ETH", 3, f"{HOT}:ETH", f"{HOT}:ETH"),
        UnsettledPayment("0xunknown", "ETH", 3, f"{HOT}:ETH", f"{HOT}:ETH"),
        UnsettledPayment("0xswept", "USDT", 6, f"{DEPOSIT}:USDT", f"{DEPOSIT}:ETH", f"{HOT}:USDT"),
        UnsettledPayment("0xrefill", "USDT", 4, f"{COLD}:USDT", f"{COLD}:ETH", f"{HOT}:USDT"),
    ),
)


_BLOCKS = {"0xmined": 10, "0xlater": 11, "0xfailed": 9, "0xswept": 10, "0xrefill": 10}


class Chain:
    """A chain on which each address has as many coins as its name says."""

    def __init__(self) -> None:
        self.away = False
        self.hash = "0xaa"

    async def block_hash(self, number: int) -> str | None:
        if self.away:
            raise ChainUnavailableError("eth_getBlockByNumber: away")
        return self.hash

    async def address_state(
        self, address: str, contracts: Collection[str | None], *, at_block: int | None = None
    ) -> AddressState:
        assert at_block == 10
        count = int(address, 16)
        return AddressState(10, 0, {contract: count if contract else 0 for contract in contracts})

    async def receipt(self, tx_hash: str) -> Receipt | None:
        block = _BLOCKS.get(tx_hash)
        if block is None:
            return None
        return Receipt(tx_hash, block, "0x", succeeded=tx_hash != "0xfailed", fee=2)


def coins(chain: Chain) -> WalletCoins:
    return WalletCoins(cast("EvmChain", chain), "0x40")


async def test_coins_and_what_is_in_flight() -> None:
    """Deposits wait for confirmations, what is mined for booking; fees count even if failed.

    A sweep counts at both ends, and its fee where it came from.
    """
    assert await coins(Chain()).at(FACTS) == [
        ChainRecord("wallet:deposit:ETH:ETH", "ETH", 0, -2),
        ChainRecord("wallet:deposit:ETH:USDT", "USDT", 3, -1),
        ChainRecord("wallet:hot:ETH:ETH", "ETH", 0, -4),
        ChainRecord("wallet:hot:ETH:USDT", "USDT", 64, 3),
        ChainRecord("wallet:cold:ETH:ETH", "ETH", 0, -2),
        ChainRecord("wallet:cold:ETH:USDT", "USDT", 7, -4),
    ]


async def test_another_chain_is_not_compared() -> None:
    """When the block is another one, or the node is away, nothing is said."""
    chain = Chain()
    chain.hash = "0xbb"
    assert await coins(chain).at(FACTS) == []
    chain.away = True
    assert await coins(chain).at(FACTS) == []
