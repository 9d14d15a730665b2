"""A new order on a perpetual: from the dialect's parameters to the native request."""

from __future__ import annotations

from typing import Any

from api.binance.errors import Refusal, combination, malformed, missing
from api.binance.order_words import FUTURES_TYPES
from api.binance.parameters import Parameters
from api.binance.spot_orders import self_trade_of, side_of
from api.schemas.orders import PlaceOrderIn
from domain.instrument import Instrument
from domain.money import INT64_MAX, DecimalTextError, ceil_ppm, units_from_text

KINDS = {word: kind for kind, word in FUTURES_TYPES.items()}
_SOURCES = {"CONTRACT_PRICE": "last", "MARK_PRICE": "mark"}
_TIMES = {"GTC": "gtc", "GTE_GTC": "gtc", "IOC": "ioc", "FOK": "fok", "GTX": "gtc", "GTD": "gtd"}
_PERCENT_DECIMALS = 4  # of a percent, which makes parts per million of it
_LEAST_RATE_PPM, _MOST_RATE_PPM = 1_000, 100_000  # 0.1 % to 10 %


def kind_of(parameters: Parameters) -> str:
    """Return the native type that `type` names; -1116 for any other word."""
    word = parameters.need("type")
    if word not in KINDS:
        raise Refusal(-1116, "Invalid orderType.")
    return KINDS[word]


def source_of(parameters: Parameters) -> str:
    """Return which price sets the order off, in the native word."""
    word = parameters.text("workingType") or "CONTRACT_PRICE"
    if word not in _SOURCES:
        raise Refusal(-1130, "Data sent for parameter 'workingType' is not valid.")
    return _SOURCES[word]


def futures_request(
    parameters: Parameters, instrument: Instrument, reference_ticks: int = 0
) -> PlaceOrderIn:
    """Return the native request of a new order; a `Refusal` names what is missing or wrong.

    `reference_ticks` is the price that a trailing stop's percentage is taken of.
    """
    one_way(parameters)
    kind = kind_of(parameters)
    closes = parameters.flag("closePosition")
    has_limit = kind.endswith("limit")
    conditional = kind not in ("limit", "market")
    if not closes:
        parameters.need("quantity")
    if has_limit:
        parameters.need("price")
    word = _time_word(parameters, kind)
    return PlaceOrderIn.model_validate(
        {
            "symbol": instrument.symbol,
            "side": side_of(parameters),
            "type": kind,
            "quantity": parameters.text("quantity"),
            "price": parameters.text("price") if has_limit else None,
            "time_in_force": None if word is None else _TIMES[word],
            "expires_at_us": _expiry(parameters) if word == "GTD" else None,
            "trigger_source": source_of(parameters) if conditional else None,
            **_trigger(parameters, kind, instrument, reference_ticks),
            "post_only": word == "GTX",
            "self_trade": self_trade_of(parameters),
            "reduce_only": parameters.flag("reduceOnly") and not closes,
            "close_position": closes,
            "client_order_id": parameters.text("newClientOrderId")
            or parameters.text("clientAlgoId"),
        }
    )


def one_way(parameters: Parameters) -> None:
    """Refuse a side of a hedged position: a customer has one net position a market."""
    if parameters.text("positionSide") not in (None, "BOTH"):
        raise Refusal(-4061, "Order's position side does not match user's setting.")


def trigger_text(parameters: Parameters) -> str | None:
    """Return the trigger price, which has another name in each of two routes."""
    return parameters.text("triggerPrice") or parameters.text("stopPrice")


def trailing_ticks(rate_text: str, reference_ticks: int) -> int:
    """Return a callback rate in percent of a price as an offset, rounded up to a tick."""
    try:
        rate_ppm = units_from_text(rate_text, _PERCENT_DECIMALS)
    except DecimalTextError as error:
        raise malformed("callbackRate") from error
    if not _LEAST_RATE_PPM <= rate_ppm <= _MOST_RATE_PPM:
        raise Refusal(-1130, "Data sent for parameter 'callbackRate' is not valid: 0.1 to 10.")
    return ceil_ppm(reference_ticks, rate_ppm)


def _trigger(
    parameters: Parameters, kind: str, instrument: Instrument, reference_ticks: int
) -> dict[str, Any]:
    if kind in ("limit", "market"):
        return {}
    if kind != "trailing_stop":
        trigger = trigger_text(parameters)
        if trigger is None:
            raise missing("stopPrice")
        return {"trigger_price": trigger}
    if parameters.text("activationPrice") or parameters.text("activatePrice"):
        detail = "A trailing stop trails from the moment it is placed: no activationPrice here."
        raise combination(detail)
    ticks = trailing_ticks(parameters.need("callbackRate"), reference_ticks)
    return {"trailing_offset": instrument.price_text(ticks)}


def _time_word(parameters: Parameters, kind: str) -> str | None:
    """Return the time in force where the type has one; clients send it with others, too."""
    word = parameters.text("timeInForce")
    if word is None or (word != "GTD" and not kind.endswith("limit")):
        return None
    if word not in _TIMES or (word == "GTD" and kind == "market"):
        raise Refusal(-1115, "Invalid timeInForce.")
    return word


def _expiry(parameters: Parameters) -> int:
    """Return `goodTillDate`, which is in milliseconds, in microseconds."""
    time_ms = parameters.need_integer("goodTillDate")
    if not 0 < time_ms <= INT64_MAX // 1_000:
        raise malformed("goodTillDate")
    return time_ms * 1_000
