"""The double-entry ledger: account codes, postings, journals and their hashes.

A posting moves a positive amount from one account to another, so it cannot be unbalanced.
The ledger counts chain units. What an engine event posts is in `domain.event_postings`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from domain.account import parse_account
from domain.hash_chain import JsonValue, canonical_json, link


class LedgerInvariantError(Exception):
    """The ledger cannot post this without breaking one of its own rules; a bug or a forgery."""


class MainShortError(Exception):
    """A main account has not the money that should leave it: its owner has moved it before."""


class UnknownEventError(LedgerInvariantError):
    """Events of types that this version does not know: they may move money. `places` names them."""

    def __init__(self, kind: int, places: Sequence[tuple[int, int]]) -> None:
        super().__init__(f"sequence {places[0][0]}: an event of the unknown type {kind}")
        self.places = places  # (sequence, index)


class SequenceGapError(Exception):
    """The events handed to settlement do not follow its cursor, command by command."""


# ---- account codes ----------------------------------------------------------------------------


def main(customer_id: int, asset: str) -> str:
    """Return the code of a customer's money outside the engine."""
    return f"customer:{customer_id}:main:{asset}"


@lru_cache(maxsize=65536)
def trading(customer_id: int, shard: int, asset: str) -> str:
    """Return the code of a customer's money inside `shard`; settlement is its only writer."""
    return f"customer:{customer_id}:trading.{shard}:{asset}"


def transit(shard: int, asset: str) -> str:
    """Return the code of the transfers that are on their way to or from `shard`."""
    return f"transit.{shard}:{asset}"


def fees(shard: int, asset: str) -> str:
    """Return the code of the trading fees earned in `shard`."""
    return f"fees.{shard}:{asset}"


def rounding(shard: int, asset: str) -> str:
    """Return the code of what exact division leaves over in `shard`."""
    return f"rounding.{shard}:{asset}"


def insurance(shard: int, asset: str) -> str:
    """Return the code of the cash of the insurance fund of `shard`."""
    return f"insurance.{shard}:{asset}"


@lru_cache(maxsize=1024)
def pnl_clearing(shard: int, symbol_id: int, asset: str) -> str:
    """Return the code of what a perpetual's open positions have realised between them.

    Its balance is minus the sum of their cost bases: 0 when nobody has a position.
    """
    return f"pnl_clearing.{shard}.{symbol_id}:{asset}"


def wallet_deposit(chain: str, asset: str) -> str:
    """Return the code of the coins on deposit addresses; its balance is minus the coins."""
    return f"wallet:deposit:{chain}:{asset}"


def wallet_hot(chain: str, asset: str) -> str:
    """Return the code of the coins on the hot wallet; its balance is minus the coins."""
    return f"wallet:hot:{chain}:{asset}"


def wallet_cold(chain: str, asset: str) -> str:
    """Return the code of the coins on cold addresses; its balance is minus the coins."""
    return f"wallet:cold:{chain}:{asset}"


def withdrawal_pending(asset: str) -> str:
    """Return the code of money debited for withdrawals that the chain has not confirmed."""
    return f"withdrawal:pending:{asset}"


def wallet_fees(asset: str) -> str:
    """Return the code of the withdrawal fees that customers paid."""
    return f"wallet_fees:{asset}"


def network_fees(asset: str) -> str:
    """Return the code of what transactions cost the exchange on chain."""
    return f"network_fees:{asset}"


def suspense(asset: str) -> str:
    """Return the code of money whose owner is not known yet."""
    return f"suspense:{asset}"


def capital(asset: str) -> str:
    """Return the code of the owners' money."""
    return f"capital:{asset}"


def floor_of(code: str) -> int | None:
    """Return the balance that account `code` may not go below (chain units); None = no floor."""
    return parse_account(code).floor


def transfer_key(transfer_id: UUID) -> str:
    """Return the journal key of a transfer's posting on the wallet's side of `transit`.

    To trading: main -> transit. From trading: transit -> main or withdrawal:pending. One key for
    either direction, so that the checker can tell which transfers are in transit.
    """
    return f"transfer-{transfer_id}"


def transfer_return_key(transfer_id: UUID) -> str:
    """Return the journal key of transit -> main after the engine refused the transfer's credit."""
    return f"transfer-{transfer_id}-return"


def correction_key(shard: int, sequence: int, index: int) -> str:
    """Return the journal key of the correcting entry of an event."""
    return f"correction-{shard}-{sequence}-{index}"


def quarantine_key(shard: int, sequence: int, index: int) -> str:
    """Return the journal key under which people attest that an unknown event moves no money."""
    return f"quarantine-{shard}-{sequence}-{index}"


def settlement_stream(shard: int) -> str:
    """Return the name of the shard's settlement: its journal stream and its cursor."""
    return f"settlement.{shard}"


# ---- postings ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Posting:
    """Move `amount` (> 0, chain units) of `asset`: source -= amount, destination += amount."""

    source: str
    destination: str
    asset: str
    amount: int

    def __post_init__(self) -> None:
        """Refuse what could not be a movement of money."""
        if self.amount <= 0:
            raise ValueError(f"a posting needs a positive amount, not {self.amount}")
        if self.source == self.destination:
            raise ValueError(f"a posting needs two accounts, not twice {self.source}")


@dataclass(frozen=True, slots=True)
class JournalRequest:
    """Postings to be written together, once per `key`.

    `stream` names the hash chain (one per writer family, e.g. "wallet"), `kind` the business
    reason. `detail` is stored with it: texts, integers, lists and maps; no floats, no personal
    data. `expected_versions` (account code -> version as read) makes the post conditional on main
    accounts not having changed since they were read.
    """

    stream: str
    key: str
    kind: str
    postings: tuple[Posting, ...]
    detail: Mapping[str, JsonValue] = field(default_factory=dict)
    expected_versions: Mapping[str, int] = field(default_factory=dict)


def net_of(postings: Iterable[Posting]) -> dict[str, int]:
    """Return the net change per account code; accounts whose net is zero are left out."""
    net: dict[str, int] = {}
    for posting in postings:
        net[posting.source] = net.get(posting.source, 0) - posting.amount
        net[posting.destination] = net.get(posting.destination, 0) + posting.amount
    return {code: amount for code, amount in net.items() if amount}


def stored_detail(request: JournalRequest) -> dict[str, JsonValue]:
    """Return the journal's stored detail: the caller's, and the postings under `postings`."""
    if "postings" in request.detail:
        raise ValueError("`postings` is the journal's own word in a detail")
    return {
        **request.detail,
        "postings": [[p.source, p.destination, p.asset, str(p.amount)] for p in request.postings],
    }


def postings_from_detail(detail: Mapping[str, JsonValue]) -> tuple[Posting, ...]:
    """Return the postings that `stored_detail` wrote."""
    rows = detail["postings"]
    if not isinstance(rows, list):
        raise TypeError("postings are a list")
    return tuple(Posting(source, to, asset, int(amount)) for source, to, asset, amount in rows)


def request_hash(kind: str, detail: Mapping[str, JsonValue]) -> bytes:
    """Return the hash of what a request asks for: the same key with another hash is a conflict.

    `detail` is the stored form, postings included.
    """
    return hashlib.sha256(canonical_json([kind, detail])).digest()


def settlement_request_hash(*digests: bytes) -> bytes:
    """Return a settlement journal's request hash: SHA-256 of the digests of its event rows.

    In this order: spot trades, perpetual trades, credits and debits, all else about perpetuals. A
    digest covers all columns of the journal's rows of that kind (but `journal_id`), big endian, in
    (sequence, index) order; no rows give the digest of nothing.
    """
    return hashlib.sha256(b"".join(digests)).digest()


@dataclass(frozen=True, slots=True)
class JournalHead:
    """Where a stream's hash chain ends: position of its last journal, and that one's hash."""

    position: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class JournalContent:
    """What a journal's hash covers, beside the hash before it."""

    stream: str
    position: int
    key: str
    kind: str
    request_hash: bytes
    first_sequence: int | None
    last_sequence: int | None
    detail: Mapping[str, JsonValue]


def journal_hash(
    previous: bytes, content: JournalContent, entries: Iterable[tuple[str, int, int]]
) -> bytes:
    """Return a journal's hash; `entries` are (account code, net amount, balance after)."""
    return link(
        previous,
        [
            content.stream,
            content.position,
            content.key,
            content.kind,
            content.request_hash.hex(),
            content.first_sequence,
            content.last_sequence,
            content.detail,
            [[code, str(amount), str(after)] for code, amount, after in sorted(entries)],
        ],
    )


def posted(journal: JournalRequest | None) -> dict[str, JsonValue]:
    """Return a journal for the audit log, which tells its story without the ledger; chain units."""
    if journal is None:
        return {}
    return {"journal": journal.key, "postings": stored_detail(journal)["postings"]}
