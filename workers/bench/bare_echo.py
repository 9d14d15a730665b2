"""The control of the REST figures: `python -m workers.bench.bare_echo PORT`, FastAPI and no more.

It reads an order of a few members with pydantic and answers it.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from infra.embedded.ports import LOOPBACK

app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)


class Order(BaseModel):
    """What is sent, and what is answered."""

    symbol: str
    side: str
    price: str
    quantity: str
    client_order_id: str


@app.post("/v1/orders", status_code=201, response_model=Order)
async def echo(order: Order) -> Order:
    """Return what was sent."""
    return order


def main() -> None:
    """Serve until told to stop."""
    uvicorn.run(app, host=LOOPBACK, port=int(sys.argv[1]), log_config=None, access_log=False)


if __name__ == "__main__":
    main()
