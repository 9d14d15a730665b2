"""Nobody reaches another's objects in the dialect: every signed row of its table.

A row that is new fails here until it is said what another customer meets there.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.binance.routes import ROWS
from tests.api.belongings import HER_ADDRESS, HerExchange
from tests.api.binance.clients import ask

_SPOT = {"symbol": "ETHUSDT"}
_HERS = {**_SPOT, "orderId": "{order_id}"}
_BY_NAME = {**_SPOT, "origClientOrderId": "{client_order_id}"}
_ORDER = {
    **_SPOT,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "1",
    "price": "2400",
    "newClientOrderId": "{client_order_id}",
}
_LIST = {"orderListId": "{order_list_id}"}
_OCO = {
    **_SPOT,
    "side": "SELL",
    "quantity": "1",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "2600",
    "belowType": "STOP_LOSS",
    "belowStopPrice": "2400",
    "listClientOrderId": "{client_order_id}",
}
_OLD_OCO = {**_SPOT, "side": "SELL", "quantity": "1", "price": "2600", "stopPrice": "2400"}
_OTO = {
    **_SPOT,
    "workingType": "LIMIT_MAKER",
    "workingSide": "BUY",
    "workingPrice": "2400",
    "workingQuantity": "1",
    "workingClientOrderId": "{client_order_id}",
    "pendingSide": "SELL",
    "pendingQuantity": "1",
}
_STOP = {"pendingType": "STOP_LOSS", "pendingStopPrice": "2300"}
_EXITS = {
    "pendingAboveType": "LIMIT_MAKER",
    "pendingAbovePrice": "2600",
    "pendingBelowType": "STOP_LOSS",
    "pendingBelowStopPrice": "2300",
}
_REPLACE = {**_ORDER, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": "{order_id}"}
_WITHDRAWAL = {"coin": "USDT", "amount": "20", "address": HER_ADDRESS, "withdrawOrderId": "her-key"}
_MOVE = {"type": "MAIN_UMFUTURE", "asset": "USDT", "amount": "1"}

_PERP_ORDER = _ORDER | {"newClientOrderId": "{perpetual_name}", "price": "2450"}
_ALGO = _PERP_ORDER | {"algoType": "CONDITIONAL", "type": "STOP_MARKET", "triggerPrice": "2400"}
_PERP = {**_SPOT, "orderId": "{perpetual_id}"}
_PERP_BY_NAME = {**_SPOT, "origClientOrderId": "{perpetual_name}"}
_HER_ALGO = {"algoId": "{perpetual_id}"}
_HER_ALGO_BY_NAME = {"clientAlgoId": "{perpetual_name}"}
_AMEND = {"side": "BUY", "quantity": "0.02", "price": "2451"}
_AMENDS = (
    '[{"symbol":"ETHUSDT","orderId":{perpetual_id},"side":"BUY","quantity":"0.02","price":"2451"}]'
)
_PLACED = (
    '[{"symbol":"ETHUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":"0.01",'
    '"price":"2450","newClientOrderId":"{perpetual_name}"}]'
)

_LISTEN = {"listenKey": "{listen_key}"}
_LISTEN_FUTURES = {"listenKey": "{futures_listen_key}"}

# (method, path) -> what he sends, with her identifiers in braces, and the code that he meets. 0: he
# is answered, with nothing of hers; `REFUSED`: with what names an object that is not his; `EITHER`:
# his own account's settings, which may be so already.
REFUSED, EITHER = -2_000, 1
TRIED: dict[tuple[str, str], list[tuple[dict[str, str], int]]] = {
    ("POST", "/api/v3/order"): [(_ORDER, 0)],
    ("POST", "/api/v3/order/test"): [(_ORDER, 0)],
    ("DELETE", "/api/v3/order"): [(_HERS, -2011), (_BY_NAME, -2011)],
    ("DELETE", "/api/v3/openOrders"): [(_SPOT, -2011)],
    ("POST", "/api/v3/order/cancelReplace"): [(_REPLACE, -2022)],
    ("GET", "/api/v3/order"): [(_HERS, -2013), (_BY_NAME, -2013)],
    ("GET", "/api/v3/openOrders"): [({}, 0), (_SPOT, 0)],
    ("GET", "/api/v3/allOrders"): [(_SPOT, 0), (_HERS, 0)],
    ("GET", "/api/v3/myTrades"): [(_SPOT, 0), (_HERS, 0)],
    ("GET", "/api/v3/account"): [({}, 0)],
    ("POST", "/api/v3/orderList/oco"): [(_OCO, 0)],
    ("POST", "/api/v3/orderList/oto"): [(_OTO | _STOP, 0)],
    ("POST", "/api/v3/orderList/otoco"): [(_OTO | _EXITS, 0)],
    ("POST", "/api/v3/order/oco"): [(_OLD_OCO, 0)],
    ("GET", "/api/v3/orderList"): [(_LIST, -2013)],
    ("DELETE", "/api/v3/orderList"): [(_SPOT | _LIST, -2011)],
    ("GET", "/api/v3/openOrderList"): [({}, 0)],
    ("GET", "/api/v3/allOrderList"): [({}, 0), ({"fromId": "{order_list_id}"}, 0)],
    ("GET", "/sapi/v1/capital/config/getall"): [({}, 0)],
    ("GET", "/sapi/v1/asset/tradeFee"): [({}, 0)],
    ("GET", "/sapi/v1/capital/deposit/address"): [({"coin": "ETH"}, 0)],
    ("GET", "/sapi/v1/capital/deposit/hisrec"): [({}, 0)],
    ("GET", "/sapi/v1/capital/withdraw/history"): [({}, 0), ({"withdrawOrderId": "her-key"}, 0)],
    ("POST", "/sapi/v1/capital/withdraw/apply"): [(_WITHDRAWAL, -4021)],
    ("POST", "/sapi/v1/asset/transfer"): [(_MOVE, -9000)],
    ("POST", "/fapi/v1/order"): [(_PERP_ORDER, 0)],
    ("POST", "/fapi/v1/order/test"): [(_PERP_ORDER, 0)],
    ("PUT", "/fapi/v1/order"): [(_PERP | _AMEND, REFUSED), (_PERP_BY_NAME | _AMEND, REFUSED)],
    ("DELETE", "/fapi/v1/order"): [(_PERP, REFUSED), (_PERP_BY_NAME, REFUSED)],
    ("POST", "/fapi/v1/batchOrders"): [({"batchOrders": _PLACED}, 0)],
    ("PUT", "/fapi/v1/batchOrders"): [({"batchOrders": _AMENDS}, REFUSED)],
    ("DELETE", "/fapi/v1/batchOrders"): [
        (_SPOT | {"orderIdList": "[{perpetual_id}]"}, REFUSED),
        (_SPOT | {"origClientOrderIdList": '["{perpetual_name}"]'}, REFUSED),
    ],
    ("DELETE", "/fapi/v1/allOpenOrders"): [(_SPOT, 0)],
    ("POST", "/fapi/v1/countdownCancelAll"): [(_SPOT | {"countdownTime": "1000"}, 0)],
    ("POST", "/fapi/v1/algoOrder"): [(_ALGO, EITHER)],
    ("DELETE", "/fapi/v1/algoOrder"): [(_HER_ALGO, REFUSED), (_HER_ALGO_BY_NAME, REFUSED)],
    ("DELETE", "/fapi/v1/algoOpenOrders"): [(_SPOT, 0)],
    ("GET", "/fapi/v1/order"): [(_PERP, REFUSED), (_PERP_BY_NAME, REFUSED)],
    ("GET", "/fapi/v1/openOrder"): [(_PERP, REFUSED), (_PERP_BY_NAME, REFUSED)],
    ("GET", "/fapi/v1/openOrders"): [({}, 0), (_SPOT, 0)],
    ("GET", "/fapi/v1/allOrders"): [(_SPOT, 0), (_PERP, 0)],
    ("GET", "/fapi/v1/algoOrder"): [(_HER_ALGO, REFUSED), (_HER_ALGO_BY_NAME, REFUSED)],
    ("GET", "/fapi/v1/openAlgoOrders"): [({}, 0)],
    ("GET", "/fapi/v1/allAlgoOrders"): [(_SPOT, 0)],
    ("GET", "/fapi/v1/userTrades"): [(_SPOT, 0), (_PERP, 0)],
    ("GET", "/fapi/v1/income"): [({}, 0)],
    ("GET", "/fapi/v1/forceOrders"): [({}, 0)],
    ("GET", "/fapi/v2/account"): [({}, 0)],
    ("GET", "/fapi/v3/account"): [({}, 0)],
    ("GET", "/fapi/v2/balance"): [({}, 0)],
    ("GET", "/fapi/v3/balance"): [({}, 0)],
    ("GET", "/fapi/v2/positionRisk"): [({}, 0)],
    ("GET", "/fapi/v3/positionRisk"): [({}, 0)],
    ("GET", "/fapi/v1/adlQuantile"): [({}, 0)],
    ("GET", "/fapi/v1/leverageBracket"): [({}, 0)],
    ("GET", "/fapi/v1/symbolConfig"): [({}, 0)],
    ("GET", "/fapi/v1/accountConfig"): [({}, 0)],
    ("GET", "/fapi/v1/commissionRate"): [(_SPOT, 0)],
    ("POST", "/fapi/v1/leverage"): [(_SPOT | {"leverage": "3"}, 0)],
    ("POST", "/fapi/v1/marginType"): [(_SPOT | {"marginType": "ISOLATED"}, EITHER)],
    ("POST", "/fapi/v1/positionMargin"): [(_SPOT | {"amount": "1", "type": "1"}, EITHER)],
    ("GET", "/fapi/v1/positionSide/dual"): [({}, 0)],
    ("POST", "/fapi/v1/positionSide/dual"): [({"dualSidePosition": "false"}, EITHER)],
    ("GET", "/fapi/v1/multiAssetsMargin"): [({}, 0)],
    ("POST", "/fapi/v1/multiAssetsMargin"): [({"multiAssetsMargin": "false"}, EITHER)],
    ("POST", "/api/v3/userDataStream"): [({}, 0)],
    ("PUT", "/api/v3/userDataStream"): [(_LISTEN, -1125)],
    ("DELETE", "/api/v3/userDataStream"): [(_LISTEN, -1125)],
    ("POST", "/fapi/v1/listenKey"): [({}, 0)],
    ("PUT", "/fapi/v1/listenKey"): [({}, -1125), (_LISTEN_FUTURES, -1125)],
    ("DELETE", "/fapi/v1/listenKey"): [({}, -1125), (_LISTEN_FUTURES, -1125)],
}


@pytest.fixture(scope="module")
def hers() -> HerExchange:
    """Give an exchange where she has something of everything; nothing of it may change."""
    made = HerExchange()
    asyncio.run(made.furnish())
    return made


def test_every_signed_row_is_tried() -> None:
    """The table of the dialect is the list."""
    assert set(TRIED) == {(row.method, row.path) for row in ROWS if row.scope is not None}


@pytest.mark.parametrize("row", TRIED, ids=" ".join)
async def test_another_meets_nothing_of_hers(hers: HerExchange, row: tuple[str, str]) -> None:
    """He is refused or answered with his own; all that is hers stays as it is."""
    before = hers.hers()
    for parameters, code in TRIED[row]:
        key_id = hers.stranger()
        sent: dict[str, Any] = {
            name: _filled(text, hers.names) for name, text in parameters.items()
        }
        answer = await ask(hers, *row, key_id=key_id, **sent)
        assert hers.shows(answer, sent=str(sent)) == [], answer.text
        assert hers.hers() == before
        if code == REFUSED:
            told = answer.json()
            for one in told if isinstance(told, list) else [told]:
                assert one["code"] <= REFUSED, answer.text
        elif code == EITHER:
            assert answer.status_code in (200, 400), answer.text
        elif code:
            assert answer.json()["code"] == code, answer.text
        else:
            assert answer.status_code == 200, answer.text


def _filled(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text
