"""JSON-RPC to an EVM node over HTTP.

`web3` would do, but takes 1.4 s and 67 MB to import in every process that looks at the chain, and
the wallet calls ten methods.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from types import TracebackType
from typing import Any, Self

import httpx

from infra.tls import trusted

# The client under httpx imports `sniffio` for each request; where that is not installed, Python
# looks through its whole path each time, which took a third of the wallet's processor time.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # "not there", without looking

_CONNECTIONS = 8  # each request looks at all that are idle


class ChainUnavailableError(Exception):
    """The node cannot be reached or did not answer in time; what it did is unknown."""


_NODES_OWN = frozenset({-32603, -32002, -32005})  # internal, unavailable, too much (EIP-1474)


class RpcError(Exception):
    """The node answered with an error."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.code = code
        self.message = message

    @property
    def is_nodes_own(self) -> bool:
        """Return whether the node says that it failed, which says nothing of what was asked."""
        return self.code in _NODES_OWN and "revert" not in self.message.lower()


class JsonRpc:
    """A connection pool to one node."""

    def __init__(self, url: str, timeout_seconds: float = 10.0) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            timeout=timeout_seconds,
            limits=httpx.Limits(
                max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS
            ),
            trust_env=False,
            verify=trusted(trust_env=False),
        )
        self._ids = itertools.count(1)

    async def call(self, method: str, *params: object) -> Any:
        """Return the node's result; raises `RpcError` or `ChainUnavailableError`."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        try:
            response = await self._client.post("", json=request)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ChainUnavailableError(f"{method}: {error or type(error).__name__}") from error
        if not isinstance(answer, dict) or answer.get("id", request["id"]) != request["id"]:
            raise ChainUnavailableError(f"{method}: no answer to what was asked")
        if "error" in answer:
            raise _error(method, answer["error"])
        if "result" not in answer:
            raise ChainUnavailableError(f"{method}: HTTP {response.status_code} without a result")
        return answer["result"]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _error(method: str, told: object) -> RpcError | ChainUnavailableError:
    """Return the node's error as ours; one that is no error as JSON-RPC has them says nothing."""
    if isinstance(told, dict) and type(told.get("code")) is int:
        return RpcError(method, told["code"], str(told.get("message", "")))
    return ChainUnavailableError(f"{method}: an error that cannot be read")
