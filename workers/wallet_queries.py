"""The searches by which staff and health find open work of business rows in Temporal."""

from __future__ import annotations

from infra.temporal.runs import OPEN

OPEN_WORK = (
    f"{OPEN} AND WorkflowType IN ('DepositWorkflow', 'WithdrawalWorkflow',"
    " 'ShardTransferWorkflow', 'AdjustmentWorkflow')"
)
PARKED = f"{OPEN_WORK} AND Stage STARTS_WITH 'failed:'"
