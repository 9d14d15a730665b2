"""Which processes an exchange on this machine has, and on which ports."""

from __future__ import annotations

from workers.processes import MOST_GATEWAYS, PROCESSES
from workers.stack import gateway_environment, gateway_urls, preferred_ports


def test_gateways_like_consecutive_ports() -> None:
    """As many as there can be, and no server likes the port of another."""
    ports = preferred_ports(MOST_GATEWAYS)
    first = ports["gateway"]
    urls = gateway_urls(ports, MOST_GATEWAYS)
    assert urls == [f"http://127.0.0.1:{first + after}" for after in range(MOST_GATEWAYS)]
    assert len(set(ports.values())) == len(ports)


def test_one_of_several_gateways_has_a_number_and_a_port_of_its_own() -> None:
    """The staff's origin is the first one's: a port cannot be listened on twice."""
    assert "RIALTO_STAFF_PORT" not in gateway_environment(1, 8000)
    second = gateway_environment(2, 8001)
    assert (second["RIALTO_GATEWAY_NUMBER"], second["RIALTO_GATEWAY_PORT"]) == ("2", "8001")
    assert second["RIALTO_STAFF_PORT"] == "0"


def test_processes_are_named_by_shard_or_number() -> None:
    """The first gateway keeps the bare name, so that one alone is called as it always was."""
    names = [
        spec.process_name(number)
        for spec in PROCESSES
        if spec.name in ("gateway", "market-data", "order-history")
        for number in range(spec.count(shards=2, gateways=2))
    ]
    assert names == ["market-data-0", "market-data-1", "order-history", "gateway", "gateway-2"]
