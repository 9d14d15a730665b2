"""What says that the exchange is there, and what time it is."""

from __future__ import annotations

from typing import Any

from api.binance.call import Call


async def ping(_: Call) -> dict[str, Any]:
    """Answer."""
    return {}


async def time(call: Call) -> dict[str, Any]:
    """Return the exchange's clock."""
    return {"serverTime": call.services.now_ms()}


async def system_status(_: Call) -> dict[str, Any]:
    """Return that the exchange works: where it does not, nothing answers or it is refused."""
    return {"status": 0, "msg": "normal"}


async def nothing(_: Call) -> list[Any]:
    """Return an empty list: what the dialect knows and this exchange does not have."""
    return []
