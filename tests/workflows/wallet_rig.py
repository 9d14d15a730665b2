"""A small exchange for wallet tests: real chain, Temporal, PostgreSQL, ledger, engine, settlement.

Only the transport to the engine is left out: its state machine runs in this process, and what it
does is settled at once, unless a test holds settlement back.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Interceptor, Worker

from activities.nonce_care import NonceCare
from activities.orphan_sweep import OrphanSweepActivities, SweepRequest, SweepResult
from domain.approval import APPROVE, VOID, Decision, Statement
from domain.reconciliation import Policy
from domain.screening import SANCTIONS
from domain.wallet_record import NewWithdrawal
from domain.withdrawal import WITHDRAWAL_WORKFLOW, Withdrawal, WithdrawalRequest
from domain.withdrawal_limits import AddressNames, Tier
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_wallet import CustomerWalletStore
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.settlement_store import SettlementStore
from infra.postgres.withdrawal_addresses import WithdrawalAddressStore
from infra.settings import Settings
from infra.temporal.client import connect
from infra.wallet import demo, officers
from infra.wallet.block_store import BlockStore
from infra.wallet.chain import EvmChain
from infra.wallet.cold_addresses import ColdAddresses
from infra.wallet.pinned_officers import PinnedOfficers
from infra.wallet.policy_facts import PolicyFactsReader
from infra.wallet.refill_store import RefillStore
from infra.wallet.reorganisation import Reorganisations
from infra.wallet.rpc import JsonRpc
from infra.wallet.screening import screeners_of
from infra.wallet.setup import WalletSetup, ensure_deposit_address, prepare_demo_wallet
from infra.wallet.withdrawal_store import WithdrawalStore
from infra.wallet.workflow_starter import TemporalStarter
from tests.quick_seed import make_quick_seed
from tests.workflows.wallet_parts import (
    ASSET_ROWS,
    ETH_USDT,
    ETH_USDT_ROW,
    OUTSIDE,
    EngineInProcess,
    Gate,
    terminate_all,
)
from workers.chain_watcher import ChainWatcher, watch
from workers.wallet_signer import open_signer, signer_worker
from workers.wallet_wiring import (
    WalletAdapters,
    nonce_care,
    payment_gate,
    return_rules,
    sweep_kinds,
    wiring_of,
)
from workflows import task_queues

WAIT_SECONDS = 30.0


@dataclass
class Rig:
    """Everything a wallet test touches."""

    settings: Settings
    engine: AsyncEngine
    client: Client
    wallet: WalletSetup
    treasury: EngineInProcess
    chain: EvmChain
    watcher: ChainWatcher
    withdrawals: WithdrawalStore
    signer_gate: Gate

    # ---- doing ----------------------------------------------------------------------------

    async def rpc(self, method: str, *params: object) -> Any:
        """Call the chain's node."""
        async with JsonRpc(self.settings.chain_url) as rpc:
            return await rpc.call(method, *params)

    async def mine(self, blocks: int = 3) -> None:
        """Let blocks pass."""
        await self.rpc("anvil_mine", hex(blocks))

    async def fund(self, address: str, asset: str, amount: int) -> str:
        """Pay to an address on the chain."""
        contract = self.wallet.contracts.get(asset)
        return await demo.fund(self.settings.chain_url, address, contract, amount)

    async def new_customer(self, customer_id: int) -> str:
        """Create a customer and return the deposit address."""
        async with self.engine.begin() as connection:
            await connection.execute(
                tables.customer.insert().values(
                    customer_id=customer_id,
                    name=f"c{customer_id}",
                    deposit_index=customer_id,
                    tier=Tier.INSTITUTIONAL,
                )
            )
            return await ensure_deposit_address(
                connection, self.wallet.public, customer_id, customer_id
            )

    async def funded_customer(self, customer_id: int, asset: str, amount: int) -> str:
        """Create a customer whose deposit is in trading; return the deposit address."""
        address = await self.new_customer(customer_id)
        tx_hash = await self.fund(address, asset, amount)
        await self.mine()
        await self.until(lambda: self.deposit_state(tx_hash), "credited")
        return address

    async def request(
        self,
        customer_id: int,
        asset: str,
        amount: int,
        *,
        address: str = OUTSIDE,
        key: str = "",
        beneficiary: str = "the customer",
    ) -> str:
        """List the address and write a withdrawal as the gateway does; its workflow waits."""
        await WithdrawalAddressStore(self.engine, AuditStore(), dt.timedelta()).add(
            customer_id, "ETH", address, AddressNames(beneficiary=beneficiary)
        )
        row = next(row for row in ASSET_ROWS if row["code"] == asset)
        store = CustomerWalletStore(self.engine, AuditStore(), self.wallet.public.deposit_address)
        made = await store.create_withdrawal(
            NewWithdrawal(
                customer_id=customer_id,
                idempotency_key=key or str(uuid.uuid4()),
                asset_id=row["asset_id"],
                shard=0,
                amount=amount,
                fee=row["withdrawal_fee"],
                address=address,
                request_id="test",
            )
        )
        assert isinstance(made, tuple)
        return str(made[0].withdrawal_id)

    async def record_cancellation(self, customer_id: int, withdrawal_id: str) -> bool:
        """Write the customer's wish as the gateway does, without telling the workflow."""
        store = CustomerWalletStore(self.engine, AuditStore(), self.wallet.public.deposit_address)
        found = await store.request_cancel(customer_id, UUID(withdrawal_id), "test")
        return found is not None and found.cancel_requested

    async def start(self, withdrawal_id: str) -> WorkflowHandle[Any, Any]:
        """Start the withdrawal's workflow."""
        return await self.client.start_workflow(
            WITHDRAWAL_WORKFLOW,
            WithdrawalRequest(withdrawal_id, "test"),
            id=f"withdrawal-{withdrawal_id}",
            task_queue=task_queues.WALLET,
        )

    async def withdraw(self, customer_id: int, asset: str, amount: int, **more: str) -> str:
        """Ask for a withdrawal and start its workflow."""
        withdrawal_id = await self.request(customer_id, asset, amount, **more)
        await self.start(withdrawal_id)
        return withdrawal_id

    def handle(self, withdrawal_id: str) -> WorkflowHandle[Any, Any]:
        """Return the handle of a withdrawal's workflow."""
        return self.client.get_workflow_handle(f"withdrawal-{withdrawal_id}")

    async def decision(
        self,
        withdrawal_id: str,
        *,
        officer: str = "marta",
        action: str = APPROVE,
        key_of: str = "",
        valid_seconds: int = 3600,
        **changed: Any,
    ) -> Decision:
        """Return an officer's signed decision; `changed` falsifies fields of the statement."""
        row = await self.row(withdrawal_id)
        fields: dict[str, Any] = {
            "withdrawal_id": withdrawal_id,
            "action": action,
            "asset": row.asset.code,
            "amount": row.amount,
            "address": row.address,
            "expiry": int(time.time()) + valid_seconds,
            "nonce": row.nonce if action == VOID else None,
        }
        statement = Statement(**(fields | changed))
        path = officers.private_key_path(self.settings.data_dir, key_of or officer)
        return officers.sign_statement(officers.load_private_key(path), officer, statement)

    # ---- looking --------------------------------------------------------------------------

    async def row(self, withdrawal_id: str) -> Withdrawal:
        """Return the withdrawal's row."""
        found = await self.withdrawals.load(withdrawal_id)
        assert found is not None
        return found

    async def state(self, withdrawal_id: str) -> str:
        """Return the withdrawal's state."""
        return (await self.row(withdrawal_id)).state

    async def stage(self, withdrawal_id: str) -> str:
        """Return the withdrawal's stage."""
        return (await self.row(withdrawal_id)).stage

    async def deposit_state(self, tx_hash: str) -> str | None:
        """Return the state of a transaction's deposit."""
        query = sa.select(tables.deposit.c.state).where(tables.deposit.c.tx_hash == tx_hash)
        async with self.engine.connect() as connection:
            return await connection.scalar(query)

    async def deposit_names(self, tx_hash: str) -> list[str]:
        """Return the ids of a transaction's deposits, which are their workflows' too."""
        query = sa.select(tables.deposit.c.deposit_id).where(tables.deposit.c.tx_hash == tx_hash)
        async with self.engine.connect() as connection:
            return list((await connection.execute(query)).scalars())

    async def balance(self, code: str) -> int:
        """Return a ledger account's balance."""
        async with self.engine.connect() as connection:
            return await LedgerStore().balance(connection, code)

    async def coins(self, address: str, asset: str) -> int:
        """Return what the chain says an address has."""
        contract = self.wallet.contracts.get(asset)
        state = await self.chain.address_state(address, {contract})
        return state.balances[contract]

    async def hot_nonce(self) -> int:
        """Return how many transactions of the hot wallet the chain has mined."""
        return (await self.chain.address_state(self.wallet.public.hot_address, ())).nonce

    async def details(self, withdrawal_id: str) -> str:
        """Return what the withdrawal's workflow shows to operators."""
        return str(await self.handle(withdrawal_id).query("__temporal_workflow_metadata"))

    async def audit(self, subject: str) -> list[str]:
        """Return the actions in the audit log about `subject`."""
        async with self.engine.connect() as connection:
            return [record.action for record in await AuditStore().read(connection, subject)]

    async def until(
        self, look: Callable[[], Awaitable[Any]], wanted: Any, seconds: float = WAIT_SECONDS
    ) -> None:
        """Wait until `look()` returns `wanted`."""
        deadline = time.monotonic() + seconds
        while (found := await look()) != wanted:
            assert time.monotonic() < deadline, f"still {found!r}, not {wanted!r}"
            await asyncio.sleep(0.05)

    async def until_approvable(self, withdrawal_id: str) -> None:
        """Wait until officers may decide: the row says so first, then the workflow takes it in."""
        await self.until(lambda: self.stage(withdrawal_id), "approval")
        await self.until(lambda: self._known_state(withdrawal_id), "screened")

    async def _known_state(self, withdrawal_id: str) -> str:
        return str((await self.handle(withdrawal_id).query("status"))["state"])

    async def until_settled(self, withdrawal_id: str) -> None:
        """Let the chain go on until the withdrawal is booked."""
        await self.until(lambda: self._reached(withdrawal_id, {"broadcast", "settled"}), True)
        await self.mine()
        await self.until(lambda: self.state(withdrawal_id), "settled")

    async def _reached(self, withdrawal_id: str, states: set[str]) -> bool:
        return await self.state(withdrawal_id) in states

    async def sweep(self) -> list[str]:
        """Run one orphan sweep, reading two rows at a time, and return what it started."""
        activities = OrphanSweepActivities(
            sweep_kinds(self.engine),
            self.withdrawals,
            TemporalStarter(self._connected, task_queues.WALLET),
            self.nonces().send_again,
        )
        request = SweepRequest(page=2, run_seconds=0)
        result: SweepResult = await ActivityEnvironment().run(activities.sweep, request)
        assert result.failed == []
        return result.started

    def nonces(self) -> NonceCare:
        """Return what looks after the hot wallet's nonces."""
        return nonce_care(self.engine, self.chain, self.wallet.public.hot_address)

    def worker(self, *interceptors: Interceptor, **replaced: Any) -> Worker:
        """Return a worker of the queue `wallet`; `replaced` puts other adapters in."""
        adapters: dict[str, Any] = {
            "engine": self.engine,
            "chain": self.chain,
            "treasuries": {0: self.treasury},
            "hot_address": self.wallet.public.hot_address,
            "cold_address": lambda: "",
            "officers": PinnedOfficers(officers.pinned_path(self.settings.data_dir)),
            "policy_facts": PolicyFactsReader(
                self.engine, self.wallet.public.hot_address, screeners_of(self.settings)
            ),
            "screener": screeners_of(self.settings)[SANCTIONS],
            "returns": return_rules(self.settings, self.engine, self.chain),
            "starter": TemporalStarter(self._connected, task_queues.WALLET),
            "gate": payment_gate(self.engine, Policy.HALT),
            "max_fee": 10**12,
            "stuck_seconds": 180.0,
        }
        wiring = wiring_of(WalletAdapters(**(adapters | replaced)))
        return Worker(
            self.client,
            task_queue=task_queues.WALLET,
            workflows=wiring.workflows,
            activities=wiring.activities,
            interceptors=interceptors,
            build_id="test",  # else the SDK hashes every imported module: five seconds
        )

    async def _connected(self) -> Client:
        return self.client


async def build_rig(
    stack: AsyncExitStack, *, database_url: str, chain_url: str, temporal: str, data_dir: Path
) -> Rig:
    """Return a rig with watcher and signer running; the wallet's worker is the test's to start."""
    settings = Settings(
        data_dir=data_dir,
        database_url=database_url,
        redis_url="redis://127.0.0.1:1",
        temporal_address=temporal,
        chain_url=chain_url,
    )
    engine = create(database_url)
    stack.push_async_callback(engine.dispose)
    async with engine.begin() as connection:
        await connection.execute(tables.asset.insert(), ASSET_ROWS)
        await connection.execute(tables.instrument.insert().values(ETH_USDT_ROW))
    treasury = EngineInProcess(SettlementStore(engine))
    await treasury.submit(ETH_USDT)
    make_quick_seed(data_dir)
    wallet = await prepare_demo_wallet(data_dir, chain_url, engine)
    client = await connect(settings)
    chain = EvmChain(chain_url)
    stack.push_async_callback(chain.close)

    async def connected() -> Client:
        return client

    rig = Rig(
        settings=settings,
        engine=engine,
        client=client,
        wallet=wallet,
        treasury=treasury,
        chain=chain,
        watcher=ChainWatcher(
            chain,
            BlockStore(engine, AuditStore()),
            Reorganisations(engine, LedgerStore(), AuditStore()),
            ColdAddresses(engine, LedgerStore(), AuditStore()),
            RefillStore(engine, AuditStore()),
            TemporalStarter(connected, task_queues.WALLET),
            wallet.public.hot_address,
        ),
        withdrawals=WithdrawalStore(engine, LedgerStore(), AuditStore()),
        signer_gate=Gate(),
    )
    stack.push_async_callback(terminate_all, client)
    stopping = asyncio.Event()
    watching = asyncio.create_task(watch(rig.watcher, stopping))

    async def stop_watching() -> None:
        stopping.set()
        await watching

    stack.push_async_callback(stop_watching)
    signer = signer_worker(client, open_signer(settings), rig.signer_gate)
    await stack.enter_async_context(signer)
    return rig
