"""The two clients: the same calls and rules, once waiting and once asynchronous."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from functools import cache
from types import TracebackType
from typing import Self

import httpx

from api.client.account import ApiAccount, SigningClock
from api.client.attempts import Attempts, Pause, Request
from api.client.call import Answer, Call
from api.client.session import Session
from api.client.sessions import refresh

TRY_SECONDS = 10.0  # how long one try may take
PATIENCE_SECONDS = 30.0  # how long a call is tried
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@cache
def _trusted() -> ssl.SSLContext:
    """Return whom this process trusts over HTTPS; read once: it takes 50 ms of a core."""
    return httpx.create_ssl_context()


class _Caller:
    """What both clients know: whose key signs, the clock, how long to try."""

    def __init__(self, account: ApiAccount | Session | None, patience_seconds: float) -> None:
        self._account = account
        self._patience_seconds = patience_seconds
        self._clock = SigningClock()

    def _attempts(
        self, call: Call[Answer], account: ApiAccount | Session | None
    ) -> Attempts[Answer]:
        return Attempts(
            call,
            account or self._account,
            self._clock,
            now=time.monotonic(),
            patience_seconds=self._patience_seconds,
        )

    def _stale(self, call: Call[Answer], account: ApiAccount | Session | None) -> Session | None:
        """Return the session of a call whose token is to be exchanged first."""
        who = account or self._account
        if isinstance(who, Session) and who.is_stale and not call.is_public:
            return who
        return None

    @staticmethod
    def _outcome(
        attempts: Attempts[Answer], found: httpx.Response | httpx.TransportError
    ) -> Answer | Pause:
        now = time.monotonic()
        if isinstance(found, httpx.TransportError):
            arrived = not isinstance(found, _NOT_SENT)
            return attempts.failed(found, now, may_have_arrived=arrived)
        return attempts.answered(found.status_code, found.headers, found.content, now)


class Client(_Caller):
    """Calls the API and waits for the answers."""

    def __init__(
        self,
        base_url: str,
        account: ApiAccount | Session | None = None,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(account, patience_seconds)
        self._http = httpx.Client(
            base_url=base_url, timeout=TRY_SECONDS, transport=transport, verify=_trusted()
        )

    def send(self, call: Call[Answer], account: ApiAccount | Session | None = None) -> Answer:
        """Return the answer to a call; a `ClientError` says why there is none.

        `account` signs it instead of the client's own.
        """
        session = self._stale(call, account)
        if session is not None:
            session.take(self.send(refresh()))
        attempts = self._attempts(call, account)
        while True:
            found = self._outcome(attempts, self._tried(attempts.request()))
            if not isinstance(found, Pause):
                return found
            time.sleep(found.seconds)

    def pages(
        self, call: Call[Answer], account: ApiAccount | Session | None = None
    ) -> Iterator[Answer]:
        """Yield the answer to a call of a list, and then the pages that follow it."""
        following: Call[Answer] | None = call
        while following is not None:
            page = self.send(following, account)
            yield page
            following = following.following(page)

    def _tried(self, request: Request) -> httpx.Response | httpx.TransportError:
        try:
            return self._http.request(
                request.method, request.target, content=request.body, headers=request.headers
            )
        except httpx.TransportError as error:
            return error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(_Caller):
    """Calls the API without blocking."""

    def __init__(
        self,
        base_url: str,
        account: ApiAccount | Session | None = None,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(account, patience_seconds)
        self._http = httpx.AsyncClient(
            base_url=base_url, timeout=TRY_SECONDS, transport=transport, verify=_trusted()
        )

    async def send(self, call: Call[Answer], account: ApiAccount | Session | None = None) -> Answer:
        """Return the answer to a call; a `ClientError` says why there is none.

        `account` signs it instead of the client's own.
        """
        session = self._stale(call, account)
        if session is not None:
            session.take(await self.send(refresh()))
        attempts = self._attempts(call, account)
        while True:
            found = self._outcome(attempts, await self._tried(attempts.request()))
            if not isinstance(found, Pause):
                return found
            await asyncio.sleep(found.seconds)

    async def pages(
        self, call: Call[Answer], account: ApiAccount | Session | None = None
    ) -> AsyncIterator[Answer]:
        """Yield the answer to a call of a list, and then the pages that follow it."""
        following: Call[Answer] | None = call
        while following is not None:
            page = await self.send(following, account)
            yield page
            following = following.following(page)

    async def _tried(self, request: Request) -> httpx.Response | httpx.TransportError:
        try:
            return await self._http.request(
                request.method, request.target, content=request.body, headers=request.headers
            )
        except httpx.TransportError as error:
            return error

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
