"""The deployment files say what the architecture promises: three networks, one door."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings import Settings
from workers.processes import PROCESSES

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "infra" / "deploy"
NOT_DEPLOYED = {"bots"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Return the parsed compose file."""
    parsed: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return parsed


def networks_of(compose: dict[str, Any], service: str) -> set[str]:
    return set(compose["services"][service]["networks"])


def test_only_the_gateway_stands_in_the_dmz(compose: dict[str, Any]) -> None:
    """From the dmz network no service but the gateway can be reached."""
    in_dmz = {name for name in compose["services"] if "dmz" in networks_of(compose, name)}
    assert in_dmz == {"gateway"}


def test_only_the_gateway_publishes_a_port(compose: dict[str, Any]) -> None:
    """No store, engine or worker is reachable from outside the host."""
    publishing = {name for name, service in compose["services"].items() if service.get("ports")}
    assert publishing == {"gateway"}


def test_inner_networks_have_no_way_out(compose: dict[str, Any]) -> None:
    """The application and data networks are internal: no route to the outside."""
    assert compose["networks"]["application"]["internal"] is True
    assert compose["networks"]["data"]["internal"] is True


def test_no_service_escapes_its_networks(compose: dict[str, Any]) -> None:
    """Host networking, privileges and added capabilities would make the networks meaningless."""
    for name, service in compose["services"].items():
        assert service["networks"], name
        for escape in ("network_mode", "privileged", "cap_add", "pid", "ipc"):
            assert escape not in service, f"{name}: {escape}"


def test_the_signer_sees_neither_stores_nor_chain(compose: dict[str, Any]) -> None:
    """The only holder of the seed talks to Temporal alone."""
    assert networks_of(compose, "wallet-signer") == {"application"}
    volumes = compose["services"]["wallet-signer"]["volumes"]
    signer_volume = volumes[0].split(":")[0]
    for name, service in compose["services"].items():
        if name != "wallet-signer":
            assert signer_volume not in str(service.get("volumes", [])), name


def test_every_process_is_deployed(compose: dict[str, Any]) -> None:
    """Each `workers/` process has a service that runs its verb."""
    processes = {spec.verb.replace("-", "_") for spec in PROCESSES if spec.name not in NOT_DEPLOYED}
    commands = {
        service["command"][0].replace("-", "_")
        for service in compose["services"].values()
        if service.get("image") == "rialto"
    }
    assert processes == commands


def test_each_shard_has_its_own_engine_market_data_and_monitor(compose: dict[str, Any]) -> None:
    """Under its number, which it is told, where all others look for it."""
    everyone = compose["x-process"]["environment"]
    shards = range(int(everyone["RIALTO_SHARD_COUNT"]))
    for verb in ("matching-engine", "market-data", "risk-monitor"):
        services = {
            name: service["environment"]["RIALTO_SHARD"]
            for name, service in compose["services"].items()
            if service.get("command") == [verb]
        }
        assert services == {f"{verb}-{shard}": str(shard) for shard in shards}
    for name in ("RIALTO_ENGINE_SOCKET", "RIALTO_ENGINE_GRPC_ADDRESS"):
        assert everyone[name].removeprefix("unix:").startswith("/run/doors/engine-{shard}.")


def test_who_speaks_to_an_engine_has_its_doors_and_tokens(compose: dict[str, Any]) -> None:
    """Sockets in one volume, which nobody else has: no token crosses a network."""
    service = compose["services"]
    have = {
        what: {name for name in service if what in str(service[name].get(place, []))}
        for place, what in (("volumes", "doors:/run/doors"), ("secrets", "engine-tokens"))
    }
    rialto = {name for name in service if service[name].get("image") == "rialto"}
    assert have["doors:/run/doors"] == have["engine-tokens"] == rialto - {"wallet-signer"}
    assert "-m 700 /run/doors" in (DEPLOY / "Dockerfile").read_text()


def test_journals_are_where_their_readers_look(compose: dict[str, Any]) -> None:
    """Worker and risk monitor read what the engine writes, at the engine's path, and nothing else.

    The engine's secrets are in another volume.
    """
    settings = Settings.of(
        {**compose["x-process"]["environment"], "RIALTO_DATA_DIR": "/var/lib/rialto"}
    )
    for shard in range(settings.shard_count):
        place = f"journal-{shard}:{settings.engine_dir(shard)}"
        assert place in compose["services"][f"matching-engine-{shard}"]["volumes"]
        for reader in ("temporal-worker", f"risk-monitor-{shard}"):
            assert f"{place}:ro" in compose["services"][reader]["volumes"], reader
        assert str(settings.engine_dir(shard)) in (DEPLOY / "Dockerfile").read_text()
        secrets = [
            name
            for name, service in compose["services"].items()
            if any(f"engine-data-{shard}:" in volume for volume in service.get("volumes", []))
        ]
        assert secrets == [f"matching-engine-{shard}"]


def test_every_setting_is_a_known_one(compose: dict[str, Any]) -> None:
    """A misspelt variable would be ignored silently, so each must be a field of Settings."""
    fields = {f"RIALTO_{name.upper()}" for name in Settings.model_fields}
    for name, service in compose["services"].items():
        given = {key for key in service.get("environment", {}) if key.startswith("RIALTO_")}
        assert given <= fields, name


def test_the_image_runs_unprivileged_from_the_hashed_lock() -> None:
    """The image installs only locked hashes and never runs as root."""
    text = (DEPLOY / "Dockerfile").read_text()
    assert "--require-hashes -r /build/requirements.lock" in text
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users
    assert users[-1] not in {"root", "0"}
    assert text.index(f"USER {users[-1]}") < text.index("ENTRYPOINT")
