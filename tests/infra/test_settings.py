"""Settings: what no process starts with."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from infra.settings import Settings, stays_on_this_machine
from tests.offline import NO_SERVERS

NEEDED = {**NO_SERVERS, "RIALTO_DATA_DIR": "/nowhere"}


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/run/doors/engine-{shard}.sock",
        "unix:/run/doors/engine-{shard}.grpc",
        "127.0.0.1:7001",
        "127.9.9.9:700{shard}",
        "[::1]:7002",
        "ipv4:127.0.0.1:7002",
        "localhost:7002",
    ],
)
def test_doors_on_this_machine(address: str) -> None:
    """Unix sockets and loopback, in each spelling that gRPC or the frames' client takes."""
    assert stays_on_this_machine(address)
    settings = Settings.of({**NEEDED, "RIALTO_ENGINE_GRPC_ADDRESS": address})
    assert settings.engine_grpc_address == address


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0:7002",
        "[::]:7002",
        ":7002",
        "matching-engine-{shard}:7001",
        "10.0.0.7:7001",
        "localhost.example.com:7001",
        "127.0.0.1.example.com:7001",
        "ipv4:10.0.0.7:7002",
        "dns:///localhost:7002",
        "unix-abstract:engine",
        "::1:7002:1.2.3.4:9",
    ],
)
@pytest.mark.parametrize("name", ["RIALTO_ENGINE_SOCKET", "RIALTO_ENGINE_GRPC_ADDRESS"])
def test_no_door_is_on_a_network(name: str, address: str) -> None:
    """Neither engine nor client starts with one, and both say why."""
    with pytest.raises(ValidationError, match="leaves this machine, and the engine's doors have"):
        Settings.of({**NEEDED, name: address})


def test_tokens_lie_in_the_secrets_or_where_it_is_said() -> None:
    """Processes with secrets of their own can share the file of the tokens."""
    assert str(Settings.of(NEEDED).engine_tokens_path) == "/nowhere/secrets/engine-tokens.json"
    told = Settings.of({**NEEDED, "RIALTO_ENGINE_TOKENS": "/run/secrets/engine-tokens"})
    assert str(told.engine_tokens_path) == "/run/secrets/engine-tokens"
