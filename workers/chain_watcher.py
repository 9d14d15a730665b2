"""The chain watcher: finds payments to our addresses and starts a deposit for each of them.

Each block is stored with what it pays us in one transaction; so after a crash it goes on at the
stored height, and a block is scanned once. A block whose parent is not the stored one means that
the chain was reorganised: stored blocks are taken back until both agree, and with them what they
paid us. Whoever was frozen for that has his open orders cancelled here, which needs no Temporal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import structlog
from redis.asyncio import Redis
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError

from domain.chain import AddressState, Block, Payment
from domain.deposit import DEPOSIT_WORKFLOW, DepositRequest, IgnoredPayment, NewDeposit
from domain.wallet_payment import (
    WALLET_PAYMENT_WORKFLOW,
    WalletPaymentRequest,
    wallet_payment_workflow_id,
)
from infra.heartbeat import Heartbeat
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.orders_due import OrdersDueStore
from infra.settings import Settings
from infra.telemetry import configure_logging
from infra.temporal.client import connect
from infra.wallet.block_store import ACTOR, BlockStore
from infra.wallet.chain import EvmChain
from infra.wallet.cold_addresses import ColdAddresses
from infra.wallet.keys import load_public
from infra.wallet.refill_store import RefillStore
from infra.wallet.reorganisation import Reorganisations
from infra.wallet.rpc import ChainUnavailableError, RpcError
from infra.wallet.setup import CHAIN
from infra.wallet.workflow_starter import TemporalStarter
from workers.standing_care import StandingCare, order_doors
from workers.stopping import stop_on_signals
from workflows import task_queues

POLL_SECONDS = 0.3
_BLOCKS_A_STEP = 100
_AT_A_TIME = 16  # starts of workflows
log = structlog.get_logger(__name__)


class WatchedChain(Protocol):
    """What the watcher asks a chain."""

    async def head(self) -> int:
        """Return the newest block's number."""

    async def block_hash(self, number: int) -> str | None:
        """Return the hash of the block at `number`."""

    async def block(self, number: int) -> Block | None:
        """Return a block with its payments."""

    async def address_state(
        self, address: str, contracts: Collection[str | None], *, at_block: int | None = None
    ) -> AddressState:
        """Return balances by contract, None being the chain's own coin, at a block."""

    async def raw_transaction(self, tx_hash: str) -> bytes | None:
        """Return a transaction's signed bytes, if the node tells them."""


class DepositStarter(Protocol):
    """Starts a workflow for a row that exists."""

    async def ensure_running(self, workflow: str, workflow_id: str, request: object) -> bool:
        """Return whether a run had to be started."""


@dataclass(frozen=True, slots=True)
class WatcherState:
    """What the watcher tells about itself; `trouble` is empty when all is well."""

    height: int = -1
    head: int = -1
    trouble: str = ""


class ChainWatcher:
    """Follows one chain; `step` does a bounded piece of work and may be repeated at any time."""

    def __init__(
        self,
        chain: WatchedChain,
        blocks: BlockStore,
        reorganisations: Reorganisations,
        cold: ColdAddresses,
        refills: RefillStore,
        starter: DepositStarter,
        hot_address: str,
        start_block: int = 0,
    ) -> None:
        self._chain = chain
        self._blocks = blocks
        self._reorganisations = reorganisations
        self._cold = cold
        self._refills = refills
        self._starter = starter
        self._hot_address = hot_address
        self._start_block = start_block
        self._starting = asyncio.Semaphore(_AT_A_TIME)
        self.state = WatcherState()

    async def step(self) -> bool:
        """Scan the next blocks; return whether there may be more to do at once."""
        head = await self._chain.head()
        tip = await self._blocks.tip(CHAIN)
        if tip is not None and head < tip[0]:
            self._set(tip[0], head, f"the chain is at {head}, behind block {tip[0]} that was seen")
            return False
        if tip is not None and await self._chain.block_hash(tip[0]) != tip[1]:
            return await self._rewind(tip[0], head)
        height, parent = tip if tip is not None else (self._start_block - 1, None)
        last = min(head, height + _BLOCKS_A_STEP)
        cold = await self._cold.known(CHAIN)
        for number in range(height + 1, last + 1):
            block = await self._chain.block(number)
            if block is None or (parent is not None and block.parent_hash != parent):
                return True  # reorganised meanwhile: the next step looks again
            counted = {at for at, since in cold.items() if since is not None and since < number}
            await self._scan(block, counted)
            parent = block.hash
            self._set(number, head, "")
        if head != self.state.head or last > height:
            await self._blocks.note_confirmations(CHAIN, head)
        self._set(last, head, "")
        if last == head and parent is not None:
            await self._count([it for it, since in cold.items() if since is None], (last, parent))
        if restored := await self._reorganisations.restore(CHAIN, last):
            log.warning("deposits are in the chain again", deposits=restored)
        return last < head

    async def _rewind(self, height: int, head: int) -> bool:
        """Go back to the last block that the chain still has, and void what lay above it."""
        fork = height - 1
        while True:
            stored = await self._blocks.hash_at(CHAIN, fork)
            if stored is None:  # below the first block that is stored
                self._set(
                    height, head, "none of the stored blocks is in this chain: another chain?"
                )
                return False
            if stored == await self._chain.block_hash(fork):
                break
            fork -= 1
        disputed = await self._reorganisations.rewind(CHAIN, fork)
        log.warning("chain reorganised", fork=fork, depth=height - fork, disputed=disputed)
        if disputed:
            log.error("deposits were reorganised after posting", alarm=True, deposits=disputed)
        return True

    async def _count(self, addresses: Collection[str], block: tuple[int, str]) -> None:
        """Take cold addresses that were pinned into the books, with what they have at `block`."""
        for address in addresses:
            contracts = await self._cold.contracts(CHAIN)
            state = await self._chain.address_state(
                address, set(contracts.values()), at_block=block[0]
            )
            if await self._chain.block_hash(block[0]) != block[1]:
                return  # reorganised meanwhile: the next step looks again
            coins = {code: state.balances[contract] for code, contract in contracts.items()}
            if await self._cold.count(CHAIN, address, block, coins):
                log.info("cold address is in the books", address=address, block=block[0])

    async def _scan(self, block: Block, cold: Collection[str]) -> None:
        """Store the block with what it pays us, then start the workflows."""
        receivers = {payment.address for payment in block.payments}
        owners = await self._blocks.owners(CHAIN, receivers)
        assets = await self._blocks.assets(CHAIN) if receivers else {}
        known = {self._hot_address, *cold, *owners}
        ours = [it for it in block.payments if it.address in known]
        own = await self._blocks.own_payments({payment.tx_hash for payment in ours})
        deposits, ignored = [], []
        for payment in ours:
            if payment.tx_hash in own:
                continue
            asset_id = assets.get(payment.contract)
            if payment.amount == 0:
                continue
            if asset_id is not None and await self._is_refill(payment, asset_id, cold):
                continue
            if asset_id is None:
                ignored.append(_ignored(payment))
            else:
                customer = owners.get(payment.address)
                deposits.append(_deposit(payment, block, customer, asset_id))
        await self._blocks.record(CHAIN, block, deposits, ignored)
        for payment_ignored in ignored:
            log.warning("payment in an unknown token", subject=payment_ignored.subject)
        for deposit in deposits:
            log.info("deposit seen", deposit_id=deposit.deposit_id)
        await asyncio.gather(*(self._begin(deposit.deposit_id) for deposit in deposits))

    async def _begin(self, deposit_id: str) -> None:
        async with self._starting:
            await self._start(DEPOSIT_WORKFLOW, deposit_id, DepositRequest(deposit_id))

    async def _is_refill(self, payment: Payment, asset_id: int, cold: Collection[str]) -> bool:
        """Return whether a cold address pays the hot wallet, by whatever way it was sent.

        It becomes a payment of ours, then, as if its file had been submitted.
        """
        if payment.address != self._hot_address or payment.sender not in cold:
            return False
        raw = await self._chain.raw_transaction(payment.tx_hash)
        taken = raw and await self._refills.take_up(CHAIN, payment, asset_id, raw)
        if not taken:
            log.error(
                "a cold address has paid the hot wallet by no plain transaction",
                tx_hash=payment.tx_hash,
            )
            return False
        log.warning("a refill that was not submitted", payment_id=taken, tx_hash=payment.tx_hash)
        request = WalletPaymentRequest(taken)
        await self._start(WALLET_PAYMENT_WORKFLOW, wallet_payment_workflow_id(taken), request)
        return True

    async def _start(self, workflow: str, workflow_id: str, request: object) -> None:
        """Start a workflow; while Temporal is away the orphan sweep does it later."""
        try:
            await self._starter.ensure_running(workflow, workflow_id, request)
        except (RPCError, RuntimeError) as error:
            log.warning("Temporal is away: the sweep starts it", error=str(error))

    def _set(self, height: int, head: int, trouble: str) -> None:
        if trouble and trouble != self.state.trouble:
            log.error("the watcher stands still, withdrawals stop", trouble=trouble)
        self.state = WatcherState(height, head, trouble)


def _deposit(payment: Payment, block: Block, customer: int | None, asset_id: int) -> NewDeposit:
    return NewDeposit(
        chain=CHAIN,
        tx_hash=payment.tx_hash,
        log_index=payment.log_index,
        block_number=block.number,
        block_hash=block.hash,
        address=payment.address,
        customer_id=customer,
        asset_id=asset_id,
        amount=payment.amount,
        sender=payment.sender,
    )


def _ignored(payment: Payment) -> IgnoredPayment:
    return IgnoredPayment(
        chain=CHAIN,
        tx_hash=payment.tx_hash,
        log_index=payment.log_index,
        contract=payment.contract or "",
        address=payment.address,
        amount=payment.amount,
    )


async def watch(watcher: ChainWatcher, stopping: asyncio.Event) -> None:
    """Follow the chain until told to stop; a node or database that is away is waited for."""
    said = ""
    while not stopping.is_set():
        try:
            if await watcher.step():
                continue
            said = ""
        except (ChainUnavailableError, RpcError, SQLAlchemyError, OSError) as error:
            if str(error) != said:
                log.warning("waiting for chain or database", error=str(error))
            said = str(error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), POLL_SECONDS)


async def run(settings: Settings, stopping: asyncio.Event) -> None:
    """Watch the chain and beat once a second."""
    engine = create(settings.database_url, pool_size=2)
    chain = EvmChain(settings.chain_url)
    redis = Redis.from_url(settings.redis_url, socket_connect_timeout=1.0)

    async def client() -> Client:
        return await connect(settings)

    watcher = ChainWatcher(
        chain,
        BlockStore(engine, AuditStore()),
        Reorganisations(engine, LedgerStore(), AuditStore()),
        ColdAddresses(engine, LedgerStore(), AuditStore()),
        RefillStore(engine, AuditStore()),
        TemporalStarter(client, task_queues.WALLET),
        load_public(settings.data_dir).hot_address,
    )
    heartbeat = Heartbeat("chain-watcher", settings.run_dir, redis)
    watching = asyncio.create_task(watch(watcher, stopping))
    due = OrdersDueStore(engine, AuditStore())
    care = StandingCare(due, lambda: order_doors(settings), ACTOR)
    caring = asyncio.create_task(care.run())
    try:
        while not watching.done():
            state = watcher.state
            await heartbeat.beat(
                sequence=max(state.height, 0),
                lag=max(state.head - state.height, 0),
                detail={
                    "chain": CHAIN,
                    "trouble": state.trouble,
                    "attention": {"wallet": care.trouble} if care.trouble else {},
                },
            )
            await asyncio.wait({watching}, timeout=1.0)
        await watching
    finally:
        watching.cancel()
        caring.cancel()
        await care.close()
        await chain.close()
        await redis.aclose()
        await engine.dispose()


async def _until_signal(settings: Settings) -> None:
    stopping = stop_on_signals()
    await run(settings, stopping)


def main() -> None:
    """Run the watcher."""
    import uvloop

    settings = Settings()
    configure_logging("chain-watcher", settings.log_level, settings.log_format)
    uvloop.run(_until_signal(settings))


if __name__ == "__main__":
    main()
