"""Lists of orders as the dialect asks for them: OCO, OTO and OTOCO, as a native OCO or bracket.

The dialect tells the two orders that close something by where they stand to the price, above and
below; the native API by what they are for. For a sell the take-profit is above, for a buy below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from api.binance.errors import Refusal, combination, malformed, missing
from api.binance.parameters import Parameters
from api.binance.spot_orders import self_trade_of, side_of, time_in_force_of
from api.order_list_commands import OPPOSITE
from api.schemas.order_lists import PlaceOrderListIn
from domain.instrument import Instrument
from domain.order_id import is_client_order_id

PROFITS = ("LIMIT_MAKER", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
LOSSES = ("STOP_LOSS", "STOP_LOSS_LIMIT")
_PARTS = ("entry", "take_profit", "stop_loss")  # in the order of their ids
# What a native field is called behind the prefix of its order.
_WORDS = {
    "price": "Price",
    "trigger_price": "StopPrice",
    "display_quantity": "IcebergQty",
    "time_in_force": "TimeInForce",
    "client_order_id": "ClientOrderId",
}


@dataclass(frozen=True, slots=True)
class Leg:
    """One order of a list: the part that it has in the native list, and the prefix of its words."""

    part: str
    prefix: str
    fields: dict[str, Any]


def oco_request(parameters: Parameters, instrument: Instrument) -> PlaceOrderListIn:
    """Return the native request of `orderList/oco`: `aboveType`, `belowType` and theirs."""
    side = side_of(parameters)
    legs = _exits(parameters, side, "above", "below")
    common = {"kind": "oco", "side": side, "quantity": parameters.need("quantity")}
    return _request(parameters, instrument, common, legs)


def old_oco_request(parameters: Parameters, instrument: Instrument) -> PlaceOrderListIn:
    """Return the native request of the older `order/oco`: `price`, `stopPrice` and theirs."""
    given = parameters.text
    _refuse(parameters, "limitIcebergQty", "stopIcebergQty", "trailingDelta")
    profit = {"price": parameters.need("price"), "client_order_id": given("limitClientOrderId")}
    loss = {
        "trigger_price": parameters.need("stopPrice"),
        "price": given("stopLimitPrice"),
        "client_order_id": given("stopClientOrderId"),
    }
    if loss["price"] is not None:
        _only_gtc(parameters, "stopLimitTimeInForce")
    legs = [Leg("take_profit", "", profit), Leg("stop_loss", "stop", loss)]
    quantity = parameters.need("quantity")
    common = {"kind": "oco", "side": side_of(parameters), "quantity": quantity}
    return _request(parameters, instrument, common, legs)


def oto_request(parameters: Parameters, instrument: Instrument) -> PlaceOrderListIn:
    """Return the native request of `orderList/oto`: a bracket with one exit."""
    common, entry = _entry(parameters)
    exit_side = OPPOSITE[common["side"]]
    word = parameters.need("pendingType")
    if word not in (*PROFITS, *LOSSES):
        raise combination("The pending order closes: it is a take-profit, stop or LIMIT_MAKER.")
    _check_exits(parameters, common, exit_side)
    return _request(parameters, instrument, common, [entry, _exit(parameters, "pending", word)])


def otoco_request(parameters: Parameters, instrument: Instrument) -> PlaceOrderListIn:
    """Return the native request of `orderList/otoco`: a bracket with both exits."""
    common, entry = _entry(parameters)
    exit_side = OPPOSITE[common["side"]]
    _check_exits(parameters, common, exit_side)
    legs = _exits(parameters, exit_side, "pendingAbove", "pendingBelow")
    return _request(parameters, instrument, common, [entry, *legs])


def _entry(parameters: Parameters) -> tuple[dict[str, Any], Leg]:
    """Return what the list is, and the working order."""
    given, word = parameters.text, parameters.need("workingType")
    if word not in ("LIMIT", "LIMIT_MAKER"):
        raise Refusal(-1116, "Invalid orderType.")
    time_in_force = time_in_force_of(parameters, "workingTimeInForce")
    if word == "LIMIT" and time_in_force is None:
        raise missing("workingTimeInForce")
    fields = {
        "price": parameters.need("workingPrice"),
        "time_in_force": time_in_force if word == "LIMIT" else None,
        "display_quantity": given("workingIcebergQty"),
        "post_only": word == "LIMIT_MAKER",
        "client_order_id": given("workingClientOrderId"),
    }
    common = {
        "kind": "bracket",
        "side": side_of(parameters, "workingSide"),
        "quantity": parameters.need("workingQuantity"),
    }
    return common, Leg("entry", "working", fields)


def _check_exits(parameters: Parameters, common: dict[str, Any], exit_side: str) -> None:
    """Refuse pending orders that would do anything but close what the working order has filled."""
    if side_of(parameters, "pendingSide") != exit_side:
        raise combination("The pending side is the opposite of the working side.")
    quantities = {_plain(parameters.need("pendingQuantity")), _plain(common["quantity"])}
    if len(quantities) > 1:
        raise combination("The pending quantity is that of the working order.")


def _exits(parameters: Parameters, side: str, above: str, below: str) -> list[Leg]:
    """Return take-profit and stop-loss; of a sell the former stands above the price."""
    places = (above, below) if side == "sell" else (below, above)
    legs = []
    for prefix, words in zip(places, (PROFITS, LOSSES), strict=True):
        word = parameters.need(f"{prefix}Type")
        if word not in words:
            raise Refusal(-1158, f"Invalid {prefix}Type for this side: {', '.join(words)}.")
        legs.append(_exit(parameters, prefix, word))
    return legs


def _exit(parameters: Parameters, prefix: str, word: str) -> Leg:
    _refuse(parameters, f"{prefix}IcebergQty", f"{prefix}TrailingDelta")
    name = f"{prefix}ClientOrderId"
    fields: dict[str, Any] = {"client_order_id": parameters.text(name)}
    if word.startswith(("LIMIT", "TAKE_PROFIT_L", "STOP_LOSS_L")):
        fields["price"] = parameters.need(f"{prefix}Price")
    if word != "LIMIT_MAKER":
        fields["trigger_price"] = parameters.need(f"{prefix}StopPrice")
        _only_gtc(parameters, f"{prefix}TimeInForce")
    return Leg("take_profit" if word in PROFITS else "stop_loss", prefix, fields)


def _request(
    parameters: Parameters, instrument: Instrument, common: dict[str, Any], legs: list[Leg]
) -> PlaceOrderListIn:
    legs.sort(key=lambda leg: _PARTS.index(leg.part))
    _name(parameters.text("listClientOrderId"), legs)
    try:
        return PlaceOrderListIn.model_validate(
            {
                **common,
                "symbol": instrument.symbol,
                "self_trade": self_trade_of(parameters),
                **{leg.part: leg.fields for leg in legs},
            }
        )
    except ValidationError as error:
        raise _refused(error, legs) from error


def _name(name: str | None, legs: list[Leg]) -> None:
    """Name the first order without a name of its own as the list is.

    So the engine refuses the second of two lists of one name, as it does of two orders.
    """
    if name is None:
        return
    if not is_client_order_id(name):
        raise malformed("listClientOrderId")
    names = [leg.fields["client_order_id"] for leg in legs]
    if name not in names and None in names:
        legs[names.index(None)].fields["client_order_id"] = name


def _refused(error: ValidationError, legs: list[Leg]) -> Refusal:
    """Return the refusal of a value, which names the parameter that it came in."""
    place = [str(one) for one in error.errors()[0]["loc"]]
    prefixes = {leg.part: leg.prefix for leg in legs}
    if len(place) < 2 or place[0] not in prefixes:
        return malformed(place[0] if place else "parameters")
    word = _WORDS.get(place[1], place[1])
    prefix = prefixes[place[0]]
    return malformed(f"{prefix}{word}" if prefix else word[:1].lower() + word[1:])


def _plain(quantity: str) -> str:
    """Return a decimal without zeros that say nothing."""
    whole, _, part = quantity.partition(".")
    return f"{whole.lstrip('0')}.{part.rstrip('0')}"


def _refuse(parameters: Parameters, *names: str) -> None:
    """Refuse what an order of a list has not here: without it, it would be another order."""
    for name in names:
        if parameters.text(name) is not None:
            raise combination(f"No {name} here.")


def _only_gtc(parameters: Parameters, name: str) -> None:
    if time_in_force_of(parameters, name) not in (None, "gtc"):
        raise combination(f"{name} is GTC here.")
