"""Search attributes by which operations staff find workflows; never personal data.

The server must know them before a workflow upserts one: `infra.temporal.search_attributes` has
the same names for its start flags (a test compares the two).
"""

from __future__ import annotations

from temporalio.common import SearchAttributeKey

ACCOUNT_ID = SearchAttributeKey.for_keyword("AccountId")
ASSET = SearchAttributeKey.for_keyword("Asset")
STAGE = SearchAttributeKey.for_keyword("Stage")
SYMBOL = SearchAttributeKey.for_keyword("Symbol")
SHARD = SearchAttributeKey.for_int("Shard")
NOTIONAL_USD = SearchAttributeKey.for_float("NotionalUsd")
LAG = SearchAttributeKey.for_int("Lag")

ALL = (ACCOUNT_ID, ASSET, STAGE, SYMBOL, SHARD, NOTIONAL_USD, LAG)
