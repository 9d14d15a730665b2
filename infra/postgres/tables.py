"""Every table of the exchange's database, as SQLAlchemy Core metadata.

Amounts of money are NUMERIC(38,0) in chain units unless a column says `_units` (engine units).
Alembic compares this metadata with the migrations (`alembic check` is a test).
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Money = sa.Numeric(38, 0, asdecimal=True)
Timestamp = sa.DateTime(timezone=True)
NOW = sa.text("now()")

# ---- who and what -----------------------------------------------------------------------------

customer = sa.Table(
    "customer",
    metadata,
    sa.Column("customer_id", sa.BigInteger, primary_key=True),  # = the engine's account id
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False, server_default="customer"),  # customer | bot | house
    sa.Column("rate_class", sa.Text, nullable=False, server_default="standard"),
    sa.Column("deposit_index", sa.Integer, nullable=False, unique=True),  # HD path leaf
    sa.Column("status", sa.Text, nullable=False, server_default="active"),
    sa.Column("tier", sa.Text, nullable=False, server_default="basic"),
    sa.Column("orders_due_at", Timestamp),  # since when his open orders are to be cancelled
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Index(
        "ix_customer_orders_due",
        "customer_id",
        postgresql_where=sa.text("orders_due_at IS NOT NULL"),
    ),
)

api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("customer_id", sa.ForeignKey("customer.customer_id"), nullable=False, index=True),
    sa.Column("algorithm", sa.Text, nullable=False),  # hmac-sha256 | ed25519
    sa.Column("secret_sealed", sa.LargeBinary, nullable=False),  # AES-GCM under the gateway's key
    sa.Column("scopes", sa.Text, nullable=False),  # space-separated: read trade withdraw
    sa.Column("label", sa.Text, nullable=False, server_default=""),
    sa.Column("networks", sa.Text, nullable=False, server_default=""),  # CIDR, with spaces between
    sa.Column("expires_at", Timestamp),
    sa.Column("revoked_at", Timestamp),
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
)

# ---- who signs in in a browser: hashes of passwords, codes and tokens, never themselves ---------

login_invitation = sa.Table(
    "login_invitation",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.ForeignKey("customer.customer_id"), nullable=False, index=True),
    sa.Column("resets", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("expiry", sa.BigInteger, nullable=False),  # seconds since 1970
    sa.Column("proposed_by", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # proposed | signed | used | replaced
    sa.Column("signatures", JSONB, nullable=False, server_default="{}"),  # {officer: hex}
    sa.Column("halves", JSONB, nullable=False, server_default="{}"),  # {officer: SHA-256, hex}
    sa.Column("password_hash", sa.Text),  # of an enrolment that is not confirmed yet
    sa.Column("totp_sealed", sa.LargeBinary),  # likewise
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
)

web_login = sa.Table(
    "web_login",
    metadata,
    sa.Column("customer_id", sa.ForeignKey("customer.customer_id"), primary_key=True),
    sa.Column("password_hash", sa.Text, nullable=False),  # argon2id, PHC
    sa.Column("totp_sealed", sa.LargeBinary, nullable=False),  # AES-GCM under the gateway's key
    sa.Column("totp_step", sa.BigInteger, nullable=False),  # of the last code that was used
    sa.Column("next_totp_sealed", sa.LargeBinary),  # enrolled, not confirmed yet
    sa.Column("recovery_hashes", JSONB, nullable=False),  # of the codes that are left: SHA-256, hex
    sa.Column("changed_at", Timestamp, nullable=False, server_default=NOW),
)

web_session = sa.Table(
    "web_session",
    metadata,
    sa.Column("session_id", sa.Text, primary_key=True),
    sa.Column("customer_id", sa.ForeignKey("customer.customer_id"), nullable=False, index=True),
    sa.Column("family_hash", sa.Text, nullable=False),  # SHA-256, hex, as the next two
    sa.Column("secret_hash", sa.Text, nullable=False),
    sa.Column("previous_hash", sa.Text, nullable=False),
    sa.Column("rotated_at", Timestamp, nullable=False),
    sa.Column("stepped_up_at", Timestamp, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("expires_at", Timestamp, nullable=False),  # unless it is refreshed before
    sa.Column("ended_at", Timestamp),
)

login_link = sa.Table(  # signs a demo's customer in once
    "login_link",
    metadata,
    sa.Column("customer_id", sa.ForeignKey("customer.customer_id"), primary_key=True),
    sa.Column("token_hash", sa.Text, nullable=False, unique=True),  # SHA-256, hex
    sa.Column("expires_at", Timestamp, nullable=False),
    sa.Column("used_at", Timestamp),
)

asset = sa.Table(
    "asset",
    metadata,
    sa.Column("asset_id", sa.Integer, primary_key=True),
    sa.Column("code", sa.Text, nullable=False, unique=True),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("contract", sa.Text),  # checksum address; NULL = the chain's own coin
    sa.Column("chain_decimals", sa.Integer, nullable=False),
    sa.Column("engine_decimals", sa.Integer, nullable=False),
    sa.Column("confirmations", sa.Integer, nullable=False),
    sa.Column("deposit_minimum", Money, nullable=False),
    sa.Column("withdrawal_minimum", Money, nullable=False),
    sa.Column("withdrawal_fee", Money, nullable=False),
    sa.Column("approval_above", Money, nullable=False),  # more than this needs a signed approval
)

instrument = sa.Table(
    "instrument",
    metadata,
    sa.Column("symbol_id", sa.Integer, primary_key=True),
    sa.Column("symbol", sa.Text, nullable=False, unique=True),
    sa.Column("shard", sa.Integer, nullable=False, server_default="0"),
    sa.Column("base_asset_id", sa.ForeignKey("asset.asset_id"), nullable=False),
    sa.Column("quote_asset_id", sa.ForeignKey("asset.asset_id"), nullable=False),
    sa.Column("tick_size", sa.Text, nullable=False),
    sa.Column("lot_size", sa.Text, nullable=False),
    sa.Column("listing_price", sa.Text, nullable=False),
    sa.Column("max_order", sa.Text, nullable=False),
    sa.Column("maker_fee_ppm", sa.Integer, nullable=False),
    sa.Column("taker_fee_ppm", sa.Integer, nullable=False),
    sa.Column("tier_fees", JSONB, nullable=False, server_default="[]"),  # of tier 1, 2, ...
    sa.Column("max_taker_fee_ppm", sa.Integer, nullable=False),
    sa.Column("band_ppm", sa.Integer, nullable=False),
    sa.Column("max_open_orders", sa.Integer, nullable=False),
    sa.Column("max_position", sa.Text, nullable=False, server_default="0"),
    sa.Column("perpetual", JSONB(none_as_null=True)),  # domain.perpetual_terms; NULL: a spot market
    # these three follow from the engine's events, with the columns of its rules
    sa.Column("listed_sequence", sa.BigInteger),
    sa.Column("rules_sequence", sa.BigInteger),  # since when the rules are these
    sa.Column("delisted_sequence", sa.BigInteger),
)

# Every rules that a market has had, from the engine's events; the newest are `instrument`'s.
market_history = sa.Table(
    "market_history",
    metadata,
    sa.Column("symbol_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("shard", sa.SmallInteger, nullable=False),
    sa.Column("event", sa.Text, nullable=False),  # listed | parameters | delisted
    sa.Column("rules", JSONB, nullable=False),  # domain.commands.MarketRules; {} = as before
    sa.Column("time_us", sa.BigInteger, nullable=False),
)

funding_rate = sa.Table(  # every funding of a perpetual market, for everybody
    "funding_rate",
    metadata,
    sa.Column("symbol_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("funding_time_us", sa.BigInteger, primary_key=True),
    sa.Column("shard", sa.SmallInteger, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("rate_ppm", sa.Integer, nullable=False),
    sa.Column("premium_ppm", sa.Integer, nullable=False),
    sa.Column("mark_ticks", sa.BigInteger, nullable=False),
    sa.Column("entries", sa.Integer, nullable=False),  # how many positions paid or received
)

market_change = sa.Table(
    "market_change",
    metadata,
    sa.Column("change_id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),  # domain.market_change.ChangeKind
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("symbol_id", sa.Integer, nullable=False),
    sa.Column("shard", sa.SmallInteger, nullable=False),
    sa.Column("terms", JSONB, nullable=False),
    sa.Column("was", JSONB, nullable=False),
    sa.Column("asset", JSONB, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("expiry", sa.BigInteger, nullable=False),  # seconds since 1970
    sa.Column("proposed_by", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # domain.market_change.ChangeState
    sa.Column("signatures", JSONB, nullable=False, server_default="{}"),  # officer -> hex
    sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
    sa.Column("sent_at", Timestamp),  # this attempt's command; NULL = not sent, or refused
    sa.Column("failure", sa.Text, nullable=False, server_default=""),
    sa.Column("sequence", sa.BigInteger),  # at which it took effect
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Index(  # one open change of a market at a time; cash for its shard's fund is none of it
        "ix_market_change_open",
        "symbol",
        unique=True,
        postgresql_where=sa.text("state = 'proposed' AND kind <> 'top-up'"),
    ),
    sa.Index(
        "ix_market_change_top_up",
        "symbol",
        unique=True,
        postgresql_where=sa.text("state = 'proposed' AND kind = 'top-up'"),
    ),
)

# Every fee tier that an account has had in a shard, from the engine's events.
account_tier = sa.Table(
    "account_tier",
    metadata,
    sa.Column("shard", sa.SmallInteger, primary_key=True),
    sa.Column("account_id", sa.BigInteger, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("tier", sa.SmallInteger, nullable=False),
    sa.Column("time_us", sa.BigInteger, nullable=False),
)

# Liquidations that have ended, and each one's commands, with all that they were computed from.
liquidation = sa.Table(
    "liquidation",
    metadata,
    sa.Column("liquidation_id", sa.Text, primary_key=True),  # the freeze's key, hexadecimal
    sa.Column("shard", sa.SmallInteger, nullable=False),
    sa.Column("account_id", sa.BigInteger, nullable=False),
    sa.Column("symbol_id", sa.Integer, nullable=False),  # 0 = cross margin
    sa.Column("frozen_sequence", sa.BigInteger, nullable=False),
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
    sa.Column("began_us", sa.BigInteger, nullable=False),
    sa.Column("ended_us", sa.BigInteger, nullable=False),
    sa.Column("ended", sa.Text, nullable=False),
    sa.Column("signatures", JSONB, nullable=False),  # officer:round -> hex, of shortfalls
    sa.Index("ix_liquidation_account_ended", "account_id", "ended_us"),
    sa.Index("ix_liquidation_ended", "ended_us"),
)

liquidation_step = sa.Table(
    "liquidation_step",
    metadata,
    sa.Column("liquidation_id", sa.ForeignKey("liquidation.liquidation_id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),  # domain.liquidation_plan.StepKind
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("symbol_id", sa.Integer, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("time_us", sa.BigInteger, nullable=False),
    sa.Column("refusal", sa.Text, nullable=False),
    sa.Column("detail", JSONB, nullable=False),  # domain.liquidation_story.StepRecord
)

# Words of warning before a liquidation, told to the account; nothing depends on them.
margin_call = sa.Table(
    "margin_call",
    metadata,
    sa.Column("account_id", sa.BigInteger, primary_key=True),
    sa.Column("time_us", sa.BigInteger, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("shard", sa.SmallInteger, primary_key=True),
    sa.Column("symbol_id", sa.Integer, primary_key=True, autoincrement=False),  # 0 = cross margin
    sa.Column("equity_units", sa.BigInteger, nullable=False),
    sa.Column("maintenance_units", sa.BigInteger, nullable=False),
)

# What accounts traded on one UTC day in one shard; written once, when the day is over.
volume_day = sa.Table(
    "volume_day",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("shard", sa.SmallInteger, primary_key=True),
    sa.Column("account_id", sa.BigInteger, primary_key=True),
    sa.Column("quote_asset_id", sa.ForeignKey("asset.asset_id"), primary_key=True),
    sa.Column("quote_units", Money, nullable=False),  # engine units
)

volume_day_done = sa.Table(
    "volume_day_done",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("shard", sa.SmallInteger, primary_key=True),
    sa.Column("trades", sa.BigInteger, nullable=False),
    sa.Column("done_at", Timestamp, nullable=False, server_default=NOW),
)

# Which tier the volume of the 30 days before a day gives; written once a day.
tier_day = sa.Table(
    "tier_day",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("customer_id", sa.BigInteger, primary_key=True),
    sa.Column("volume_units", Money, nullable=False),  # engine units of the reference asset
    sa.Column("tier", sa.SmallInteger, nullable=False),
    sa.Index("ix_tier_day_customer", "customer_id", "day"),
)

tier_day_done = sa.Table(
    "tier_day_done",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("worths", JSONB, nullable=False),  # quote asset code -> [numerator, denominator]
    sa.Column("done_at", Timestamp, nullable=False, server_default=NOW),
)

# ---- the ledger -------------------------------------------------------------------------------

ledger_account = sa.Table(
    "ledger_account",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("code", sa.Text, nullable=False, unique=True),  # e.g. customer:7:main:USDT
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("customer_id", sa.BigInteger, index=True),
    sa.Column("floor", Money),  # NULL = may go negative
    sa.Column("balance", Money, nullable=False, server_default="0"),
    sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
    sa.CheckConstraint("floor IS NULL OR balance >= floor", name="floor"),
    postgresql_with={"fillfactor": "50"},
)

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("journal_id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("stream", sa.Text, nullable=False),  # settlement.0, wallet, ...: one hash chain each
    sa.Column("position", sa.BigInteger, nullable=False),  # dense within the stream, from 1
    sa.Column("key", sa.Text, nullable=False, unique=True),  # idempotency key
    sa.Column("request_hash", sa.LargeBinary, nullable=False),  # same key, other body = conflict
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("first_sequence", sa.BigInteger),
    sa.Column("last_sequence", sa.BigInteger),
    sa.Column("detail", JSONB, nullable=False),
    sa.Column("previous_hash", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column(  # in the order of the ids of any one account, whose lock the writer holds
        "created_at", Timestamp, nullable=False, server_default=sa.text("clock_timestamp()")
    ),
    sa.UniqueConstraint("stream", "position"),
    sa.Index("ix_journal_created", "created_at", "journal_id"),
)

# Partitioned; both ids come from rows that the writer holds locked, so no foreign keys: they would
# make each new partition wait for all writers.
entry = sa.Table(
    "entry",
    metadata,
    sa.Column("journal_id", sa.BigInteger, primary_key=True),
    sa.Column("account_id", sa.BigInteger, primary_key=True),
    sa.Column("amount", Money, nullable=False),  # the net change; credit-normal
    sa.Column("balance_after", Money, nullable=False),
    sa.Index("ix_entry_account", "account_id", "journal_id"),
    postgresql_partition_by="RANGE (journal_id)",
)

# Where the archive ends: journals up to here keep their row, while their entries and event rows
# may be in detached partitions. `ledger_floor_balance` is where the accounts stood then.
ledger_floor = sa.Table(
    "ledger_floor",
    metadata,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("journal_id", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("last_sequence", sa.BigInteger),
    sa.Column("last_trade_id", sa.BigInteger),
    sa.Column("moved_at", Timestamp, nullable=False, server_default=NOW),
)

ledger_floor_balance = sa.Table(
    "ledger_floor_balance",
    metadata,
    sa.Column("account_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("journal_id", sa.BigInteger, nullable=False),
    sa.Column("balance", Money, nullable=False),
)

cursor = sa.Table(
    "cursor",
    metadata,
    sa.Column("stream", sa.Text, primary_key=True),  # settlement.0, order-history.0, ...
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False, server_default=NOW),
)

# The event rows of a journal are those of its stream's shard and its range of sequences.
trade_event = sa.Table(
    "trade_event",
    metadata,
    sa.Column("shard", sa.SmallInteger, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("index", sa.Integer, primary_key=True),
    sa.Column("trade_id", sa.BigInteger, nullable=False),
    sa.Column("symbol_id", sa.Integer, nullable=False),
    sa.Column("time_us", sa.BigInteger, nullable=False),
    sa.Column("taker_side", sa.SmallInteger, nullable=False),
    sa.Column("maker_order_id", sa.BigInteger, nullable=False),
    sa.Column("taker_order_id", sa.BigInteger, nullable=False),
    sa.Column("maker_account_id", sa.BigInteger, nullable=False),
    sa.Column("taker_account_id", sa.BigInteger, nullable=False),
    sa.Column("price_ticks", sa.BigInteger, nullable=False),
    sa.Column("quantity_lots", sa.BigInteger, nullable=False),
    sa.Column("base_units", sa.BigInteger, nullable=False),
    sa.Column("quote_units", sa.BigInteger, nullable=False),
    sa.Column("maker_fee_units", sa.BigInteger, nullable=False),
    sa.Column("taker_fee_units", sa.BigInteger, nullable=False),
    sa.Column("journal_id", sa.BigInteger, nullable=False),
    # of perpetuals only, else NULL, which takes no room; there `base_units` is 0: none are moved
    sa.Column("insurance_units", sa.BigInteger),
    sa.Column("maker_lots", sa.BigInteger),
    sa.Column("maker_cost_units", sa.BigInteger),
    sa.Column("maker_realised_units", sa.BigInteger),
    sa.Column("taker_lots", sa.BigInteger),
    sa.Column("taker_cost_units", sa.BigInteger),
    sa.Column("taker_realised_units", sa.BigInteger),
    sa.Index(  # trade ids come in the order of the rows, so a few bytes a page find one
        "ix_trade_event_trade",
        "trade_id",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": "32", "autosummarize": "on"},
    ),
    # by time, for an account's trades of all shards; without `trade_id`: two fifths smaller, and
    # the few trades of one command are sorted when read
    sa.Index("ix_trade_event_maker", "maker_account_id", "time_us"),
    sa.Index("ix_trade_event_taker", "taker_account_id", "time_us"),
    postgresql_partition_by="RANGE (sequence)",
)

balance_event = sa.Table(  # Credited and Debited
    "balance_event",
    metadata,
    sa.Column("shard", sa.SmallInteger, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("index", sa.Integer, primary_key=True),
    sa.Column("time_us", sa.BigInteger, nullable=False),
    sa.Column("event_type", sa.SmallInteger, nullable=False),
    sa.Column("transfer_id", sa.Uuid, nullable=False),
    sa.Column("account_id", sa.BigInteger, nullable=False),
    sa.Column("asset_id", sa.Integer, nullable=False),
    sa.Column("amount_units", sa.BigInteger, nullable=False),
    sa.Column("journal_id", sa.BigInteger, nullable=False),
    sa.Index("ix_balance_event_account", "account_id", "sequence"),
    postgresql_partition_by="RANGE (sequence)",
)

# What moves money of perpetuals beside trades; names as in infra.postgres.perpetual_rows. Lots and
# costs are the positions after, but of funding: there the lots that it was paid for, of its first
# row (no account) the number of its entries.
perpetual_event = sa.Table(
    "perpetual_event",
    metadata,
    sa.Column("shard", sa.SmallInteger, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("index", sa.Integer, primary_key=True),
    sa.Column("time_us", sa.BigInteger, nullable=False),
    sa.Column("event_type", sa.SmallInteger, nullable=False),
    sa.Column("symbol_id", sa.Integer, nullable=False),  # 0: of an asset
    sa.Column("asset_id", sa.Integer, nullable=False),  # 0: of a market
    sa.Column("account_id", sa.BigInteger, nullable=False),
    sa.Column("counterparty_id", sa.BigInteger, nullable=False),  # 0: none
    sa.Column("amount_units", sa.BigInteger, nullable=False),
    sa.Column("counterparty_units", sa.BigInteger, nullable=False),
    sa.Column("lots", sa.BigInteger, nullable=False),
    sa.Column("cost_units", sa.BigInteger, nullable=False),
    sa.Column("counterparty_lots", sa.BigInteger, nullable=False),
    sa.Column("counterparty_cost_units", sa.BigInteger, nullable=False),
    sa.Column("funding_time_us", sa.BigInteger, nullable=False),  # 0: no funding
    sa.Column("journal_id", sa.BigInteger, nullable=False),
    sa.Index("ix_perpetual_event_account", "account_id", "sequence"),
    sa.Index(
        "ix_perpetual_event_counterparty",
        "counterparty_id",
        "sequence",
        postgresql_where=sa.text("counterparty_id <> 0"),
    ),
    postgresql_partition_by="RANGE (sequence)",
)

position = sa.Table(  # as settled; the insurance fund's too
    "position",
    metadata,
    sa.Column("shard", sa.SmallInteger, primary_key=True),
    sa.Column("account_id", sa.BigInteger, primary_key=True),
    sa.Column("symbol_id", sa.Integer, primary_key=True),
    sa.Column("lots", sa.BigInteger, nullable=False),  # > 0 long, < 0 short
    sa.Column("cost_units", sa.BigInteger, nullable=False),  # signed like the lots
    sa.Column("sequence", sa.BigInteger, nullable=False),  # of its last change
    sa.Column("realised_units", sa.BigInteger, nullable=False),  # by closing, ever; before fees
    postgresql_with={"fillfactor": "50"},
)

transfer = sa.Table(  # money between the wallet's side of the ledger and a shard
    "transfer",
    metadata,
    sa.Column("transfer_id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.ForeignKey("customer.customer_id"), nullable=False),
    sa.Column("asset_id", sa.ForeignKey("asset.asset_id"), nullable=False),
    sa.Column("shard", sa.SmallInteger, nullable=False),
    sa.Column("direction", sa.Text, nullable=False),  # to_trading | from_trading
    sa.Column("amount", Money, nullable=False),  # chain units, whole engine units
    sa.Column("cause", sa.Text, nullable=False),  # deposit-..., withdrawal-...
    sa.Column("state", sa.Text, nullable=False),  # open | posted | refused
    sa.Column("settled_sequence", sa.BigInteger),
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Index("ix_transfer_open", "state", postgresql_where=sa.text("state = 'open'")),
    sa.Index("ix_transfer_settled", "shard", "settled_sequence"),
)

shard_transfer = sa.Table(  # between main and shards; its ways in and out of engines: `transfer`
    "shard_transfer",
    metadata,
    sa.Column("shard_transfer_id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.ForeignKey("customer.customer_id"), nullable=False),
    sa.Column("idempotency_key", sa.Text, nullable=False),
    sa.Column("asset_id", sa.ForeignKey("asset.asset_id"), nullable=False),
    sa.Column("amount", Money, nullable=False),  # chain units, whole engine units
    sa.Column("from_shard", sa.SmallInteger),  # NULL: main
    sa.Column("to_shard", sa.SmallInteger),
    sa.Column("state", sa.Text, nullable=False),  # domain.shard_transfer.ShardTransferState
    sa.Column("reason", sa.Text),
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("expires_at", Timestamp, nullable=False),
    sa.UniqueConstraint("customer_id", "idempotency_key"),
    sa.Index(
        "ix_shard_transfer_open",
        "shard_transfer_id",
        postgresql_where=sa.text("state NOT IN ('done', 'in_main', 'refused', 'returned')"),
    ),
)

# ---- orders and market data -------------------------------------------------------------------

order_history = sa.Table(
    "order_history",
    metadata,
    sa.Column("shard", sa.SmallInteger, primary_key=True),
    sa.Column("order_id", sa.BigInteger, primary_key=True),
    sa.Column("account_id", sa.BigInteger, nullable=False),
    sa.Column("symbol_id", sa.Integer, nullable=False),
    sa.Column("client_order_id", sa.Text, nullable=False),
    sa.Column("client_key", sa.Uuid, nullable=False),
    sa.Column("side", sa.SmallInteger, nullable=False),
    sa.Column("order_type", sa.SmallInteger, nullable=False),
    sa.Column("time_in_force", sa.SmallInteger, nullable=False),
    sa.Column("post_only", sa.Boolean, nullable=False),
    sa.Column("self_trade", sa.SmallInteger, nullable=False),
    sa.Column("price_ticks", sa.BigInteger, nullable=False),  # as it is now: an amend changes it
    sa.Column("quantity_lots", sa.BigInteger, nullable=False),  # as it is now
    # the rarer terms, named as in domain.order_record.OrderTerms; 0 = none
    sa.Column("quote_budget_units", sa.BigInteger, nullable=False),
    sa.Column("expires_at_us", sa.BigInteger, nullable=False),
    sa.Column("display_lots", sa.BigInteger, nullable=False),
    sa.Column("trigger_price_ticks", sa.BigInteger, nullable=False),
    sa.Column("trailing_offset_ticks", sa.BigInteger, nullable=False),
    sa.Column("list_id", sa.BigInteger, nullable=False),
    sa.Column("trigger_source", sa.SmallInteger, nullable=False),  # which price sets it off
    sa.Column("reduce_only", sa.Boolean, nullable=False),
    sa.Column("close_position", sa.Boolean, nullable=False),
    sa.Column("is_waiting", sa.Boolean, nullable=False),  # for its trigger
    sa.Column("is_pending", sa.Boolean, nullable=False),  # until its bracket's entry ends
    sa.Column("filled_lots", sa.BigInteger, nullable=False),
    sa.Column("filled_quote_units", sa.BigInteger, nullable=False),
    sa.Column("fee_units", sa.BigInteger, nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("close_reason", sa.SmallInteger),
    sa.Column("refusal", sa.SmallInteger),  # when it was to act
    sa.Column("accepted_sequence", sa.BigInteger, nullable=False),
    sa.Column("accepted_at_us", sa.BigInteger, nullable=False),
    sa.Column("updated_sequence", sa.BigInteger, nullable=False),
    sa.Column("updated_at_us", sa.BigInteger, nullable=False),
    sa.Index("ix_order_history_account", "account_id", "accepted_at_us", "order_id"),
    sa.Index("ix_order_history_client_key", "account_id", "client_key"),
)

order_list_name = sa.Table(  # what a customer of the dialect calls a list, by each of its orders
    "order_list_name",
    metadata,
    sa.Column("customer_id", sa.ForeignKey("customer.customer_id"), primary_key=True),
    sa.Column("client_order_id", sa.Text, primary_key=True),
    sa.Column("list_name", sa.Text, nullable=False),
    sa.Column("named_at", Timestamp, nullable=False, server_default=NOW),
    sa.Index("ix_order_list_name_list_name", "customer_id", "list_name"),
)

candle = sa.Table(
    "candle",
    metadata,
    sa.Column("symbol_id", sa.Integer, primary_key=True),
    sa.Column("interval_seconds", sa.Integer, primary_key=True),
    sa.Column("open_time_us", sa.BigInteger, primary_key=True),
    sa.Column("open_ticks", sa.BigInteger, nullable=False),
    sa.Column("high_ticks", sa.BigInteger, nullable=False),
    sa.Column("low_ticks", sa.BigInteger, nullable=False),
    sa.Column("close_ticks", sa.BigInteger, nullable=False),
    sa.Column("base_units", Money, nullable=False),
    sa.Column("quote_units", Money, nullable=False),
    sa.Column("trade_count", sa.Integer, nullable=False),
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
)

# ---- the wallet -------------------------------------------------------------------------------

deposit_address = sa.Table(
    "deposit_address",
    metadata,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, primary_key=True),  # checksum form
    sa.Column("customer_id", sa.ForeignKey("customer.customer_id"), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.UniqueConstraint("chain", "customer_id"),
)

chain_block = sa.Table(
    "chain_block",
    metadata,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("parent_hash", sa.Text, nullable=False),
)

deposit = sa.Table(
    "deposit",
    metadata,
    sa.Column("deposit_id", sa.Text, primary_key=True),  # deposit-{chain}-{tx}-{log}
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("tx_hash", sa.Text, nullable=False),
    sa.Column("log_index", sa.Integer, nullable=False),  # -1 = the chain's own coin
    sa.Column("block_number", sa.BigInteger, nullable=False),
    sa.Column("block_hash", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("sender", sa.Text, nullable=False, server_default=""),
    sa.Column("customer_id", sa.BigInteger),  # NULL = hot wallet or cold address: owners' coins
    sa.Column("asset_id", sa.ForeignKey("asset.asset_id"), nullable=False),
    sa.Column("amount", Money, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # domain.deposit.DepositState
    sa.Column("confirmations", sa.Integer, nullable=False, server_default="0"),
    sa.Column("transfer_id", sa.Uuid),
    sa.Column("turns", sa.Integer, nullable=False, server_default="0"),  # odd: reversed
    sa.Column("collected_into", sa.Text),  # the deposit with which it was credited
    sa.Column("reason", sa.Text),
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("updated_at", Timestamp, nullable=False, server_default=NOW),
    sa.UniqueConstraint("chain", "tx_hash", "log_index"),
    sa.Index("ix_deposit_reversed", "chain", postgresql_where=sa.text("turns % 2 = 1")),
    sa.Index(
        "ix_deposit_in_suspense",
        "customer_id",
        postgresql_where=sa.text("state IN ('below_minimum', 'suspended')"),
    ),
    sa.Index(
        "ix_deposit_collected_into",
        "collected_into",
        postgresql_where=sa.text("collected_into IS NOT NULL"),
    ),
    sa.Index("ix_deposit_customer", "customer_id", "created_at"),
    sa.Index("ix_deposit_updated", "updated_at"),
    sa.Index(
        "ix_deposit_open",
        "deposit_id",
        postgresql_where=sa.text(
            "state NOT IN ('below_minimum', 'collected', 'credited', 'refilled', 'released',"
            " 'returned', 'returning', 'suspended', 'voided')"
        ),
    ),
    sa.Index("ix_deposit_block", "chain", "block_number"),
)

withdrawal = sa.Table(
    "withdrawal",
    metadata,
    sa.Column("withdrawal_id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.ForeignKey("customer.customer_id"), nullable=False),
    sa.Column("idempotency_key", sa.Text, nullable=False),
    sa.Column("request_hash", sa.LargeBinary, nullable=False),
    sa.Column("asset_id", sa.ForeignKey("asset.asset_id"), nullable=False),
    sa.Column("amount", Money, nullable=False),  # leaves the customer's balance
    sa.Column("fee", Money, nullable=False),  # part of `amount` that the exchange keeps
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("review", sa.Text),  # why an officer has to sign, whatever the amount
    sa.Column("value_cents", Money),  # in USD, when it was asked for; NULL without a price
    sa.Column("state", sa.Text, nullable=False),  # domain.withdrawal.WithdrawalState
    sa.Column("stage", sa.Text, nullable=False),  # as the search attribute: hold, approval, ...
    sa.Column("reason", sa.Text),
    sa.Column("transfer_id", sa.Uuid, nullable=False),
    sa.Column("release_transfer_id", sa.Uuid),
    sa.Column("nonce", sa.BigInteger),
    sa.Column("tx_hash", sa.Text),
    sa.Column("block_number", sa.BigInteger),
    sa.Column("network_fee", Money),
    sa.Column("cancel_requested_at", Timestamp),  # written by the gateway only
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("updated_at", Timestamp, nullable=False, server_default=NOW),
    sa.UniqueConstraint("customer_id", "idempotency_key"),
    sa.Index("ix_withdrawal_customer", "customer_id", "created_at"),
    sa.Index("ix_withdrawal_updated", "updated_at"),
    sa.Index("ix_withdrawal_created", "created_at"),
    sa.Index(
        "ix_withdrawal_open",
        "withdrawal_id",
        postgresql_where=sa.text("state NOT IN ('settled', 'rejected', 'cancelled')"),
    ),
    sa.Index("ix_withdrawal_nonce", "nonce", postgresql_where=sa.text("nonce IS NOT NULL")),
    sa.Index("ix_withdrawal_address", "address", "created_at"),
)

withdrawal_address = sa.Table(  # where a customer may withdraw to; removed ones are deleted
    "withdrawal_address",
    metadata,
    sa.Column("customer_id", sa.ForeignKey("customer.customer_id"), primary_key=True),
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("beneficiary", sa.Text, nullable=False, server_default=""),
    sa.Column("institution", sa.Text, nullable=False, server_default=""),
    sa.Column("usable_at", Timestamp, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
)

wallet_payment = sa.Table(  # between the exchange's own addresses
    "wallet_payment",
    metadata,
    sa.Column("payment_id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),  # domain.wallet_payment.PaymentKind
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("deposit_path", sa.Text, nullable=False, server_default=""),
    sa.Column("asset_id", sa.ForeignKey("asset.asset_id"), nullable=False),
    sa.Column("amount", Money, nullable=False),  # without the network's fee
    sa.Column("state", sa.Text, nullable=False),  # domain.wallet_payment.PaymentState
    sa.Column("nonce", sa.BigInteger),
    sa.Column("gas", sa.BigInteger),
    sa.Column("max_fee", Money),  # wei a gas unit
    sa.Column("priority_fee", Money),
    sa.Column("tx_hash", sa.Text),
    sa.Column("block_number", sa.BigInteger),
    sa.Column("network_fee", Money),
    sa.Column("voids", JSONB, nullable=False, server_default="[]"),  # decisions to give it up
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("updated_at", Timestamp, nullable=False, server_default=NOW),
    sa.Index(
        "ix_wallet_payment_open",
        "payment_id",
        postgresql_where=sa.text("state NOT IN ('booked', 'reverted', 'dropped', 'voided')"),
    ),
    sa.Index("ix_wallet_payment_deposit_path", "deposit_path"),
    sa.Index("ix_wallet_payment_updated", "updated_at"),
    sa.Index(
        "ix_wallet_payment_nonce",
        "chain",
        "source",
        "nonce",
        postgresql_where=sa.text("nonce IS NOT NULL"),
    ),
    sa.Index(  # one payment at a time concerns a deposit address: a sweep, or gas for one
        "ix_wallet_payment_one_of_address",
        "chain",
        "deposit_path",
        unique=True,
        postgresql_where=sa.text(
            "deposit_path <> '' AND state NOT IN ('booked', 'reverted', 'dropped', 'voided')"
        ),
    ),
    sa.Index(  # and one an asset goes to the cold address
        "ix_wallet_payment_one_goes_cold",
        "chain",
        "asset_id",
        unique=True,
        postgresql_where=sa.text(
            "kind = 'cold' AND state NOT IN ('booked', 'reverted', 'dropped', 'voided')"
        ),
    ),
)

cold_address = sa.Table(  # addresses of the cold wallet, pinned now or once
    "cold_address",
    metadata,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("since_block", sa.BigInteger),  # whose coins were its opening; NULL: not in the books
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
)

hot_wallet_band = sa.Table(  # what the hot wallet should hold; chain units, NULL: no such bound
    "hot_wallet_band",
    metadata,
    sa.Column("asset_id", sa.ForeignKey("asset.asset_id"), primary_key=True),
    sa.Column("sweep_above", Money),  # deposit addresses with more are emptied
    sa.Column("floor", Money),
    sa.Column("target", Money),
    sa.Column("ceiling", Money),
)

payment_pause = sa.Table(  # while one is in force, nothing is paid
    "payment_pause",
    metadata,
    sa.Column("pause_id", sa.Uuid, primary_key=True),
    sa.Column("officer", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),  # seconds since 1970, as signed
    sa.Column("signature", sa.Text, nullable=False),  # the officer's, hex
    sa.Column("state", sa.Text, nullable=False),  # domain.payment_pause.PauseState
    sa.Column("signatures", JSONB, nullable=False, server_default="{}"),  # to resume
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Index(
        "ix_payment_pause_in_force", "pause_id", postgresql_where=sa.text("state = 'in_force'")
    ),
)

wallet_nonce = sa.Table(
    "wallet_nonce",
    metadata,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("next_nonce", sa.BigInteger, nullable=False),
)

wallet_transaction = sa.Table(  # stored before it is broadcast
    "wallet_transaction",
    metadata,
    sa.Column("tx_hash", sa.Text, primary_key=True),
    sa.Column("withdrawal_id", sa.ForeignKey("withdrawal.withdrawal_id")),
    sa.Column("payment_id", sa.ForeignKey("wallet_payment.payment_id")),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("nonce", sa.BigInteger, nullable=False),
    sa.Column("replacement", sa.SmallInteger, nullable=False, server_default="0"),  # 1, 2, ...
    sa.Column("voids", sa.Boolean, nullable=False, server_default=sa.false()),  # pays nobody
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("signed_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("broadcast_at", Timestamp),
    sa.UniqueConstraint("chain", "address", "nonce", "replacement"),
    sa.Index(
        "ix_wallet_transaction_withdrawal_id",
        "withdrawal_id",
        postgresql_where=sa.text("withdrawal_id IS NOT NULL"),
    ),
    sa.Index(
        "ix_wallet_transaction_payment_id",
        "payment_id",
        postgresql_where=sa.text("payment_id IS NOT NULL"),
    ),
)

approval = sa.Table(
    "approval",
    metadata,
    sa.Column("withdrawal_id", sa.ForeignKey("withdrawal.withdrawal_id"), primary_key=True),
    sa.Column("officer", sa.Text, primary_key=True),
    sa.Column("action", sa.Text, nullable=False),  # approve | reject | void
    sa.Column("statement", sa.Text, nullable=False),  # the exact signed text
    sa.Column("signature", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
)

audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("audit_id", sa.BigInteger, primary_key=True, autoincrement=False),  # dense, from 1
    sa.Column("subject", sa.Text, nullable=False),  # withdrawal-..., deposit-..., market-...
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False, unique=True),  # a retried step logs once
    sa.Column("detail", JSONB, nullable=False),
    sa.Column("at", Timestamp, nullable=False),
    sa.Column("previous_hash", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Index("ix_audit_log_subject", "subject", "audit_id"),
)

workflow_history = sa.Table(  # of closed workflows; the audit log holds each one's hash
    "workflow_history",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("workflow_id", sa.Text, nullable=False),
    sa.Column("workflow_type", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("closed_at", Timestamp, nullable=False),
    sa.Column("keep_until", Timestamp, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),  # AES-GCM of compressed JSON
    sa.Index("ix_workflow_history_workflow", "workflow_id", "closed_at"),
    sa.Index("ix_workflow_history_closed", "closed_at"),
    sa.Index("ix_workflow_history_keep_until", "keep_until"),
)

# ---- operations -------------------------------------------------------------------------------

adjustment = sa.Table(
    "adjustment",
    metadata,
    sa.Column("adjustment_id", sa.Uuid, primary_key=True),
    sa.Column("postings", JSONB, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),  # "", shard:sequence.index or a deposit's id
    sa.Column("address", sa.Text, nullable=False, server_default=""),  # whom a return pays
    sa.Column("expiry", sa.BigInteger, nullable=False),  # seconds since 1970
    sa.Column("proposed_by", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # domain.adjustment.AdjustmentState
    sa.Column("signatures", JSONB, nullable=False, server_default="{}"),  # officer -> hex
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
)

alarm = sa.Table(
    "alarm",
    metadata,
    sa.Column("alarm_id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("key", sa.Text, nullable=False),  # kind:subject; one open alarm each
    sa.Column("kind", sa.Text, nullable=False),  # domain.alarm.AlarmKind
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("runbook", sa.Text, nullable=False),
    sa.Column("workflow_id", sa.Text, nullable=False),  # "" = nothing to see
    sa.Column("times", sa.BigInteger, nullable=False, server_default="1"),  # rounds that found it
    sa.Column("sent_by", sa.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("raised_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("seen_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("acked_by", sa.Text),
    sa.Column("acked_at", Timestamp),
    sa.Column("cleared_at", Timestamp),
    sa.Index("ix_alarm_open", "key", unique=True, postgresql_where=sa.text("cleared_at IS NULL")),
)

reconciliation_run = sa.Table(
    "reconciliation_run",
    metadata,
    sa.Column("run_id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("shard", sa.SmallInteger, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("invariants", JSONB, nullable=False),
    sa.Column("violations", JSONB, nullable=False),
    sa.Column("full", sa.Boolean, nullable=False),  # not only what was new
    sa.Column("positions", JSONB, nullable=False),  # where it ended, for the next one
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
)
