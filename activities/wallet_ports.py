"""What the wallet's activities need from outside; `workers/wallet_wiring.py` supplies it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from domain.approval import Decision
from domain.chain import AddressState, FeeQuote, Payable, Receipt
from domain.commands import Command
from domain.deposit import Deposit, DepositChange, DepositMove, Dust
from domain.events import Event
from domain.hash_chain import JsonValue
from domain.ledger import JournalRequest
from domain.screening import Screening, ScreeningResult
from domain.transfer import NewTransfer, Transfer
from domain.withdrawal import StateChange, StoredTransaction, Withdrawal


class ChainAdapter(Protocol):
    """What the exchange asks of a chain, through one node that may be late, wrong or away.

    Another chain (native Bitcoin, say) is another adapter of these methods and of
    `workers.chain_watcher.WatchedChain`, with a builder and a signer for its transactions. It
    owes: blocks with the hash of the one before, so that a reorganisation is seen; every payment
    of a block, numbered within its transaction so that it keeps its number when it is mined again
    elsewhere; amounts as integers of the smallest unit; a transaction's hash before it is sent;
    and a broadcast that may be repeated. A node that is away raises, and is asked again; a
    transaction that it will never take raises something else.
    """

    async def chain_id(self) -> int:
        """Return the chain's number."""

    async def head(self) -> int:
        """Return the newest block's number."""

    async def block_hash(self, number: int) -> str | None:
        """Return the hash of the block at `number`, None above the head."""

    async def receipt(self, tx_hash: str) -> Receipt | None:
        """Return a mined transaction's receipt."""

    async def fee_quote(self) -> FeeQuote:
        """Return what a transaction should pay now."""

    async def gas_for(self, sender: str, to: str, value: int, data: bytes) -> int:
        """Return a gas limit; raises when the transaction would fail."""

    async def address_state(
        self, address: str, contracts: Collection[str | None], *, at_block: int | None = None
    ) -> AddressState:
        """Return nonce and balances at one block: the head, or `at_block`."""

    async def broadcast(self, raw: bytes) -> None:
        """Send a signed transaction; one that is known already is a success."""

    async def knows(self, tx_hash: str) -> bool:
        """Return whether the node has the transaction, mined or waiting."""


class TransactionBuilder(Protocol):
    """Makes the unsigned transaction of a payment, and reads a signed one."""

    def call(self, payable: Payable) -> tuple[str, int, bytes]:
        """Return (to, value, data) that pay the net amount."""

    def unsigned(self, payable: Payable, chain_id: int, gas: int, fees: FeeQuote) -> bytes:
        """Return the bytes to be signed, with the payment's nonce."""

    def fees_of(self, raw: bytes) -> FeeQuote:
        """Return what a signed transaction pays."""

    def repriced(self, raw: bytes, fees: FeeQuote) -> bytes:
        """Return the bytes to be signed of the same transaction with other fees."""

    def void(self, payable: Payable, chain_id: int, fees: FeeQuote) -> bytes:
        """Return the bytes to be signed of a transaction that only uses the nonce up."""

    def check_void(self, payable: Payable, raw: bytes) -> str:
        """Return the hash of a raw void; `ValueError` unless it is one, with this nonce."""

    def check_signed(self, payable: Payable, raw: bytes, sender: str = "") -> str:
        """Return the hash of a raw transaction; `ValueError` unless `sender` pays just this."""


class Treasury(Protocol):
    """The engine's door for credits and debits."""

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Apply one command; the first event is its outcome."""


class TransferRows(Protocol):
    """The rows of transfers."""

    async def load(self, transfer_id: UUID) -> Transfer:
        """Return the transfer."""

    async def refuse(self, transfer_id: UUID, journal: JournalRequest | None = None) -> None:
        """Mark an open transfer as refused."""

    async def posted(self, transfer_ids: Collection[UUID]) -> set[UUID]:
        """Return which of these settlement has posted."""

    async def settled_through(self, shard: int) -> int:
        """Return the last sequence that settlement has posted."""


class OpenRows(Protocol):
    """Business rows of one kind, of which those that are not final need a running workflow."""

    async def unfinished(self, after: str | None, limit: int) -> list[str]:
        """Return ids that are not final, by id, after `after`."""

    async def final(self, names: Sequence[str]) -> set[str]:
        """Return which of these ids name a row that is final; one without a row is not."""


class BlockRows(Protocol):
    """The blocks that the watcher has stored."""

    async def tip(self, chain: str) -> tuple[int, str] | None:
        """Return (number, hash) of the newest stored block."""


class WithdrawalRows(Protocol):
    """The rows of withdrawals; methods as in the store of the same name."""

    async def load(self, withdrawal_id: str) -> Withdrawal | None:
        """Return the withdrawal."""

    async def move(self, withdrawal_id: str, change: StateChange) -> Withdrawal:
        """Compare and set, with everything that belongs to the change."""

    async def note(
        self,
        withdrawal_id: str,
        *,
        stage: str,
        actor: str,
        action: str,
        key: str,
        detail: Mapping[str, JsonValue],
    ) -> None:
        """Write down what is no change of state."""

    async def decisions(self, withdrawal_id: str) -> list[Decision]:
        """Return the officers' decisions."""

    async def record_decision(self, withdrawal_id: str, decision: Decision) -> None:
        """Store an officer's decision."""

    async def allocate_nonce(
        self,
        withdrawal_id: str,
        address: str,
        chain_nonce: int,
        shortage: Callable[[Mapping[str | None, int], int], str | None],
    ) -> Withdrawal | str:
        """Give the withdrawal a nonce, or return what `shortage` says is missing."""

    async def attach_release(
        self, withdrawal_id: str, transfer: NewTransfer, journal: JournalRequest
    ) -> None:
        """Record the transfer that gives a hold back."""

    async def next_nonce(self, chain: str, address: str) -> int | None:
        """Return the nonce that comes next."""

    async def store_transaction(
        self, withdrawal: Withdrawal, *, sender: str, raw: bytes, tx_hash: str
    ) -> Withdrawal:
        """Store the signed transaction."""

    async def transactions(self, withdrawal_id: str) -> list[StoredTransaction]:
        """Return the stored transactions, the first one first."""

    async def store_replacement(
        self, withdrawal: Withdrawal, transaction: StoredTransaction, sender: str
    ) -> None:
        """Store a dearer transaction with the same nonce, or a void of it."""

    async def cancellations(self, limit: int) -> list[str]:
        """Return ids that their customers have cancelled and that are not given back."""

    async def usd_price(self, asset: str) -> Decimal | None:
        """Return a rough price."""


class Screener(Protocol):
    """Says whether money of this origin may be credited."""

    async def screen(self, asked: Screening) -> ScreeningResult:
        """Return the answer, or raise while there is none."""


class DepositRows(Protocol):
    """The rows of deposits; methods as in the store of the same name."""

    async def load(self, deposit_id: str) -> Deposit | None:
        """Return the deposit."""

    async def move(self, deposit_id: str, change: DepositChange) -> Deposit:
        """Compare and set."""

    async def post(
        self,
        deposit_id: str,
        block_hash: str,
        book: Callable[[Deposit, Sequence[Dust]], DepositChange],
    ) -> Deposit:
        """Book a pending deposit that still lies in this block, once."""

    async def begin_move(self, deposit_id: str, move: DepositMove) -> Deposit:
        """Take the money from main into transit."""

    async def forget_transfer(self, deposit_id: str) -> None:
        """Let the next attempt make a new transfer."""


class WithdrawalSigner(Protocol):
    """The holder of the keys; both return the refusal as text, or None and the result."""

    def refusal(
        self, order: Mapping[str, Any], now: dt.datetime, approved_for: dt.timedelta
    ) -> str | None:
        """Return why the order would not be signed; approvals must count for so long."""

    def sign(
        self, order: Mapping[str, Any], unsigned: bytes, now: dt.datetime
    ) -> tuple[bytes | None, str]:
        """Return (raw transaction, "") or (None, refusal)."""

    def sign_void(
        self, order: Mapping[str, Any], unsigned: bytes, now: dt.datetime
    ) -> tuple[bytes | None, str]:
        """Return (raw transaction that pays nobody, "") or (None, refusal)."""


class WorkflowStarter(Protocol):
    """Starts a workflow for a business row, unless one is running."""

    async def ensure_running(
        self, workflow: str, workflow_id: str, request: object, task_queue: str = ""
    ) -> bool:
        """Return whether a run had to be started; on the wallet's queue if none is named."""

    async def open_runs(self, workflow: str) -> list[tuple[str, str]]:
        """Return (workflow id, run id) of the open runs of this type."""

    async def end(self, workflow_id: str, run_id: str, reason: str) -> None:
        """Terminate a run; one that has ended meanwhile is none of its business."""

    async def signal(self, workflow_id: str, name: str) -> None:
        """Send an argument-free signal; a workflow that does not run is none of its business."""
