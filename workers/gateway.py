"""The gateway: the API and the page, on one port. Stateless; run as many as are needed."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass

import structlog
import uvicorn
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp

from api.app import create_app
from api.door import LARGEST_OPEN_COUNT, Places, door
from api.edge import LARGEST_BODY_BYTES
from api.limits import Limiter
from api.services import Services
from api.websocket.account_hub import AccountHub
from api.websocket.hub import FeedHub
from api.websocket.line import Line
from api.websocket.route import drain
from api.websocket.wire import Wire
from domain.market import Listings
from domain.process_beat import repeated_names
from infra import garbage
from infra.ending import end
from infra.engine_client import EngineClient
from infra.engine_grpc import EngineGrpc
from infra.engine_roles import ensure_tokens
from infra.heartbeat import Heartbeat, rialto_version
from infra.open_files import room_for_sockets
from infra.postgres import engine as postgres
from infra.postgres.api_keys import ApiKeyStore
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_wallet import CustomerWalletStore
from infra.postgres.fee_tier_store import FeeTierStore
from infra.postgres.funding_rates import FundingRates
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.list_names import ListNameStore
from infra.postgres.margin_call_store import MarginCallStore
from infra.postgres.markets import MarketStore
from infra.postgres.orders import OrderReadStore
from infra.postgres.position_history import PositionHistory
from infra.postgres.withdrawal_addresses import WithdrawalAddressStore
from infra.process_board import ProcessBoard
from infra.redis.adl_lights import AdlLights
from infra.redis.ended_keys import RedisEndedKeys
from infra.redis.event_stream import EventReader
from infra.redis.listen_keys import RedisListenKeys
from infra.redis.margin_calls import MarginCallFeed
from infra.redis.market_feed import MarketFeedReader
from infra.redis.rate_limits import RedisLimits
from infra.secret_box import SecretBox, gateway_key_path
from infra.settings import Settings
from infra.telemetry import configure_logging
from infra.wallet.keys import load_public
from infra.wallet.shard_transfer_store import ShardTransferStore
from workers.compliance_desk import compliance_file
from workers.engine_door import ShardDoor, ShardLog
from workers.key_cache import KeyCache
from workers.processes import PROCESSES
from workers.staff_door import staff_app
from workers.web_door import web_door
from workers.withdrawals import TransferStarter, WithdrawalRules, WithdrawalStarter

_LISTINGS_REFRESH_SECONDS = 2.0
_BIGGEST_SOCKET_MESSAGE = LARGEST_BODY_BYTES  # a batch of orders; strangers may send less
_REDIS_TIMEOUT_SECONDS = 1.0
_STUCK_CLIENT_MS = 30_000

log = structlog.get_logger(__name__)


class ListingCache:
    """The listed markets, read again every two seconds; the last good ones without PostgreSQL."""

    def __init__(self, store: MarketStore) -> None:
        self._store = store
        self._listings = Listings([], [])

    def current(self) -> Listings:
        """Return the listings."""
        return self._listings

    async def load(self) -> None:
        """Read them for the first time, waiting for PostgreSQL as long as it takes."""
        while True:
            try:
                self._listings = (await self._store.listings()).listed()
            except ConnectionError as error:
                log.warning("waiting for PostgreSQL", error=str(error))
                await asyncio.sleep(1.0)
            else:
                return

    async def refresh(self) -> None:
        """Keep them fresh until cancelled."""
        while True:
            await asyncio.sleep(_LISTINGS_REFRESH_SECONDS)
            with suppress(ConnectionError):
                self._listings = (await self._store.listings()).listed()


async def open_doors(
    settings: Settings, redis: Redis, stack: AsyncExitStack
) -> tuple[dict[int, ShardDoor], dict[int, ShardLog]]:
    """Return a door and a log a shard; an engine that is away is connected to when it comes."""
    token = ensure_tokens(settings.engine_tokens_path).of("gateway")
    doors, logs = {}, {}
    for shard in range(settings.shard_count):
        client = await EngineClient.connect(
            settings.engine_socket_path(shard), role="gateway", token=token
        )
        stack.push_async_callback(client.close)
        queries = EngineGrpc(settings.engine_grpc_target(shard), role="gateway", token=token)
        stack.push_async_callback(queries.close)
        doors[shard] = ShardDoor(client, queries)
        logs[shard] = ShardLog(EventReader(redis, queries, shard))
    return doors, logs


def process_names(settings: Settings) -> Sequence[str]:
    """Return the name of every process of the exchange."""
    return [
        spec.process_name(number)
        for spec in PROCESSES
        for number in range(spec.count(settings.shard_count, settings.gateway_count))
    ]


async def build_services(settings: Settings, stack: AsyncExitStack) -> tuple[Services, Wiring]:
    """Open every adapter and return the services around them."""
    engine = postgres.create(settings.database_url, pool_size=8)
    stack.push_async_callback(engine.dispose)
    redis = Redis.from_url(settings.redis_url, socket_connect_timeout=_REDIS_TIMEOUT_SECONDS)
    stack.push_async_callback(redis.aclose)
    box = SecretBox.from_file(gateway_key_path(settings.secrets_dir))
    web, credentials = web_door(settings, engine, box)
    keys, ended = KeyCache(credentials), RedisEndedKeys(redis)
    wiring = Wiring(redis, engine, ListingCache(MarketStore(engine)), keys, ended)
    await wiring.listings.load()
    hub = FeedHub(
        MarketFeedReader(redis),
        lambda: [market.instrument.symbol for market in wiring.listings.current().markets],
    )
    doors, logs = await open_doors(settings, redis, stack)
    services = Services(
        doors=doors,
        listings_directory=wiring.listings,
        keys=keys,
        ended_keys=ended,
        web=web,
        own_keys=ApiKeyStore(engine, box, AuditStore()),
        listen_keys=RedisListenKeys(redis),
        list_names=ListNameStore(engine),
        orders=OrderReadStore(engine),
        wallet=CustomerWalletStore(
            engine,
            AuditStore(),
            lambda index: load_public(settings.data_dir).deposit_address(index),
        ),
        compliance=compliance_file(settings, engine),
        market_data=MarketStore(engine),
        limiter=Limiter(RedisLimits(redis)),
        board=ProcessBoard(redis, engine, settings.run_dir, process_names(settings)),
        hub=hub,
        accounts=AccountHub(logs, MarginCallFeed(redis)),
        withdrawal_addresses=WithdrawalAddressStore(
            engine, AuditStore(), dt.timedelta(seconds=settings.withdrawal_cooling_seconds)
        ),
        withdrawal_rules=WithdrawalRules(),
        withdrawal_starter=WithdrawalStarter(settings),
        fee_tiers=FeeTierStore(engine),
        funding=FundingRates(engine),
        positions=PositionHistory(engine),
        margin_calls=MarginCallStore(engine),
        lights=AdlLights(redis),
        transfers=ShardTransferStore(engine, LedgerStore()),
        transfer_starter=TransferStarter(settings),
        now_ms=lambda: time.time_ns() // 1_000_000,
        version=rialto_version(),
        temporal_ui_url=settings.temporal_ui_url,
        gateways=repeated_names("gateway", settings.gateway_count),
    )
    return services, wiring


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the process itself needs beside the services."""

    redis: Redis
    engine: AsyncEngine
    listings: ListingCache
    keys: KeyCache
    ended_keys: RedisEndedKeys


def listen(settings: Settings, port: int) -> socket.socket:
    """Return the listening socket; its connections end when the peer takes nothing for 30 s.

    Without that a client that never reads would keep its connection and what waits for it.
    """
    family = socket.AF_INET6 if ":" in settings.gateway_host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_CLIENT_MS)
    made.bind((settings.gateway_host, port))
    made.listen(2048)
    made.setblocking(False)
    return made


class _Server(uvicorn.Server):
    """uvicorn, but told to stop by `stop`: by itself it ends with the signal, not with 0."""

    def __init__(self, config: uvicorn.Config, connections: Iterable[Line] = ()) -> None:
        super().__init__(config)
        self._connections = connections

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connections, answer what sockets have asked, then end as uvicorn does."""
        for listening in self.servers:
            listening.close()
        await drain(list(self._connections))
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Answer what is in flight, then end."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process."""
        yield


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered first."""
    async with AsyncExitStack() as stack:
        services, wiring = await build_services(settings, stack)
        app = create_app(services)
        server = _server(app, settings.trusted_proxies, app.state.connections)
        servers = {settings.gateway_port: server}
        if settings.staff_port:
            staff = staff_app(settings, wiring.engine, wiring.redis, stack)
            servers[settings.staff_port] = _server(staff, settings.trusted_proxies)

        def stop() -> None:
            for one in servers.values():
                one.stop()

        background = [
            asyncio.create_task(services.hub.run()),
            asyncio.create_task(services.accounts.run(services)),
            asyncio.create_task(wiring.listings.refresh()),
            asyncio.create_task(wiring.keys.follow(wiring.ended_keys.messages)),
            asyncio.create_task(beat(settings, wiring.redis, server, services.hub)),
        ]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        for task in background:
            task.add_done_callback(lambda done: _stop_on_defect(done, stop))
        try:
            sockets = {port: listen(settings, port) for port in servers}
            garbage.set_aside()
            await asyncio.gather(*(one.serve([sockets[port]]) for port, one in servers.items()))
        finally:
            await end(*background)
    for task in background:
        if not task.cancelled() and task.exception() is not None:
            raise SystemExit(1)


def _server(app: ASGIApp, proxies: str, connections: Iterable[Line] = ()) -> _Server:
    """Return a server; of whom limits are charged to, only `proxies` say another address.

    So connections of a proxy are not counted as one address' either.
    """
    places = Places(min(LARGEST_OPEN_COUNT, room_for_sockets()), exempt=proxies.split(","))
    return _Server(
        uvicorn.Config(
            app,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            http=door(places),
            ws=Wire,
            ws_max_size=_BIGGEST_SOCKET_MESSAGE,
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            ws_per_message_deflate=False,
        ),
        connections,
    )


def _stop_on_defect(task: asyncio.Task[None], stop: Callable[[], None]) -> None:
    """Crash-only: a background task that ends by itself is a defect; the supervisor restarts us."""
    if not task.cancelled():
        log.error("a background task ended", exc_info=task.exception())
        stop()


async def beat(settings: Settings, redis: Redis, server: uvicorn.Server, hub: FeedHub) -> None:
    """Beat once a second from the moment the port is open."""
    heartbeat = Heartbeat(settings.gateway_name, settings.run_dir, redis)
    while True:
        if server.started:
            detail = {
                "connections": len(server.server_state.connections),
                "pid": os.getpid(),
                "book_checks": hub.book_checks,
                "books_wrong": hub.books_wrong,
            }
            await heartbeat.beat(detail=detail)
        await asyncio.sleep(1.0 if server.started else 0.05)


def main() -> None:
    """Run the gateway."""
    import uvloop

    settings = Settings()
    configure_logging(settings.gateway_name, settings.log_level, settings.log_format)
    uvloop.run(run(settings))
