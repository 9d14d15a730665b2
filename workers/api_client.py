"""A small client of the public API, as a customer would write one: signed JSON requests."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx

_PATIENCE_SECONDS = 30.0
_AGAIN_SECONDS = 0.25


class ApiError(RuntimeError):
    """The API refused; `status` and `problem` are its answer."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code', '')}: {problem.get('detail', problem)}")
        self.status = status
        self.problem = problem


@dataclass(frozen=True, slots=True)
class ApiAccount:
    """An account with its API key."""

    name: str
    api_key: str
    api_secret: str

    def as_json(self) -> dict[str, str]:
        """Return the account as `demo.json` shows it."""
        return asdict(self)

    def headers(
        self, method: str, target: str, body: str, idempotency_key: str = ""
    ) -> dict[str, str]:
        """Return the headers that sign a request; `target` is path and query."""
        timestamp = str(time.time_ns() // 1_000_000)
        path, _, query = target.partition("?")
        lines = (timestamp, method, path, query, idempotency_key, body)
        message = "".join(f"{line}\n" for line in lines).encode()
        signature = hmac.new(self.api_secret.encode(), message, hashlib.sha256).hexdigest()
        return {
            "RIALTO-KEY": self.api_key,
            "RIALTO-TIMESTAMP": timestamp,
            "RIALTO-SIGNATURE": signature,
            "Content-Type": "application/json",
            **({"Idempotency-Key": idempotency_key} if idempotency_key else {}),
        }


class ApiClient:
    """Calls the API of one exchange."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, timeout=10)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, target: str, account: ApiAccount | None = None) -> Any:
        """GET `target` (path and query), signed when an account is given."""
        headers = account.headers("GET", target, "") if account else {}
        return _content(await self._http.get(target, headers=headers))

    async def place(self, account: ApiAccount, order: Mapping[str, Any]) -> Any:
        """Place an order; safe to repeat with the same `client_order_id`."""
        return await self._send(account, "POST", "/v1/orders", order)

    async def place_list(self, account: ApiAccount, orders: Mapping[str, Any]) -> Any:
        """Place an OCO or a bracket; safe to repeat with the same client order ids."""
        return await self._send(account, "POST", "/v1/order-lists", orders)

    async def dry_run(
        self, account: ApiAccount, order: Mapping[str, Any], kind: str = "orders"
    ) -> Any:
        """Return what an order (`order-lists`: a list) would hold and do, without placing it."""
        return await self._send(account, "POST", f"/v1/{kind}/dry-run", order)

    async def amend(self, account: ApiAccount, order_id: str, terms: Mapping[str, str]) -> Any:
        """Change `price`, `quantity` or both of an open order; safe to repeat."""
        return await self._send(account, "PATCH", f"/v1/orders/{quote(order_id, safe='')}", terms)

    async def orders(self, account: ApiAccount, state: str = "open", symbol: str = "") -> Any:
        """Return the first page of orders, open ones or `all`."""
        return await self.get(_target("/v1/orders", state=state, limit=100, symbol=symbol), account)

    async def cancel(self, account: ApiAccount, order_id: str) -> Any:
        """Cancel one open order."""
        return await self._send(account, "DELETE", f"/v1/orders/{quote(order_id, safe='')}")

    async def cancel_all(self, account: ApiAccount, symbol: str = "", side: str = "") -> Any:
        """Cancel all open orders, of one market and side where they are named."""
        return await self._send(account, "DELETE", _target("/v1/orders", symbol=symbol, side=side))

    async def dead_mans_switch(self, account: ApiAccount, timeout_seconds: int) -> Any:
        """Cancel all orders unless this is called again in time; 0 switches it off."""
        body = {"timeout_seconds": timeout_seconds}
        return await self._send(account, "POST", "/v1/dead-mans-switch", body)

    async def positions(self, account: ApiAccount, symbol: str = "") -> Any:
        """Return positions in perpetuals and what backs them, of one market or of all."""
        return await self.get(_target("/v1/positions", symbol=symbol), account)

    async def position_history(self, account: ApiAccount, **named: str | int) -> Any:
        """Return the newest fundings, takeovers, deleveragings; `symbol`, `kind`, `limit`."""
        return await self.get(_target("/v1/positions/history", **named), account)

    async def set_leverage(self, account: ApiAccount, symbol: str, leverage: int) -> Any:
        """Choose a market's leverage."""
        body = {"symbol": symbol, "leverage": leverage}
        return await self._send(account, "POST", "/v1/leverage", body)

    async def set_margin_mode(self, account: ApiAccount, symbol: str, mode: str) -> Any:
        """Choose `cross` or `isolated` margin for a market."""
        return await self._send(
            account, "POST", "/v1/margin-mode", {"symbol": symbol, "mode": mode}
        )

    async def move_margin(self, account: ApiAccount, move: Mapping[str, Any]) -> Any:
        """Move cash into or out of an isolated position, once per `move_id`."""
        return await self._send(account, "POST", "/v1/margin", move)

    async def withdraw(
        self,
        account: ApiAccount,
        asset: str,
        amount: str,
        address: str,
        *,
        key: str,
        beneficiary: str = "",
    ) -> str:
        """List the address, ask for a withdrawal, once per `key`; return its id.

        `beneficiary` is whose the address is; the customer's own unless named.

        While a part of the exchange is away (503), or the address cools off, it is asked again:
        the key makes that safe.
        """
        listing = {"address": address, "beneficiary": beneficiary or account.name}
        patience = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                await self._send(account, "POST", "/v1/withdrawal-addresses", listing)
                break
            except ApiError as error:
                if not _may_pass(error) or time.monotonic() > patience:
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)
        body = {"asset": asset, "amount": amount, "address": address}
        while True:
            try:
                answer = await self._send(account, "POST", "/v1/withdrawals", body, key)
                return str(answer["withdrawal_id"])
            except ApiError as error:
                if not _may_pass(error) or time.monotonic() > patience:
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)

    async def cancel_withdrawal(self, account: ApiAccount, withdrawal_id: str) -> Any:
        """Cancel a withdrawal that is not signed yet; safe to repeat."""
        return await self._send(account, "DELETE", f"/v1/withdrawals/{withdrawal_id}")

    async def transfer(
        self,
        account: ApiAccount,
        asset: str,
        amount: str,
        shards: tuple[int | None, int | None],
        *,
        key: str,
    ) -> str:
        """Move money from one shard (None: main) to another, once per `key`; return its id."""
        body = {"asset": asset, "amount": amount, "from_shard": shards[0], "to_shard": shards[1]}
        answer = await self._send(account, "POST", "/v1/transfers", body, key)
        return str(answer["transfer_id"])

    async def _send(
        self,
        account: ApiAccount,
        method: str,
        target: str,
        body: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> Any:
        text = "" if body is None else json.dumps(dict(body))
        headers = account.headers(method, target, text, key)
        return _content(await self._http.request(method, target, content=text, headers=headers))


def _may_pass(error: ApiError) -> bool:
    """Return whether asking again soon may help a withdrawal."""
    cooling = error.problem.get("code") == "address_cooling_off"
    return cooling or error.status == httpx.codes.SERVICE_UNAVAILABLE


def _target(path: str, **named: str | int) -> str:
    """Return path and query; what has no value is left out."""
    query = urlencode({name: value for name, value in named.items() if value})
    return f"{path}?{query}" if query else path


def _content(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    try:
        problem = answer.json()
    except ValueError:
        problem = {"detail": answer.text[:200]}
    raise ApiError(answer.status_code, problem)
