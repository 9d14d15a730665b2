"""What the checker reads: plain records of the ledger, the engine, the wallet and the chain.

Amounts are chain units unless a field says `_units` (engine units).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.checker_markets import EngineMarkets
from domain.hash_chain import GENESIS, JsonValue
from domain.instrument import Asset
from domain.position import Position


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """One account's net change in one journal."""

    account: str
    amount: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class EventRows:
    """What a settlement journal's stored event rows say, computed anew from the rows.

    `lines` are the sums per account of the exact delta of each row; `request_hash` is the hash
    over all their columns; `first_trade_id` and `last_trade_id` are 0 where there is no trade.
    """

    lines: Mapping[str, int]
    request_hash: bytes
    trades: int = 0
    first_trade_id: int = 0
    last_trade_id: int = 0


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One stored journal with its entries; `rows` for a settlement's."""

    journal_id: int
    stream: str
    position: int
    key: str
    kind: str
    request_hash: bytes
    first_sequence: int | None
    last_sequence: int | None
    detail: Mapping[str, JsonValue]
    previous_hash: bytes
    hash: bytes
    entries: tuple[EntryRecord, ...]
    rows: EventRows | None = None


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """One account as it stands."""

    code: str
    asset: str
    balance: int
    floor: int | None


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """A second engine, brought to exactly the cursor's sequence.

    `balances_units` is {(account id, asset id): total, isolated margin included}; the insurance
    fund is one of the accounts. `positions` is {(account id, symbol id): open position}. `trades`
    counts all trades so far. `fault` says why the journal could not be read: then there is nothing
    to compare. `administration` is what it has of markets and fee tiers. `scopes` counts those with
    positions; `ruined` is {(account id, symbol id, 0 = cross): equity} of those below 0 at a fresh
    mark that no liquidation has, although the risk monitor has had its time.
    """

    shard: int
    sequence: int
    balances_units: Mapping[tuple[int, int], int]
    fees_units: Mapping[int, int]
    trades: int
    fault: str = ""
    administration: EngineMarkets = field(default_factory=EngineMarkets)
    positions: Mapping[tuple[int, int], Position] = field(default_factory=dict)
    rounding_units: Mapping[int, int] = field(default_factory=dict)
    scopes: int = 0
    ruined: Mapping[tuple[int, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FundingRecord:
    """One settled funding: what its header says, and what its entries add up to, engine units.

    `times` is how many fundings of this market are settled for the same instant.
    """

    shard: int
    sequence: int
    symbol_id: int
    funding_time_us: int
    times: int
    wanted_entries: int
    entries: int
    accounts: int
    paid_units: int
    rounding_units: int


@dataclass(frozen=True, slots=True)
class TransferRecord:
    """A transfer; `in_transit` when its money has left one side and not reached the other."""

    transfer_id: str
    shard: int
    asset: str
    amount: int
    in_transit: bool


@dataclass(frozen=True, slots=True)
class DepositRecord:
    """A deposit; `booked` is what its row says, `postings` what its journals booked.

    `turns` counts how often it was taken back and restored after it was booked.
    """

    deposit_id: str
    asset: str
    amount: int
    booked: bool
    postings: tuple[int, ...]
    turns: int = 0


@dataclass(frozen=True, slots=True)
class WithdrawalRecord:
    """A withdrawal; `payments` are the amounts that its journals took from the hot wallet.

    `reverted` when a journal has booked the gas of a transaction that was mined and paid nobody:
    it failed, or was a void.
    """

    withdrawal_id: str
    asset: str
    amount: int
    signed: int
    broadcast: bool
    released: bool
    settled: bool
    payments: tuple[int, ...]
    reverted: bool = False


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """The coins that the chain holds for one wallet account.

    `in_flight` is what has moved on the chain and is not booked yet: deposits that wait for
    confirmations count positive, withdrawals that were mined and not settled negative, payments
    between our own addresses both.
    """

    account: str
    asset: str
    coins: int
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class UnsettledPayment:
    """A signed payment that is not booked as paid; `amount` is what the chain carries.

    `source` and `coin_source` are the wallet accounts that amount and network fee leave,
    `destination` the one that it reaches: "" outside.
    """

    tx_hash: str
    asset: str
    amount: int
    source: str
    coin_source: str
    destination: str = ""


@dataclass(frozen=True, slots=True)
class WalletFacts:
    """What the wallet's rows say of one chain, as far as its watcher has read: a block.

    `contracts` is {asset: contract}, None for the chain's own coin. `unbooked` is {wallet account:
    amount} of the deposits up to that block that are not in the ledger yet.
    """

    chain: str
    block_number: int
    block_hash: str
    contracts: Mapping[str, str | None]
    deposit_addresses: tuple[str, ...]
    cold_addresses: tuple[str, ...]  # those in the books
    unbooked: Mapping[str, int]
    unsettled: tuple[UnsettledPayment, ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """Where an earlier, clean check ended; a check from the beginning has an empty one.

    `heads` is {stream: (position, hash)}; `last_sequences` {stream: last settled sequence};
    `last_trade_ids` {shard: trade id}; `audit` the last audit record's number and hash;
    `in_transit` the transfers that were on their way; `taken_at` the moment, ISO 8601, UTC.
    """

    heads: Mapping[str, tuple[int, bytes]] = field(default_factory=dict)
    last_sequences: Mapping[str, int] = field(default_factory=dict)
    last_trade_ids: Mapping[int, int] = field(default_factory=dict)
    audit: tuple[int, bytes] = (0, GENESIS)
    in_transit: tuple[str, ...] = ()
    taken_at: str = ""

    @property
    def is_checkpoint(self) -> bool:
        """Return whether a clean check ended here, so that only what is new is to be read."""
        return bool(self.taken_at)


@dataclass(frozen=True, slots=True)
class Assets:
    """The assets by the two names that records use."""

    by_id: Mapping[int, Asset]

    def code(self, asset_id: int) -> str:
        """Return the code of an asset; its number where it is unknown."""
        asset = self.by_id.get(asset_id)
        return asset.code if asset else f"asset-{asset_id}"

    def chain_units(self, asset_id: int, units: int) -> int:
        """Return engine units as chain units; unknown assets count one to one."""
        asset = self.by_id.get(asset_id)
        return units * asset.chain_units_per_engine_unit if asset else units
