"""Balances: what the engine holds, what is in orders, and what rests in the ledger."""

from __future__ import annotations

from tests.api.exchange import Exchange
from tests.api.memory import USDT


async def test_balances_add_up(exchange: Exchange) -> None:
    """The total is all four places together, each in the asset's own decimals."""
    await exchange.place(quantity="1", price="2500")
    balances = {
        balance["asset"]: balance
        for balance in (await exchange.call("GET", "/v1/balances")).json()["balances"]
    }
    assert balances["USDT"] == {
        "asset": "USDT",
        "total": "10000",
        "available": "7495",
        "withdrawable": "7495",
        "in_orders": "2505",
        "margin": "0",
        "isolated_margin": "0",
        "unrealised_profit": "0",
        "main": "0",
        "withdrawing": "0",
        "sequence": exchange.door.engine.sequence,
        "shards": [
            {
                "shard": 0,
                "available": "7495",
                "withdrawable": "7495",
                "in_orders": "2505",
                "margin": "0",
                "isolated_margin": "0",
                "unrealised_profit": "0",
                "sequence": exchange.door.engine.sequence,
            }
        ],
    }
    assert balances["ETH"]["total"] == "10000.000000000000000005"
    assert balances["ETH"]["main"] == "0.000000000000000005"


async def test_money_on_its_way_out_stays_visible(exchange: Exchange) -> None:
    """What a pending withdrawal has taken is in no other place, and still the customer's."""
    exchange.memory.taken = {USDT.asset_id: 20_500_000}
    answer = (await exchange.call("GET", "/v1/balances")).json()["balances"]
    usdt = next(balance for balance in answer if balance["asset"] == "USDT")
    assert (usdt["withdrawing"], usdt["available"], usdt["total"]) == ("20.5", "10000", "10020.5")
