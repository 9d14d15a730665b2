"""Unmodified client libraries, pointed at a gateway as their users do it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from api.binance.auth import sign
from api.client.account import ApiAccount
from tests.api.exchange import Exchange

_REST = {
    "public": "/api/v3",
    "private": "/api/v3",
    "v1": "/api/v1",
    "sapi": "/sapi/v1",
    "fapiPublic": "/fapi/v1",
    "fapiPublicV2": "/fapi/v2",
    "fapiPublicV3": "/fapi/v3",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
    "dapiPublic": "/dapi/v1",
}


def ccxt_options(base_url: str, account: ApiAccount | None = None, **more: Any) -> dict[str, Any]:
    """Return what a user of ccxt gives its `binance` to trade here."""
    urls: dict[str, Any] = {name: f"{base_url}/binance{path}" for name, path in _REST.items()}
    sockets = base_url.replace("http", "ws", 1) + "/binance"
    urls["ws"] = {
        "spot": f"{sockets}/stream/ws",
        "future": f"{sockets}/fstream/ws",
        "ws-api": {"spot": f"{sockets}/ws-api/v3", "future": f"{sockets}/ws-fapi/v1"},
    }
    keys = {} if account is None else {"apiKey": account.api_key, "secret": account.api_secret}
    return {"urls": {"api": urls}, "enableRateLimit": False, **keys, **more}


def ccxt_example() -> Any:
    """Return the module of the documentation's example, as who copied it has it."""
    path = Path(__file__).parents[3] / "docs/examples/ccxt_rialto.py"
    spec = importlib.util.spec_from_file_location("ccxt_rialto", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def ask(
    exchange: Exchange,
    method: str,
    path: str,
    *,
    key_id: str = "key-1",
    signed: bool = True,
    **parameters: Any,
) -> httpx.Response:
    """Send one request of the dialect to the small exchange, signed unless told otherwise."""
    text = urlencode(parameters)
    headers = {"X-MBX-APIKEY": key_id}
    if signed:
        stamp = urlencode({"timestamp": exchange.services.now_ms(), "recvWindow": 60_000})
        text = f"{text}&{stamp}" if text else stamp
        text += f"&signature={sign(key_id[::-1].encode(), text.encode())}"
    if method in ("GET", "DELETE"):
        return await exchange.http.request(method, f"/binance{path}?{text}", headers=headers)
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return await exchange.http.request(method, f"/binance{path}", content=text, headers=headers)
