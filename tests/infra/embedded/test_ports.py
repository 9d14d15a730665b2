"""Ports that stay free until their server binds them."""

from __future__ import annotations

import socket
from pathlib import Path

from infra.embedded.ports import LOOPBACK, free_port, is_free, own_port


def test_a_free_port_is_none_that_a_connection_may_take() -> None:
    """Linux gives outgoing connections the ports of its own range, at any moment."""
    said = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    first, last = (int(number) for number in said)
    found = {free_port() for _ in range(50)}
    assert not found & set(range(first, last + 1))
    assert all(port > 1_024 for port in found)


def test_a_port_that_is_listened_on_or_taken_is_not_given() -> None:
    """The preferred one is given while it is free, and another one otherwise."""
    port = own_port()
    assert free_port(port) == port
    assert free_port(port, taken={port}) != port
    with socket.socket() as busy:
        busy.bind((LOOPBACK, port))
        busy.listen()
        assert not is_free(port)
        assert free_port(port) != port


def test_own_ports_differ() -> None:
    """A process is never given one port twice: its server may not have bound it yet."""
    found = [own_port() for _ in range(20)]
    assert len(set(found)) == len(found)
