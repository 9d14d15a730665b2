"""How many coins the wallet has on a chain, for the checker; exact at one block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import structlog

from domain.checker_records import ChainRecord, WalletFacts
from domain.ledger import wallet_cold, wallet_deposit, wallet_hot
from infra.wallet.chain import EvmChain
from infra.wallet.rpc import ChainUnavailableError, RpcError

_log = structlog.get_logger()


class WalletCoins:
    """Sums up deposit addresses, the hot wallet, and cold addresses."""

    def __init__(self, chain: EvmChain, hot_address: str) -> None:
        self._chain = chain
        self._hot_address = hot_address

    async def at(self, facts: WalletFacts) -> list[ChainRecord]:
        """Return the coins of each wallet account at the facts' block.

        Empty when the chain is away, or no longer has that block: then nothing can be compared.
        """
        try:
            if await self._chain.block_hash(facts.block_number) != facts.block_hash:
                _log.warning("chain_not_compared", chain=facts.chain, reason="reorganised")
                return []
            return await self._records(facts)
        except (ChainUnavailableError, RpcError) as error:
            _log.warning("chain_not_compared", chain=facts.chain, reason=str(error)[:200])
            return []

    async def _records(self, facts: WalletFacts) -> list[ChainRecord]:
        deposits = await self._sum(facts, facts.deposit_addresses)
        hot = await self._sum(facts, (self._hot_address,))
        cold = await self._sum(facts, facts.cold_addresses)
        in_flight = Counter(facts.unbooked)
        in_flight.update(await self._paid(facts))
        return [
            ChainRecord(account, asset, coins[asset], in_flight[account])
            for code, coins in ((wallet_deposit, deposits), (wallet_hot, hot), (wallet_cold, cold))
            for asset in sorted(facts.contracts)
            for account in (code(facts.chain, asset),)
        ]

    async def _sum(self, facts: WalletFacts, addresses: Iterable[str]) -> Counter[str]:
        total: Counter[str] = Counter()
        for address in addresses:
            state = await self._chain.address_state(
                address, set(facts.contracts.values()), at_block=facts.block_number
            )
            total.update({code: state.balances[it] for code, it in facts.contracts.items()})
        return total

    async def _paid(self, facts: WalletFacts) -> Counter[str]:
        """Return what mined transactions took (negative) and brought that is not booked yet."""
        paid: Counter[str] = Counter()
        for payment in facts.unsettled:
            receipt = await self._chain.receipt(payment.tx_hash)
            if receipt is None or receipt.block_number > facts.block_number:
                continue
            paid[payment.coin_source] -= receipt.fee
            if receipt.succeeded:
                paid[payment.source] -= payment.amount
                paid[payment.destination] += payment.amount  # outside is no account of ours
        return paid
