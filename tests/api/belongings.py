"""One customer who has something of everything, so that another can try to reach it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx

from domain.commands import Credit
from domain.market import Listings, Market
from domain.perpetual_record import PositionEvent, PositionEventKind
from domain.web_login import Where
from domain.withdrawal_limits import ListedAddress
from tests.api.address_memory import MOMENT
from tests.api.memory import ALICE, ETH, USDT
from tests.api.perpetual_exchange import ETH_PERP, PerpetualExchange

HER_ADDRESS = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
WITHDRAWAL = {"asset": "USDT", "amount": "20", "address": HER_ADDRESS}
TRANSFER = {"asset": "USDT", "amount": "20", "from_shard": 0, "to_shard": 1}
ORDER = {"symbol": "ETH/USDT", "side": "buy", "price": "2400", "quantity": "1"}
PERPETUAL = ETH_PERP.symbol


class HerExchange(PerpetualExchange):
    """Alice has orders, a list, an isolated position, a withdrawal, a transfer, an address."""

    def __init__(self) -> None:
        super().__init__()
        self.add_shard()
        listed = self.memory.listings
        self.memory.listings = Listings([*listed.markets, Market(ETH_PERP, 0)], listed.assets)
        self.names: dict[str, str] = {}
        self._strangers = 100

    async def furnish(self) -> None:
        """Let her have it all; `names` are the identifiers of it."""
        await self._ask("POST", "/v1/margin-mode", {"symbol": PERPETUAL, "mode": "isolated"})
        move = {"symbol": PERPETUAL, "direction": "in", "amount": "700", "move_id": "her-move"}
        await self._ask("POST", "/v1/margin", move | {"created_at_us": self.door.time_us})
        await self.buy("1", leverage=5)
        order = await self._ask("POST", "/v1/orders", {**ORDER, "client_order_id": "her-order"})
        resting = {"symbol": PERPETUAL, "side": "buy", "price": "2450", "quantity": "0.01"}
        named = {**resting, "client_order_id": "her-perp-order"}
        perpetual = await self._ask("POST", "/v1/orders", named)
        exits = {"take_profit": {"price": "2600"}, "stop_loss": {"trigger_price": "2400"}}
        oco = {"symbol": "ETH/USDT", "side": "sell", "quantity": "1", **exits}
        orders = await self._ask("POST", "/v1/order-lists", oco)
        self._list_her_address()
        withdrawal = await self._ask("POST", "/v1/withdrawals", WITHDRAWAL, "her-key")
        transfer = await self._ask("POST", "/v1/transfers", TRANSFER, "her-key")
        her_key = await self._ask("POST", "/v1/keys", {"label": "hers", "scopes": ["read"]})
        funding = PositionEvent(
            kind=PositionEventKind.FUNDING,
            symbol_id=ETH_PERP.symbol_id,
            is_counterparty=False,
            amount_units=7,
            lots=1,
            rate_ppm=1,
            time_us=1,
            shard=0,
            sequence=1,
            index=0,
        )
        self.memory.position_events[ALICE] = [funding]
        self.follow()
        listen_keys = [await self.listen_keys.issue("key-1", one) for one in ("spot", "futures")]
        self.names = {
            "listen_key": listen_keys[0].token,
            "futures_listen_key": listen_keys[1].token,
            "order_id": order["order_id"],
            "order_list_id": orders["order_list_id"],
            "client_order_id": "her-order",
            "perpetual_id": perpetual["order_id"],
            "perpetual_name": "her-perp-order",
            "move_id": "her-move",
            "withdrawal_id": withdrawal["withdrawal_id"],
            "transfer_id": transfer["transfer_id"],
            "idempotency-key": "her-key",
            "address": HER_ADDRESS,
            "key_id": her_key["key_id"],
            "session_id": self.logins.begin(ALICE, Where("192.0.2.1", "hers")).session_id,
            "customer_id": str(ALICE),
        }

    def _list_her_address(self) -> None:
        """Give her an address that nobody else has listed, cooled off already."""
        listed = ListedAddress("ETH", HER_ADDRESS, "hers", MOMENT, MOMENT)
        self.memory.addresses.payable[ALICE, HER_ADDRESS] = listed

    async def _ask(self, method: str, target: str, body: Any, key: str = "") -> dict[str, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        answer = await self.call(method, target, body, headers=headers)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def stranger(self) -> str:
        """Return the key of a new customer, who has money and has done nothing yet."""
        self._strangers += 1
        key_id, account_id = f"key-{self._strangers}", self._strangers
        self.add_key(account_id, key_id)
        for asset in (USDT, ETH):
            self.keys_used += 1
            units, created = asset.engine_units("10000"), self.door.time_us
            self.door.apply(Credit(self.keys_used, account_id, asset.asset_id, units, created))
        return key_id

    def hers(self) -> tuple[Any, ...]:
        """Return all that is hers, as engine and stores have it."""
        engine, memory = self.door.engine, self.memory
        return (
            engine.open_orders(ALICE, 0),
            engine.account_balances(ALICE),
            [(one.symbol_id, one.lots, one.scope, one.leverage) for one in engine.positions(ALICE)],
            [pair for key, pair in memory.withdrawals_written.items() if key[0] == ALICE],
            [pair for key, pair in self.transfers.rows.items() if key[0] == ALICE],
            {key: one for key, one in memory.addresses.payable.items() if key[0] == ALICE},
            list(memory.told),
            [one for one in memory.keys.values() if one.customer_id == ALICE],
            replace(self.logins.logins["alice"]),
            [one for one in self.listen_keys.keys.values() if one.key_id == "key-1"],
        )

    def shows(self, answer: httpx.Response, sent: str) -> list[str]:
        """Return which of her identifiers an answer tells that were not sent with the request."""
        marks = {
            self.names[name]
            for name in ("withdrawal_id", "transfer_id", "client_order_id", "address", "key_id")
        }
        marks |= {self.names[name] for name in ("perpetual_name", "listen_key")}
        marks.add(self.names["futures_listen_key"])
        numbers = {self.names[name] for name in ("order_id", "order_list_id", "perpetual_id")}
        told = [mark for mark in marks if mark in answer.text and mark not in sent]
        return told + [one for one in _order_numbers(_content(answer)) if one in numbers]


def _content(answer: httpx.Response) -> Any:
    return answer.json() if "json" in answer.headers.get("content-type", "") else None


def _order_numbers(content: Any) -> list[str]:
    """Return the values of all members that name an order, in either spelling."""
    if isinstance(content, list):
        return [found for one in content for found in _order_numbers(one)]
    if not isinstance(content, dict):
        return []
    named = {"order_id", "order_list_id", "orderId", "orderListId", "algoId"}
    own = [str(value) for name, value in content.items() if name in named]
    return own + [found for one in content.values() for found in _order_numbers(one)]
