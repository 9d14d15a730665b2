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
_REPLACE = {**_ORDER, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": "{order_id}"}
_WITHDRAWAL = {"coin": "USDT", "amount": "20", "address": HER_ADDRESS, "withdrawOrderId": "her-key"}
_MOVE = {"type": "MAIN_UMFUTURE", "asset": "USDT", "amount": "1"}

# (method, path) -> what he sends, with her identifiers in braces, and the code that he meets; 0: he
# is answered, with nothing of hers.
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
    ("GET", "/sapi/v1/capital/config/getall"): [({}, 0)],
    ("GET", "/sapi/v1/asset/tradeFee"): [({}, 0)],
    ("GET", "/sapi/v1/capital/deposit/address"): [({"coin": "ETH"}, 0)],
    ("GET", "/sapi/v1/capital/deposit/hisrec"): [({}, 0)],
    ("GET", "/sapi/v1/capital/withdraw/history"): [({}, 0), ({"withdrawOrderId": "her-key"}, 0)],
    ("POST", "/sapi/v1/capital/withdraw/apply"): [(_WITHDRAWAL, -4021)],
    ("POST", "/sapi/v1/asset/transfer"): [(_MOVE, -9000)],
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
            name: hers.names.get(text.strip("{}"), text) for name, text in parameters.items()
        }
        answer = await ask(hers, *row, key_id=key_id, **sent)
        assert hers.shows(answer, sent=str(sent)) == [], answer.text
        assert hers.hers() == before
        if code:
            assert answer.json()["code"] == code, answer.text
        else:
            assert answer.status_code == 200, answer.text
