"""The first schema: all tables, two views, and the functions that keep partitions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The exact delta, chain units, of each engine event on each account that it touched: what
# domain.event_postings says, in SQL. 281474976710655 is the insurance fund's account in an engine;
# event types: 20 credited, 47 and 48 funding and its entries, 53 taken over, 54 deleveraged, 55
# fund topped up, 56 dust swept, 57 position settled.
_EVENT_POSTING = """
CREATE VIEW event_posting AS
WITH scaled_asset AS NOT MATERIALIZED (
    SELECT asset_id, code, ('1e' || (chain_decimals - engine_decimals))::numeric AS scale FROM asset
), trade_side AS NOT MATERIALIZED (
    SELECT t.shard, t.sequence, t.index, t.time_us, t.journal_id, t.symbol_id,
           t.taker_account_id AS account_id,
           CASE t.taker_side WHEN 0 THEN 1 ELSE -1 END AS base_sign,
           t.base_units, t.quote_units, t.taker_fee_units AS fee_units,
           t.taker_realised_units AS realised_units, t.insurance_units
      FROM trade_event t
    UNION ALL
    SELECT t.shard, t.sequence, t.index, t.time_us, t.journal_id, t.symbol_id,
           t.maker_account_id,
           CASE t.taker_side WHEN 0 THEN -1 ELSE 1 END,
           t.base_units, t.quote_units, t.maker_fee_units,
           t.maker_realised_units, 0
      FROM trade_event t
), perpetual_side AS NOT MATERIALIZED (
    SELECT p.shard, p.sequence, p.index, p.time_us, p.journal_id, p.symbol_id,
           p.account_id, p.amount_units
      FROM perpetual_event p WHERE p.event_type IN (48, 53, 54, 57)
    UNION ALL
    SELECT p.shard, p.sequence, p.index, p.time_us, p.journal_id, p.symbol_id,
           p.counterparty_id, p.counterparty_units
      FROM perpetual_event p WHERE p.event_type IN (53, 54)
)
SELECT s.shard, s.sequence, s.index, s.time_us, s.journal_id, s.account_id AS customer_id,
       'customer:' || s.account_id || ':trading.' || s.shard || ':' || a.code AS account,
       a.code AS asset,
       (s.base_sign * s.base_units)::numeric * a.scale AS amount
  FROM trade_side s
  JOIN instrument i USING (symbol_id)
  JOIN scaled_asset a ON a.asset_id = i.base_asset_id
 WHERE s.realised_units IS NULL
UNION ALL
SELECT s.shard, s.sequence, s.index, s.time_us, s.journal_id,
       NULLIF(s.account_id, 281474976710655),
       CASE s.account_id WHEN 281474976710655 THEN 'insurance.' || s.shard || ':' || a.code
            ELSE 'customer:' || s.account_id || ':trading.' || s.shard || ':' || a.code END,
       a.code,
       (coalesce(s.realised_units::numeric - s.insurance_units, -s.base_sign * s.quote_units)
        - s.fee_units) * a.scale
  FROM trade_side s
  JOIN instrument i USING (symbol_id)
  JOIN scaled_asset a ON a.asset_id = i.quote_asset_id
UNION ALL
SELECT t.shard, t.sequence, t.index, t.time_us, t.journal_id, NULL::bigint,
       'fees.' || t.shard || ':' || a.code,
       a.code,
       (t.maker_fee_units::numeric + t.taker_fee_units) * a.scale
  FROM trade_event t
  JOIN instrument i USING (symbol_id)
  JOIN scaled_asset a ON a.asset_id = i.quote_asset_id
UNION ALL
SELECT t.shard, t.sequence, t.index, t.time_us, t.journal_id, NULL::bigint,
       'pnl_clearing.' || t.shard || '.' || t.symbol_id || ':' || a.code,
       a.code,
       -(t.maker_realised_units::numeric + t.taker_realised_units) * a.scale
  FROM trade_event t
  JOIN instrument i USING (symbol_id)
  JOIN scaled_asset a ON a.asset_id = i.quote_asset_id
 WHERE t.maker_realised_units IS NOT NULL
UNION ALL
SELECT t.shard, t.sequence, t.index, t.time_us, t.journal_id, NULL::bigint,
       'insurance.' || t.shard || ':' || a.code,
       a.code,
       t.insurance_units::numeric * a.scale
  FROM trade_event t
  JOIN instrument i USING (symbol_id)
  JOIN scaled_asset a ON a.asset_id = i.quote_asset_id
 WHERE t.insurance_units <> 0
UNION ALL
SELECT s.shard, s.sequence, s.index, s.time_us, s.journal_id,
       NULLIF(s.account_id, 281474976710655),
       CASE s.account_id WHEN 281474976710655 THEN 'insurance.' || s.shard || ':' || a.code
            ELSE 'customer:' || s.account_id || ':trading.' || s.shard || ':' || a.code END,
       a.code,
       s.amount_units::numeric * a.scale
  FROM perpetual_side s
  JOIN instrument i USING (symbol_id)
  JOIN scaled_asset a ON a.asset_id = i.quote_asset_id
UNION ALL
SELECT p.shard, p.sequence, p.index, p.time_us, p.journal_id, NULL::bigint,
       'pnl_clearing.' || p.shard || '.' || p.symbol_id || ':' || a.code,
       a.code,
       -(p.amount_units::numeric + p.counterparty_units) * a.scale
  FROM perpetual_event p
  JOIN instrument i USING (symbol_id)
  JOIN scaled_asset a ON a.asset_id = i.quote_asset_id
 WHERE p.event_type IN (47, 48, 53, 54, 57)
UNION ALL
SELECT p.shard, p.sequence, p.index, p.time_us, p.journal_id, NULL::bigint,
       'rounding.' || p.shard || ':' || a.code,
       a.code,
       p.amount_units::numeric * a.scale
  FROM perpetual_event p
  JOIN instrument i USING (symbol_id)
  JOIN scaled_asset a ON a.asset_id = i.quote_asset_id
 WHERE p.event_type = 47
UNION ALL
SELECT p.shard, p.sequence, p.index, p.time_us, p.journal_id, NULL::bigint,
       CASE WHEN side.sign = 1 THEN 'insurance.' || p.shard || ':' || a.code
            WHEN p.event_type = 56 THEN 'rounding.' || p.shard || ':' || a.code
            ELSE 'capital:' || a.code END,
       a.code,
       side.sign * p.amount_units::numeric * a.scale
  FROM perpetual_event p
  CROSS JOIN (VALUES (1), (-1)) AS side(sign)
  JOIN scaled_asset a USING (asset_id)
 WHERE p.event_type IN (55, 56)
UNION ALL
SELECT b.shard, b.sequence, b.index, b.time_us, b.journal_id, b.account_id,
       'customer:' || b.account_id || ':trading.' || b.shard || ':' || a.code,
       a.code,
       CASE b.event_type WHEN 20 THEN 1 ELSE -1 END * b.amount_units::numeric * a.scale
  FROM balance_event b
  JOIN scaled_asset a USING (asset_id)
UNION ALL
SELECT b.shard, b.sequence, b.index, b.time_us, b.journal_id, NULL::bigint,
       'transit.' || b.shard || ':' || a.code,
       a.code,
       CASE b.event_type WHEN 20 THEN -1 ELSE 1 END * b.amount_units::numeric * a.scale
  FROM balance_event b
  JOIN scaled_asset a USING (asset_id)
"""

# Which commands a settlement's journal speaks for: those since the journal before it, so that an
# event row slipped in between two journals belongs to one of them and is found.
_SETTLEMENT_RANGE = """
CREATE VIEW settlement_range AS
SELECT j.journal_id, split_part(j.stream, '.', 2)::smallint AS shard,
       coalesce(before.last_sequence, 0) + 1 AS first, j.last_sequence AS last
  FROM journal j
  LEFT JOIN journal before ON before.stream = j.stream AND before.position = j.position - 1
 WHERE j.first_sequence IS NOT NULL
"""

# Makes the partitions that hold `value` and the `ahead` ones after it, of `width` numbers each.
# Whoever writes calls it in passing, so it must not make writers wait: a partition is made apart
# and attached, and where somebody else is at it, nothing is done. Vacuum comes by the row, not by
# the part of the table: soon after a page is written its change needs no image in the log.
_MAKE_PARTITIONS = """
CREATE FUNCTION make_partitions(parent text, width bigint, value bigint, ahead integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    child text;
    made integer := 0;
BEGIN
    EXECUTE format('LOCK TABLE public.%I IN SHARE UPDATE EXCLUSIVE MODE NOWAIT', parent);
    FOR number IN value / width .. value / width + ahead LOOP
        child := parent || '_' || number;
        CONTINUE WHEN to_regclass(format('partition.%I', child)) IS NOT NULL
                   OR to_regclass(format('archive.%I', child)) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE partition.%I (LIKE public.%I INCLUDING ALL) WITH ('
            'autovacuum_vacuum_insert_scale_factor = 0,'
            'autovacuum_vacuum_insert_threshold = 100000)', child, parent);
        EXECUTE format(
            'ALTER TABLE public.%I ATTACH PARTITION partition.%I FOR VALUES FROM (%L) TO (%L)',
            parent, child, number * width, (number + 1) * width);
        made := made + 1;
    END LOOP;
    RETURN made;
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END $$
"""

# Takes a partition out of its table; its rows stay, in the schema `archive`.
_DETACH_PARTITION = """
CREATE FUNCTION detach_partition(parent text, number bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE child text := parent || '_' || number;
BEGIN
    EXECUTE format('ALTER TABLE public.%I DETACH PARTITION partition.%I', parent, child);
    EXECUTE format('ALTER TABLE partition.%I SET SCHEMA archive', child);
END $$
"""
_FIRST_PARTITIONS = """
SELECT make_partitions('trade_event', 4000000, 0, 2),
       make_partitions('balance_event', 4000000, 0, 2),
       make_partitions('perpetual_event', 4000000, 0, 2),
       make_partitions('entry', 1000000, 0, 2)
"""


# Binds everybody who is connected, owner and superuser too, unless they take the trigger off; what
# such a one does then, the hash chain shows.
_APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
        MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' is refused';
END $$;
"""
_AUDIT_LOG_APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "asset",
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=True),
        sa.Column("chain_decimals", sa.Integer(), nullable=False),
        sa.Column("engine_decimals", sa.Integer(), nullable=False),
        sa.Column("confirmations", sa.Integer(), nullable=False),
        sa.Column("deposit_minimum", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("withdrawal_minimum", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("withdrawal_fee", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("approval_above", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_asset")),
        sa.UniqueConstraint("code", name=op.f("uq_asset_code")),
    )
    op.create_table(
        "audit_log",
        sa.Column("audit_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit_log")),
        sa.UniqueConstraint("key", name=op.f("uq_audit_log_key")),
    )
    op.create_table(
        "workflow_history",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("workflow_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("keep_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_workflow_history")),
    )
    for name, columns in (
        ("workflow", ["workflow_id", "closed_at"]),
        ("closed", ["closed_at"]),
        ("keep_until", ["keep_until"]),
    ):
        op.create_index(f"ix_workflow_history_{name}", "workflow_history", columns, unique=False)
    op.create_index("ix_audit_log_subject", "audit_log", ["subject", "audit_id"], unique=False)
    op.create_table(
        "adjustment",
        sa.Column("adjustment_id", sa.Uuid(), nullable=False),
        sa.Column("postings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("expiry", sa.BigInteger(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "signatures",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("adjustment_id", name=op.f("pk_adjustment")),
    )
    op.create_table(
        "alarm",
        sa.Column("alarm_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("runbook", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("times", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("sent_by", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "raised_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("acked_by", sa.Text(), nullable=True),
        sa.Column("acked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("alarm_id", name=op.f("pk_alarm")),
    )
    op.create_index(
        "ix_alarm_open",
        "alarm",
        ["key"],
        unique=True,
        postgresql_where=sa.text("cleared_at IS NULL"),
    )
    op.create_table(
        "balance_event",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("event_type", sa.SmallInteger(), nullable=False),
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("amount_units", sa.BigInteger(), nullable=False),
        sa.Column("journal_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "sequence", "index", name=op.f("pk_balance_event")),
        postgresql_partition_by="RANGE (sequence)",
    )
    op.create_index(
        "ix_balance_event_account", "balance_event", ["account_id", "sequence"], unique=False
    )
    op.create_table(
        "candle",
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("interval_seconds", sa.Integer(), nullable=False),
        sa.Column("open_time_us", sa.BigInteger(), nullable=False),
        sa.Column("open_ticks", sa.BigInteger(), nullable=False),
        sa.Column("high_ticks", sa.BigInteger(), nullable=False),
        sa.Column("low_ticks", sa.BigInteger(), nullable=False),
        sa.Column("close_ticks", sa.BigInteger(), nullable=False),
        sa.Column("base_units", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("quote_units", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("trade_count", sa.Integer(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "symbol_id", "interval_seconds", "open_time_us", name=op.f("pk_candle")
        ),
    )
    op.create_table(
        "chain_block",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("parent_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "number", name=op.f("pk_chain_block")),
    )
    op.create_table(
        "cold_address",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("since_block", sa.BigInteger(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("chain", "address", name=op.f("pk_cold_address")),
    )
    op.create_table(
        "cursor",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_cursor")),
    )
    op.create_table(
        "customer",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="customer", nullable=False),
        sa.Column("rate_class", sa.Text(), server_default="standard", nullable=False),
        sa.Column("deposit_index", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("tier", sa.Text(), server_default="basic", nullable=False),
        sa.Column("orders_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer")),
        sa.UniqueConstraint("deposit_index", name=op.f("uq_customer_deposit_index")),
        sa.UniqueConstraint("name", name=op.f("uq_customer_name")),
    )
    op.create_index(
        "ix_customer_orders_due",
        "customer",
        ["customer_id"],
        unique=False,
        postgresql_where=sa.text("orders_due_at IS NOT NULL"),
    )
    op.create_table(
        "journal",
        sa.Column("journal_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), nullable=True),
        sa.Column("last_sequence", sa.BigInteger(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("journal_id", name=op.f("pk_journal")),
        sa.UniqueConstraint("key", name=op.f("uq_journal_key")),
        sa.UniqueConstraint("stream", "position", name=op.f("uq_journal_stream_position")),
    )
    op.create_index("ix_journal_created", "journal", ["created_at", "journal_id"], unique=False)
    op.create_table(
        "ledger_floor",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("journal_id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=True),
        sa.Column("last_trade_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "moved_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_ledger_floor")),
    )
    op.create_table(
        "ledger_floor_balance",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("journal_id", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_ledger_floor_balance")),
    )
    op.create_table(
        "ledger_account",
        sa.Column("account_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("floor", sa.Numeric(precision=38, scale=0), nullable=True),
        sa.Column("balance", sa.Numeric(precision=38, scale=0), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "floor IS NULL OR balance >= floor", name=op.f("ck_ledger_account_floor")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_ledger_account")),
        sa.UniqueConstraint("code", name=op.f("uq_ledger_account_code")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        op.f("ix_ledger_account_customer_id"), "ledger_account", ["customer_id"], unique=False
    )
    op.create_table(
        "order_history",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("client_key", sa.Uuid(), nullable=False),
        sa.Column("side", sa.SmallInteger(), nullable=False),
        sa.Column("order_type", sa.SmallInteger(), nullable=False),
        sa.Column("time_in_force", sa.SmallInteger(), nullable=False),
        sa.Column("post_only", sa.Boolean(), nullable=False),
        sa.Column("self_trade", sa.SmallInteger(), nullable=False),
        sa.Column("price_ticks", sa.BigInteger(), nullable=False),
        sa.Column("quantity_lots", sa.BigInteger(), nullable=False),
        sa.Column("quote_budget_units", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_us", sa.BigInteger(), nullable=False),
        sa.Column("display_lots", sa.BigInteger(), nullable=False),
        sa.Column("trigger_price_ticks", sa.BigInteger(), nullable=False),
        sa.Column("trailing_offset_ticks", sa.BigInteger(), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("trigger_source", sa.SmallInteger(), nullable=False),
        sa.Column("reduce_only", sa.Boolean(), nullable=False),
        sa.Column("close_position", sa.Boolean(), nullable=False),
        sa.Column("is_waiting", sa.Boolean(), nullable=False),
        sa.Column("is_pending", sa.Boolean(), nullable=False),
        sa.Column("filled_lots", sa.BigInteger(), nullable=False),
        sa.Column("filled_quote_units", sa.BigInteger(), nullable=False),
        sa.Column("fee_units", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("close_reason", sa.SmallInteger(), nullable=True),
        sa.Column("refusal", sa.SmallInteger(), nullable=True),
        sa.Column("accepted_sequence", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_sequence", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "order_id", name=op.f("pk_order_history")),
    )
    op.create_index(
        "ix_order_history_account",
        "order_history",
        ["account_id", "accepted_at_us", "order_id"],
        unique=False,
    )
    op.create_index(
        "ix_order_history_client_key", "order_history", ["account_id", "client_key"], unique=False
    )
    op.create_table(
        "reconciliation_run",
        sa.Column("run_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("invariants", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("violations", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("full", sa.Boolean(), nullable=False),
        sa.Column("positions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_reconciliation_run")),
    )
    op.create_table(
        "trade_event",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("trade_id", sa.BigInteger(), nullable=False),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("taker_side", sa.SmallInteger(), nullable=False),
        sa.Column("maker_order_id", sa.BigInteger(), nullable=False),
        sa.Column("taker_order_id", sa.BigInteger(), nullable=False),
        sa.Column("maker_account_id", sa.BigInteger(), nullable=False),
        sa.Column("taker_account_id", sa.BigInteger(), nullable=False),
        sa.Column("price_ticks", sa.BigInteger(), nullable=False),
        sa.Column("quantity_lots", sa.BigInteger(), nullable=False),
        sa.Column("base_units", sa.BigInteger(), nullable=False),
        sa.Column("quote_units", sa.BigInteger(), nullable=False),
        sa.Column("maker_fee_units", sa.BigInteger(), nullable=False),
        sa.Column("taker_fee_units", sa.BigInteger(), nullable=False),
        sa.Column("journal_id", sa.BigInteger(), nullable=False),
        sa.Column("insurance_units", sa.BigInteger(), nullable=True),
        sa.Column("maker_lots", sa.BigInteger(), nullable=True),
        sa.Column("maker_cost_units", sa.BigInteger(), nullable=True),
        sa.Column("maker_realised_units", sa.BigInteger(), nullable=True),
        sa.Column("taker_lots", sa.BigInteger(), nullable=True),
        sa.Column("taker_cost_units", sa.BigInteger(), nullable=True),
        sa.Column("taker_realised_units", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("shard", "sequence", "index", name=op.f("pk_trade_event")),
        postgresql_partition_by="RANGE (sequence)",
    )
    op.create_index(
        "ix_trade_event_trade",
        "trade_event",
        ["trade_id"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"pages_per_range": "32", "autosummarize": "on"},
    )
    op.create_index(
        "ix_trade_event_maker", "trade_event", ["maker_account_id", "time_us"], unique=False
    )
    op.create_index(
        "ix_trade_event_taker", "trade_event", ["taker_account_id", "time_us"], unique=False
    )
    op.create_table(
        "perpetual_event",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("event_type", sa.SmallInteger(), nullable=False),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("counterparty_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_units", sa.BigInteger(), nullable=False),
        sa.Column("counterparty_units", sa.BigInteger(), nullable=False),
        sa.Column("lots", sa.BigInteger(), nullable=False),
        sa.Column("cost_units", sa.BigInteger(), nullable=False),
        sa.Column("counterparty_lots", sa.BigInteger(), nullable=False),
        sa.Column("counterparty_cost_units", sa.BigInteger(), nullable=False),
        sa.Column("funding_time_us", sa.BigInteger(), nullable=False),
        sa.Column("journal_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "sequence", "index", name=op.f("pk_perpetual_event")),
        postgresql_partition_by="RANGE (sequence)",
    )
    op.create_index(
        "ix_perpetual_event_account", "perpetual_event", ["account_id", "sequence"], unique=False
    )
    op.create_index(
        "ix_perpetual_event_counterparty",
        "perpetual_event",
        ["counterparty_id", "sequence"],
        unique=False,
        postgresql_where=sa.text("counterparty_id <> 0"),
    )
    op.create_table(
        "position",
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("symbol_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lots", sa.BigInteger(), nullable=False),
        sa.Column("cost_units", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("realised_units", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "account_id", "symbol_id", name=op.f("pk_position")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "wallet_nonce",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("next_nonce", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "address", name=op.f("pk_wallet_nonce")),
    )
    op.create_table(
        "api_key",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("networks", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.customer_id"], name=op.f("fk_api_key_customer_id")
        ),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_key")),
    )
    op.create_index(op.f("ix_api_key_customer_id"), "api_key", ["customer_id"], unique=False)
    op.create_table(
        "login_invitation",
        sa.Column("invitation_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("resets", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("expiry", sa.BigInteger(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("signatures", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("halves", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("totp_sealed", sa.LargeBinary(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.customer_id"], name=op.f("fk_login_invitation_customer_id")
        ),
        sa.PrimaryKeyConstraint("invitation_id", name=op.f("pk_login_invitation")),
    )
    op.create_index(
        op.f("ix_login_invitation_customer_id"), "login_invitation", ["customer_id"], unique=False
    )
    op.create_table(
        "web_login",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("totp_step", sa.BigInteger(), nullable=False),
        sa.Column("next_totp_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("recovery_hashes", postgresql.JSONB(), nullable=False),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.customer_id"], name=op.f("fk_web_login_customer_id")
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_web_login")),
    )
    op.create_table(
        "web_session",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("family_hash", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stepped_up_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.customer_id"], name=op.f("fk_web_session_customer_id")
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_web_session")),
    )
    op.create_index(
        op.f("ix_web_session_customer_id"), "web_session", ["customer_id"], unique=False
    )
    op.create_table(
        "order_list_name",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("list_name", sa.Text(), nullable=False),
        sa.Column(
            "named_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customer.customer_id"],
            name=op.f("fk_order_list_name_customer_id"),
        ),
        sa.PrimaryKeyConstraint("customer_id", "client_order_id", name=op.f("pk_order_list_name")),
    )
    op.create_index(
        "ix_order_list_name_list_name",
        "order_list_name",
        ["customer_id", "list_name"],
        unique=False,
    )
    op.create_table(
        "login_link",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.customer_id"], name=op.f("fk_login_link_customer_id")
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_login_link")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_login_link_token_hash")),
    )
    op.create_table(
        "deposit",
        sa.Column("deposit_id", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("tx_hash", sa.Text(), nullable=False),
        sa.Column("log_index", sa.Integer(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), server_default="", nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("confirmations", sa.Integer(), server_default="0", nullable=False),
        sa.Column("transfer_id", sa.Uuid(), nullable=True),
        sa.Column("turns", sa.Integer(), server_default="0", nullable=False),
        sa.Column("collected_into", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.asset_id"], name=op.f("fk_deposit_asset_id")),
        sa.PrimaryKeyConstraint("deposit_id", name=op.f("pk_deposit")),
        sa.UniqueConstraint(
            "chain", "tx_hash", "log_index", name=op.f("uq_deposit_chain_tx_hash_log_index")
        ),
    )
    op.create_index(
        "ix_deposit_collected_into",
        "deposit",
        ["collected_into"],
        unique=False,
        postgresql_where=sa.text("collected_into IS NOT NULL"),
    )
    op.create_index("ix_deposit_customer", "deposit", ["customer_id", "created_at"], unique=False)
    op.create_index(
        "ix_deposit_in_suspense",
        "deposit",
        ["customer_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('below_minimum', 'suspended')"),
    )
    op.create_index(
        "ix_deposit_reversed",
        "deposit",
        ["chain"],
        unique=False,
        postgresql_where=sa.text("turns % 2 = 1"),
    )
    op.create_index("ix_deposit_updated", "deposit", ["updated_at"], unique=False)
    op.create_index(
        "ix_deposit_open",
        "deposit",
        ["deposit_id"],
        unique=False,
        postgresql_where=sa.text(
            "state NOT IN ('below_minimum', 'collected', 'credited', 'refilled', 'released',"
            " 'returned', 'returning', 'suspended', 'voided')"
        ),
    )
    op.create_index("ix_deposit_block", "deposit", ["chain", "block_number"], unique=False)
    op.create_table(
        "deposit_address",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.customer_id"], name=op.f("fk_deposit_address_customer_id")
        ),
        sa.PrimaryKeyConstraint("chain", "address", name=op.f("pk_deposit_address")),
        sa.UniqueConstraint(
            "chain", "customer_id", name=op.f("uq_deposit_address_chain_customer_id")
        ),
    )
    op.create_table(
        "entry",
        sa.Column("journal_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("balance_after", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.PrimaryKeyConstraint("journal_id", "account_id", name=op.f("pk_entry")),
        postgresql_partition_by="RANGE (journal_id)",
    )
    op.create_index("ix_entry_account", "entry", ["account_id", "journal_id"], unique=False)
    op.create_table(
        "instrument",
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("shard", sa.Integer(), server_default="0", nullable=False),
        sa.Column("base_asset_id", sa.Integer(), nullable=False),
        sa.Column("quote_asset_id", sa.Integer(), nullable=False),
        sa.Column("tick_size", sa.Text(), nullable=False),
        sa.Column("lot_size", sa.Text(), nullable=False),
        sa.Column("listing_price", sa.Text(), nullable=False),
        sa.Column("max_order", sa.Text(), nullable=False),
        sa.Column("maker_fee_ppm", sa.Integer(), nullable=False),
        sa.Column("taker_fee_ppm", sa.Integer(), nullable=False),
        sa.Column("tier_fees", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("max_taker_fee_ppm", sa.Integer(), nullable=False),
        sa.Column("band_ppm", sa.Integer(), nullable=False),
        sa.Column("max_open_orders", sa.Integer(), nullable=False),
        sa.Column("max_position", sa.Text(), server_default="0", nullable=False),
        sa.Column("perpetual", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("listed_sequence", sa.BigInteger(), nullable=True),
        sa.Column("rules_sequence", sa.BigInteger(), nullable=True),
        sa.Column("delisted_sequence", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["base_asset_id"], ["asset.asset_id"], name=op.f("fk_instrument_base_asset_id")
        ),
        sa.ForeignKeyConstraint(
            ["quote_asset_id"], ["asset.asset_id"], name=op.f("fk_instrument_quote_asset_id")
        ),
        sa.PrimaryKeyConstraint("symbol_id", name=op.f("pk_instrument")),
        sa.UniqueConstraint("symbol", name=op.f("uq_instrument_symbol")),
    )
    op.create_table(
        "funding_rate",
        sa.Column("symbol_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("funding_time_us", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("rate_ppm", sa.Integer(), nullable=False),
        sa.Column("premium_ppm", sa.Integer(), nullable=False),
        sa.Column("mark_ticks", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("symbol_id", "funding_time_us", name=op.f("pk_funding_rate")),
    )
    op.create_table(
        "market_history",
        sa.Column("symbol_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("rules", postgresql.JSONB(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("symbol_id", "sequence", name=op.f("pk_market_history")),
    )
    op.create_table(
        "market_change",
        sa.Column("change_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("terms", postgresql.JSONB(), nullable=False),
        sa.Column("was", postgresql.JSONB(), nullable=False),
        sa.Column("asset", postgresql.JSONB(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("expiry", sa.BigInteger(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("signatures", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure", sa.Text(), server_default="", nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_market_change")),
    )
    op.create_index(
        "ix_market_change_open",
        "market_change",
        ["symbol"],
        unique=True,
        postgresql_where=sa.text("state = 'proposed' AND kind <> 'top-up'"),
    )
    op.create_index(
        "ix_market_change_top_up",
        "market_change",
        ["symbol"],
        unique=True,
        postgresql_where=sa.text("state = 'proposed' AND kind = 'top-up'"),
    )
    op.create_table(
        "account_tier",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("tier", sa.SmallInteger(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "account_id", "sequence", name=op.f("pk_account_tier")),
    )
    op.create_table(
        "liquidation",
        sa.Column("liquidation_id", sa.Text(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("frozen_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("began_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.Text(), nullable=False),
        sa.Column("signatures", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("liquidation_id", name=op.f("pk_liquidation")),
    )
    op.create_index("ix_liquidation_account_ended", "liquidation", ["account_id", "ended_us"])
    op.create_index("ix_liquidation_ended", "liquidation", ["ended_us"])
    op.create_table(
        "liquidation_step",
        sa.Column("liquidation_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("refusal", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["liquidation_id"],
            ["liquidation.liquidation_id"],
            name=op.f("fk_liquidation_step_liquidation_id"),
        ),
        sa.PrimaryKeyConstraint("liquidation_id", "number", name=op.f("pk_liquidation_step")),
    )
    op.create_table(
        "margin_call",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("symbol_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("equity_units", sa.BigInteger(), nullable=False),
        sa.Column("maintenance_units", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account_id",
            "time_us",
            "sequence",
            "shard",
            "symbol_id",
            name=op.f("pk_margin_call"),
        ),
    )
    op.create_table(
        "volume_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("quote_asset_id", sa.Integer(), nullable=False),
        sa.Column("quote_units", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.ForeignKeyConstraint(
            ["quote_asset_id"], ["asset.asset_id"], name=op.f("fk_volume_day_quote_asset_id")
        ),
        sa.PrimaryKeyConstraint(
            "day", "shard", "account_id", "quote_asset_id", name=op.f("pk_volume_day")
        ),
    )
    op.create_table(
        "volume_day_done",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("trades", sa.BigInteger(), nullable=False),
        sa.Column(
            "done_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("day", "shard", name=op.f("pk_volume_day_done")),
    )
    op.create_table(
        "tier_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("volume_units", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("tier", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "customer_id", name=op.f("pk_tier_day")),
    )
    op.create_index("ix_tier_day_customer", "tier_day", ["customer_id", "day"], unique=False)
    op.create_table(
        "tier_day_done",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("worths", postgresql.JSONB(), nullable=False),
        sa.Column(
            "done_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_tier_day_done")),
    )
    op.create_table(
        "transfer",
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("settled_sequence", sa.BigInteger(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["asset.asset_id"], name=op.f("fk_transfer_asset_id")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.customer_id"], name=op.f("fk_transfer_customer_id")
        ),
        sa.PrimaryKeyConstraint("transfer_id", name=op.f("pk_transfer")),
    )
    op.create_index(
        "ix_transfer_open",
        "transfer",
        ["state"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_transfer_settled", "transfer", ["shard", "settled_sequence"], unique=False)
    op.create_table(
        "shard_transfer",
        sa.Column("shard_transfer_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("from_shard", sa.SmallInteger(), nullable=True),
        sa.Column("to_shard", sa.SmallInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["asset.asset_id"], name=op.f("fk_shard_transfer_asset_id")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customer.customer_id"],
            name=op.f("fk_shard_transfer_customer_id"),
        ),
        sa.PrimaryKeyConstraint("shard_transfer_id", name=op.f("pk_shard_transfer")),
        sa.UniqueConstraint(
            "customer_id",
            "idempotency_key",
            name=op.f("uq_shard_transfer_customer_id_idempotency_key"),
        ),
    )
    op.create_index(
        "ix_shard_transfer_open",
        "shard_transfer",
        ["shard_transfer_id"],
        unique=False,
        postgresql_where=sa.text("state NOT IN ('done', 'in_main', 'refused', 'returned')"),
    )
    op.create_table(
        "withdrawal",
        sa.Column("withdrawal_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("fee", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("review", sa.Text(), nullable=True),
        sa.Column("value_cents", sa.Numeric(precision=38, scale=0), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("release_transfer_id", sa.Uuid(), nullable=True),
        sa.Column("nonce", sa.BigInteger(), nullable=True),
        sa.Column("tx_hash", sa.Text(), nullable=True),
        sa.Column("block_number", sa.BigInteger(), nullable=True),
        sa.Column("network_fee", sa.Numeric(precision=38, scale=0), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["asset.asset_id"], name=op.f("fk_withdrawal_asset_id")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.customer_id"], name=op.f("fk_withdrawal_customer_id")
        ),
        sa.PrimaryKeyConstraint("withdrawal_id", name=op.f("pk_withdrawal")),
        sa.UniqueConstraint(
            "customer_id", "idempotency_key", name=op.f("uq_withdrawal_customer_id_idempotency_key")
        ),
    )
    op.create_index(
        "ix_withdrawal_customer", "withdrawal", ["customer_id", "created_at"], unique=False
    )
    op.create_index("ix_withdrawal_updated", "withdrawal", ["updated_at"], unique=False)
    op.create_index("ix_withdrawal_created", "withdrawal", ["created_at"], unique=False)
    op.create_index(
        "ix_withdrawal_open",
        "withdrawal",
        ["withdrawal_id"],
        unique=False,
        postgresql_where=sa.text("state NOT IN ('settled', 'rejected', 'cancelled')"),
    )
    op.create_index(
        "ix_withdrawal_nonce",
        "withdrawal",
        ["nonce"],
        unique=False,
        postgresql_where=sa.text("nonce IS NOT NULL"),
    )
    op.create_index("ix_withdrawal_address", "withdrawal", ["address", "created_at"], unique=False)
    op.create_table(
        "withdrawal_address",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("beneficiary", sa.Text(), server_default="", nullable=False),
        sa.Column("institution", sa.Text(), server_default="", nullable=False),
        sa.Column("usable_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customer.customer_id"],
            name=op.f("fk_withdrawal_address_customer_id"),
        ),
        sa.PrimaryKeyConstraint(
            "customer_id", "chain", "address", name=op.f("pk_withdrawal_address")
        ),
    )
    op.create_table(
        "approval",
        sa.Column("withdrawal_id", sa.Uuid(), nullable=False),
        sa.Column("officer", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["withdrawal_id"], ["withdrawal.withdrawal_id"], name=op.f("fk_approval_withdrawal_id")
        ),
        sa.PrimaryKeyConstraint("withdrawal_id", "officer", name=op.f("pk_approval")),
    )
    op.create_table(
        "payment_pause",
        sa.Column("pause_id", sa.Uuid(), nullable=False),
        sa.Column("officer", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "signatures",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("pause_id", name=op.f("pk_payment_pause")),
    )
    op.create_index(
        "ix_payment_pause_in_force",
        "payment_pause",
        ["pause_id"],
        unique=False,
        postgresql_where=sa.text("state = 'in_force'"),
    )
    op.create_table(
        "hot_wallet_band",
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("sweep_above", sa.Numeric(38, 0), nullable=True),
        sa.Column("floor", sa.Numeric(38, 0), nullable=True),
        sa.Column("target", sa.Numeric(38, 0), nullable=True),
        sa.Column("ceiling", sa.Numeric(38, 0), nullable=True),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["asset.asset_id"], name=op.f("fk_hot_wallet_band_asset_id")
        ),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_hot_wallet_band")),
    )
    op.create_table(
        "wallet_payment",
        sa.Column("payment_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("deposit_path", sa.Text(), server_default="", nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("amount", sa.Numeric(38, 0), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=True),
        sa.Column("gas", sa.BigInteger(), nullable=True),
        sa.Column("max_fee", sa.Numeric(38, 0), nullable=True),
        sa.Column("priority_fee", sa.Numeric(38, 0), nullable=True),
        sa.Column("tx_hash", sa.Text(), nullable=True),
        sa.Column("block_number", sa.BigInteger(), nullable=True),
        sa.Column("network_fee", sa.Numeric(38, 0), nullable=True),
        sa.Column(
            "voids",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="[]",
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["asset.asset_id"], name=op.f("fk_wallet_payment_asset_id")
        ),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_wallet_payment")),
    )
    op.create_index(
        "ix_wallet_payment_open",
        "wallet_payment",
        ["payment_id"],
        unique=False,
        postgresql_where=sa.text("state NOT IN ('booked', 'reverted', 'dropped', 'voided')"),
    )
    op.create_index(
        "ix_wallet_payment_deposit_path", "wallet_payment", ["deposit_path"], unique=False
    )
    op.create_index("ix_wallet_payment_updated", "wallet_payment", ["updated_at"], unique=False)
    op.create_index(
        "ix_wallet_payment_nonce",
        "wallet_payment",
        ["chain", "source", "nonce"],
        unique=False,
        postgresql_where=sa.text("nonce IS NOT NULL"),
    )
    op.create_index(
        "ix_wallet_payment_one_of_address",
        "wallet_payment",
        ["chain", "deposit_path"],
        unique=True,
        postgresql_where=sa.text(
            "deposit_path <> '' AND state NOT IN ('booked', 'reverted', 'dropped', 'voided')"
        ),
    )
    op.create_index(
        "ix_wallet_payment_one_goes_cold",
        "wallet_payment",
        ["chain", "asset_id"],
        unique=True,
        postgresql_where=sa.text(
            "kind = 'cold' AND state NOT IN ('booked', 'reverted', 'dropped', 'voided')"
        ),
    )
    op.create_table(
        "wallet_transaction",
        sa.Column("tx_hash", sa.Text(), nullable=False),
        sa.Column("withdrawal_id", sa.Uuid(), nullable=True),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("replacement", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("voids", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column(
            "signed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("broadcast_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["withdrawal_id"],
            ["withdrawal.withdrawal_id"],
            name=op.f("fk_wallet_transaction_withdrawal_id"),
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"],
            ["wallet_payment.payment_id"],
            name=op.f("fk_wallet_transaction_payment_id"),
        ),
        sa.PrimaryKeyConstraint("tx_hash", name=op.f("pk_wallet_transaction")),
        sa.UniqueConstraint(
            "chain",
            "address",
            "nonce",
            "replacement",
            name=op.f("uq_wallet_transaction_chain_address_nonce_replacement"),
        ),
    )
    op.create_index(
        "ix_wallet_transaction_withdrawal_id",
        "wallet_transaction",
        ["withdrawal_id"],
        unique=False,
        postgresql_where=sa.text("withdrawal_id IS NOT NULL"),
    )
    op.create_index(
        "ix_wallet_transaction_payment_id",
        "wallet_transaction",
        ["payment_id"],
        unique=False,
        postgresql_where=sa.text("payment_id IS NOT NULL"),
    )
    bind = op.get_bind()
    bind.exec_driver_sql(_EVENT_POSTING)  # its colons are not parameters
    bind.exec_driver_sql(_SETTLEMENT_RANGE)
    bind.exec_driver_sql("CREATE SCHEMA partition")
    bind.exec_driver_sql("CREATE SCHEMA archive")
    bind.exec_driver_sql(_MAKE_PARTITIONS)
    bind.exec_driver_sql(_DETACH_PARTITION)
    bind.exec_driver_sql(_FIRST_PARTITIONS)
    bind.exec_driver_sql(_APPEND_ONLY)
    bind.exec_driver_sql(_AUDIT_LOG_APPEND_ONLY)
