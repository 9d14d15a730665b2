"""What one exchange on one machine consists of: its servers, or URLs in their place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from domain.process_beat import repeated_names
from infra.embedded.chain import ChainServer
from infra.embedded.ports import LOOPBACK
from infra.embedded.postgres import PostgresServer
from infra.embedded.server import EmbeddedServer
from infra.embedded.temporal import TemporalServer
from infra.embedded.valkey import ValkeyServer
from infra.temporal.search_attributes import SEARCH_ATTRIBUTES
from workers.data_folder import choose_ports

PREFERRED_PORTS = {
    "gateway": 8000,
    "postgres": 15432,
    "valkey": 16379,
    "temporal": 7233,
    "temporal_ui": 8233,
    "temporal_http": 7243,
    "staff": 8090,  # beyond the ports of further gateways
    "temporal_metrics": 7253,
    "chain": 18545,
}
RETENTION_DAYS = 90
DEMO_COOLING_SECONDS = "2"  # a new withdrawal address is usable soon enough to be tried out
# Settlement writes some 400 bytes of rows and indexes a trade, and the log the same again. Vacuum
# within a checkpoint's distance of the rows it marks writes no page images; see
# docs/ledger.md for each of these.
POSTGRES_SETTINGS = {
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "15s",
    "bgwriter_delay": "50ms",
    "bgwriter_lru_maxpages": "500",
}


@dataclass(frozen=True, slots=True)
class Stack:
    """The servers to start and the ports of everything."""

    data_dir: Path
    ports: Mapping[str, int]
    postgres: PostgresServer | None
    valkey: ValkeyServer | None
    temporal: TemporalServer | None
    chain: ChainServer | None
    outside: Mapping[str, str]  # settings that a URL in the user's environment gives
    shards: int = 1
    gateways: int = 1

    @property
    def servers(self) -> list[EmbeddedServer]:
        """Return the servers that run here."""
        found = (self.postgres, self.valkey, self.temporal, self.chain)
        return [server for server in found if server is not None]

    @property
    def page_url(self) -> str:
        """Return the address of the public API and the page."""
        return self.gateway_urls[0]

    @property
    def gateway_urls(self) -> list[str]:
        """Return the address of each gateway; all serve the same."""
        return gateway_urls(self.ports, self.gateways)

    def _staff_environment(self, temporal: TemporalServer) -> dict[str, str]:
        """Return the settings of the staff's origin, which is the way to Temporal's UI."""
        origin = f"http://{LOOPBACK}:{self.ports['staff']}"
        return {
            "RIALTO_STAFF_PORT": str(self.ports["staff"]),
            "RIALTO_STAFF_PUBLIC_URL": origin,
            "RIALTO_TEMPORAL_UI_UPSTREAM": temporal.ui_url,
            "RIALTO_TEMPORAL_UI_URL": f"{origin}/namespaces/rialto/workflows",
        }

    def environment(self) -> dict[str, str]:
        """Return the settings of the processes; only once PostgreSQL has its password."""
        ours = {
            "RIALTO_DATA_DIR": str(self.data_dir),
            "RIALTO_GATEWAY_HOST": LOOPBACK,
            "RIALTO_GATEWAY_PORT": str(self.ports["gateway"]),
            "RIALTO_GATEWAY_PUBLIC_URL": self.page_url,
            "RIALTO_GATEWAY_COUNT": str(self.gateways),
            "RIALTO_DEMO_LINKS": "true",
            "RIALTO_SHARD_COUNT": str(self.shards),
            "RIALTO_WITHDRAWAL_COOLING_SECONDS": os.environ.get(
                "RIALTO_WITHDRAWAL_COOLING_SECONDS", DEMO_COOLING_SECONDS
            ),
        }
        if self.postgres is not None:
            ours["RIALTO_DATABASE_URL"] = self.postgres.url
        if self.valkey is not None:
            ours["RIALTO_REDIS_URL"] = self.valkey.url
        if self.temporal is not None:
            ours["RIALTO_TEMPORAL_ADDRESS"] = self.temporal.url
            ours |= self._staff_environment(self.temporal)
        if self.chain is not None:
            ours["RIALTO_CHAIN_URL"] = self.chain.url
        return {**ours, **self.outside}


def gateway_urls(ports: Mapping[str, object], count: int) -> list[str]:
    """Return the addresses of `count` gateways, as far as they have ports."""
    names = repeated_names("gateway", count)
    return [f"http://{LOOPBACK}:{ports[name]}" for name in names if name in ports]


def gateway_environment(number: int, port: int) -> dict[str, str]:
    """Return what one of several gateways has for itself; the first has the staff's origin."""
    own = {"RIALTO_GATEWAY_NUMBER": str(number), "RIALTO_GATEWAY_PORT": str(port)}
    return own if number == 1 else own | {"RIALTO_STAFF_PORT": "0"}


def preferred_ports(gateways: int) -> dict[str, int]:
    """Return the port that each server would like; the gateways' are consecutive."""
    first = PREFERRED_PORTS["gateway"]
    names = repeated_names("gateway", gateways)
    return PREFERRED_PORTS | {name: first + after for after, name in enumerate(names)}


def build(data_dir: Path, shards: int = 1, gateways: int = 1) -> Stack:
    """Return the stack of a data folder; a server whose URL is in the environment is left out."""
    outside = {
        name: value
        for name in (
            "RIALTO_DATABASE_URL",
            "RIALTO_REDIS_URL",
            "RIALTO_TEMPORAL_ADDRESS",
            "RIALTO_TEMPORAL_UI_URL",
            "RIALTO_CHAIN_URL",
        )
        if (value := os.environ.get(name))
    }
    ports = choose_ports(data_dir, preferred_ports(gateways))
    logs = data_dir / "logs"
    return Stack(
        data_dir=data_dir,
        ports=ports,
        postgres=None
        if "RIALTO_DATABASE_URL" in outside
        else PostgresServer(
            data_dir / "postgres",
            logs / "postgres.log",
            ports["postgres"],
            password_path=data_dir / "secrets" / "postgres-password",
            settings=POSTGRES_SETTINGS,
        ),
        valkey=None
        if "RIALTO_REDIS_URL" in outside
        else ValkeyServer(data_dir / "valkey", logs / "valkey.log", ports["valkey"]),
        temporal=None
        if "RIALTO_TEMPORAL_ADDRESS" in outside
        else TemporalServer(
            data_dir / "temporal",
            logs / "temporal.log",
            ports["temporal"],
            http_port=ports["temporal_http"],
            metrics_port=ports["temporal_metrics"],
            ui_port=ports["temporal_ui"],
            search_attributes=SEARCH_ATTRIBUTES,
            retention_days=RETENTION_DAYS,
        ),
        chain=None
        if "RIALTO_CHAIN_URL" in outside
        else ChainServer(data_dir / "chain", logs / "chain.log", ports["chain"]),
        outside=outside,
        shards=shards,
        gateways=gateways,
    )
