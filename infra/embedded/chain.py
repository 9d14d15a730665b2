"""A local EVM chain: anvil, with its state in a file."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from infra.embedded.anvil_package import anvil_binary
from infra.embedded.ports import LOOPBACK
from infra.embedded.server import EmbeddedServer
from infra.embedded.temporal import http_json

CHAIN_ID = 31337
_QUIET_SECONDS = 60.0  # without a transaction: long enough for all confirmations
_IDLE_BLOCK_SECONDS = 15
_LOOK_BACK = 20  # blocks


class ChainServer(EmbeddedServer):
    """Anvil on loopback; a block a second, its state saved as often.

    Its state holds every block, and the save writes all of it: an exchange left alone for a night
    would write megabytes a second. So `keep_pace` slows down while nothing moves.

    `also_at_once` mines each transaction at once as well, and `persistent` False leaves the file
    out: both for tests.

    The save is not atomic, so `keep_copy` puts whole states aside, and a torn one is replaced
    by the copy at the next start (the watcher notices a chain behind its height).
    """

    def __init__(
        self,
        data_dir: Path,
        log_path: Path,
        port: int,
        *,
        also_at_once: bool = False,
        persistent: bool = True,
    ) -> None:
        super().__init__("chain", data_dir, log_path, port)
        self._also_at_once = also_at_once
        self._persistent = persistent
        self._seen_block = 0
        self._busy_until = 0.0
        self._idle = False

    @property
    def url(self) -> str:
        """Return the JSON-RPC address."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def _state(self) -> Path:
        return self.data_dir / "state.json"

    @property
    def _copy(self) -> Path:
        return self.data_dir / "state.copy.json"

    def prepare(self) -> None:
        """Find (or install) the program and put back the copy when the state is torn."""
        super().prepare()
        anvil_binary()
        if self._state.exists() and not _is_whole(self._state):
            self._state.rename(self.data_dir / "state.torn.json")
            if self._copy.exists():
                shutil.copyfile(self._copy, self._state)

    def command(self) -> list[str]:
        """Return the chain's command line."""
        blocks = ("--block-time", "1", *(("--mixed-mining",) if self._also_at_once else ()))
        state = ("--state", str(self._state), "--state-interval", "1") if self._persistent else ()
        return [
            *(str(anvil_binary()), "--host", LOOPBACK, "--port", str(self.port)),
            *("--chain-id", str(CHAIN_ID), "--quiet", *blocks, *state),
        ]

    def launch(self) -> None:
        """Start at full pace."""
        self._seen_block, self._idle = 0, False
        self._busy_until = time.monotonic() + _QUIET_SECONDS
        super().launch()

    def answers(self) -> bool:
        """Tell whether the chain answers eth_chainId."""
        return self._call("eth_chainId") == hex(CHAIN_ID)

    def keep_pace(self) -> None:
        """Mine a block a second while there are transactions, few while there are none."""
        latest = self._call("eth_blockNumber")
        if not isinstance(latest, str):
            return
        last = int(latest, 16)
        first = max(self._seen_block + 1, last - _LOOK_BACK)
        blocks = ["pending", *(hex(number) for number in range(first, last + 1))]
        self._seen_block = last
        count = "eth_getBlockTransactionCountByNumber"
        if any(self._call(count, block) not in (None, "0x0") for block in blocks):
            self._busy_until = time.monotonic() + _QUIET_SECONDS
        idle = time.monotonic() > self._busy_until
        if idle != self._idle:
            self._call("evm_setIntervalMining", _IDLE_BLOCK_SECONDS if idle else 1)
            self._idle = idle

    def _call(self, method: str, *params: object) -> object:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return (http_json(self.url, request) or {}).get("result")

    def keep_copy(self) -> None:
        """Put a whole state aside."""
        fresh = self._copy.with_suffix(".new")
        try:
            shutil.copyfile(self._state, fresh)
        except OSError:
            return
        if _is_whole(fresh):
            fresh.replace(self._copy)


def _is_whole(path: Path) -> bool:
    """Tell whether a file holds one JSON document."""
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True
