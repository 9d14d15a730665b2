"""Refusals in the dialect: HTTP status, a negative code, and a message.

Clients compare some messages letter by letter before they look at the code, so those messages are
fixed; to the others our own detail is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from api.errors import Problem

FUNDS = "Account has insufficient balance for requested action."
CLOSED = "Market is closed."
INTERNAL = "Internal error; unable to process your request. Please try again."
TIMEOUT = (
    "Timeout waiting for response from backend server. Send status unknown; "
    "execution status unknown."
)

Row = tuple[int, int, str]

# Problem code -> (HTTP status, code, message); "{}" is where our detail goes.
_ROWS: dict[str, Row] = {
    "insufficient_funds": (400, -2010, FUNDS),
    "insufficient_margin": (400, -2019, FUNDS),
    "post_only_would_trade": (400, -2010, "Order would immediately match and take."),
    "would_trigger_immediately": (400, -2010, "Stop price would trigger immediately."),
    "duplicate_client_order_id": (400, -2010, "Duplicate order sent."),
    "invalid_price": (400, -1013, "Filter failure: PRICE_FILTER"),
    "invalid_trigger": (400, -1013, "Filter failure: PRICE_FILTER"),
    "invalid_quantity": (400, -1013, "Filter failure: LOT_SIZE"),
    "quantity_too_large": (400, -1013, "Filter failure: LOT_SIZE"),
    "quantity_below_filled": (400, -1013, "Filter failure: LOT_SIZE"),
    "too_many_slices": (400, -1013, "Filter failure: ICEBERG_PARTS"),
    "budget_too_small": (400, -1013, "Filter failure: NOTIONAL"),
    "overflow": (400, -1013, "Filter failure: NOTIONAL"),
    "price_outside_band": (400, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    "too_many_open_orders": (400, -1013, "Filter failure: MAX_NUM_ORDERS"),
    "too_many_positions": (400, -1013, "Filter failure: MAX_NUM_ORDERS"),
    "position_limit": (400, -2010, "Filter failure: MAX_POSITION"),
    "invalid_combination": (400, -1128, "Combination of optional parameters invalid. {}"),
    "invalid_field": (400, -1130, "Data sent for a parameter is not valid. {}"),
    "invalid_number": (400, -1100, "Illegal characters found in a parameter. {}"),
    "invalid_amount": (400, -1100, "Illegal characters found in a parameter. {}"),
    "fok_not_fillable": (400, -2010, "The order cannot be filled at once."),
    "no_liquidity": (400, -1112, "No orders on book for symbol."),
    "self_trade": (400, -2010, "The order would trade with the same account."),
    "expiry_passed": (400, -1130, "Data sent for parameter 'goodTillDate' is not valid."),
    "order_not_found": (400, -2013, "Order does not exist."),
    "unknown_symbol": (400, -1121, "Invalid symbol."),
    "unknown_asset": (400, -1108, "Invalid asset."),
    "not_a_perpetual": (400, -1121, "Invalid symbol."),
    "symbol_halted": (400, -1013, CLOSED),
    "symbol_cancel_only": (400, -1013, CLOSED),
    "shard_halted": (400, -1013, CLOSED),
    "shard_cancel_only": (400, -1013, CLOSED),
    "symbol_delisted": (400, -1013, CLOSED),
    "market_halted": (400, -1013, CLOSED),
    "market_settling": (400, -1013, CLOSED),
    "mark_unknown": (400, -1013, CLOSED),
    "mark_stale": (400, -1013, CLOSED),
    "market_guarded": (400, -1013, "Unsupported order type now: the market takes limit orders."),
    "market_reduce_only": (400, -4400, "Only reduceOnly orders are allowed now."),
    "nothing_to_reduce": (400, -2022, "ReduceOnly Order is rejected."),
    "invalid_leverage": (400, -4028, "Leverage is not valid. {}"),
    "position_open": (400, -4048, "Margin type cannot be changed if there exists position."),
    "not_isolated": (400, -4049, "Add margin only support for isolated position."),
    "scope_frozen": (400, -2023, "User in liquidation mode now."),
    "order_in_list": (400, -2010, "The order is part of an order list."),
    "list_prices_crossed": (400, -2010, "The relationship of the prices for the orders is wrong."),
    "invalid_order_list": (400, -1128, "Combination of optional parameters invalid. {}"),
    # who is asking
    "missing_credentials": (401, -2014, "API-key format invalid."),
    "bad_signature": (401, -1022, "Signature for this request is not valid."),
    "missing_scope": (401, -2015, "Invalid API-key, IP, or permissions for action."),
    "address_not_allowed": (401, -2015, "Invalid API-key, IP, or permissions for action."),
    "account_not_active": (400, -2010, "This account may not place or cancel orders."),
    "timestamp_outside_window": (
        400,
        -1021,
        "Timestamp for this request is outside of the recvWindow.",
    ),
    "timestamp_ahead": (
        400,
        -1021,
        "Timestamp for this request was 1000ms ahead of the server's time.",
    ),
    "request_replayed": (400, -1021, "Timestamp for this request was used before: sign it again."),
    "rate_limited": (429, -1003, "Too many requests. {}"),
    "too_many_in_flight": (429, -1003, "Too many requests. {}"),
    # money
    "amount_below_minimum": (400, -4104, "The amount is too small. {}"),
    "invalid_address": (400, -4021, "The address is not valid. {}"),
    "address_not_listed": (400, -4021, "The address is not on the list of yours. {}"),
    "address_cooling_off": (400, -4021, "The address was listed too short a time ago. {}"),
    "withdrawal_limit_exceeded": (400, -4026, "That is more than may be withdrawn now. {}"),
    "withdrawals_paused": (503, -4104, "Withdrawals are paused."),
    "idempotency_conflict": (400, -4104, "This id was used for another request."),
    # the exchange itself
    "body_too_large": (413, -1101, "Too many parameters. {}"),
    "not_found": (404, -1020, "This operation is not supported."),
    "method_not_allowed": (405, -1020, "This operation is not supported."),
    "malformed_json": (400, -1135, "This parameter requires valid JSON."),
    "engine_unavailable": (503, -1001, INTERNAL),
    "store_unavailable": (503, -1001, INTERNAL),
    "market_data_unavailable": (503, -1001, INTERNAL),
    "outcome_unknown": (
        503,
        -1007,
        TIMEOUT,
    ),
}
# What futures say otherwise.
_FUTURES_ROWS: dict[str, Row] = {
    "insufficient_funds": (400, -2019, FUNDS),
    "post_only_would_trade": (400, -5022, "Order would immediately match and take."),
    "would_trigger_immediately": (400, -2021, "Stop price would trigger immediately."),
}


class Refusal(Exception):  # noqa: N818 - as Problem: an answer on its way to the client
    """A refusal in the dialect; `data` is a further member of a few answers."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.headers = dict(headers or {})
        self.data = data

    def body(self) -> dict[str, Any]:
        """Return the members of the answer."""
        body: dict[str, Any] = {"code": self.code, "msg": self.message}
        return body if self.data is None else {**body, "data": self.data}

    def response(self) -> Response:
        """Return the HTTP answer."""
        return Response(
            msgspec.json.encode(self.body()),
            status_code=self.status,
            media_type="application/json",
            headers=self.headers,
        )


def translated(problem: Problem, *, futures: bool = False) -> Refusal:
    """Return a problem of the native API in the dialect's words."""
    row = (_FUTURES_ROWS.get(problem.code) if futures else None) or _ROWS.get(problem.code)
    if row is None:
        if problem.kind.status >= 500:
            row = (problem.kind.status, -1000, "An unknown error occurred while processing.")
        else:
            row = (400, -1130, "The request is not acceptable. {}")
    status, code, message = row
    return Refusal(code, message.format(problem.detail), status=status, headers=problem.headers)


def missing(name: str) -> Refusal:
    """Return the refusal of a request that lacks a parameter."""
    return Refusal(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def malformed(name: str) -> Refusal:
    """Return the refusal of a parameter that cannot be read."""
    return Refusal(-1100, f"Illegal characters found in parameter '{name}'.")


def combination(detail: str) -> Refusal:
    """Return the refusal of parameters that cannot go together."""
    return Refusal(-1128, f"Combination of optional parameters invalid. {detail}")
