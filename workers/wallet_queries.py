"""The searches by which staff and health find the wallet's open work in Temporal."""

from __future__ import annotations

from infra.temporal.runs import OPEN

OPEN_WALLET_WORK = f"{OPEN} AND WorkflowType IN ('DepositWorkflow', 'WithdrawalWorkflow')"
PARKED = f"{OPEN_WALLET_WORK} AND Stage STARTS_WITH 'failed:'"
