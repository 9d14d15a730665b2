"""Balances: what the engine holds, what is in orders, and what rests in the ledger."""

from __future__ import annotations

from tests.api.exchange import Exchange


async def test_balances_add_up(exchange: Exchange) -> None:
    """The total is available + in orders + main, each in the asset's own decimals."""
    await exchange.place(quantity="1", price="2500")
    balances = {
        balance["asset"]: balance
        for balance in (await exchange.call("GET", "/v1/balances")).json()["balances"]
    }
    assert balances["USDT"] == {
        "asset": "USDT",
        "total": "10000",
        "available": "7495",
        "in_orders": "2505",
        "main": "0",
        "sequence": exchange.door.engine.sequence,
    }
    assert balances["ETH"]["total"] == "10000.000000000000000005"
    assert balances["ETH"]["main"] == "0.000000000000000005"
