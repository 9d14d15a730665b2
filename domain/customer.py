"""Customers' API keys, as a gateway needs them to decide who is asking and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What an API key may be used for."""

    READ = "read"
    TRADE = "trade"
    WITHDRAW = "withdraw"
    COMPLIANCE = "compliance"  # of staff only: to read customers' files


CUSTOMER_SCOPES = (Scope.READ, Scope.TRADE, Scope.WITHDRAW)
STAFF = "staff"  # the kind of a customer row that is a member of staff, and trades nothing


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key with its opened secret and what its customer may do."""

    key_id: str
    customer_id: int
    secret: bytes
    scopes: frozenset[str]
    rate_class: str
    customer_status: str
    expires_at: datetime | None
