"""Prometheus metrics of a process, on a loopback port of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Gauge:
    """One figure as it is now; `labels` tell its series apart."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str]


class _Now(Collector):
    """Asks for the figures when somebody asks us."""

    def __init__(self, read: Callable[[], Iterable[Gauge]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Return all figures, by name."""
        families: dict[str, GaugeMetricFamily] = {}
        for gauge in self._read():
            family = families.get(gauge.name)
            if family is None:
                family = GaugeMetricFamily(gauge.name, gauge.help, labels=sorted(gauge.labels))
                families[gauge.name] = family
            family.add_metric([gauge.labels[name] for name in sorted(gauge.labels)], gauge.value)
        return families.values()


class MetricsServer:
    """Serves /metrics until closed; port 0 takes any free one."""

    def __init__(self, port: int, read: Callable[[], Iterable[Gauge]]) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Now(read))
        self._server: WSGIServer
        self._server, self._thread = start_http_server(port, addr=_HOST, registry=registry)

    @property
    def url(self) -> str:
        """Return where the metrics are."""
        return f"http://{_HOST}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
