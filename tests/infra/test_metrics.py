"""Metrics are served on loopback in Prometheus' text form, as they are at that moment."""

from __future__ import annotations

import httpx

from infra.metrics import Gauge, MetricsServer


def test_metrics_are_read_when_they_are_asked_for() -> None:
    """Each scrape sees the figures of its moment, a series for each set of labels."""
    lag = [3]

    def read() -> list[Gauge]:
        return [
            Gauge("lag", "Commands behind.", lag[0], {"shard": "0"}),
            Gauge("lag", "Commands behind.", 7, {"shard": "1"}),
        ]

    server = MetricsServer(0, read)
    try:
        assert server.url.startswith("http://127.0.0.1:")
        first = httpx.get(server.url).text
        assert "# TYPE lag gauge" in first
        assert 'lag{shard="0"} 3.0' in first
        assert 'lag{shard="1"} 7.0' in first
        lag[0] = 4
        assert 'lag{shard="0"} 4.0' in httpx.get(server.url).text
    finally:
        server.close()
