"""An account's events in the dialect: by listen key and by a signed request, and how they end."""

from __future__ import annotations

from typing import Any

import pytest

from api.binance import user_stream
from domain import risk_commands as r
from domain.commands import Credit
from tests.api.binance.clients import ask
from tests.api.binance.listening import Desk
from tests.api.memory import ALICE, USDT
from tests.api.perpetual_exchange import ETH_PERP
from tests.api.waiting import eventually


async def test_an_orders_life_on_spot(heard: Desk) -> None:
    """New, partly filled, replaced, cancelled: each report says how the order stands after it."""
    asker = await heard.spot()
    exchange = heard.exchange
    placed = await exchange.place(price="2500", quantity="1", client_order_id="mine")
    await exchange.place("key-2", side="sell", price="2500", quantity="0.4")
    await exchange.amend(placed, quantity="0.9")
    await exchange.call("DELETE", f"/v1/orders/{placed.json()['order_id']}")
    new, fill, replaced, cancelled = await asker.reports(4)
    assert [(one["x"], one["X"]) for one in (new, fill, replaced, cancelled)] == [
        ("NEW", "NEW"),
        ("TRADE", "PARTIALLY_FILLED"),
        ("REPLACED", "PARTIALLY_FILLED"),
        ("CANCELED", "CANCELED"),
    ]
    assert (new["c"], new["q"], new["w"], new["t"], new["N"]) == ("mine", "1", True, -1, None)
    assert (fill["l"], fill["z"], fill["L"], fill["m"]) == ("0.4", "0.4", "2500", True)
    assert (fill["Z"], fill["Y"], fill["n"], fill["N"]) == ("1000", "1000", "1", "USDT")
    assert (replaced["q"], cancelled["C"], cancelled["z"]) == ("0.9", "mine", "0.4")
    assert "ps" not in new
    await eventually(lambda: asker.told("outboundAccountPosition"))
    last: dict[str, Any] = {}

    def settled() -> bool:
        for told in asker.told("outboundAccountPosition"):
            last.update({one["a"]: (one["f"], one["l"]) for one in told["B"]})
        return last.get("USDT") == ("8999", "0") and last.get("ETH") == ("10000.4", "0")

    await eventually(settled)


async def test_a_market_order_with_a_budget(heard: Desk) -> None:
    """Its last fill says FILLED, whatever the budget had left; its quantity is what it bought."""
    asker = await heard.spot()
    for price, quantity in (("2500", "0.1"), ("2510", "0.1")):
        await heard.exchange.place("key-2", side="sell", price=price, quantity=quantity)
    await heard.exchange.place(type="market", price=..., quantity=..., quote_amount="400")
    new, first, last = await asker.reports(3)
    assert (new["o"], new["Q"], new["X"]) == ("MARKET", "400", "NEW")
    assert (first["X"], last["X"]) == ("PARTIALLY_FILLED", "FILLED")
    assert last["q"] == last["z"]


async def test_an_order_that_was_partly_filled_before(heard: Desk) -> None:
    """What its fills came to is asked of the history; without it, it is told as not known."""
    await heard.exchange.place(price="2500", quantity="1")
    await heard.exchange.place("key-2", side="sell", price="2500", quantity="0.4")
    late = await heard.spot()
    heard.exchange.follow()
    early = await heard.spot()
    await heard.exchange.place("key-2", side="sell", price="2400", quantity="0.6")
    for asker, total in ((late, "-1"), (early, "2500")):
        (fill,) = await asker.reports(1)
        assert (fill["X"], fill["z"], fill["Y"], fill["Z"]) == ("FILLED", "1", "1500", total)


async def test_a_history_that_stands_still_is_waited_for_once(
    heard: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once an order: who has many would wait, and ask, for as long as he has orders."""
    for price in ("2500", "2501", "2502"):
        await heard.exchange.place(price=price, quantity="1")
        await heard.exchange.place("key-2", side="sell", price=price, quantity="0.4")
    asked: list[int] = []

    async def nothing(_: int, order_id: int) -> None:
        asked.append(order_id)

    monkeypatch.setattr(heard.exchange.memory, "order", nothing)
    await heard.spot()
    assert len(set(asked)) == 3
    assert len(asked) == user_stream._TOTALS_TRIES + 2


async def test_money_that_comes_and_goes(heard: Desk) -> None:
    """A credit is told as a change and then as the balance that it led to."""
    asker = await heard.spot()
    ear = await heard.futures()
    door, units = heard.exchange.door, USDT.engine_units("5")
    door.apply(Credit(77, ALICE, USDT.asset_id, units, door.time_us))
    await eventually(lambda: asker.told("outboundAccountPosition"))
    (update,) = asker.told("balanceUpdate")
    assert (update["a"], update["d"]) == ("USDT", "5")
    (position,) = asker.told("outboundAccountPosition")
    assert position["B"] == [{"a": "USDT", "f": "10005", "l": "0"}]
    await eventually(lambda: ear.of("ACCOUNT_UPDATE"))
    (account,) = ear.of("ACCOUNT_UPDATE")
    assert (account["a"]["m"], account["a"]["B"][0]["wb"]) == ("DEPOSIT", "10005")


async def test_a_position_from_its_opening(heard: Desk) -> None:
    """Futures: the fill with its members, the position that it led to, leverage, margin call."""
    ear = await heard.futures()
    await heard.exchange.buy("2", leverage=10)
    await eventually(lambda: ear.of("ACCOUNT_UPDATE"))
    new, fill = (one["o"] for one in ear.of("ORDER_TRADE_UPDATE"))
    assert (new["x"], new["o"], new["ps"], new["R"]) == ("NEW", "MARKET", "BOTH", False)
    assert (fill["X"], fill["l"], fill["ap"], fill["rp"]) == ("FILLED", "2", "2500.2", "0")
    assert fill["N"] == "USDT"
    (position,) = ear.of("ACCOUNT_UPDATE")[-1]["a"]["P"]
    assert (position["s"], position["pa"], position["ep"]) == ("ETHUSDT", "2", "2500.2")
    assert (position["mt"], position["iw"]) == ("cross", "0")
    (chosen,) = ear.of("ACCOUNT_CONFIG_UPDATE")
    assert chosen["ac"] == {"s": "ETHUSDT", "l": 10}
    await heard.exchange.perpetual(side="sell", quantity="2", reduce_only=True)
    await eventually(lambda: ear.of("ACCOUNT_UPDATE")[-1]["a"]["P"][0]["pa"] == "0")


async def test_a_conditional_order_is_told_as_one(heard: Desk) -> None:
    """While it waits it is an algo order; set off it is an order of the same number."""
    ear = await heard.futures()
    exchange = heard.exchange
    await exchange.buy("1", leverage=10)
    stop = {"side": "sell", "type": "stop", "quantity": "1"}
    kept = await exchange.perpetual(**stop, trigger_price="2499.9", client_order_id="stop")
    gone = await exchange.perpetual(**stop, trigger_price="2300")
    assert kept.is_success, kept.text
    await exchange.call("DELETE", f"/v1/orders/{gone.json()['order_id']}")
    await exchange.perpetual("key-2", side="sell", quantity="0.1")
    await eventually(lambda: len(ear.of("ALGO_UPDATE")) >= 4)
    told = [(one["o"]["X"], one["o"]["aid"]) for one in ear.of("ALGO_UPDATE")]
    number, other = int(kept.json()["order_id"]), int(gone.json()["order_id"])
    assert told == [("NEW", number), ("NEW", other), ("CANCELED", other), ("TRIGGERED", number)]
    await eventually(lambda: ear.of("ORDER_TRADE_UPDATE")[-1]["o"]["X"] == "FILLED")
    last = [one["o"] for one in ear.of("ORDER_TRADE_UPDATE") if one["o"]["i"] == number]
    assert [(one["x"], one["o"], one["ot"]) for one in last] == [
        ("NEW", "MARKET", "STOP_MARKET"),
        ("TRADE", "MARKET", "STOP_MARKET"),
    ]


async def test_a_liquidation_is_told(heard: Desk) -> None:
    """Its step is an order that the account did not place, and the position shrinks by it."""
    ear = await heard.futures()
    exchange = heard.exchange
    await exchange.overextend()
    exchange.fall_to(9, 10)
    exchange.door.apply(r.Freeze(6, ALICE, 0))
    version = exchange.door.engine.scope(ALICE, 0).version
    exchange.door.apply(r.Liquidate(7, ALICE, ETH_PERP.symbol_id, 1_000, 0, version, False))

    def steps() -> list[dict[str, Any]]:
        orders = [one["o"] for one in ear.of("ORDER_TRADE_UPDATE")]
        return [one for one in orders if one["c"].startswith("autoclose-")]

    await eventually(steps)
    (step,) = steps()
    assert (step["S"], step["x"], step["l"]) == ("SELL", "TRADE", "1")


async def test_a_listen_key_lives_with_its_api_key(heard: Desk) -> None:
    """Given out again while it lives, extended, ended: its stream says so and closes."""
    exchange, path = heard.exchange, "/api/v3/userDataStream"
    token = await heard.listen(path)
    assert len(token) == 64
    assert await heard.listen(path) == token
    assert await heard.listen("/fapi/v1/listenKey") != token
    ear = heard.ear()
    assert await ear.ask("SUBSCRIBE", token) == {"result": None, "id": 1}
    assert (await ear.ask("LIST_SUBSCRIPTIONS"))["result"] == [token]
    await exchange.place(price="2400")
    await eventually(lambda: ear.of("executionReport"))
    kept = await ask(exchange, "PUT", path, signed=False, listenKey=token)
    assert (kept.status_code, kept.json()) == (200, {})
    others = await ask(exchange, "PUT", path, key_id="key-2", signed=False, listenKey=token)
    assert others.json()["code"] == -1125
    unnamed = await ask(exchange, "PUT", path, signed=False)
    assert unnamed.json()["code"] == -1102
    named = await ask(exchange, "PUT", "/fapi/v1/listenKey", signed=False)
    assert len(named.json()["listenKey"]) == 64
    ended = await ask(exchange, "DELETE", path, signed=False, listenKey=token)
    assert ended.status_code == 200
    await eventually(lambda: ear.ended)
    assert ear.of("listenKeyExpired")[0]["listenKey"] == token
    assert (await heard.ear().ask("SUBSCRIBE", token))["error"]["code"] == -1125
    assert (await heard.ear(perpetual=True).ask("SUBSCRIBE", token))["error"]["code"] == -1125


async def test_a_revoked_key_hears_no_more(heard: Desk) -> None:
    """Both ways to listen end with the API key, and with the closing of the account."""
    asker, ear = await heard.spot(), await heard.futures()
    del heard.exchange.memory.keys["key-1"]
    await eventually(lambda: asker.ended and ear.ended)
    assert asker.ended == (4001, "the API key is not valid any more")


async def test_lost_events_end_the_stream(heard: Desk) -> None:
    """The dialect has no numbers to notice a gap by: the client has to begin again."""
    asker = await heard.spot()
    door = heard.exchange.door
    await heard.exchange.place(price="2400")
    door.kept_after = len(door.log)
    for price in ("2401", "2402"):
        await heard.exchange.place(price=price)
    door.kept_after = len(door.log)
    await eventually(lambda: asker.ended or len(asker.told("executionReport")) == 3)
    if asker.ended is not None:
        assert asker.ended[0] == 1012


async def test_who_only_names_a_key_uses_up_nothing_of_its_owners(heard: Desk) -> None:
    """A listen key wants no signature, so it is charged to the address that asks for it."""
    path = "/fapi/v1/listenKey"
    for _ in range(600):
        answer = await ask(heard.exchange, "POST", path, signed=False)
        assert answer.status_code == 200
    assert (await ask(heard.exchange, "POST", path, signed=False)).status_code == 429
    assert (await heard.exchange.place()).status_code == 201
