"""Every refusal a client can meet: one registry of codes, answered as RFC 9457 problem+json.

A code is stable text; it is never reused for another meaning. Every `RejectReason` of the engine
has the code of its own name in lower case, so the table is complete by construction of the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec
from starlette.responses import Response

from domain.errors import RejectReason

PROBLEM_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """What a code means: its HTTP status, whether trying again may help, and a title."""

    status: int
    retryable: bool
    title: str


PROBLEMS: dict[str, ProblemKind] = {
    # the request itself
    "malformed_json": ProblemKind(400, False, "The body is not acceptable JSON"),
    "invalid_field": ProblemKind(422, False, "A field of the request is not acceptable"),
    "invalid_number": ProblemKind(422, False, "Not a plain decimal number in text"),
    "invalid_cursor": ProblemKind(400, False, "The cursor was not made by this endpoint"),
    "unknown_parameter": ProblemKind(400, False, "A parameter of the address is not acceptable"),
    "unexpected_body": ProblemKind(400, False, "A request of this method has no body"),
    "body_too_large": ProblemKind(413, False, "The body is too large"),
    "head_too_large": ProblemKind(431, False, "The request's head is too large"),
    "request_too_slow": ProblemKind(408, True, "The request did not become whole in time"),
    "not_found": ProblemKind(404, False, "No such resource"),
    "method_not_allowed": ProblemKind(405, False, "The method is not allowed here"),
    # who is asking
    "missing_credentials": ProblemKind(401, False, "The request is not signed"),
    "bad_signature": ProblemKind(401, False, "The key or its signature is not valid"),
    "timestamp_outside_window": ProblemKind(401, True, "The timestamp is outside the window"),
    "timestamp_ahead": ProblemKind(401, True, "The timestamp is ahead of the exchange's clock"),
    "request_replayed": ProblemKind(409, False, "This very request was received before"),
    "missing_scope": ProblemKind(403, False, "The API key lacks the scope for this"),
    "address_not_allowed": ProblemKind(403, False, "The API key is not for this address"),
    "key_label_taken": ProblemKind(409, False, "Another key of yours has this label"),
    "key_too_strong": ProblemKind(403, False, "A key makes no key that may do more than it"),
    "too_many_keys": ProblemKind(422, False, "The account has as many keys as there may be"),
    # web sessions
    "bad_login": ProblemKind(401, False, "The name, the password or the code is not right"),
    "bad_invitation": ProblemKind(401, False, "The invitation or the code is not right"),
    "session_ended": ProblemKind(401, False, "The session has ended, or needs a refresh"),
    "session_required": ProblemKind(403, False, "Only a web session may do this"),
    "step_up_required": ProblemKind(403, True, "This needs a fresh second factor"),
    "wrong_origin": ProblemKind(403, False, "The request comes from another site's page"),
    "weak_password": ProblemKind(422, False, "The password is not acceptable"),
    "account_not_active": ProblemKind(403, False, "The account is not active"),
    "rate_limited": ProblemKind(429, True, "Too many requests"),
    "too_many_connections": ProblemKind(503, True, "Too many connections"),
    "too_many_in_flight": ProblemKind(429, True, "Too many requests of a connection at once"),
    # orders
    "duplicate_client_order_id": ProblemKind(409, False, "The client order id names another order"),
    "unknown_symbol": ProblemKind(404, False, "No such market"),
    "symbol_halted": ProblemKind(409, True, "The market is halted"),
    "symbol_cancel_only": ProblemKind(409, True, "The market accepts cancels only"),
    "shard_halted": ProblemKind(409, True, "The exchange is halted"),
    "shard_cancel_only": ProblemKind(409, True, "The exchange accepts cancels only"),
    "shard_mode_held": ProblemKind(409, False, "Somebody else set the exchange's mode"),
    "symbol_delisted": ProblemKind(410, False, "The market is delisted; its history stays"),
    "symbol_already_listed": ProblemKind(409, False, "The market exists"),
    "invalid_price": ProblemKind(422, False, "The price is not valid for this market"),
    "invalid_quantity": ProblemKind(422, False, "The quantity is not valid for this market"),
    "quantity_too_large": ProblemKind(422, False, "The quantity exceeds the largest order"),
    "price_outside_band": ProblemKind(422, False, "The price is outside the market's price band"),
    "overflow": ProblemKind(422, False, "A number, or price times quantity, is out of range"),
    "invalid_trigger": ProblemKind(422, False, "Not an acceptable trigger price or offset"),
    "too_many_open_orders": ProblemKind(422, True, "Too many open orders"),
    "too_many_slices": ProblemKind(422, False, "An iceberg shows too little of its quantity"),
    "position_limit": ProblemKind(422, True, "The account would hold too much of the asset"),
    "invalid_combination": ProblemKind(422, False, "These order options do not go together"),
    "post_only_would_trade": ProblemKind(422, False, "A post-only order would trade at once"),
    "fok_not_fillable": ProblemKind(422, False, "A fill-or-kill order cannot be filled at once"),
    "no_liquidity": ProblemKind(422, True, "Nothing to trade against"),
    "order_not_found": ProblemKind(404, False, "No such open order"),
    "quantity_below_filled": ProblemKind(
        422, False, "The new quantity is not more than what is filled already"
    ),
    "expiry_passed": ProblemKind(422, False, "The order's expiry has passed"),
    "budget_too_small": ProblemKind(422, False, "The budget does not buy the smallest quantity"),
    "invalid_timeout": ProblemKind(422, False, "The dead-man's switch takes at most 24 hours"),
    "self_trade": ProblemKind(422, False, "The order would trade with the same account"),
    "malformed_command": ProblemKind(400, False, "The engine cannot read the command"),
    "forbidden_opcode": ProblemKind(403, False, "The command is not allowed at this door"),
    "unknown_opcode": ProblemKind(400, False, "The engine does not know the command"),
    "key_expired": ProblemKind(409, False, "The command is too old"),
    # a market's parameters, an account's tier: met by administrators
    "invalid_fees": ProblemKind(422, False, "A fee rate is out of range"),
    "fee_above_maximum": ProblemKind(422, False, "A rate exceeds the market's highest taker fee"),
    "rebate_above_taker_fee": ProblemKind(
        422, False, "A maker's rebate exceeds the lowest taker fee"
    ),
    "fixed_parameter": ProblemKind(409, False, "This parameter of a listed market cannot change"),
    "unknown_fee_tier": ProblemKind(422, False, "No such fee tier"),
    # money
    "would_trigger_immediately": ProblemKind(
        422, False, "The price is through the trigger price already"
    ),
    "invalid_order_list": ProblemKind(422, False, "These orders do not make a list"),
    "list_prices_crossed": ProblemKind(
        422, False, "The prices of a list's orders are in the wrong order"
    ),
    "order_in_list": ProblemKind(
        409, False, "An order of a list cannot be amended: cancel the list and place it anew"
    ),
    # perpetual markets: terms, met by administrators
    "not_a_perpetual": ProblemKind(422, False, "The market is not a perpetual"),
    "invalid_risk_parameters": ProblemKind(422, False, "The risk parameters are not lawful"),
    "brackets_empty": ProblemKind(422, False, "The market has no margin bracket"),
    "brackets_first_floor": ProblemKind(422, False, "The first bracket does not begin at 0"),
    "brackets_floors": ProblemKind(422, False, "The brackets' floors do not rise"),
    "brackets_cap": ProblemKind(422, False, "The largest notional is not above the last floor"),
    "brackets_rates": ProblemKind(422, False, "A bracket's rate is out of range"),
    "brackets_mmr_falls": ProblemKind(422, False, "A maintenance rate does not rise"),
    "brackets_imr_falls": ProblemKind(422, False, "An initial rate falls"),
    "brackets_mmr_above_imr": ProblemKind(
        422, False, "A maintenance rate is not below its initial rate"
    ),
    "brackets_amount": ProblemKind(422, False, "A maintenance amount does not fit its bracket"),
    # perpetual markets: states and marks
    "mark_unknown": ProblemKind(409, True, "The market has no mark price yet"),
    "mark_stale": ProblemKind(409, True, "The mark price is stale"),
    "market_guarded": ProblemKind(409, True, "The market is guarded: it takes limit orders only"),
    "market_reduce_only": ProblemKind(409, True, "The market takes reducing orders only"),
    "market_halted": ProblemKind(409, True, "The perpetual market is halted"),
    "market_settling": ProblemKind(410, False, "The perpetual market has ended and settles"),
    "state_unchanged": ProblemKind(409, False, "The market does not go to that state from this"),
    # positions and margin
    "insufficient_margin": ProblemKind(422, True, "Not enough margin"),
    "nothing_to_reduce": ProblemKind(422, False, "There is no position that it would reduce"),
    "invalid_leverage": ProblemKind(422, False, "Not a leverage of this market"),
    "position_open": ProblemKind(409, False, "Close the position and cancel its orders first"),
    "not_isolated": ProblemKind(409, False, "The position has no margin of its own"),
    "too_many_positions": ProblemKind(422, True, "Too many positions or orders in perpetuals"),
    "scope_frozen": ProblemKind(409, True, "The account, or the position, is being liquidated"),
    # liquidation, the fund, funding: met by the risk service
    "scope_not_frozen": ProblemKind(409, False, "No liquidation goes on there"),
    "scope_changed": ProblemKind(409, True, "The scope has changed since it was looked at"),
    "not_liquidatable": ProblemKind(409, False, "The margin covers what must be maintained"),
    "still_liquidatable": ProblemKind(409, False, "The margin is still below what it must be"),
    "invalid_position_delta": ProblemKind(422, False, "The position cannot be closed by that"),
    "zero_fill": ProblemKind(422, False, "That would close nothing"),
    "counterparty_would_be_insolvent": ProblemKind(
        409, False, "The counterparty would end with less than nothing"
    ),
    "liquidated_insolvent_at_mark": ProblemKind(
        409, False, "At mark the liquidated would end with less than nothing"
    ),
    "takeover_too_early": ProblemKind(409, True, "The fund takes over only further down"),
    "fund_pool_empty": ProblemKind(409, True, "The insurance fund is empty"),
    "fund_drawdown": ProblemKind(409, True, "The insurance fund has lost too much lately"),
    "fund_at_capacity": ProblemKind(409, True, "The insurance fund has all it may hold"),
    "fund_can_take_over": ProblemKind(409, False, "The insurance fund can take it over"),
    "fund_cannot_pay": ProblemKind(409, True, "The insurance fund cannot pay that"),
    "funding_not_due": ProblemKind(409, True, "That funding is not due, or was paid"),
    "no_dust": ProblemKind(409, False, "There is no rounding dust to sweep"),
    "outside_slice_limits": ProblemKind(
        409, False, "A slice of a liquidation is larger or smaller than the market's terms allow"
    ),
    "collateral_gated": ProblemKind(
        409, True, "Nothing of the collateral leaves while a loss is uncovered"
    ),
    "not_settling": ProblemKind(409, False, "The perpetual market does not settle"),
    "orders_open": ProblemKind(409, True, "The market still has open orders"),
    "insufficient_funds": ProblemKind(422, False, "Not enough free balance"),
    "invalid_amount": ProblemKind(422, False, "The amount is not valid"),
    "unknown_asset": ProblemKind(404, False, "No such asset"),
    "invalid_address": ProblemKind(422, False, "The address is not valid"),
    "amount_below_minimum": ProblemKind(422, False, "The amount is below the minimum"),
    "missing_idempotency_key": ProblemKind(400, False, "The Idempotency-Key header is required"),
    "idempotency_conflict": ProblemKind(409, False, "The idempotency key names another request"),
    "address_not_listed": ProblemKind(
        422, False, "The address is not on your list of withdrawal addresses"
    ),
    "address_cooling_off": ProblemKind(409, True, "The address was listed too short a time ago"),
    "too_many_addresses": ProblemKind(422, False, "Your list of withdrawal addresses is full"),
    "unknown_network": ProblemKind(404, False, "No such network"),
    "statement_too_long": ProblemKind(422, False, "The period has too many lines"),
    "withdrawal_not_valued": ProblemKind(503, True, "The asset has no price to hold limits by"),
    "withdrawal_limit_exceeded": ProblemKind(422, True, "That is more than you may withdraw now"),
    "too_late_to_cancel": ProblemKind(409, False, "The withdrawal can no longer be cancelled"),
    "withdrawals_paused": ProblemKind(503, True, "Withdrawals are paused"),
    # the exchange itself
    "engine_unavailable": ProblemKind(503, True, "The matching engine is away"),
    "outcome_unknown": ProblemKind(503, True, "The matching engine did not answer in time"),
    "store_unavailable": ProblemKind(503, True, "The database is away"),
    "market_data_unavailable": ProblemKind(503, True, "Market data is not ready"),
    "internal_error": ProblemKind(500, True, "A defect of the exchange"),
}


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """A refusal on its way to the client; `extra` members are added to the answer."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.kind = PROBLEMS[code]
        self.detail = detail or self.kind.title
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def with_extra(self, extra: Mapping[str, Any], detail: str = "") -> Problem:
        """Return the same problem with more members, and another detail if one is given."""
        return Problem(
            self.code, detail or self.detail, extra={**self.extra, **extra}, headers=self.headers
        )

    def document(self, request_id: str) -> dict[str, Any]:
        """Return the RFC 9457 members."""
        return {
            "type": f"urn:rialto:problem:{self.code}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "code": self.code,
            "retryable": self.kind.retryable,
            "request_id": request_id,
            **self.extra,
        }

    def response(self, request_id: str) -> Response:
        """Return the HTTP answer."""
        return Response(
            msgspec.json.encode(self.document(request_id)),
            status_code=self.kind.status,
            media_type=PROBLEM_TYPE,
            headers=self.headers,
        )


def code_of(reason: RejectReason) -> str:
    """Return the code of an engine's reject reason."""
    return reason.name.lower()


def refused(reason: RejectReason, detail: str = "") -> Problem:
    """Return the problem of an engine's reject reason."""
    return Problem(code_of(reason), detail)


def fail(code: str, detail: str = "") -> NoReturn:
    """Refuse with `code`; for use inside expressions and short checks."""
    raise Problem(code, detail)
