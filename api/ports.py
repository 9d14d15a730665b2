"""What the API needs from the outside world; adapters arrive by constructor from `workers/`.

A store that cannot be reached raises the built-in `ConnectionError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from domain.candles import Candle
from domain.commands import Command, PlaceOrder, PlaceOrderList
from domain.customer import ApiKey, ListenKey
from domain.events import Event
from domain.fee_tiers import CustomerTier
from domain.hash_chain import JsonValue
from domain.margin_call import MarginCall
from domain.market import AssetListing, Listings
from domain.market_data import Level, PublicTrade
from domain.order_record import DryRun, FillRecord, OrderRecord
from domain.perpetual_record import (
    FundChange,
    Holdings,
    PastFunding,
    PerpetualNow,
    PositionEvent,
    PositionEventKind,
)
from domain.process_beat import ProcessBeat
from domain.rate_limit import Charge, Charged
from domain.shard_transfer import NewShardTransfer, NotFree, ShardTransfer
from domain.trading_status import TradingStatus
from domain.wallet_record import (
    Barred,
    DepositRecord,
    FiledWithdrawal,
    NewWithdrawal,
    RowPlace,
    Unfunded,
    WithdrawalFilter,
    WithdrawalRecord,
)
from domain.withdrawal_limits import AddressNames, Allowance, ListedAddress
from matching.batches import Batch


class EngineAway(Exception):  # noqa: N818 - an outcome's name
    """The engine cannot be reached; nothing was sent, so nothing happened."""


class EngineOutcomeUnknown(Exception):  # noqa: N818 - an outcome's name
    """The command was sent and no answer came: it may or may not have happened."""


class EngineDoor(Protocol):
    """The order path into one shard's engine, and the queries of that engine."""

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Return the command's events, the outcome first; `EngineAway`, `EngineOutcomeUnknown`."""

    async def submit_many(self, commands: Sequence[Command]) -> list[tuple[Event, ...]]:
        """Submit in order, in one frame; as `submit` for each."""

    async def balances(self, account_id: int) -> tuple[int, dict[int, tuple[int, int]]]:
        """Return (sequence, asset id -> (total, held) engine units)."""

    async def open_orders(self, account_id: int, symbol_id: int) -> tuple[int, list[OrderRecord]]:
        """Return (sequence, open orders); `symbol_id` 0 means every market."""

    async def order(
        self, account_id: int, order_id: int = 0, client_key: int = 0
    ) -> OrderRecord | None:
        """Return the account's order, by id or client key, if the engine still knows it."""

    async def dry_run(self, order: PlaceOrder | PlaceOrderList) -> tuple[int, DryRun]:
        """Return (sequence, what would come of the order or list); no effect."""

    async def perpetuals(self) -> tuple[int, list[PerpetualNow]]:
        """Return (sequence, perpetual markets as they are, by id)."""

    async def holdings(self, account_id: int) -> tuple[int, Holdings]:
        """Return (sequence, what an account has in perpetuals); cross margin is always there."""

    async def book(self, symbol_id: int, depth: int) -> tuple[int, list[Level], list[Level]]:
        """Return (sequence, bids, asks), best first."""

    async def trading_status(self) -> TradingStatus:
        """Return whether shard and markets take orders, and why not."""


class EventsForgotten(Exception):  # noqa: N818 - an outcome's name
    """The events are older than what is kept, or newer than the journal: begin again."""


class EventLog(Protocol):
    """One shard's events, durable ones only."""

    async def read(self, after: int, max_wait_seconds: float) -> Batch | None:
        """Return the next commands' after `after`, None when none came in time.

        `EngineAway`, `EventsForgotten`.
        """


class KeyDirectory(Protocol):
    """API keys by their id."""

    async def find(self, key_id: str) -> ApiKey | None:
        """Return an unrevoked key, or None; `ConnectionError` when that cannot be known."""

    def remembers(self, key_id: str) -> bool:
        """Return whether it was a key when it was last looked up."""


class ListenKeys(Protocol):
    """Names of accounts' streams, for all gateways; each lives an hour unless it is extended."""

    async def issue(self, key_id: str, market: str) -> ListenKey:
        """Return a new one, which takes the place of the API key's older one."""

    async def find(self, token: str) -> ListenKey | None:
        """Return one that lives."""

    async def of(self, key_id: str, market: str) -> ListenKey | None:
        """Return the one of an API key, if it lives."""

    async def extend(self, key: ListenKey) -> bool:
        """Let it live an hour from now; False when it has ended."""

    async def end(self, key: ListenKey) -> None:
        """End it."""


class ListingDirectory(Protocol):
    """The listed markets and assets, kept fresh."""

    def current(self) -> Listings:
        """Return the listings as they were a few seconds ago at most."""


class OrderStore(Protocol):
    """Order history and fills, from PostgreSQL."""

    async def orders(
        self, customer_id: int, symbol_id: int, before: tuple[int, ...] | None, limit: int
    ) -> list[OrderRecord]:
        """Return closed and open orders, newest first, before (accepted at, order id)."""

    async def order(self, customer_id: int, order_id: int) -> OrderRecord | None:
        """Return one order of the customer."""

    async def order_by_client_key(self, customer_id: int, client_key: int) -> OrderRecord | None:
        """Return the customer's newest order with that client key."""

    async def fills(
        self,
        customer_id: int,
        symbol_id: int,
        order_id: int,
        before: tuple[int, ...] | None,
        limit: int,
    ) -> list[FillRecord]:
        """Return fills, newest first, before (time, trade id, is maker); 0: any."""


class FeeTiers(Protocol):
    """Volumes and fee tiers, from PostgreSQL."""

    async def of_customer(self, customer_id: int) -> CustomerTier:
        """Return the last assessed volume, and the tier in each shard."""


class WalletStore(Protocol):
    """Money outside the engine: main balances, deposits, withdrawals; from PostgreSQL."""

    async def main_balances(self, customer_id: int) -> dict[str, int]:
        """Return asset code -> chain units of the customer's main account."""

    async def withdrawing(self, customer_id: int) -> dict[int, int]:
        """Return asset id -> chain units that withdrawals hold: not paid, not given back."""

    async def deposit_address(self, customer_id: int, chain: str) -> str:
        """Return the customer's own deposit address, allocating it on first use."""

    async def deposits(
        self, customer_id: int, before: RowPlace | None, limit: int
    ) -> list[DepositRecord]:
        """Return deposits, newest first, before (creation time, id)."""

    async def withdrawals(
        self, customer_id: int, before: RowPlace | None, limit: int
    ) -> list[WithdrawalRecord]:
        """Return withdrawals, newest first, before (creation time, id)."""

    async def withdrawal(self, customer_id: int, withdrawal_id: UUID) -> WithdrawalRecord | None:
        """Return one withdrawal of the customer."""

    async def create_withdrawal(
        self, request: NewWithdrawal
    ) -> tuple[WithdrawalRecord, bool] | Barred | Unfunded | None:
        """Write withdrawal and transfer in one transaction; (record, created).

        The same idempotency key gives the first record (created False); with another body None.
        """

    async def note_refusal(self, customer_id: int, detail: Mapping[str, JsonValue]) -> None:
        """Write a request that was refused before it became a withdrawal into the audit log."""

    async def request_cancel(
        self, customer_id: int, withdrawal_id: UUID, request_id: str
    ) -> WithdrawalRecord | None:
        """Record that the customer cancels, unless it is too late; None if it is not theirs.

        The record's `cancel_requested` says whether it was recorded, now or before.
        """


class ComplianceStore(Protocol):
    """Customers' withdrawals for staff, and their stories from the audit log."""

    async def withdrawals(
        self, wanted: WithdrawalFilter, before: RowPlace | None, limit: int
    ) -> list[FiledWithdrawal]:
        """Return withdrawals, newest first, before (creation time, id)."""

    async def withdrawal(self, withdrawal_id: UUID, reader: str) -> dict[str, Any] | None:
        """Return a story in the members of `WithdrawalStoryOut`; None when the log knows none.

        That `reader` has looked is logged first.
        """


class WithdrawalStarter(Protocol):
    """Starts the workflow of a withdrawal whose rows exist, and tells it to look again."""

    async def start(self, withdrawal_id: UUID, request_id: str) -> bool:
        """Start it; False when Temporal is away (the orphan sweep starts it later)."""

    async def tell_cancelled(self, withdrawal_id: UUID) -> bool:
        """Tell it that a cancellation is recorded; False when that must wait for the sweep."""


class TransferStore(Protocol):
    """Transfers between main and shards: written down here, carried out by their workflow."""

    async def create(
        self, request: NewShardTransfer
    ) -> tuple[ShardTransfer, bool] | NotFree | None:
        """Return (row, whether it is new), or that too little is free; None: the key is another's.

        Another's is one that names another request of this customer.
        """

    async def of_customer(self, customer_id: int, shard_transfer_id: UUID) -> ShardTransfer | None:
        """Return one transfer of the customer."""


class TransferStarter(Protocol):
    """Starts the workflow of a transfer whose rows exist."""

    async def start(self, shard_transfer_id: UUID, request_id: str) -> bool:
        """Start it; False when Temporal is away (the orphan sweep starts it later)."""


class WithdrawalRules(Protocol):
    """The pure checks of `domain.withdrawal`, with the address checksum wired in."""

    def check(self, listing: AssetListing, amount: str, address: str) -> tuple[int, int, str]:
        """Return (amount, fee, address) in chain units; a `Problem` says what is wrong."""

    def is_address(self, address: str) -> bool:
        """Return whether it is an address with its checksum, and not the zero address."""


class WithdrawalAddresses(Protocol):
    """Allow-lists and limits, from PostgreSQL."""

    async def listed(self, customer_id: int) -> list[ListedAddress]:
        """Return the customer's addresses, oldest first."""

    async def add(
        self, customer_id: int, chain: str, address: str, names: AddressNames
    ) -> tuple[ListedAddress, bool] | None:
        """Return (the listed address, whether it is new); None when the list is full."""

    async def remove(self, customer_id: int, chain: str, address: str) -> ListedAddress | None:
        """Return what was taken off; None when it is not there."""

    async def allowance(self, customer_id: int) -> Allowance:
        """Return tier and windows of time as they are now."""


class MarketDataStore(Protocol):
    """Stored candles and trades, from PostgreSQL."""

    async def candles(self, symbol_id: int, interval_seconds: int, limit: int) -> list[Candle]:
        """Return the newest candles, oldest first."""

    async def combined_candles(
        self, symbol_id: int, interval_seconds: int, since_us: int, until_us: int
    ) -> list[Candle]:
        """Return candles of any interval, made of the minutes that open in [since, until).

        Those of a second are stored themselves; ones without trades are filled in.
        """

    async def trades(self, symbol_id: int, limit: int) -> list[PublicTrade]:
        """Return the newest trades, newest first."""


class FundingStore(Protocol):
    """Fundings that were paid, from PostgreSQL."""

    async def fundings(
        self, symbol_id: int, before: tuple[int, ...] | None, limit: int
    ) -> list[PastFunding]:
        """Return fundings, newest first, before (funding time)."""


class PositionStore(Protocol):
    """What positions and the insurance fund have been through, as settled; from PostgreSQL."""

    async def realised(self, customer_id: int) -> dict[int, int]:
        """Return symbol id -> the profit that closing has made, engine units, before fees."""

    async def events(
        self,
        customer_id: int,
        symbol_id: int,
        kind: PositionEventKind | None,
        before: tuple[int, ...] | None,
        limit: int,
    ) -> list[PositionEvent]:
        """Return events, newest first, before (time, shard, sequence, index); 0, None: any."""

    async def fund_changes(
        self, shard: int, asset: str, before: tuple[int, ...] | None, limit: int
    ) -> list[FundChange]:
        """Return what changed a fund's cash, newest first, before (journal id)."""


class MarginCalls(Protocol):
    """Margin calls as the risk monitors wrote them; from PostgreSQL."""

    async def of(
        self, account_id: int, before: tuple[int, ...] | None, limit: int
    ) -> list[MarginCall]:
        """Return an account's calls, newest first, before (time, sequence, shard, symbol id)."""


class MarginCallSource(Protocol):
    """Margin calls as they are told, each once, to whoever listens."""

    def messages(self) -> AsyncIterator[MarginCall]:
        """Yield calls from now on; `ConnectionError` when the connection is lost."""


class LightsBoard(Protocol):
    """How near positions are to being deleveraged, as the risk monitor says it."""

    async def of(self, account_id: int, symbol_id: int) -> int | None:
        """Return 1 to 5 lights; None without a position, or where nobody says it."""


class LimitStore(Protocol):
    """Counts requests for all gateways together."""

    async def charge(self, charges: Sequence[Charge], window_seconds: int) -> Charged:
        """Charge all buckets or, when one would overflow, none."""

    async def first_use(self, name: str, seconds: int) -> bool:
        """Return whether `name` was not seen in the last `seconds`, and remember it."""


class ProcessBoard(Protocol):
    """Heartbeats of every process, and the cursors of the event log's consumers."""

    async def beats(self) -> dict[str, ProcessBeat]:
        """Return process name -> last heartbeat."""

    async def cursors(self) -> dict[str, int]:
        """Return stream name -> last consumed sequence; empty when PostgreSQL is away."""


class FeedSource(Protocol):
    """The market data feed as it comes from the market data process."""

    def messages(self) -> AsyncIterator[bytes]:
        """Yield encoded feed messages; ends when the connection is lost."""

    async def hot(self, kind: str, symbol: str) -> bytes | None:
        """Return the hot copy of a market's `book`, `trades` or `candles`, if there is one."""
