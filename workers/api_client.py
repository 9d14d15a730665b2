"""A small client of the public API, as a customer would write one: signed JSON requests."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import httpx


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

    async def withdraw(
        self, account: ApiAccount, asset: str, amount: str, address: str, *, key: str
    ) -> str:
        """Ask for a withdrawal, once per `key`; return its id."""
        body = json.dumps({"asset": asset, "amount": amount, "address": address})
        target = "/v1/withdrawals"
        headers = account.headers("POST", target, body, key)
        answer = _content(await self._http.post(target, content=body, headers=headers))
        return str(answer["withdrawal_id"])


def _content(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    try:
        problem = answer.json()
    except ValueError:
        problem = {"detail": answer.text[:200]}
    raise ApiError(answer.status_code, problem)
