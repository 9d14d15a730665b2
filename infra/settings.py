"""Settings of every process, from the environment (`RIALTO_...`).

The supervisor of `./rialto up` sets them for its children; any of the URLs may point elsewhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.process_beat import repeated_name
from domain.reconciliation import Policy
from infra.temporal.payload_keys import PAYLOAD_KEYS_FILE

ENGINE_TOKENS_FILE = "engine-tokens.json"


class Settings(BaseSettings):
    """One field, one environment variable: `data_dir` is `RIALTO_DATA_DIR`."""

    model_config = SettingsConfigDict(env_prefix="RIALTO_", extra="ignore")

    data_dir: Path
    database_url: str  # postgresql+asyncpg://...
    redis_url: str  # redis://... or unix://...
    temporal_address: str  # host:port
    temporal_namespace: str = "rialto"
    temporal_ui_url: str = ""
    temporal_ui_upstream: str = ""  # http://host:port of the UI that the staff's origin passes on
    temporal_retention_days: int = 90  # how long the histories of closed workflows are kept
    payload_keys: str = ""  # file of the keys that seal payloads; default: in the secrets
    history_keep_days: int = 2557  # how long their exports are kept: seven years
    chain_url: str  # http://host:port of an EVM node

    withdrawal_cooling_seconds: NonNegativeInt = 86_400  # until a newly listed address is usable
    withdrawal_max_fee_gwei: NonNegativeInt = 500  # a gas unit; above, withdrawals park unnumbered
    withdrawal_stuck_seconds: NonNegativeInt = 180  # without a block, then a higher fee is offered
    screening_url: str = ""  # who is asked about addresses; "" = the lists in data_dir/wallet
    travel_rule_url: str = ""  # who is asked about receivers; "" = what customers say of them
    identity_url: str = ""  # who is asked about customers; "" = staff, whose answer is the tier

    gateway_host: str = "127.0.0.1"
    gateway_port: int = 8000
    gateway_number: int = 1  # of several on one machine: each has its own, and a port of its own
    gateway_count: int = 1  # how many there are; each tells of all
    gateway_public_url: str = ""  # what browsers call it; with https: cookies are for that alone
    demo_links: bool = False  # one-time links sign in: only for a demo market
    trusted_proxies: str = ""  # addresses whose X-Forwarded-For is believed, a,b,c; "" = nobody's
    staff_port: int = 0  # of the staff's origin, on the gateway's host; 0 = none
    staff_public_url: str = ""  # what staff's browsers call it; default: host and port

    shard: int = 0
    shard_count: int = 1
    engine_socket: str = (
        ""  # unix socket path or loopback:port; default: data_dir/run/engine-{shard}.sock
    )
    engine_tcp_port: int = 0  # of the binary door on loopback; 0 = the unix socket only
    engine_grpc_address: str = (
        ""  # unix:path or loopback:port; default: data_dir/run/engine-{shard}.grpc
    )
    engine_tokens: str = ""  # file of the tokens that prove roles; default: in the secrets
    engine_kind: Literal["auto", "core", "reference"] = "auto"
    engine_loop: Literal["auto", "native", "python"] = "auto"
    engine_busy_poll_us: int = 0  # after work, how long the native loop looks before it sleeps
    engine_priority: Literal["high", "normal"] = "high"  # of the native loop's threads
    ack_policy: Literal["os", "fsync"] = "fsync"
    settlement_lag_bound: NonNegativeInt = 1_000_000  # commands; beyond: cancels only; 0 = no bound
    metrics_port: int = 0  # of the worker's /metrics on loopback; 0 = any free port
    alarm_webhook_url: str = ""  # each alarm is POSTed there as JSON
    alarm_smtp_url: str = ""  # smtp://[user:password@]host[:port], or smtps://
    alarm_mail_from: str = "rialto@localhost"
    alarm_mail_to: str = ""
    ledger_retention_days: int = 400  # then rows that are compared leave for the archive
    reconciliation_policy: Policy = Policy.HALT  # alarm | gate | halt

    index_sources: str = "synthetic"  # or venues, e.g. binance,coinbase,kraken
    index_seed: int = 1  # of synthetic prices
    index_urls: dict[str, str] = {}  # {venue: address}, JSON; instead of the public ones
    index_pairs: dict[str, dict[str, str]] = {}  # {venue: {symbol: pair}}, JSON

    log_level: str = "INFO"
    log_format: Literal["json", "console"] = "json"

    @field_validator("engine_socket", "engine_grpc_address")
    @classmethod
    def _stays_on_this_machine(cls, address: str) -> str:
        """Refuse an engine's door on a network: tokens and orders cross it in clear text."""
        if not stays_on_this_machine(address):
            raise ValueError(
                f"{address!r} leaves this machine, and the engine's doors have no TLS: take a unix "
                "socket or loopback, and a TLS terminator that asks for client certificates on "
                "either side (docs/engine-protocol.md)"
            )
        return address

    @staticmethod
    def of(variables: Mapping[str, str]) -> Settings:
        """Return settings in which `variables` (`RIALTO_...`) go before the environment."""
        fields: dict[str, Any] = {
            name.removeprefix("RIALTO_").lower(): value for name, value in variables.items()
        }
        return Settings(**fields)

    @property
    def secrets_dir(self) -> Path:
        """Return the folder (mode 0700) of tokens and keys."""
        return self.data_dir / "secrets"

    @property
    def payload_keys_path(self) -> Path:
        """Return the file of the keys that seal what goes to Temporal."""
        return Path(self.payload_keys or self.secrets_dir / PAYLOAD_KEYS_FILE)

    @property
    def engine_tokens_path(self) -> Path:
        """Return the file of the tokens that prove roles to the engines."""
        return Path(self.engine_tokens or self.secrets_dir / ENGINE_TOKENS_FILE)

    @property
    def run_dir(self) -> Path:
        """Return the folder of sockets and heartbeats."""
        return self.data_dir / "run"

    @property
    def gateway_name(self) -> str:
        """Return the name under which this gateway beats."""
        return repeated_name("gateway", self.gateway_number)

    def engine_socket_path(self, shard: int) -> str:
        """Return the unix socket of the binary door of `shard`."""
        own = self.engine_socket.replace("{shard}", str(shard))
        return own or str(self.run_dir / f"engine-{shard}.sock")

    def engine_grpc_target(self, shard: int) -> str:
        """Return the gRPC target of `shard`."""
        own = self.engine_grpc_address.replace("{shard}", str(shard))
        return own or f"unix:{self.run_dir / f'engine-{shard}.grpc'}"

    def engine_dir(self, shard: int) -> Path:
        """Return the folder of the shard's journal, events and snapshots."""
        return self.data_dir / "engine" / f"shard-{shard}"


def stays_on_this_machine(address: str) -> bool:
    """Return whether an address of an engine's door is a unix socket's path or on loopback.

    A name is not looked up: what it means today it need not mean tomorrow.
    """
    if address.startswith(("unix:", "/")) or ":" not in address:
        return True
    host = address.removeprefix("ipv4:").removeprefix("ipv6:").rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
